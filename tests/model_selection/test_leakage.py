import hashlib
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    StratifiedGroupKFold,
    cross_validate,
)

from skosfusion import check_leakage
from skosfusion.exceptions import ImageError, LeakageWarning
from skosfusion.model_selection import _pictures
from .._helpers import tiny

BY_PATIENT = StratifiedGroupKFold(3, shuffle=True, random_state=0)


@pytest.fixture
def table(tmp_path):
    """Twelve patients with two images each; files and table may be changed."""
    return tiny.make_cohort(tmp_path, n_patients=12)


def quiet(frame, *args, **options):
    return check_leakage(frame, *args, on_leak="ignore", verbose=0, **options)


def replace(table, row, like, **changes):
    """Let one row show the file of another, copied to its own place."""
    shutil.copy(table.loc[like, "image"], table.loc[row, "image"])
    for column, value in changes.items():
        table.loc[row, column] = value


class TestPatients:
    def test_folds_by_patient_do_not_leak(self, table):
        found = quiet(table, cv=BY_PATIENT)
        assert not found.leaks
        assert found.n_folds == 3
        assert len(found.patients_on_both_sides) == found.n_leaking_patients == 0

    @pytest.mark.parametrize("as_column", [True, False])
    def test_patients_on_both_sides_are_named_by_fold(self, table, as_column):
        groups = None if as_column else table.pop("patient_id").to_numpy()
        folds = [(np.arange(5), np.arange(5, 24)), (np.arange(23), [23])]
        found = quiet(table, groups, folds)
        assert found.leaks
        assert found.patients_on_both_sides.to_numpy().tolist() == [[0, "p002"], [1, "p011"]]
        assert found.n_leaking_patients == 2

    def test_the_column_of_patients_is_passed_to_the_splitter(self, table):
        assert quiet(table, cv=GroupKFold(4)).n_folds == 4

    def test_without_patients_a_splitter_that_needs_them_fails_as_in_scikit_learn(self, table):
        frame = table.drop(columns="patient_id")
        with pytest.raises(ValueError, match="'groups' parameter should not be None"):
            quiet(frame, cv=GroupKFold(4))

    def test_without_patients_each_row_counts_as_one_and_the_report_says_so(self, table):
        found = quiet(table.drop(columns="patient_id"), cv=KFold(3))
        assert not found.leaks
        assert "patients: not known (no 'patient_id')" in found.DESCR

    def test_a_row_on_both_sides_is_found_without_patients(self, table):
        found = quiet(table.drop(columns="patient_id"), cv=[([0, 1, 2], [2, 3])])
        assert found.patients_on_both_sides["patient"].tolist() == [2]
        assert "1 row (2)" in found.DESCR

    def test_patients_of_other_kinds_are_told_apart(self, table):
        groups = [1, "1"] * 12
        assert not quiet(table, groups, [(range(0, 24, 2), range(1, 24, 2))]).n_leaking_patients

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    @pytest.mark.parametrize("kind", [list, np.array, pd.Series])
    def test_a_row_without_a_patient_is_named(self, table, missing, kind):
        groups = list(table["patient_id"])
        groups[5] = missing
        groups = np.array(groups, object) if kind is np.array else kind(groups)
        with pytest.raises(ValueError, match="row 5 has no patient"):
            quiet(table, groups)

    def test_patients_of_another_length_are_refused(self, table):
        with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[24, 23\]"):
            quiet(table, table["patient_id"][:-1])

    def test_two_columns_of_patients_are_refused(self, table):
        twice = pd.concat([table, table[["patient_id"]]], axis=1)
        for arguments in ((twice,), (table, np.zeros((24, 2)))):
            with pytest.raises(ValueError, match="a row has one patient, got 2 columns"):
                quiet(*arguments)

    def test_patients_that_cannot_be_compared_are_refused(self, table):
        table["patient_id"] = [[1]] * 24
        with pytest.raises(TypeError, match="a patient must be a text, a number"):
            quiet(table)

    def test_a_column_name_for_the_patients_says_what_to_give(self, table):
        with pytest.raises(TypeError, match=r"groups=X\['patient_id'\]"):
            quiet(table, "patient_id")

    def test_positions_count_and_not_the_index(self, table):
        folds = [(np.arange(5), np.arange(5, 24))]
        expected = quiet(table, cv=folds).patients_on_both_sides
        repeated = table.set_index(np.zeros(24, int))
        found = quiet(
            repeated, pd.Series(table["patient_id"].to_numpy(), index=range(24, 0, -1)), folds
        )
        pd.testing.assert_frame_equal(found.patients_on_both_sides, expected)

    @settings(max_examples=50, deadline=None)
    @given(st.data())
    def test_any_split_leaks_whom_sets_say(self, data):
        n_rows = data.draw(st.integers(1, 12))
        rows = st.lists(st.integers(-n_rows, n_rows - 1), max_size=n_rows)
        patients = data.draw(st.lists(st.sampled_from("abcd"), min_size=n_rows, max_size=n_rows))
        folds = data.draw(st.lists(st.tuples(rows, rows), min_size=1, max_size=3))
        found = quiet(pd.DataFrame({"patient_id": patients}), cv=folds)
        expected = {
            (number, patient)
            for number, (train, test) in enumerate(folds)
            for patient in {patients[i] for i in train} & {patients[i] for i in test}
        }
        shared = found.patients_on_both_sides
        assert len(shared) == len(expected)
        assert set(zip(shared["fold"], shared["patient"], strict=True)) == expected
        assert found.n_leaking_patients == len({patient for _, patient in expected})
        assert found.leaks == bool(expected)


