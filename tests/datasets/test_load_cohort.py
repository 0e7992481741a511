import builtins
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skosfusion.datasets import load_cohort
from skosfusion.exceptions import ImageError
from skosfusion.preprocessing import make_clinical_transformer

REAL = Path(__file__).parents[2] / "shared/data/chest_xray"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (8, 6), 40).save(folder / name)
    return folder


@pytest.fixture
def images():
    return pd.DataFrame({"image": ["a.png", "b.png", "c.png"], "patient_id": ["01", "01", "2"]})


@pytest.fixture
def records():
    return pd.DataFrame(
        {
            "patient_id": ["2", "01"],
            "gender": ["F", "M"],
            "age": ["14", "52"],
            "alp": ["300", "90"],
            "alp_low": ["60", "40"],
            "alp_high": ["260", "150"],
            "diagnosis": ["Osteosarcoma, left", "knee injury"],
        }
    )


def write(folder, table, name):
    path = folder / name
    table.to_csv(path, index=False)
    return path


class TestResult:
    def test_clinical_values_follow_the_record_number(self, folder, images, records):
        data = load_cohort(images, records, image_folder=folder).data
        assert data["age"].tolist() == [52, 52, 14]

    def test_columns_are_ours_and_further_ones_are_left_out(self, folder, images, records):
        data = load_cohort(images.assign(note="x"), records, image_folder=folder).data
        assert data.columns.tolist() == [
            "image",
            "patient_id",
            "gender",
            "age",
            "alp",
            "alp_low",
            "alp_high",
        ]

    def test_laboratory_values_and_ages_are_float64(self, folder, images, records):
        data = load_cohort(images, records, image_folder=folder).data
        assert (data[["age", "alp", "alp_low", "alp_high"]].dtypes == np.float64).all()

    def test_image_is_an_absolute_path(self, folder, images, records):
        data = load_cohort(images, records, image_folder=os.path.relpath(folder)).data
        assert data["image"].tolist() == [str(folder / f"{name}.png") for name in "abc"]

    def test_groups_are_the_patients(self, folder, images, records):
        assert load_cohort(images, records, image_folder=folder).groups.tolist() == [
            "01",
            "01",
            "2",
        ]

    def test_frame_is_data_and_target(self, folder, images, records):
        cohort = load_cohort(images, records, image_folder=folder)
        pd.testing.assert_frame_equal(cohort.frame.drop(columns="diagnosis"), cohort.data)
        np.testing.assert_array_equal(cohort.frame["diagnosis"], cohort.target)

    def test_kits_and_data_fit_the_clinical_transformer(self, folder, images, records):
        cohort = load_cohort(images, records, image_folder=folder)
        out = make_clinical_transformer(kits=cohort.kits).fit_transform(cohort.data)
        np.testing.assert_allclose(out["alp"], [50 / 110, 50 / 110, 1.2])

    def test_description_counts_what_was_loaded(self, folder, images, records):
        records.loc[1, "age"] = "NA"
        description = load_cohort(images, records, image_folder=folder).DESCR
        assert "3 images of 2 patients" in description
        assert "knee injury 2" in description
        assert "age 2" in description

    def test_one_table_is_enough(self, folder, images, records):
        table = images.merge(records, on="patient_id")
        one = load_cohort(table, image_folder=folder).frame
        pd.testing.assert_frame_equal(one, load_cohort(images, records, image_folder=folder).frame)

    def test_index_of_the_tables_does_not_matter(self, folder, images, records):
        expected = load_cohort(images, records, image_folder=folder).frame
        images.index, records.index = [5, 5, 5], [9, 9]
        got = load_cohort(images, records, image_folder=folder).frame
        pd.testing.assert_frame_equal(got, expected)

    def test_given_tables_are_not_changed(self, folder, images, records):
        copies = images.copy(), records.copy()
        load_cohort(images, records, image_folder=folder)
        pd.testing.assert_frame_equal(images, copies[0])
        pd.testing.assert_frame_equal(records, copies[1])

    @settings(deadline=None, max_examples=20)
    @given(st.permutations(range(3)), st.permutations(range(2)))
    def test_order_of_rows_carries_through(self, tmp_path_factory, order, record_order):
        folder = tmp_path_factory.mktemp("images")
        names = ["a.png", "b.png", "c.png"]
        for name in names:
            (folder / name).touch()
        images = pd.DataFrame({"image": names, "patient_id": ["1", "2", "2"]})
        records = pd.DataFrame({"patient_id": ["1", "2"], "age": [4, 81], "diagnosis": [0, 1]})
        expected = load_cohort(images, records, image_folder=folder).frame.iloc[list(order)]
        got = load_cohort(
            images.iloc[list(order)], records.iloc[list(record_order)], image_folder=folder
        ).frame
        pd.testing.assert_frame_equal(got, expected.reset_index(drop=True))


