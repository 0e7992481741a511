"""Functions on the image column of a frame: screenshots and digests."""

import builtins
import hashlib
import logging
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion.datasets import (
    ImageColumn,
    check_digests,
    crop_screenshots,
    exclude_screenshots,
    load_cohort,
)
from skosfusion.exceptions import ImageError

PATTERN = "*_screen.png"


@pytest.fixture
def shot(folder, images):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "b_screen.png")
    images.loc[1, "image"] = "b_screen.png"
    return pixels


@pytest.mark.usefixtures("shot")
class TestExclude:
    def test_screenshots_are_excluded_and_counted(self, folder, images, records, caplog):
        with caplog.at_level(logging.INFO, logger="skosfusion"):
            kept = exclude_screenshots(images, PATTERN)
        cohort = load_cohort(kept, records, image_folder=folder)
        assert [os.path.basename(path) for path in cohort.data["image"]] == ["a.png", "c.png"]
        assert cohort.data.index.tolist() == [0, 1]
        assert "1 screenshots excluded" in caplog.text
        assert "b_screen" not in caplog.text

    def test_errors_count_the_rows_before_the_exclusion(self, folder, images, records):
        (folder / "c.png").unlink()
        kept = exclude_screenshots(images, PATTERN)
        with pytest.raises(FileNotFoundError, match="row 2"):
            load_cohort(kept, records, image_folder=folder)

    def test_nothing_else_of_their_rows_is_read(self, folder, images, records):
        images.loc[1, "patient_id"] = None
        assert len(
            load_cohort(exclude_screenshots(images, PATTERN), records, image_folder=folder).data
        )

    def test_pattern_sees_the_file_name_alone(self, folder, images, records):
        (folder / "screens").mkdir()
        (folder / "screens" / "b.png").touch()
        images.loc[1, "image"] = "screens/b.png"
        kept = exclude_screenshots(images, "*screen*")
        assert len(load_cohort(kept, records, image_folder=folder).data) == 3

    def test_case_of_a_name_matters(self, images):
        assert len(exclude_screenshots(images, PATTERN.upper())) == 3

    def test_pattern_that_excludes_everything_is_refused(self, images):
        with pytest.raises(ValueError, match=r"pattern='\*' excludes all 3 images"):
            exclude_screenshots(images, "*")

    @pytest.mark.parametrize("pattern", [3, None])
    def test_pattern_that_is_not_a_text_is_refused(self, images, pattern):
        with pytest.raises(ValueError, match=rf"pattern={pattern} is not .* a shell-style"):
            exclude_screenshots(images, pattern)

    def test_index_columns_and_table_stay_as_they_are(self, images):
        table = images.assign(note=1).set_axis([5, 5, 9])
        before = table.copy()
        pd.testing.assert_frame_equal(exclude_screenshots(table, PATTERN), before.iloc[[0, 2]])
        pd.testing.assert_frame_equal(table, before)

    def test_table_in_a_file_is_read_as_the_loader_reads_it(self, folder, images):
        images.to_csv(folder / "images.csv", index=False)
        kept = exclude_screenshots(folder / "images.csv", PATTERN)
        assert kept["patient_id"].tolist() == ["01", "2"]
        assert kept.index.tolist() == [0, 2]

    def test_rows_without_an_image_are_kept(self, images):
        images.loc[0, "image"] = None
        assert len(exclude_screenshots(images, PATTERN)) == 2

    def test_frame_of_a_cohort_is_taken(self, folder, images, records):
        frame = load_cohort(images, records, image_folder=folder).frame
        assert len(exclude_screenshots(frame, PATTERN)) == 2

    @pytest.mark.parametrize("image", ["file", ImageColumn("file")])
    def test_column_of_another_name_is_declared(self, images, image):
        table = images.rename(columns={"image": "file"})
        assert len(exclude_screenshots(table, PATTERN, image=image)) == 2
        with pytest.raises(ValueError, match=r"no column 'image' .* holds it with image=\.\.\."):
            exclude_screenshots(table, PATTERN)

    def test_image_of_another_kind_is_refused(self, images):
        with pytest.raises(ValueError, match=r"image=\['image'\] is not .* the name of a"):
            exclude_screenshots(images, PATTERN, image=["image"])