class TestSplits:
    def test_a_number_is_read_as_cross_validate_reads_it(self, table, classifier):
        labels = table["diagnosis"].to_numpy()
        classifier.set_params(max_epochs=1)
        result = cross_validate(classifier, table[["image"]], labels, cv=5, return_indices=True)
        folds = list(zip(*result["indices"].values(), strict=True))
        found, expected = quiet(table, cv=5), quiet(table, cv=folds)
        assert expected.n_leaking_patients > 0
        pd.testing.assert_frame_equal(found.patients_on_both_sides, expected.patients_on_both_sides)

    def test_a_number_without_labels_is_refused_with_the_remedy(self, table):
        with pytest.raises(ValueError, match=r"cv=3 makes folds .* stratified .* target"):
            quiet(table.drop(columns="diagnosis"), cv=3)

    def test_masks_and_numbers_from_the_end_are_rows(self, table):
        mask = np.arange(24) < 23
        for fold in [(mask, ~mask), (np.arange(-24, -1), [-1]), (mask, [23])]:
            assert quiet(table, cv=[fold]).patients_on_both_sides["patient"].tolist() == ["p011"]

    def test_a_generator_is_used_once(self, table):
        folds = KFold(3).split(table)
        assert quiet(table, cv=folds).n_folds == 3
        assert list(folds) == []

    def test_many_folds_and_empty_sides_are_counted(self, table):
        assert quiet(table, cv=LeaveOneOut()).n_folds == 24
        assert not quiet(table, cv=[([], [0, 1]), ([0], [])]).leaks

    def test_rows_that_are_never_held_out_count_for_training(self, table):
        fold = np.full(24, -1)
        fold[0] = 0
        assert quiet(table, cv=PredefinedSplit(fold)).n_leaking_patients == 1

    @pytest.mark.parametrize(
        "fold",
        [([0], [24]), ([0], [-25]), ([0],), ([0], [1], [2]), ([0.5], [1]), ([True], [0]), 7],
    )
    def test_folds_of_another_table_are_refused_by_number(self, table, fold):
        with pytest.raises(ValueError, match=r"fold 1 of cv .* 24 rows"):
            quiet(table, cv=[([0], [1]), fold])

    def test_no_folds_are_refused(self, table):
        with pytest.raises(ValueError, match="cv holds no folds"):
            quiet(table, cv=[])

    def test_text_is_no_split(self, table):
        with pytest.raises(ValueError, match="Expected `cv`"):
            quiet(table, cv="grouped")

    def test_without_a_split_the_report_says_that_none_was_checked(self, table):
        found = quiet(table)
        assert (found.n_folds, found.leaks) == (0, False)
        assert "folds: not checked (cv=None)" in found.DESCR

    def test_a_splitter_that_needs_no_patients_does_not_warn(self, table):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            quiet(table, cv=KFold(3))


