"""What a reader who had seen nothing could get past `evaluate_scores`."""

import functools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, fbeta_score

from skosfusion import evaluate_scores
from skosfusion.datasets import exclude_rows


def evaluated(y, scores, fold=None, **options):
    return evaluate_scores(
        y, scores, groups=None, fold=fold, n_resamples=100, random_state=0, **options
    )


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_a_difference_that_does_not_vary_is_not_shown(random):
    y = np.r_[np.zeros(104, int), np.ones(96, int)]
    rows = {"Baseline": random.uniform(0.1, 2, 200), "All": -random.uniform(0.1, 2, 200)}
    found = evaluated(y, rows, np.arange(200) % 4, baseline="Baseline", metrics=["accuracy"])
    line = found.differences.loc[("All", "accuracy")]
    assert line["low"] == line["high"] == pytest.approx(0.04)
    assert line["verdict"] == "not shown"


def test_folds_of_one_class_have_no_part_in_average_precision(random):
    y = np.r_[np.ones(60, int), np.arange(60) % 2]
    score, fold = random.normal(size=120), np.repeat([0, 1], 60)
    found = evaluated(y, score, fold)
    expected = average_precision_score(y[60:], score[60:])
    assert found.table.loc["model", "average_precision"] == pytest.approx(expected)
    assert "fold 0 lacks a class: not in the AUC, nor in average precision" in found.DESCR


@pytest.mark.filterwarnings("ignore:row .*the scores of each fold are equal")
def test_where_each_fold_has_one_class_there_is_none(random):
    found = evaluated(np.arange(40) % 2, random.normal(size=40), np.arange(40))
    assert found.table[["auc", "average_precision"]].isna().all(axis=None)


@pytest.mark.parametrize("form", ["logarithms", "mirrored"])
def test_a_column_for_each_of_two_classes_is_refused(random, form):
    log_odds = random.normal(size=40)
    both = np.column_stack([-log_odds, log_odds])
    if form == "logarithms":
        both = -np.logaddexp(0, -both)
    with pytest.raises(ValueError, match=r"a column for each of two classes.*scores\[:, 1\]"):
        evaluated(np.arange(40) % 2, both)


def test_two_repeats_stay_two_repeats(random):
    y = np.arange(40) % 2
    assert np.isfinite(evaluated(y, random.normal(size=(40, 2))).table.loc["model", "auc"])


def test_names_that_would_hide_each_other_are_refused(random):
    y, score = np.arange(40) % 2, random.normal(size=40)
    with pytest.raises(ValueError, match="names differ as text"):
        evaluated(y, {1: score, "1": -score})
    beta = [functools.partial(fbeta_score, beta=beta) for beta in (0.1, 10)]
    with pytest.raises(ValueError, match="'metric' is the name of several"):
        evaluated(y, score, metrics=beta)
    with pytest.raises(ValueError, match="one metric or more"):
        evaluated(y, score, metrics=[])


def test_calibration_alone_is_a_choice(random):
    found = evaluated(np.arange(40) % 2, random.normal(size=40), metrics=["calibration_slope"])
    assert found.table.columns[0] == "calibration_slope"


def test_rows_to_leave_out_are_aligned_with_the_table():
    table = pd.DataFrame({"image": list("abcd"), "patient_id": list("1234")})
    table["label"] = [None, 1, 2, 3]
    turned = table[::-1]["label"].isna()
    assert exclude_rows(table, turned, "no label")["image"].tolist() == ["b", "c", "d"]
    with pytest.raises(ValueError, match=r"another index.*to_numpy"):
        exclude_rows(table, turned.set_axis(range(4, 8)), "no label")