class TestFiles:
    def test_csv_keeps_leading_zeros_of_record_numbers(self, folder, images, records):
        tables = write(folder, images, "images.csv"), write(folder, records, "records.csv")
        assert load_cohort(*tables).data["patient_id"].tolist() == ["01", "01", "2"]

    def test_folder_of_the_image_table_is_the_image_folder(self, folder, images, records):
        cohort = load_cohort(write(folder, images, "images.csv"), records)
        assert cohort.data["image"][0] == str(folder / "a.png")

    def test_byte_order_mark_is_no_part_of_a_name(self, folder, images, records):
        path = folder / "images.csv"
        images.to_csv(path, index=False, encoding="utf-8-sig")
        assert len(load_cohort(path, records).data) == 3

    def test_rows_and_columns_of_nothing_but_commas_are_left_out(self, folder, images, records):
        path = folder / "images.csv"
        images.assign(**{"": ""}).to_csv(path, index=False)
        n_columns = images.shape[1] + 1
        path.write_text(path.read_text() + 2 * ("," * (n_columns - 1) + "\n"))
        assert len(load_cohort(path, records).data) == len(images)

    def test_parquet_gives_the_same_as_csv(self, folder, images, records):
        pytest.importorskip("pyarrow")
        images.to_parquet(folder / "images.parquet")
        expected = load_cohort(write(folder, images, "images.csv"), records).frame
        got = load_cohort(folder / "images.parquet", records).frame
        pd.testing.assert_frame_equal(got, expected)

    def test_parquet_without_pyarrow_names_the_extra(self, folder, records, monkeypatch):
        real_import = builtins.__import__

        def no_pyarrow(name, *args, **kwargs):
            if name.startswith("pyarrow"):
                raise ImportError(name)
            return real_import(name, *args, **kwargs)

        (folder / "images.parquet").touch()
        monkeypatch.delitem(sys.modules, "skosfusion.datasets._parquet", raising=False)
        monkeypatch.setattr(builtins, "__import__", no_pyarrow)
        with pytest.raises(ImportError, match=r"skosfusion\[parquet\]"):
            load_cohort(folder / "images.parquet", records)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"image,patient_id\na\xff.png,1\n", "utf-8"),
            (b"", "is empty"),
            (b"\n\n", "is empty"),
            (b"image,patient_id\n", "has no rows"),
            (b"image,patient_id\na.png\n", "row 0 has 1 cells, but the header has 2"),
            (b"image,patient_id\na.png,1\nb.png,1,2\n", "row 1 has 3 cells"),
            (b'image,patient_id\n"a.png,1\n', "unexpected end of data"),
            (b"image,image\na.png,1\n", "more than one column named 'image'"),
        ],
    )
    def test_broken_csv_is_refused_with_file_and_reason(self, folder, records, content, reason):
        path = folder / "images.csv"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=reason) as caught:
            load_cohort(path, records)
        assert "images.csv" in str(caught.value)

    def test_broken_parquet_is_refused_with_its_file(self, folder, records):
        pytest.importorskip("pyarrow")
        path = folder / "images.parquet"
        path.write_bytes(b"PAR1 nonsense")
        with pytest.raises(ValueError, match=r"cannot read the image table 'images.parquet'"):
            load_cohort(path, records)

    def test_parquet_of_endless_rows_is_refused_before_it_is_read(
        self, folder, images, records, monkeypatch
    ):
        pytest.importorskip("pyarrow")
        images.to_parquet(folder / "images.parquet")
        monkeypatch.setattr("skosfusion.datasets._tables._MAX_ROWS", 2)
        with pytest.raises(ValueError, match="it has 3 rows, more than 2"):
            load_cohort(folder / "images.parquet", records)

    def test_missing_table_is_refused_by_name(self, folder, images):
        with pytest.raises(FileNotFoundError, match=r"clinical table .*nothing.csv"):
            load_cohort(images, folder / "nothing.csv", image_folder=folder)

    def test_folder_as_table_is_refused(self, folder, records):
        with pytest.raises(ValueError, match="no regular file"):
            load_cohort(folder, records)

    def test_other_types_as_table_are_refused(self, folder, images):
        with pytest.raises(TypeError, match=r"clinical table must be .* got dict"):
            load_cohort(images, {}, image_folder=folder)


