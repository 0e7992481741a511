import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    cross_validate,
)

from skosfusion import check_leakage
from skosfusion.exceptions import LeakageWarning

from .._helpers.leakage import BY_PATIENT, quiet, replace


class TestPatients:
    def test_folds_by_patient_do_not_leak(self, table):
        found = quiet(table, cv=BY_PATIENT)
        assert not found.leaks
        assert found.n_folds == 3
        assert len(found.patients_in_both) == found.n_leaking_patients == 0

    @pytest.mark.parametrize("as_column", [True, False])
    def test_patients_in_both_sets_are_named_by_fold(self, table, as_column):
        groups = None if as_column else table.pop("patient_id").to_numpy()
        folds = [(np.arange(5), np.arange(5, 24)), (np.arange(23), [23])]
        found = quiet(table, groups, folds)
        assert found.leaks
        assert found.patients_in_both.to_numpy().tolist() == [[0, "p002"], [1, "p011"]]
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

    def test_a_row_in_both_sets_is_found_without_patients(self, table):
        found = quiet(table.drop(columns="patient_id"), cv=[([0, 1, 2], [2, 3])])
        assert found.patients_in_both["patient"].tolist() == [2]
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
        with pytest.raises(ValueError, match="no patient in 1 of 24 rows, the first is row 5"):
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
        expected = quiet(table, cv=folds).patients_in_both
        repeated = table.set_index(np.zeros(24, int))
        found = quiet(
            repeated, pd.Series(table["patient_id"].to_numpy(), index=range(24, 0, -1)), folds
        )
        pd.testing.assert_frame_equal(found.patients_in_both, expected)

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
        shared = found.patients_in_both
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
        pd.testing.assert_frame_equal(found.patients_in_both, expected.patients_in_both)

    def test_a_number_without_labels_is_refused_with_the_remedy(self, table):
        with pytest.raises(ValueError, match=r"cv=3 makes folds .* stratified .* target"):
            quiet(table.drop(columns="diagnosis"), cv=3)

    def test_masks_and_numbers_from_the_end_are_rows(self, table):
        mask = np.arange(24) < 23
        for fold in [(mask, ~mask), (np.arange(-24, -1), [-1]), (mask, [23])]:
            assert quiet(table, cv=[fold]).patients_in_both["patient"].tolist() == ["p011"]

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


class TestLabels:
    def test_patients_with_two_labels_are_listed_with_the_rows_of_each(self, table):
        table["diagnosis"] = np.where(table["diagnosis"], "tumor", "none")
        table.loc[[2, 7], "diagnosis"] = "other"
        lines = quiet(table).patients_with_two_labels
        assert set(map(tuple, lines.to_numpy())) == {
            ("p001", "other", 1), ("p001", "tumor", 1),
            ("p003", "other", 1), ("p003", "tumor", 1),
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
        with pytest.raises(ValueError, match="no label in 1 of 24 rows, the first is row 6"):
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
        with pytest.raises(ValueError, match=f"did you mean '{near}'\\?"):
            quiet(table, **options)

    def test_the_default_image_column_may_be_absent_and_the_report_says_so(self, table):
        found = quiet(table.drop(columns="image"))
        assert "images: not checked (no column 'image')" in found.DESCR

    def test_a_column_that_is_there_twice_is_refused(self, table):
        twice = pd.concat([table, table[["image"]]], axis=1)
        with pytest.raises(ValueError, match="more than one column named 'image'"):
            quiet(twice)

    def test_a_list_is_no_column(self, table):
        with pytest.raises(ValueError, match=r"image=.*allowed: a column name, or None"):
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
        with pytest.raises(ValueError, match=r"n_threads=.*an integer of at least 1 or None"):
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

    def test_a_leaking_image_is_named_with_its_rows(self, table):
        replace(table, 8, like=0)
        replace(table, 12, like=0)
        with pytest.warns(LeakageWarning, match="1 image .000_0.png = 004_0.png in rows 0 and 8"):
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
            "in both the training and the test set: 12 patients (p000, p001, p002, p003, p004, "
            "...)",
            "repeated images: 1 image (000_0.png = 004_0.png in rows 0 and 8): 1 under several "
            "names, 1 in rows of several patients, 1 with several labels",
            "patients with two labels: 1 patient (p004)",
            "patients that differ in spelling only: none",
            "near images of different patients: none",
            "leaks: yes",
        ]

    def test_a_name_of_several_lines_adds_no_line_to_the_description(self, table):
        expected = len(quiet(table, cv=self.FOLDS).DESCR.splitlines())
        table["patient_id"] = "p\nleaks: no"
        assert len(quiet(table, cv=self.FOLDS).DESCR.splitlines()) == expected

    def test_of_many_repeated_images_five_are_named(self, table):
        for row in range(0, 24, 2):
            replace(table, row + 1, like=row)
        line = next(x for x in quiet(table).DESCR.splitlines() if x.startswith("repeated"))
        assert line.startswith("repeated images: 12 images (000_0.png = 000_1.png in rows 0 and 1")
        assert line.count("in rows") == 5
        assert "12 under several names" in line

    def test_more_than_two_rows_of_an_image_are_counted(self, table):
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
