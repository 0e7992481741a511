"""Patients of tables that name none."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skosfusion.datasets import PatientColumn, load_cohort, same_patients
from skosfusion.exceptions import LeakageWarning

TABLE = pd.DataFrame(
    {
        "image": ["a.png", "b.png", "c.png", "a.png"],
        "age": ["14", "14.0", "30", "14"],
        "gender": ["F", " f", "M", "F"],
        "view": ["ap", "lateral", "ap", "ap"],
        "center": [1, 1, 2, 1],
        "diagnosis": ["ill", "ill", "well", "ill"],
    }
)


@pytest.fixture
def load(folder):
    def load(table=TABLE, records=None, **columns):
        return load_cohort(table, records, image_folder=folder, columns=columns)

    return load


class TestSamePatients:
    def test_neighbors_that_agree_are_one(self):
        got = same_patients(TABLE, ["age", "gender"])
        assert got.tolist() == [0, 0, 1, 2]
        assert got.dtype == np.int64

    def test_all_that_agree_are_one_on_demand(self):
        assert same_patients(TABLE, ["age", "gender"], neighbors=False).tolist() == [0, 0, 1, 0]

    def test_index_is_that_of_the_table(self):
        table = TABLE.set_axis(list("wxyz"))
        assert same_patients(table, ["age"]).index.tolist() == list("wxyz")
        selected = TABLE[[True, False, True, True]]
        assert same_patients(selected, ["age"]).index.tolist() == [0, 2, 3]

    def test_a_file_is_read(self, tmp_path):
        TABLE.to_csv(tmp_path / "table.csv", index=False)
        assert same_patients(tmp_path / "table.csv", ["age"]).tolist() == [0, 0, 1, 2]

    def test_empty_cells_agree_with_each_other_alone(self):
        table = pd.DataFrame({"age": ["", None, "14", "NA"], "center": [1, 1, 1, 1]})
        assert same_patients(table, ["age", "center"]).tolist() == [0, 0, 1, 2]

    def test_rows_that_are_empty_in_all_columns_are_refused(self):
        table = pd.DataFrame({"age": ["14", None, ""], "center": ["1", "", None]})
        message = r"2 rows \(1, 2\) of the image table are empty in 2 columns \('age', 'center'\)"
        with pytest.raises(ValueError, match=message):
            same_patients(table, ["age", "center"])

    @pytest.mark.parametrize("cell", [b"14", ["14"], {"14"}, {"a": 1}], ids=repr)
    def test_cells_of_another_kind_are_refused(self, cell):
        table = pd.DataFrame({"age": pd.Series(["14", cell], dtype=object)})
        with pytest.raises(TypeError, match="column 'age', row 1 must hold text or a number"):
            same_patients(table, ["age"])

    def test_a_huge_text_is_refused(self):
        table = pd.DataFrame({"age": ["14", "x" * 100_000]})
        with pytest.raises(ValueError, match="row 1 holds a text of 100000 char") as caught:
            same_patients(table, ["age"])
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("columns", ["age", [], ["age", "age"], [None], {"age"}], ids=str)
    def test_columns_out_of_their_set_are_refused(self, columns):
        with pytest.raises(ValueError, match=r"columns=.* is not allowed"):
            same_patients(TABLE, columns)

    def test_other_arguments_are_refused(self):
        with pytest.raises(ValueError, match=r"no column 'agee' .* did you mean 'age'"):
            same_patients(TABLE, ["agee"])
        with pytest.raises(ValueError, match="neighbors=1 is not allowed"):
            same_patients(TABLE, ["age"], neighbors=1)
        with pytest.raises(TypeError, match="must be a DataFrame or the path"):
            same_patients([1], ["age"])

    @settings(deadline=None, max_examples=100)
    @given(
        rows=st.lists(
            st.tuples(st.sampled_from(["14", " 14", 14.0, 15, None]), st.sampled_from("Ff M")),
            min_size=1,
            max_size=12,
        ).filter(lambda rows: not any(age is None and not sex.strip() for age, sex in rows)),
        neighbors=st.booleans(),
    )
    def test_groups_are_those_of_equal_rows(self, rows, neighbors):
        table = pd.DataFrame(rows, columns=["age", "gender"], dtype=object)
        got = same_patients(table, ["age", "gender"], neighbors=neighbors).tolist()
        keys = [
            (None if age is None else str(int(float(age))), sex.strip().lower())
            for age, sex in rows
        ]
        assert got[0] == 0
        for one in range(len(rows)):
            for other in range(one + 1, len(rows)):
                between = keys[one : other + 1]
                same = len(set(between)) == 1 if neighbors else keys[one] == keys[other]
                assert (got[one] == got[other]) == same
        assert sorted(set(got)) == list(range(len(set(got))))


class TestInTheLoader:
    def test_rows_that_agree_are_one_patient(self, load):
        cohort = load(patient_id=PatientColumn(same_in=["age", "gender", "center"]))
        assert cohort.groups.tolist() == ["0", "0", "1", "2"]
        assert "Patients: neighboring rows that agree in age, gender, center" in cohort.DESCR
        assert "center" not in cohort.DESCR.partition("Columns not read: ")[2].partition("\n")[0]
        assert cohort.flow["n_patients"].iloc[-1] == 3

    def test_each_image_may_be_a_patient_with_a_warning(self, load):
        with pytest.warns(LeakageWarning, match=r"a patient of its own .*folds leak.*same_in="):
            cohort = load(patient_id=None)
        assert cohort.groups.tolist() == ["0", "1", "2", "3"]
        assert "Patients: each image is a patient of its own" in cohort.DESCR

    def test_rows_keep_the_numbers_of_a_selection(self, load):
        table = TABLE[[False, True, True, True]]
        cohort = load(table, patient_id=PatientColumn(same_in=["age"]))
        assert cohort.groups.tolist() == ["0", "1", "2"]

    def test_label_conflicts_are_found_within_groups(self, load):
        table = TABLE.assign(diagnosis=["ill", "well", "well", "ill"])
        with pytest.raises(ValueError, match=r"different labels, for 1 patient \(0\)"):
            load(table, patient_id=PatientColumn(same_in=["age", "gender"]))

    def test_no_column_of_patients_is_an_error_with_all_remedies(self, load):
        with pytest.raises(ValueError, match="no column 'patient_id'") as caught:
            load()
        message = str(caught.value)
        assert "folds leak" in message
        assert "rows 0 and 1 (gender: 'F', age: '14') look like one patient each" in message
        assert (
            "columns={'patient_id': PatientColumn(same_in=['age', 'gender', 'center'])}" in message
        )
        assert "columns={'patient_id': None}" in message
        assert "view" not in message.partition("same_in")[2]

    def test_the_proposal_works(self, load):
        with pytest.raises(ValueError, match="no column 'patient_id'") as caught:
            load()
        text = str(caught.value).partition("PatientColumn(")[2].partition(")")[0]
        declared = eval(f"PatientColumn({text})")  # noqa: S307
        assert load(patient_id=declared).groups.tolist() == ["0", "0", "1", "2"]

    def test_other_problems_are_listed_beside_it(self, load):
        with pytest.raises(ValueError, match="2 problems") as caught:
            load(TABLE.assign(age=["14", "x", "30", "14"]))
        assert "no column 'patient_id'" in str(caught.value)
        assert "cannot read 'x'" in str(caught.value)

    def test_a_table_in_which_nothing_looks_like_a_patient(self, load):
        table = TABLE[["image", "diagnosis"]].assign(note=["a", "b", "c", "d"])
        with pytest.raises(ValueError, match=r"same_in=\['\.\.\.'\]") as caught:
            load(table)
        assert "look like one patient" not in str(caught.value)

    def test_gender_alone_tells_no_patient(self, load):
        table = pd.concat([TABLE[["image", "gender", "diagnosis"]]] * 6, ignore_index=True)
        with pytest.raises(ValueError, match="no column 'patient_id'") as caught:
            load(table.assign(note=[str(row // 2) for row in range(24)]))
        assert "same_in=['gender', 'note']" in str(caught.value)
        assert "rows 0 and 1 (gender: 'F', note: '0')" in str(caught.value)

    def test_a_near_name_is_proposed_still(self, load):
        with pytest.raises(ValueError, match="did you mean 'patientid'"):
            load(TABLE.assign(patientid="1"))

    @pytest.mark.parametrize("cell", [b"x", ["x"], {"x"}], ids=repr)
    def test_hostile_cells_do_not_hide_the_error(self, load, cell):
        table = TABLE.assign(note=pd.Series([cell, "a", "a", "x" * 10_000], dtype=object))
        with pytest.raises(ValueError, match="no column 'patient_id'"):
            load(table)

    @pytest.mark.parametrize("declared", [None, PatientColumn(same_in=["center"])])
    def test_two_tables_need_a_column_to_be_joined_by(self, load, records, declared):
        with pytest.raises(ValueError, match=r"are joined by record number, and PatientColumn\("):
            load(TABLE.drop(columns=["age", "gender", "diagnosis"]), records, patient_id=declared)

    def test_a_column_that_is_not_there_is_an_error(self, load):
        with pytest.raises(ValueError, match=r"no column 'femur' .* PatientColumn"):
            load(patient_id=PatientColumn(same_in=["age", "femur"]))

    def test_the_label_tells_no_patient(self, load):
        with pytest.raises(ValueError, match="target='diagnosis' is not allowed"):
            load(patient_id=PatientColumn(same_in=["age", "diagnosis"]))

    def test_repr_is_what_one_would_type(self):
        for column in (PatientColumn(None), PatientColumn(same_in=["age", "b"])):
            assert eval(repr(column)) == column  # noqa: S307
            assert hash(column) == hash(eval(repr(column)))  # noqa: S307

    def test_nothing_else_warns(self, load):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load(patient_id=PatientColumn(same_in=["age", "gender", "center"]))