class TestColumns:
    def test_columns_of_other_names_are_found(self, folder, images, records):
        images = images.rename(columns={"image": "file", "patient_id": "MRN"})
        records = records.rename(
            columns={"patient_id": "MRN", "gender": "sex", "alp": "ALP", "diagnosis": "label"}
        )
        names = {"image": "file", "patient_id": "MRN", "gender": "sex", "alp": "ALP"}
        cohort = load_cohort(images, records, image_folder=folder, columns=names, target="label")
        assert cohort.data["alp"].tolist() == [90, 90, 300]
        assert cohort.data["gender"].tolist() == ["M", "M", "F"]

    def test_missing_column_is_refused_with_the_nearest_and_the_remedy(
        self, folder, images, records
    ):
        images = images.rename(columns={"image": "imagee"})
        with pytest.raises(ValueError, match=r"'image' .*'patient_id'.*'imagee'; .*columns=") as e:
            load_cohort(images, records, image_folder=folder)
        assert "the image table" in str(e.value)

    def test_mapped_column_must_be_there(self, folder, images, records):
        with pytest.raises(ValueError, match=r"no column 'sex' in .*\['image'"):
            load_cohort(images, records, image_folder=folder, columns={"gender": "sex"})

    def test_mapped_laboratory_value_must_be_there(self, folder, images, records):
        names = {"ldh": "LDH", "ldh_low": "alp_low", "ldh_high": "alp_high"}
        with pytest.raises(ValueError, match="no column 'LDH'"):
            load_cohort(images, records, image_folder=folder, columns=names)

    def test_gender_and_age_are_optional(self, folder, images, records):
        records = records[["patient_id", "diagnosis"]]
        data = load_cohort(images, records, image_folder=folder).data
        assert data.columns.tolist() == ["image", "patient_id"]

    def test_unknown_key_of_columns_is_refused_with_the_nearest(self, folder, images, records):
        with pytest.raises(ValueError, match=r"'patientid' is not allowed.*mean 'patient_id'\?"):
            load_cohort(images, records, image_folder=folder, columns={"patientid": "MRN"})

    def test_column_in_both_tables_is_refused_by_name(self, folder, images, records):
        with pytest.raises(ValueError, match="column 'age' is in the image table and in the clin"):
            load_cohort(images.assign(age=3), records, image_folder=folder)

    def test_fixed_limits_become_columns(self, folder, images, records):
        records["o2"] = [98, "NA"]
        cohort = load_cohort(
            images, records, image_folder=folder, kits={"saturation": ("o2", 95, 100)}
        )
        last = cohort.data.iloc[-1]
        assert last[["saturation", "saturation_low", "saturation_high"]].tolist() == [98, 95, 100]
        assert cohort.kits == {"saturation": ("saturation", "saturation_low", "saturation_high")}

    def test_value_of_the_paper_without_limits_is_refused_with_the_remedy(
        self, folder, images, records
    ):
        with pytest.raises(ValueError, match=r"'alp' is there, but .*kits=\{'alp'"):
            load_cohort(images, records.drop(columns="alp_low"), image_folder=folder)

    def test_cohort_without_the_values_of_the_paper_has_no_kits(self, folder, images, records):
        records = records.drop(columns=["alp", "alp_low", "alp_high"])
        assert load_cohort(images, records, image_folder=folder).kits == {}

    def test_kit_may_not_take_the_name_of_another_column(self, folder, images, records):
        kits = {"alp": ("alp", "alp_low", "alp_high"), "alp_low": ("alp", 1, 2)}
        with pytest.raises(ValueError, match=r"name of a kit='alp_low'"):
            load_cohort(images, records, image_folder=folder, kits=kits)


