import builtins
import os
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skosfusion.datasets import TargetColumn, load_cohort
from skosfusion.preprocessing import make_clinical_transformer

from .._helpers.chest_xray import CHEST_XRAY


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
        monkeypatch.setattr("skosfusion.datasets._read_table.MAX_ROWS", 2)
        with pytest.raises(ValueError, match="it has 3 rows, more than 2"):
            load_cohort(folder / "images.parquet", records)

    def test_missing_table_is_refused_by_name(self, folder, images):
        with pytest.raises(FileNotFoundError, match=r"clinical table .*nothing.csv"):
            load_cohort(images, folder / "nothing.csv", image_folder=folder)

    def test_folder_as_table_is_refused(self, folder, records):
        with pytest.raises(ValueError, match="not a regular file"):
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
        names["target"] = "label"
        cohort = load_cohort(images, records, image_folder=folder, columns=names)
        assert cohort.data["alp"].tolist() == [90, 90, 300]
        assert cohort.data["gender"].tolist() == ["M", "M", "F"]

    def test_missing_column_is_refused_with_the_nearest_and_the_remedy(
        self, folder, images, records
    ):
        images = images.rename(columns={"image": "imagee"})
        with pytest.raises(ValueError, match=r"'image' .*'patient_id'.*'imagee'\? .*columns=") as e:
            load_cohort(images, records, image_folder=folder)
        assert "the image table" in str(e.value)

    def test_mapped_column_must_be_there(self, folder, images, records):
        with pytest.raises(ValueError, match=r"no column 'sex' in .*\['image'"):
            load_cohort(images, records, image_folder=folder, columns={"gender": "sex"})

    def test_mapped_laboratory_value_must_be_there(self, folder, images, records):
        names = {"ldh": ("LDH", "alp_low", "alp_high")}
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
        columns = {"saturation": ("o2", 95, 100), "alp": None}
        cohort = load_cohort(images, records, image_folder=folder, columns=columns)
        last = cohort.data.iloc[-1]
        assert last[["saturation", "saturation_low", "saturation_high"]].tolist() == [98, 95, 100]
        assert cohort.kits == {"saturation": ("saturation", "saturation_low", "saturation_high")}

    def test_value_of_the_paper_without_limits_is_refused_with_the_remedy(
        self, folder, images, records
    ):
        with pytest.raises(ValueError, match=r"'alp' is there, but .*columns=\{'alp'"):
            load_cohort(images, records.drop(columns="alp_low"), image_folder=folder)

    def test_cohort_without_the_values_of_the_paper_has_no_kits(self, folder, images, records):
        records = records.drop(columns=["alp", "alp_low", "alp_high"])
        assert load_cohort(images, records, image_folder=folder).kits == {}

    def test_kit_may_not_take_the_name_of_another_column(self, folder, images, records):
        kits = {"alp": ("alp", "alp_low", "alp_high"), "alp_low": ("alp", 1, 2)}
        with pytest.raises(ValueError, match=r"name of a kit='alp_low'"):
            load_cohort(images, records, image_folder=folder, columns=kits)


class TestValues:
    @pytest.mark.parametrize("cell", ["six", "?"])
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


@pytest.mark.parametrize("params", [{"na_values": "?"}, {"columns": ["image"]}])
def test_argument_out_of_its_set_is_refused_by_name(folder, images, records, params):
    with pytest.raises(ValueError, match=rf"{next(iter(params))}.*=.* is not allowed; allowed: "):
        load_cohort(images, records, image_folder=folder, **params)


@pytest.mark.parametrize("selected", [[0, 2], [1, 2]])
def test_errors_name_rows_of_a_selection_by_its_index(folder, images, records, selected):
    images.loc[2, "image"] = "nothing.png"
    with pytest.raises(FileNotFoundError, match="row 2"):
        load_cohort(images.loc[selected], records, image_folder=folder)


@pytest.mark.parametrize("index", [[2, 1, 0], [-1, 0, 1], list("xyz"), [0, 0, 1], [0.0, 1.5, 2.0]])
def test_errors_count_the_rows_of_any_other_table(folder, images, records, index):
    images.loc[1, "image"] = "nothing.png"
    with pytest.raises(FileNotFoundError, match="row 1"):
        load_cohort(images.set_axis(index), records, image_folder=folder)


@pytest.mark.skipif(not CHEST_XRAY.exists(), reason="the real radiographs are not on this machine")
class TestRealTable:
    @pytest.fixture
    def cohort(self):
        return load_cohort(
            CHEST_XRAY / "metadata.csv",
            image_folder=CHEST_XRAY / "images",
            columns={
                "image": "filename",
                "patient_id": "patientid",
                "gender": "sex",
                "saturation": ("pO2_saturation", 95, 100),
                "target": TargetColumn("finding", positive="COVID-19*", label_conflicts="keep"),
            },
        )

    def test_every_row_is_loaded(self, cohort):
        table = pd.read_csv(CHEST_XRAY / "metadata.csv")
        assert len(cohort.data) == len(table)
        assert len(set(cohort.groups)) == table["patientid"].nunique()

    def test_labels_are_those_that_hold_the_text(self, cohort):
        findings = pd.read_csv(CHEST_XRAY / "metadata.csv")["finding"]
        assert cohort.target.tolist() == findings.str.contains("COVID-19").astype(int).tolist()

    def test_missing_values_stay_missing(self, cohort):
        table = pd.read_csv(CHEST_XRAY / "metadata.csv")
        expected = table["pO2_saturation"].isna().tolist()
        assert cohort.data["saturation"].isna().tolist() == expected

    def test_clinical_transformer_takes_it(self, cohort):
        transformer = make_clinical_transformer(kits=cohort.kits, missing="indicator")
        out = transformer.fit_transform(cohort.data)
        assert np.isfinite(out.drop(columns="image").to_numpy()).all()