class TestCrop:
    @pytest.fixture
    def crop(self, folder, images, records, shot, tmp_path):
        def crop(box=(1, 2, 5, 6)):
            frame = load_cohort(images, records, image_folder=folder).frame
            return crop_screenshots(frame, PATTERN, box, data_home=tmp_path / "home")

        return crop

    def test_cropped_copy_holds_the_pixels_of_the_box(self, crop, shot):
        with Image.open(crop()["image"][1]) as image:
            np.testing.assert_array_equal(np.asarray(image), shot[2:6, 1:5])

    def test_other_images_are_not_copied(self, crop, folder):
        assert crop()["image"][[0, 2]].tolist() == [str(folder / "a.png"), str(folder / "c.png")]

    def test_other_columns_and_the_frame_stay_as_they_are(self, crop, folder, images, records):
        frame = load_cohort(images, records, image_folder=folder).frame
        got = crop()
        pd.testing.assert_frame_equal(got.drop(columns="image"), frame.drop(columns="image"))
        assert got["image"].dtype == frame["image"].dtype
        assert got.columns.tolist() == frame.columns.tolist()

    def test_image_table_is_taken_with_its_folder(self, crop, folder, images, tmp_path):
        got = crop_screenshots(
            images.set_axis([7, 7, 7]),
            PATTERN,
            (1, 2, 5, 6),
            image_folder=folder,
            data_home=tmp_path / "home",
        )
        assert got["image"].tolist() == crop()["image"].tolist()
        assert got.index.tolist() == [7, 7, 7]
        assert images["image"][1] == "b_screen.png"

    def test_copies_lie_in_the_data_home_and_nothing_else_does(self, crop, tmp_path):
        path = crop()["image"][1]
        assert [str(file) for file in (tmp_path / "home").rglob("*.*")] == [path]

    def test_copy_is_written_once(self, crop):
        path = crop()["image"][1]
        before = os.stat(path).st_mtime_ns
        assert crop()["image"][1] == path
        assert os.stat(path).st_mtime_ns == before

    def test_another_box_or_content_gives_another_copy(self, crop, folder):
        first = crop()["image"][1]
        second = crop(box=(0, 0, 4, 4))["image"][1]
        Image.new("L", (8, 6), 9).save(folder / "b_screen.png")
        third = crop()["image"][1]
        assert len({first, second, third}) == 3

    def test_rows_without_an_image_are_kept(self, crop, images, folder, tmp_path):
        images.loc[0, "image"] = None
        got = crop_screenshots(
            images, PATTERN, (1, 2, 5, 6), image_folder=folder, data_home=tmp_path / "home"
        )
        assert got["image"].isna().tolist() == [True, False, False]

    @pytest.mark.parametrize("box", [(0, 0, 9, 6), (0, 0, 8, 7)])
    def test_box_beyond_the_image_is_refused_with_file_and_size(self, crop, box):
        with pytest.raises(ValueError, match=r"b_screen.png' \(row 1\), which is 8 x 6 pixels"):
            crop(box=box)

    def test_box_may_be_the_whole_image(self, crop, shot):
        with Image.open(crop(box=(0, 0, 8, 6))["image"][1]) as image:
            np.testing.assert_array_equal(np.asarray(image), shot)

    @pytest.mark.usefixtures("shot")
    def test_given_table_is_not_changed(self, folder, images, tmp_path):
        before = images.copy()
        crop_screenshots(
            images, PATTERN, (1, 2, 5, 6), image_folder=folder, data_home=tmp_path / "home"
        )
        pd.testing.assert_frame_equal(images, before)

    def test_broken_screenshot_leaves_nothing_behind(self, crop, folder, tmp_path):
        (folder / "b_screen.png").write_bytes(b"text")
        with pytest.raises(ImageError, match="row 1"):
            crop()
        assert list((tmp_path / "home").rglob("*.*")) == []

    def test_screenshot_of_16_bits_is_refused_with_its_row(self, crop, folder):
        Image.fromarray(np.zeros((6, 8), np.uint16)).save(folder / "b_screen.png")
        with pytest.raises(ImageError, match=r"row 1\): a screenshot of mode I;16 .* without loss"):
            crop()

    def test_screenshot_that_cannot_be_read_is_refused_with_its_row(self, crop, monkeypatch):
        real = builtins.open

        def denied(path, *args, **kwargs):
            if str(path).endswith("b_screen.png"):
                raise PermissionError(13, "Permission denied")
            return real(path, *args, **kwargs)

        monkeypatch.setattr(builtins, "open", denied)
        with pytest.raises(ImageError, match=r"row 1\): the file cannot be read \(Permission"):
            crop()

    @pytest.mark.parametrize(
        "box", [None, (1, 2, 3), (5, 2, 1, 6), (-1, 0, 4, 4), (0, 0, 4.0, 4), "1234"]
    )
    def test_box_out_of_its_set_is_refused(self, crop, box):
        with pytest.raises(ValueError, match="crop_box="):
            crop(box=box)


