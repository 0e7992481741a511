import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.model_selection import (
    GroupKFold,
    KFold,
)

from skosfusion import check_leakage
from skosfusion.exceptions import ImageError, LeakageWarning
from skosfusion.model_selection import _pixels

from .._helpers.leakage import quiet, replace


class TestImages:
    @pytest.mark.parametrize("saved_as", ["bytes", "compression", "metadata", "RGB", "BMP"])
    def test_an_image_is_known_whatever_it_is_saved_as(self, table, saved_as):
        source, path = table.loc[0, "image"], table.loc[9, "image"]
        with Image.open(source) as opened:
            image = opened.copy()
        options = {"compression": {"compress_level": 0}}.get(saved_as, {})
        if saved_as == "metadata":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_text("Station", "X-ray 2")
        if saved_as == "RGB":
            image = image.convert("RGB")
        if saved_as == "BMP":
            options["format"] = "BMP"
        if saved_as == "bytes":
            shutil.copy(source, path)
        else:
            image.save(path, **options)
        digests = {hashlib.sha256(Path(name).read_bytes()).digest() for name in (source, path)}
        assert len(digests) == (1 if saved_as == "bytes" else 2)
        assert quiet(table).repeated_images["row"].tolist() == [0, 9]

    def test_one_pixel_makes_another_image(self, table):
        pixels = np.array(Image.open(table.loc[0, "image"]))
        pixels[3, 5] ^= 1
        Image.fromarray(pixels).save(table.loc[9, "image"])
        assert quiet(table).repeated_images.empty

    def test_the_same_values_in_another_shape_are_another_image(self, table):
        for row, shape in ((0, (16, 64)), (9, (64, 16))):
            Image.fromarray(np.full(shape, 9, np.uint8)).save(table.loc[row, "image"])
        assert quiet(table).repeated_images.empty

    def test_images_are_compared_at_full_size(self, table):
        pixels = np.zeros((600, 600), np.uint8)
        for row in (0, 9):
            pixels[300, 300] = row
            Image.fromarray(pixels).save(table.loc[row, "image"])
        assert quiet(table).repeated_images.empty

    def test_a_repeated_image_has_a_line_a_row(self, table):
        replace(table, 9, like=0)
        replace(table, 12, like=0)
        replace(table, 21, like=4)
        lines = quiet(table).repeated_images
        assert lines["image_id"].tolist() == [0, 0, 0, 1, 1]
        assert lines["row"].tolist() == [0, 9, 12, 4, 21]
        for column, name in (("image", "image"), ("patient", "patient_id"), ("label", "diagnosis")):
            assert lines[column].tolist() == table.loc[lines["row"], name].tolist()

    @pytest.mark.parametrize(
        ("row", "several"),
        [(1, ["names"]), (8, ["names", "patients"]), (9, ["names", "patients"])],
    )
    def test_other_names_and_patients_of_an_image_are_told(self, table, row, several):
        replace(table, row, like=0)
        lines = quiet(table).repeated_images
        for kind in ("names", "patients", "labels"):
            assert (lines[f"several_{kind}"] == (kind in several)).all(), kind

    def test_two_labels_of_an_image_are_told(self, table):
        replace(table, 1, like=0, diagnosis=1)
        lines = quiet(table).repeated_images
        assert lines["several_labels"].all()
        assert not lines["several_patients"].any()

    def test_a_file_that_is_listed_twice_is_a_repeated_image_of_one_name(self, table):
        table.loc[1, "image"] = table.loc[0, "image"]
        found = quiet(table)
        assert found.repeated_images["row"].tolist() == [0, 1]
        assert not found.repeated_images["several_names"].any()
        assert "1 listed again under the same name" in found.DESCR

    def test_an_image_of_two_patients_leaks_through_folds_by_patient(self, table):
        replace(table, 8, like=0)
        train = np.delete(np.arange(24), [0, 1])
        found = quiet(table, cv=[(train, [0, 1]), ([2, 3], [4, 5])])
        assert found.leaks
        assert found.n_leaking_patients == 0
        assert found.images_in_both.to_numpy().tolist() == [[0, 0]]
        assert found.n_leaking_images == 1
        assert found.repeated_images["in_both"].all()

    def test_an_image_in_one_set_does_not_leak(self, table):
        replace(table, 8, like=0)
        found = quiet(table, cv=[(range(12), range(12, 24))])
        assert not found.leaks
        assert len(found.repeated_images) == 2
        assert not found.repeated_images["in_both"].any()

    def test_without_a_split_an_image_of_two_patients_is_a_leak_to_come(self, table):
        replace(table, 1, like=0)
        assert not quiet(table).leaks
        replace(table, 8, like=0)
        with pytest.warns(LeakageWarning, match="split by patient tears apart"):
            check_leakage(table, verbose=0)

    def test_rows_without_an_image_are_passed_over(self, table):
        table.loc[[3, 7], "image"] = None
        table["image"] = table["image"].astype(object)
        table.loc[11, "image"] = np.nan
        found = quiet(table)
        assert found.repeated_images.empty
        assert "21 rows, read to the last pixel; 3 without an image" in found.DESCR

    def test_a_table_without_a_single_image_is_checked_for_the_rest(self, table):
        table["image"] = None
        assert quiet(table, cv=KFold(5)).n_leaking_patients > 0

    def test_paths_may_be_path_objects(self, table, tmp_path):
        table.loc[9, "image"] = table.loc[0, "image"]
        table["image"] = [
            tmp_path / name if row else name for row, name in enumerate(table["image"])
        ]
        lines = quiet(table).repeated_images
        assert lines["row"].tolist() == [0, 9]
        assert not lines["several_names"].any()

    def test_a_damaged_image_is_an_error_with_its_row(self, table, tmp_path):
        (tmp_path / "004_1.png").write_bytes(b"no image")
        with pytest.raises(ImageError, match=r"004_1.png' \(row 9\)") as caught:
            quiet(table)
        assert type(caught.value.row) is int

    def test_of_several_damaged_images_the_first_is_named(self, table, tmp_path):
        for name in ("004_1.png", "002_0.png", "009_1.png"):
            (tmp_path / name).write_bytes(b"no image")
        for _ in range(5):
            with pytest.raises(ImageError, match="row 4"):
                quiet(table, n_threads=4)

    def test_a_damaged_image_that_is_listed_twice_is_named_with_its_first_row(
        self, table, tmp_path
    ):
        table.loc[15, "image"] = table.loc[9, "image"]
        (tmp_path / "004_1.png").write_bytes(b"no image")
        with pytest.raises(ImageError, match="row 9"):
            quiet(table)

    def test_an_image_that_is_not_there_is_an_error_with_its_row(self, table):
        table.loc[9, "image"] += "x"
        with pytest.raises(FileNotFoundError, match=r"row 9"):
            quiet(table)

    def test_what_is_no_path_is_an_error_with_its_row(self, table):
        table["image"] = table["image"].astype(object)
        table.loc[9, "image"] = 5
        with pytest.raises(TypeError, match=r"got int \(row 9\)"):
            quiet(table)

    def test_image_options_decide_what_is_compared(self, table):
        image = Image.open(table.loc[0, "image"])
        image.putpixel((31, 31), 255 - image.getpixel((31, 31)))
        image.save(table.loc[9, "image"])
        assert quiet(table).repeated_images.empty
        options = {"crop_box": (0, 0, 30, 30)}
        assert quiet(table, image_options=options).repeated_images["row"].tolist() == [0, 9]

    @pytest.mark.parametrize("options", [{"image_size": 32}, {"size": 32}, ["frame"], 3])
    def test_other_image_options_are_refused_with_those_there_are(self, table, options):
        with pytest.raises(ValueError, match=r"image_options=.*'contrast', 'crop_box', 'frame'"):
            quiet(table, image_options=options)

    @pytest.mark.parametrize("n_threads", [1, 3])
    def test_threads_change_nothing(self, table, n_threads):
        replace(table, 9, like=0)
        pd.testing.assert_frame_equal(
            quiet(table, n_threads=n_threads).repeated_images, quiet(table).repeated_images
        )

    def test_more_files_than_are_waited_for_at_once_change_nothing(self, table, monkeypatch):
        for row in (9, 14, 23):
            replace(table, row, like=2)
        expected = quiet(table).repeated_images
        monkeypatch.setattr(_pixels, "_BLOCK", 5)
        pd.testing.assert_frame_equal(quiet(table).repeated_images, expected)

    def test_rows_of_an_image_are_in_their_order(self, table):
        for row in range(2, 24):
            replace(table, row, like=row % 2)
        rows = quiet(table).repeated_images["row"].tolist()
        assert rows == [*range(0, 24, 2), *range(1, 24, 2)]

    def test_images_are_not_read_when_they_are_not_asked_for(self, table, tmp_path):
        shutil.rmtree(tmp_path)
        found = quiet(table, image=None, cv=KFold(5))
        assert "images: not checked (image=None)" in found.DESCR
        assert "repeated images: not checked" in found.DESCR


def test_real_radiographs_are_checked_to_the_last_pixel(chest_xray):
    table = pd.read_csv(chest_xray / "metadata.csv")
    frame = pd.DataFrame(
        {
            "image": [str(chest_xray / "images" / name) for name in table["filename"]],
            "patient_id": table["patientid"].astype(str),
            "finding": table["finding"],
        }
    )
    found = quiet(frame, target="finding", cv=GroupKFold(3))
    assert found.n_leaking_patients == 0
    findings = frame.groupby("patient_id")["finding"].agg(set)
    several = findings[findings.map(len) > 1]
    assert set(found.patients_with_two_labels["patient"]) == set(several.index) != set()
    assert f"{len(frame)} rows, read to the last pixel" in found.DESCR