class TestImages:
    @pytest.mark.parametrize("saved_as", ["bytes", "compression", "metadata", "RGB", "BMP"])
    def test_a_picture_is_known_whatever_it_is_saved_as(self, table, saved_as):
        source, path = table.loc[0, "image"], table.loc[9, "image"]
        with Image.open(source) as opened:
            picture = opened.copy()
        options = {"compression": {"compress_level": 0}}.get(saved_as, {})
        if saved_as == "metadata":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_text("Station", "X-ray 2")
        if saved_as == "RGB":
            picture = picture.convert("RGB")
        if saved_as == "BMP":
            options["format"] = "BMP"
        if saved_as == "bytes":
            shutil.copy(source, path)
        else:
            picture.save(path, **options)
        digests = {hashlib.sha256(Path(name).read_bytes()).digest() for name in (source, path)}
        assert len(digests) == (1 if saved_as == "bytes" else 2)
        assert quiet(table).repeated_images["row"].tolist() == [0, 9]

    def test_one_pixel_makes_another_picture(self, table):
        pixels = np.array(Image.open(table.loc[0, "image"]))
        pixels[3, 5] ^= 1
        Image.fromarray(pixels).save(table.loc[9, "image"])
        assert quiet(table).repeated_images.empty

    def test_the_same_values_in_another_shape_are_another_picture(self, table):
        for row, shape in ((0, (16, 64)), (9, (64, 16))):
            Image.fromarray(np.full(shape, 9, np.uint8)).save(table.loc[row, "image"])
        assert quiet(table).repeated_images.empty

    def test_pictures_are_compared_at_full_size(self, table):
        pixels = np.zeros((600, 600), np.uint8)
        for row in (0, 9):
            pixels[300, 300] = row
            Image.fromarray(pixels).save(table.loc[row, "image"])
        assert quiet(table).repeated_images.empty

    def test_a_repeated_picture_has_a_line_a_row(self, table):
        replace(table, 9, like=0)
        replace(table, 12, like=0)
        replace(table, 21, like=4)
        lines = quiet(table).repeated_images
        assert lines["picture"].tolist() == [0, 0, 0, 1, 1]
        assert lines["row"].tolist() == [0, 9, 12, 4, 21]
        for column, name in (("image", "image"), ("patient", "patient_id"), ("label", "diagnosis")):
            assert lines[column].tolist() == table.loc[lines["row"], name].tolist()

    @pytest.mark.parametrize(
        ("row", "several"),
        [(1, ["names"]), (8, ["names", "patients"]), (9, ["names", "patients"])],
    )
    def test_other_names_and_patients_of_a_picture_are_told(self, table, row, several):
        replace(table, row, like=0)
        lines = quiet(table).repeated_images
        for kind in ("names", "patients", "labels"):
            assert (lines[f"several_{kind}"] == (kind in several)).all(), kind

    def test_two_labels_of_a_picture_are_told(self, table):
        replace(table, 1, like=0, diagnosis=1)
        lines = quiet(table).repeated_images
        assert lines["several_labels"].all()
        assert not lines["several_patients"].any()

    def test_a_file_that_is_listed_twice_is_a_repeated_picture_of_one_name(self, table):
        table.loc[1, "image"] = table.loc[0, "image"]
        found = quiet(table)
        assert found.repeated_images["row"].tolist() == [0, 1]
        assert not found.repeated_images["several_names"].any()
        assert "1 listed again under the same name" in found.DESCR

    def test_a_picture_of_two_patients_leaks_through_folds_by_patient(self, table):
        replace(table, 8, like=0)
        train = np.delete(np.arange(24), [0, 1])
        found = quiet(table, cv=[(train, [0, 1]), ([2, 3], [4, 5])])
        assert found.leaks
        assert found.n_leaking_patients == 0
        assert found.images_on_both_sides.to_numpy().tolist() == [[0, 0]]
        assert found.n_leaking_images == 1
        assert found.repeated_images["on_both_sides"].all()

    def test_a_picture_on_one_side_does_not_leak(self, table):
        replace(table, 8, like=0)
        found = quiet(table, cv=[(range(12), range(12, 24))])
        assert not found.leaks
        assert len(found.repeated_images) == 2
        assert not found.repeated_images["on_both_sides"].any()

    def test_without_a_split_a_picture_of_two_patients_is_a_leak_to_come(self, table):
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
        (tmp_path / "004_1.png").write_bytes(b"no picture")
        with pytest.raises(ImageError, match=r"004_1.png' \(row 9\)") as caught:
            quiet(table)
        assert type(caught.value.row) is int

    def test_of_several_damaged_images_the_first_is_named(self, table, tmp_path):
        for name in ("004_1.png", "002_0.png", "009_1.png"):
            (tmp_path / name).write_bytes(b"no picture")
        for _ in range(5):
            with pytest.raises(ImageError, match="row 4"):
                quiet(table, n_threads=4)

    def test_a_damaged_image_that_is_listed_twice_is_named_with_its_first_row(
        self, table, tmp_path
    ):
        table.loc[15, "image"] = table.loc[9, "image"]
        (tmp_path / "004_1.png").write_bytes(b"no picture")
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
        picture = Image.open(table.loc[0, "image"])
        picture.putpixel((31, 31), 255 - picture.getpixel((31, 31)))
        picture.save(table.loc[9, "image"])
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
        monkeypatch.setattr(_pictures, "_BLOCK", 5)
        pd.testing.assert_frame_equal(quiet(table).repeated_images, expected)

    def test_rows_of_a_picture_are_in_their_order(self, table):
        for row in range(2, 24):
            replace(table, row, like=row % 2)
        rows = quiet(table).repeated_images["row"].tolist()
        assert rows == [*range(0, 24, 2), *range(1, 24, 2)]

    def test_images_are_not_read_when_they_are_not_asked_for(self, table, tmp_path):
        shutil.rmtree(tmp_path)
        found = quiet(table, image=None, cv=KFold(5))
        assert "images: not checked (image=None)" in found.DESCR
        assert "repeated images: not checked" in found.DESCR


