import logging
import os

import numpy as np
import pandas as pd
import pytest

from skosfusion.datasets import ImageColumn, TargetColumn, load_cohort
from skosfusion.exceptions import ImageError


class TestRecords:
    def test_image_without_record_is_refused_with_number_and_row(self, folder, images, records):
        with pytest.raises(ValueError, match=r"no record for 1 patient \(01\).* 2 rows \(0, 1\)"):
            load_cohort(images, records.iloc[:1], image_folder=folder)

    def test_long_lists_are_cut_and_counted(self, folder, records):
        images = pd.DataFrame({"image": ["a.png"] * 9, "patient_id": list("abcdefghi")})
        with pytest.raises(ValueError, match=r"9 patients \(a, b, c, d, e, \.\.\.\)"):
            load_cohort(images, records, image_folder=folder)

    def test_two_records_of_one_number_are_refused_with_rows(self, folder, images, records):
        records = pd.concat([records, records.iloc[1:]])
        with pytest.raises(ValueError, match=r"'01' is in 2 rows \(1, 2\)"):
            load_cohort(images, records, image_folder=folder)

    def test_record_without_image_is_left_out_and_only_counted(
        self, folder, images, records, caplog
    ):
        more = records.iloc[:1].assign(patient_id="secret", age="junk")
        with caplog.at_level(logging.INFO, logger="skosfusion"):
            cohort = load_cohort(images, pd.concat([records, more]), image_folder=folder)
        assert len(cohort.data) == 3
        assert "1 clinical records have no image" in caplog.text
        assert "secret" not in caplog.text

    def test_record_numbers_match_across_dtypes(self, folder, images, records):
        images["patient_id"] = [17, 17, 4]
        records["patient_id"] = [4.0, 17.0]
        assert load_cohort(images, records, image_folder=folder).groups.tolist() == [
            "17",
            "17",
            "4",
        ]

    @pytest.mark.parametrize("kind", ["image", "clinical"])
    def test_missing_record_number_is_refused_with_table_and_row(
        self, folder, images, records, kind
    ):
        (images if kind == "image" else records).loc[1, "patient_id"] = None
        with pytest.raises(ValueError, match=rf"'patient_id' of the {kind} table .* 1 row \(1\)"):
            load_cohort(images, records, image_folder=folder)


class TestLabels:
    def test_labels_stay_as_they_are(self, folder, images, records):
        cohort = load_cohort(images, records, image_folder=folder)
        assert cohort.target.tolist() == ["knee injury"] * 2 + ["Osteosarcoma, left"]
        assert cohort.target_names == ["Osteosarcoma, left", "knee injury"]

    def test_text_of_numbers_becomes_numbers(self, folder, images, records):
        cohort = load_cohort(images, records.assign(diagnosis=["1", "0"]), image_folder=folder)
        assert cohort.target.dtype == np.int64
        assert cohort.target.tolist() == [0, 0, 1]

    @pytest.mark.parametrize("labels", [[True, False], [1, 0], [1.0, 0.0]])
    def test_labels_of_other_types_keep_their_dtype(self, folder, images, records, labels):
        cohort = load_cohort(images, records.assign(diagnosis=labels), image_folder=folder)
        assert cohort.target.dtype == np.asarray(labels).dtype
        assert cohort.target.tolist() == [labels[1], labels[1], labels[0]]

    def test_categories_stay_categories_in_the_frame(self, folder, images, records):
        records["diagnosis"] = records["diagnosis"].astype("category")
        cohort = load_cohort(images, records, image_folder=folder)
        assert cohort.frame["diagnosis"].dtype == records["diagnosis"].dtype

    @pytest.mark.parametrize("positive", ["osteosarcoma*", "*SARCOMA, L*", "OSTEOSARCOMA, LEFT"])
    def test_positive_is_a_pattern_or_a_whole_label_in_any_case(
        self, folder, images, records, positive
    ):
        cohort = load_cohort(
            images,
            records,
            image_folder=folder,
            columns={"target": TargetColumn(positive=positive)},
        )
        assert cohort.target.tolist() == [0, 0, 1]
        assert cohort.target.dtype == np.int64
        assert cohort.target_names == [f"not {positive}", positive]

    def test_positive_is_plain_text_and_must_occur(self, folder, images, records):
        columns = {"target": TargetColumn(positive="osteo.*")}
        with pytest.raises(ValueError, match=r"positive='osteo\.\*' .*'knee injury'"):
            load_cohort(images, records, image_folder=folder, columns=columns)

    @pytest.mark.parametrize("label", [None, "", "NA"])
    def test_missing_label_is_refused_with_rows(self, folder, images, records, label):
        records.loc[1, "diagnosis"] = label
        with pytest.raises(ValueError, match=r"'diagnosis' of the clinical table .* 1 row \(1\)"):
            load_cohort(images, records, image_folder=folder)

    def test_patient_with_two_labels_is_refused_by_number(self, folder, images):
        table = images.assign(diagnosis=["yes", "no", "no"])
        with pytest.raises(ValueError, match=r"1 patient \(01\).*label_conflicts='keep'"):
            load_cohort(table, image_folder=folder)

    def test_patient_with_two_labels_is_kept_on_demand(self, folder, images):
        table = images.assign(diagnosis=["yes", "no", "no"])
        columns = {"target": TargetColumn(label_conflicts="keep")}
        cohort = load_cohort(table, image_folder=folder, columns=columns)
        assert cohort.target.tolist() == ["yes", "no", "no"]

    def test_labels_that_are_equal_after_positive_do_not_conflict(self, folder, images):
        table = images.assign(diagnosis=["tumor left", "tumor right", "none seen"])
        columns = {"target": TargetColumn(positive="tumor*")}
        cohort = load_cohort(table, image_folder=folder, columns=columns)
        assert cohort.target.tolist() == [1, 1, 0]

    def test_mixed_types_are_refused(self, folder, images):
        table = images.assign(diagnosis=pd.Series(["a", "a", 1], dtype=object))
        with pytest.raises(ValueError, match=r"mix the types \['int', 'str'\]"):
            load_cohort(table, image_folder=folder)

    def test_target_may_not_be_an_input(self, folder, images, records):
        with pytest.raises(ValueError, match="target='age'"):
            load_cohort(images, records, image_folder=folder, columns={"target": "age"})


