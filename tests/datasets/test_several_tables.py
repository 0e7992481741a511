"""Several tables in place of one: stacked where their columns are the same, else joined."""

import numpy as np
import pandas as pd
import pytest

from skosfusion.datasets import exclude_rows, load_cohort, read_table
from skosfusion.exceptions import LeakageWarning, TableError


def put(folder, name, *lines):
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def first(folder):
    return put(
        folder, "os.csv", "image;patient_id;age;diagnosis", "a.png;01;14,5;os", "b.png;02;7;os"
    )


@pytest.fixture
def second(folder):
    return put(folder, "nos.csv", "patient_id,image,age,diagnosis", "03,c.png,3.25,nos")


class TestStacked:
    def test_tables_of_the_same_columns_are_one(self, first, second):
        cohort = load_cohort([first, second])
        assert cohort.groups.tolist() == ["01", "02", "03"]
        assert cohort.target.tolist() == ["os", "os", "nos"]
        assert "Read: os.csv: separated by ';'" in cohort.DESCR
        assert "Read: nos.csv: separated by ','" in cohort.DESCR

    def test_each_is_read_in_its_own_notation(self, first, second):
        assert load_cohort((first, second)).data["age"].tolist() == [14.5, 7, 3.25]

    def test_rows_are_counted_and_named_by_table(self, folder, first):
        bad = ["nos.csv", "image;patient_id;age;diagnosis", "c.png;03;six;nos", "x.png;04;5;nos"]
        with pytest.raises(TableError) as caught:
            load_cohort([first, put(folder, *bad)])
        assert "column 'age', row 0 of 'nos.csv'" in str(caught.value)
        assert "row 1 of 'nos.csv'" in str(caught.value)

    def test_frames_are_named_by_number(self, folder, first):
        frame = pd.DataFrame({"image": ["c.png"], "patient_id": 3, "age": "x", "diagnosis": "nos"})
        with pytest.raises(ValueError, match="row 0 of table 2"):
            load_cohort([read_table(first), frame], image_folder=folder)
        cohort = load_cohort([first, frame.assign(age=4.5)], image_folder=folder)
        assert cohort.groups.tolist() == ["01", "02", "3"]
        assert cohort.data["age"].tolist() == [14.5, 7, 4.5]

    def test_sheets_of_one_workbook_are_stacked(self, folder):
        pytest.importorskip("openpyxl")
        pytest.importorskip("python_calamine")
        from .workbooks import write_xlsx

        head = ["image", "patient_id", "diagnosis"]
        path = write_xlsx(
            folder / "t.xlsx", [head, ["a.png", 1, "os"]], "OS", NOS=[head, ["no.png", 2, "nos"]]
        )
        tables = [read_table(path, sheet=name) for name in ("OS", "NOS")]
        with pytest.raises(FileNotFoundError, match=r"row 0 of \"t.xlsx, sheet 'NOS'\""):
            load_cohort(tables)
        tables[1].loc[0, "image"] = "b.png"
        assert load_cohort(tables).target.tolist() == ["os", "nos"]

    def test_a_table_that_is_given_twice_is_refused(self, first):
        with pytest.raises(ValueError, match=r"os.csv' is given twice"):
            load_cohort([first, first])

    def test_what_was_left_out_before_is_counted(self, first, second):
        table = read_table(first)
        kept = exclude_rows(table, table["image"] == "b.png", "hand")
        flow = load_cohort([kept, second]).flow
        assert flow["n_images"].tolist() == [3, 2, 2]
        assert flow["excluded_images"].tolist() == [0, 1, 0]
        assert flow["reason"][1] == "hand"

    def test_nearly_the_same_columns_are_refused_with_the_difference(self, folder, first):
        other = put(folder, "nos.csv", "image;patient_id;years;diagnosis", "c.png;03;3;nos")
        with pytest.raises(ValueError, match=r"os.csv' has 1 column \('age'\).*1 column \('years"):
            load_cohort([first, other])

    def test_spellings_between_the_tables_are_a_warning(self, folder, first):
        other = put(folder, "nos.csv", "image;patient_id;age;diagnosis", "c.png;1;3;nos")
        with pytest.warns(LeakageWarning, match="'01' and '1'"):
            load_cohort([first, other])

    def test_folders_that_differ_need_the_image_folder(self, folder, first, second):
        (folder / "more").mkdir()
        moved = second.rename(folder / "more" / "nos.csv")
        with pytest.raises(ValueError, match="a list of tables that do not lie in one folder"):
            load_cohort([first, moved])
        assert len(load_cohort([first, moved], image_folder=folder).data) == 3

    def test_an_empty_list_is_refused(self):
        with pytest.raises(ValueError, match=r"image_folder=None|empty list"):
            load_cohort([])
        with pytest.raises(ValueError, match="the image table is an empty list"):
            load_cohort([], image_folder=".")


class TestJoined:
    @pytest.fixture
    def images(self, folder):
        return put(folder, "images.csv", "image,patient_id", "a.png,1", "b.png,1", "c.png,2")

    @pytest.fixture
    def ages(self, folder):
        return put(folder, "ages.csv", "patient_id;age", "2;14,5", "1;7", "3;9")

    @pytest.fixture
    def labels(self, folder):
        return put(folder, "labels.csv", "patient_id,diagnosis", "1,x", "2,y")

    @pytest.mark.parametrize("as_clinical", [True, False])
    def test_tables_of_other_columns_are_joined(self, images, ages, labels, as_clinical):
        given = (images, [ages, labels]) if as_clinical else ([ages, images, labels],)
        cohort = load_cohort(*given, image_folder=images.parent)
        assert cohort.data["age"].tolist() == [7, 7, 14.5]
        assert cohort.target.tolist() == ["x", "x", "y"]
        assert cohort.flow["excluded_records"].sum() == 1

    def test_stacked_and_joined_together(self, folder, images, ages, labels):
        more = put(folder, "more.csv", "patient_id,diagnosis", "3,z")
        cohort = load_cohort(images, [labels, ages, more])
        assert cohort.target.tolist() == ["x", "x", "y"]

    def test_a_patient_in_two_stacked_tables_is_named_with_both(self, folder, images, labels):
        more = put(folder, "more.csv", "patient_id,diagnosis", "2,z")
        with pytest.raises(
            ValueError, match=r"row 1 of 'labels.csv'|1 of 'labels.csv', 0 of 'more"
        ):
            load_cohort(images, [labels, more])

    def test_each_table_must_have_the_record_number(self, folder, images, labels):
        other = put(folder, "other.csv", "record,age", "1,2")
        with pytest.raises(
            ValueError, match=r"no column 'patient_id' in the clinical table 'other"
        ):
            load_cohort(images, [labels, other])

    def test_patients_without_a_record_are_named_by_table(self, folder, images, labels):
        ages = put(folder, "ages.csv", "patient_id,age", "1,7", "02,5")
        with pytest.raises(ValueError, match=r"'ages.csv' has no record for .*'2' and '02'"):
            load_cohort(images, [ages, labels])

    def test_a_column_in_two_tables_is_refused_with_the_remedy(self, folder, images, ages):
        labels = put(folder, "labels.csv", "patient_id,diagnosis,age", "1,x,3", "2,y,4")
        with pytest.raises(
            ValueError, match=r"'age' is in .*'ages.csv' and in .*labels.csv'; take"
        ):
            load_cohort(images, [ages, labels])
        frames = [read_table(ages), read_table(labels).drop(columns="age")]
        assert np.isfinite(load_cohort(images, frames).data["age"]).all()