class TestValues:
    @pytest.mark.parametrize("cell", ["six", "?", "<5"])
    def test_text_where_a_number_belongs_is_refused_with_place_and_remedy(
        self, folder, images, records, cell
    ):
        records.loc[1, "age"] = cell
        with pytest.raises(ValueError, match=r"column 'age', row 1 .*na_values=\["):
            load_cohort(images, records, image_folder=folder)

    @pytest.mark.parametrize(("cell", "declared"), [("?", "?"), (" SIX ", "six"), (-999, -999)])
    def test_declared_values_are_missing(self, folder, images, records, cell, declared):
        records["age"] = pd.Series([14, cell], dtype=object)
        data = load_cohort(images, records, image_folder=folder, na_values=[declared]).data
        np.testing.assert_array_equal(data["age"], [np.nan, np.nan, 14])

    @pytest.mark.parametrize("cell", ["", "NA", "n/a", "NaN", "NULL", "None"])
    def test_usual_spellings_are_missing(self, folder, images, records, cell):
        records.loc[1, ["gender", "alp"]] = cell
        tables = write(folder, images, "images.csv"), write(folder, records, "records.csv")
        data = load_cohort(*tables).data
        assert data[["gender", "alp"]].isna().all(axis=1).tolist() == [True, True, False]

    @pytest.mark.parametrize("column", ["age", "alp", "alp_high"])
    def test_infinity_is_refused_with_place(self, folder, images, records, column):
        records[column] = [10.0, np.inf]
        with pytest.raises(ValueError, match=rf"infinite .* column '{column}', row 1"):
            load_cohort(images, records, image_folder=folder)

    def test_error_names_the_users_own_column(self, folder, images, records):
        records = records.rename(columns={"age": "years"}).assign(years="x")
        with pytest.raises(ValueError, match="column 'years', row 0"):
            load_cohort(images, records, image_folder=folder, columns={"age": "years"})


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

    @pytest.mark.parametrize("positive", ["osteosarcoma", "SARCOMA, L"])
    def test_positive_is_found_anywhere_in_any_case(self, folder, images, records, positive):
        cohort = load_cohort(images, records, image_folder=folder, positive=positive)
        assert cohort.target.tolist() == [0, 0, 1]
        assert cohort.target.dtype == np.int64
        assert cohort.target_names == [f"not {positive}", positive]

    def test_positive_is_plain_text_and_must_occur(self, folder, images, records):
        with pytest.raises(ValueError, match=r"positive='osteo\.\*' .*'knee injury'"):
            load_cohort(images, records, image_folder=folder, positive="osteo.*")

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
        cohort = load_cohort(table, image_folder=folder, label_conflicts="keep")
        assert cohort.target.tolist() == ["yes", "no", "no"]

    def test_labels_that_are_equal_after_positive_do_not_conflict(self, folder, images):
        table = images.assign(diagnosis=["tumour left", "tumour right", "none seen"])
        cohort = load_cohort(table, image_folder=folder, positive="tumour")
        assert cohort.target.tolist() == [1, 1, 0]

    def test_mixed_types_are_refused(self, folder, images):
        table = images.assign(diagnosis=pd.Series(["a", "a", 1], dtype=object))
        with pytest.raises(ValueError, match=r"mix the types \['int', 'str'\]"):
            load_cohort(table, image_folder=folder)

    def test_target_may_not_be_an_input(self, folder, images, records):
        with pytest.raises(ValueError, match="target='age'"):
            load_cohort(images, records, image_folder=folder, target="age")


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
        load_cohort(images, records, image_folder=folder, outside_links="allow")

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