class TestLabels:
    def test_patients_with_two_labels_are_listed_with_the_rows_of_each(self, table):
        table["diagnosis"] = np.where(table["diagnosis"], "tumour", "none")
        table.loc[[2, 7], "diagnosis"] = "other"
        lines = quiet(table).patients_with_two_labels
        assert set(map(tuple, lines.to_numpy())) == {
            ("p001", "other", 1), ("p001", "tumour", 1),
            ("p003", "other", 1), ("p003", "tumour", 1),
        }  # fmt: skip

    def test_one_label_a_patient_is_no_finding(self, table):
        found = quiet(table)
        assert found.patients_with_two_labels.empty
        assert "patients with two labels: none" in found.DESCR

    def test_labels_may_be_an_array(self, table):
        labels = table.pop("diagnosis").to_numpy().copy()
        labels[0] = 1 - labels[0]
        lines = quiet(table, target=labels).patients_with_two_labels
        assert lines["patient"].tolist() == ["p000", "p000"]
        assert lines["n_rows"].tolist() == [1, 1]

    def test_two_labels_alone_are_no_leak(self, table):
        table.loc[0, "diagnosis"] = 1
        assert not quiet(table, cv=BY_PATIENT).leaks

    @pytest.mark.parametrize("target", ["diagnosis", None])
    def test_labels_that_are_not_there_are_not_checked_and_the_report_says_so(self, table, target):
        frame = table.drop(columns="diagnosis")
        found = quiet(frame, target=target, cv=GroupKFold(3))
        reason = "target=None" if target is None else "no column 'diagnosis'"
        assert f"labels: not checked ({reason})" in found.DESCR
        assert "patients with two labels: not checked" in found.DESCR
        assert found.patients_with_two_labels.empty

    def test_a_row_without_a_label_is_named(self, table):
        labels = table["diagnosis"].astype(object)
        labels[6] = None
        with pytest.raises(ValueError, match="row 6 has no label"):
            quiet(table, target=labels)

    def test_labels_of_another_length_are_refused(self, table):
        with pytest.raises(ValueError, match=r"\[24, 2\]"):
            quiet(table, target=[0, 1])


class TestArguments:
    @pytest.mark.parametrize(
        ("options", "near"),
        [({"target": "diagnosi"}, "diagnosis"), ({"image": "imag"}, "image")],
    )
    def test_a_column_that_is_not_there_is_an_error_with_the_nearest(self, table, options, near):
        with pytest.raises(ValueError, match=f"the nearest is '{near}'"):
            quiet(table, **options)

    def test_the_default_image_column_may_be_absent_and_the_report_says_so(self, table):
        found = quiet(table.drop(columns="image"))
        assert "images: not checked (no column 'image')" in found.DESCR

    def test_a_column_that_is_there_twice_is_refused(self, table):
        twice = pd.concat([table, table[["image"]]], axis=1)
        with pytest.raises(ValueError, match="more than one column named 'image'"):
            quiet(twice)

    def test_a_list_is_no_column(self, table):
        with pytest.raises(ValueError, match=r"image=.*give a column name, or None"):
            quiet(table, image=["image"])

    def test_an_empty_table_is_refused(self, table):
        with pytest.raises(ValueError, match="frame has no rows"):
            quiet(table.iloc[:0])

    @pytest.mark.parametrize("kind", [pd.DataFrame.to_numpy, pd.DataFrame.to_dict])
    def test_what_is_no_table_is_refused(self, table, kind):
        with pytest.raises(TypeError, match="frame must be a DataFrame"):
            quiet(kind(table))

    def test_other_actions_are_refused(self, table):
        with pytest.raises(ValueError, match="'warn' or 'error' or 'ignore'"):
            check_leakage(table, on_leak="raise")

    @pytest.mark.parametrize("n_threads", [0, -1, 1.5, True])
    def test_no_threads_are_refused(self, table, n_threads):
        with pytest.raises(ValueError, match="n_threads must be an integer >= 1 or None"):
            quiet(table, n_threads=n_threads)

    def test_the_table_is_left_as_it_was(self, table):
        before = table.copy()
        quiet(table, cv=3)
        pd.testing.assert_frame_equal(table, before)