class TestDigests:
    @pytest.fixture
    def table(self, folder, images):
        digests = [
            hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in images["image"]
        ]
        return images.assign(sha256=digests)

    def test_files_of_their_digests_pass(self, folder, table):
        assert check_digests(table, image_folder=folder) is None

    def test_frame_of_a_cohort_is_taken(self, folder, table, images, records):
        frame = load_cohort(images, records, image_folder=folder).frame
        frame["sha256"] = table["sha256"]
        check_digests(frame)
        (folder / "c.png").write_bytes(b"changed")
        with pytest.raises(ImageError, match="changed or damaged") as caught:
            check_digests(frame)
        assert (caught.value.row, caught.value.path) == (2, str(folder / "c.png"))

    def test_table_in_a_file_is_taken_with_its_folder(self, folder, table):
        table.to_csv(folder / "images.csv", index=False)
        check_digests(folder / "images.csv")
        check_digests(folder / "images.csv", image_folder=folder)

    def test_relative_path_without_a_folder_is_refused(self, table):
        message = "column 'image', row 0: image 'a.png' is relative; give image_folder"
        with pytest.raises(ValueError, match=message):
            check_digests(table)

    @pytest.mark.parametrize("name", ["../x.png", "/etc/passwd", "..\\x.png"])
    def test_path_out_of_the_folder_is_refused(self, folder, table, name):
        table.loc[1, "image"] = name
        with pytest.raises(ValueError, match=r"row 1: .* is outside the image folder"):
            check_digests(table, image_folder=folder)

    def test_link_out_of_the_folder_is_refused_unless_allowed(self, folder, table):
        (folder / "a.png").rename(folder.parent / "a.png")
        (folder / "a.png").symlink_to(folder.parent / "a.png")
        with pytest.raises(
            ValueError, match=r"row 0: .* image=ImageColumn\(outside_links='allow'\)"
        ):
            check_digests(table, image_folder=folder)
        check_digests(table, image=ImageColumn(outside_links="allow"), image_folder=folder)

    def test_missing_column_is_refused_with_the_remedy(self, folder, images):
        with pytest.raises(ValueError, match=r"no column 'sha256' in .* with digests=\.\.\."):
            check_digests(images, image_folder=folder)

    def test_column_of_another_kind_is_refused(self, folder, table):
        with pytest.raises(ValueError, match="digests=None is not allowed"):
            check_digests(table, None, image_folder=folder)