class TestScreenshots:
    @pytest.fixture
    def shot(self, folder, images):
        pixels = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "b_screen.png")
        images.loc[1, "image"] = "b_screen.png"
        return pixels

    @pytest.fixture
    def crop(self, folder, images, records, shot, tmp_path):
        def crop(box=(1, 2, 5, 6), **params):
            return load_cohort(
                images,
                records,
                image_folder=folder,
                screenshot_pattern="*_screen.png",
                screenshots="crop",
                crop_box=box,
                data_home=tmp_path / "home",
                **params,
            )

        return crop

    def test_screenshots_are_excluded_and_counted(self, folder, images, records, shot):
        cohort = load_cohort(
            images, records, image_folder=folder, screenshot_pattern="*_screen.png"
        )
        assert [os.path.basename(path) for path in cohort.data["image"]] == ["a.png", "c.png"]
        assert cohort.data.index.tolist() == [0, 1]
        assert "1 excluded" in cohort.DESCR

    def test_errors_count_the_rows_before_the_exclusion(self, folder, images, records, shot):
        (folder / "c.png").unlink()
        with pytest.raises(FileNotFoundError, match="row 2"):
            load_cohort(images, records, image_folder=folder, screenshot_pattern="*_screen.png")

    def test_pattern_sees_the_file_name_alone(self, folder, images, records):
        (folder / "screens").mkdir()
        (folder / "screens" / "b.png").touch()
        images.loc[1, "image"] = "screens/b.png"
        cohort = load_cohort(images, records, image_folder=folder, screenshot_pattern="*screen*")
        assert len(cohort.data) == 3

    def test_pattern_that_excludes_everything_is_refused(self, folder, images, records):
        with pytest.raises(ValueError, match=r"screenshot_pattern='\*' excludes all 3 images"):
            load_cohort(images, records, image_folder=folder, screenshot_pattern="*")

    def test_cropped_copy_holds_the_pixels_of_the_box(self, crop, shot):
        with Image.open(crop().data["image"][1]) as image:
            np.testing.assert_array_equal(np.asarray(image), shot[2:6, 1:5])

    def test_other_images_are_not_copied(self, crop, folder):
        assert crop().data["image"][[0, 2]].tolist() == [
            str(folder / "a.png"),
            str(folder / "c.png"),
        ]

    def test_copies_lie_in_the_data_home_and_nothing_else_does(self, crop, tmp_path):
        path = crop().data["image"][1]
        assert [str(file) for file in (tmp_path / "home").rglob("*.*")] == [path]

    def test_copy_is_written_once(self, crop):
        path = crop().data["image"][1]
        before = os.stat(path).st_mtime_ns
        assert crop().data["image"][1] == path
        assert os.stat(path).st_mtime_ns == before

    def test_another_box_or_content_gives_another_copy(self, crop, folder):
        first = crop().data["image"][1]
        second = crop(box=(0, 0, 4, 4)).data["image"][1]
        Image.new("L", (8, 6), 9).save(folder / "b_screen.png")
        third = crop().data["image"][1]
        assert len({first, second, third}) == 3

    def test_box_beyond_the_image_is_refused_with_file_and_size(self, crop):
        with pytest.raises(ValueError, match=r"b_screen.png' \(row 1\), which is 8 x 6 pixels"):
            crop(box=(0, 0, 9, 6))

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

    def test_crop_needs_a_pattern(self, folder, images, records):
        with pytest.raises(ValueError, match="needs a screenshot_pattern"):
            load_cohort(
                images, records, image_folder=folder, screenshots="crop", crop_box=(0, 0, 1, 1)
            )


@pytest.mark.parametrize(
    "params",
    [
        {"label_conflicts": "drop"},
        {"screenshots": "keep"},
        {"outside_links": True},
        {"positive": ""},
        {"na_values": "?"},
        {"columns": ["image"]},
        {"screenshot_pattern": 3},
        {"kits": {"alp": "alp"}},
    ],
)
def test_argument_out_of_its_set_is_refused_by_name(folder, images, records, params):
    with pytest.raises(ValueError, match=rf"{next(iter(params))}.*=.* is not allowed; give"):
        load_cohort(images, records, image_folder=folder, **params)


@pytest.mark.skipif(not REAL.exists(), reason="the real radiographs are not on this machine")
class TestRealTable:
    @pytest.fixture
    def cohort(self):
        return load_cohort(
            REAL / "metadata.csv",
            image_folder=REAL / "images",
            columns={"image": "filename", "patient_id": "patientid", "gender": "sex"},
            kits={"saturation": ("pO2_saturation", 95, 100)},
            target="finding",
            positive="COVID-19",
            label_conflicts="keep",
        )

    def test_every_row_is_loaded(self, cohort):
        table = pd.read_csv(REAL / "metadata.csv")
        assert len(cohort.data) == len(table)
        assert len(set(cohort.groups)) == table["patientid"].nunique()

    def test_labels_are_those_that_hold_the_text(self, cohort):
        findings = pd.read_csv(REAL / "metadata.csv")["finding"]
        assert cohort.target.tolist() == findings.str.contains("COVID-19").astype(int).tolist()

    def test_missing_values_stay_missing(self, cohort):
        table = pd.read_csv(REAL / "metadata.csv")
        expected = table["pO2_saturation"].isna().tolist()
        assert cohort.data["saturation"].isna().tolist() == expected

    def test_clinical_transformer_takes_it(self, cohort):
        transformer = make_clinical_transformer(kits=cohort.kits, missing="indicator")
        out = transformer.fit_transform(cohort.data)
        assert np.isfinite(out.drop(columns="image").to_numpy()).all()