class TestPaths:
    @pytest.mark.parametrize(
        "name",
        [
            "../x.png",
            "sub/../../x.png",
            "sub/../a.png",
            "{folder}/a.png",
            "/etc/passwd",
            "a\0.png",
            "..",
        ],
    )
    def test_path_out_of_the_folder_is_refused_with_row(self, folder, images, records, name):
        (folder.parent / "x.png").touch()
        images.loc[1, "image"] = name.format(folder=folder)
        with pytest.raises(ValueError, match=r"column 'image', row 1: .* (is outside|has a NUL)"):
            load_cohort(images, records, image_folder=folder)

    def test_folder_with_a_longer_name_is_outside(self, folder, images, records):
        (folder.parent / "images2").mkdir()
        (folder.parent / "images2" / "a.png").touch()
        images.loc[1, "image"] = "../images2/a.png"
        with pytest.raises(ValueError, match="is outside"):
            load_cohort(images, records, image_folder=folder)

    @pytest.mark.parametrize("name", ["sub/ä b.png", "./sub/ä b.png"])
    def test_path_that_stays_inside_is_taken(self, folder, images, records, name):
        (folder / "sub").mkdir()
        (folder / "sub" / "ä b.png").touch()
        images.loc[1, "image"] = name
        data = load_cohort(images, records, image_folder=folder).data
        assert data["image"][1] == str(folder / "sub" / "ä b.png")

    @pytest.mark.parametrize("through", ["file", "folder"])
    def test_link_out_of_the_folder_is_refused_unless_allowed(
        self, folder, images, records, through
    ):
        outside = folder.parent / "outside"
        outside.mkdir()
        (outside / "x.png").touch()
        if through == "file":
            (folder / "x.png").symlink_to(outside / "x.png")
            images.loc[1, "image"] = "x.png"
        else:
            (folder / "sub").symlink_to(outside)
            images.loc[1, "image"] = "sub/x.png"
        with pytest.raises(ValueError, match=r"row 1: .* link .* outside .*outside_links='allow'"):
            load_cohort(images, records, image_folder=folder)
        columns = {"image": ImageColumn(outside_links="allow")}
        load_cohort(images, records, image_folder=folder, columns=columns)

    def test_link_inside_the_folder_and_a_linked_folder_are_taken(self, folder, images, records):
        (folder / "x.png").symlink_to(folder / "a.png")
        (folder.parent / "linked").symlink_to(folder)
        images.loc[1, "image"] = "x.png"
        load_cohort(images, records, image_folder=folder.parent / "linked")

    def test_missing_file_is_refused_with_row_and_file(self, folder, images, records):
        (folder / "c.png").unlink()
        with pytest.raises(FileNotFoundError, match=r"row 2\).*c\.png"):
            load_cohort(images, records, image_folder=folder)

    @pytest.mark.parametrize("kind", ["folder", "dangling", "looping", "pipe"])
    def test_what_is_no_regular_file_is_refused_with_row(self, folder, images, records, kind):
        path = folder / "b.png"
        path.unlink()
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to(path if kind == "looping" else folder / "nothing.png")
        with pytest.raises(ImageError, match=r"row 1"):
            load_cohort(images, records, image_folder=folder)

    @pytest.mark.parametrize("name", [None, np.nan, "", "NA"])
    def test_missing_path_is_refused_with_row(self, folder, images, records, name):
        images.loc[1, "image"] = name
        with pytest.raises(ValueError, match=r"'image' of the image table is empty in 1 row \(1\)"):
            load_cohort(images, records, image_folder=folder)

    def test_path_of_another_type_is_refused_with_row(self, folder, images, records):
        images["image"] = pd.Series(["a.png", 3, "c.png"], dtype=object)
        with pytest.raises(TypeError, match=r"column 'image', row 1: .*got 3 \(int\)"):
            load_cohort(images, records, image_folder=folder)

    def test_frame_needs_an_image_folder(self, images, records):
        with pytest.raises(ValueError, match="image_folder=None"):
            load_cohort(images, records)

    def test_image_folder_must_exist(self, folder, images, records):
        with pytest.raises(FileNotFoundError, match="image folder"):
            load_cohort(images, records, image_folder=folder / "nothing")