class TestReport:
    FOLDS = ((np.arange(0, 24, 2), np.arange(1, 24, 2)),)

    def test_a_leak_is_one_warning_that_names_the_first_few_and_the_remedy(self, table):
        with pytest.warns(LeakageWarning) as caught:
            check_leakage(table, cv=self.FOLDS, verbose=0)
        assert len(caught) == 1
        text = str(caught[0].message)
        assert "12 patients (p000, p001, p002, p003, p004, ...)" in text
        assert "p005" not in text
        assert "StratifiedGroupKFold" in text
        assert caught[0].filename == __file__

    def test_a_leaking_picture_is_named_with_its_rows(self, table):
        replace(table, 8, like=0)
        replace(table, 12, like=0)
        with pytest.warns(LeakageWarning, match="1 picture .000_0.png = 004_0.png in rows 0 and 8"):
            check_leakage(table, cv=[([0, 1], [8, 9])], verbose=0)

    def test_a_leak_is_an_error_on_request_with_the_same_text(self, table):
        with pytest.warns(LeakageWarning) as caught:
            check_leakage(table, cv=self.FOLDS, verbose=0)
        with pytest.raises(ValueError, match="leaks") as error:
            check_leakage(table, cv=self.FOLDS, on_leak="error", verbose=0)
        assert str(error.value) == str(caught[0].message)

    @pytest.mark.parametrize("on_leak", ["warn", "error"])
    def test_no_leak_is_neither_warning_nor_error(self, table, on_leak):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = check_leakage(table, cv=BY_PATIENT, on_leak=on_leak, verbose=0)
        assert not found.leaks

    def test_the_description_says_what_was_checked_and_found(self, table):
        replace(table, 8, like=0, diagnosis=1)
        assert quiet(table, cv=self.FOLDS).DESCR.splitlines() == [
            "Check for leakage",
            "rows: 24",
            "patients: 12",
            "folds: 1",
            "labels: 2",
            "images: 24 rows, read to the last pixel",
            "on both sides of a split: 12 patients (p000, p001, p002, p003, p004, ...)",
            "repeated images: 1 picture (000_0.png = 004_0.png in rows 0 and 8): 1 under several "
            "names, 1 in rows of several patients, 1 with several labels",
            "patients with two labels: 1 patient (p004)",
            "leaks: yes",
        ]

    def test_a_name_of_several_lines_adds_no_line_to_the_description(self, table):
        expected = len(quiet(table, cv=self.FOLDS).DESCR.splitlines())
        table["patient_id"] = "p\nleaks: no"
        assert len(quiet(table, cv=self.FOLDS).DESCR.splitlines()) == expected

    def test_of_many_repeated_pictures_five_are_named(self, table):
        for row in range(0, 24, 2):
            replace(table, row + 1, like=row)
        line = next(x for x in quiet(table).DESCR.splitlines() if x.startswith("repeated"))
        assert line.startswith(
            "repeated images: 12 pictures (000_0.png = 000_1.png in rows 0 and 1"
        )
        assert line.count("in rows") == 5
        assert "12 under several names" in line

    def test_more_than_two_rows_of_a_picture_are_counted(self, table):
        for row in (3, 8, 12):
            replace(table, row, like=0)
        assert "(000_0.png = 001_1.png in rows 0 and 3 and 2 more)" in quiet(table).DESCR


def test_a_cohort_of_the_package_does_not_leak(tmp_path):
    from skosfusion.datasets import make_osteosarcoma_cohort

    cohort = make_osteosarcoma_cohort(n_patients=12, image_size=64, data_home=tmp_path)
    found = check_leakage(cohort.frame, cohort.groups, BY_PATIENT, verbose=0)
    assert not found.leaks
    assert found.repeated_images.empty
    assert found.patients_with_two_labels.empty


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
