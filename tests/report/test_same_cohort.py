"""A report is of the cohort that was evaluated."""

import numpy as np
import pytest

from skosfusion import evaluate_scores, write_report

from .conftest import FOLD, GROUPS, Y
from .test_write_report import no_pictures, written  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_labels_the_other_way_round_are_refused(evaluate, cohort, tmp_path):
    with pytest.raises(ValueError, match="80 of 80 patients have another label in the cohort"):
        write_report(tmp_path, evaluate(y=1 - Y), cohort=cohort)
    assert not list(tmp_path.iterdir())


def test_one_label_that_differs_is_counted(evaluate, cohort, tmp_path):
    cohort.target = np.r_[1, 1, Y[2:]]
    with pytest.raises(ValueError, match=r"1 of 80 patients have another label.*cohort\.target"):
        write_report(tmp_path, evaluate(), cohort=cohort)


def test_other_patients_are_refused_with_numbers(evaluate, cohort, tmp_path):
    cohort.groups = np.where(GROUPS < "KH-7010", "other", GROUPS)
    with pytest.raises(
        ValueError, match="cohort has 71 patients and the evaluation 80, of whom 70"
    ):
        write_report(tmp_path, evaluate(), cohort=cohort)


def test_a_part_of_the_cohort_is_not_the_cohort(cohort, tmp_path):
    some = GROUPS < "KH-7050"
    evaluation = evaluate_scores(
        Y[some], np.random.default_rng(0).normal(size=some.sum()), groups=GROUPS[some],
        fold=FOLD[some], n_resamples=50, random_state=0,
    )  # fmt: skip
    with pytest.raises(ValueError, match="cohort has 80 patients and the evaluation 50"):
        write_report(tmp_path, evaluation, cohort=cohort)


@pytest.mark.parametrize("unit", ["patient", "image"])
def test_labels_by_name_and_in_another_order_are_the_same(unit, evaluate, cohort, tmp_path):
    cohort.target_names = ["benign", "sarcoma"]
    names = np.array(cohort.target_names)[Y]
    page, _, _ = written(tmp_path, evaluate(y=names, unit=unit), cohort=cohort)
    assert "benign 40, sarcoma 40" in page.text


@pytest.mark.parametrize("kind", [bool, float])
def test_true_and_a_float_are_the_label_1(kind, evaluate, cohort, tmp_path):
    written(tmp_path, evaluate(y=Y.astype(kind)), cohort=cohort)


def test_a_patient_with_both_labels_is_positive_where_one_image_is(evaluate, cohort, tmp_path):
    y = Y.copy()
    y[0] = 1
    cohort.target = y
    written(tmp_path, evaluate(y=y, label_rule="any"), cohort=cohort)
    written(tmp_path, evaluate(y=y, unit="image"), cohort=cohort)


def test_without_groups_rows_are_compared(cohort, tmp_path):
    score = np.random.default_rng(0).normal(Y)
    evaluation = evaluate_scores(Y, score, groups=None, fold=None, n_resamples=50, random_state=0)
    written(tmp_path, evaluation, cohort=cohort)
    cohort.target = 1 - Y
    with pytest.raises(ValueError, match="160 of 160 patients have another label"):
        write_report(tmp_path, evaluation, cohort=cohort)


def test_numbers_as_record_numbers(evaluate, cohort, tmp_path):
    numbers = np.repeat(np.arange(5000, 5080), 2)
    evaluation = evaluate_scores(
        Y, np.random.default_rng(0).normal(Y), groups=numbers, fold=None, n_resamples=50,
        random_state=0,
    )  # fmt: skip
    cohort.groups = numbers
    cohort.data["patient_id"] = numbers
    written(tmp_path, evaluation, cohort=cohort)
