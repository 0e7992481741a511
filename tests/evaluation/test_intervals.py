"""Intervals and verdicts against what they are made of."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student
from sklearn.metrics import log_loss, roc_auc_score

from skosfusion.evaluation import evaluate_scores
from skosfusion.evaluation._intervals import simultaneous

PATIENT = np.repeat(np.arange(60), 2)
Y = PATIENT % 2
FOLD = PATIENT // 2 % 5


def draw(strength, seed=0, n_repeats=None):
    shape = (120,) if n_repeats is None else (120, n_repeats)
    noise = np.random.default_rng(seed).normal(size=shape)
    return noise + strength * (2 * Y - 1).reshape(-1, *[1] * (len(shape) - 1))


def evaluate(scores, fold=FOLD, **more):
    options = {"groups": PATIENT, "fold": fold, "n_resamples": 200, "random_state": 0, **more}
    return evaluate_scores(Y, scores, **options)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_are_those_of_the_replicates(level):
    scores = {"Baseline": draw(0.3), "All": draw(0.6, 1)}
    found = evaluate(scores, baseline="Baseline", confidence_level=level)
    line, drawn = found.table.loc["All"], found.replicates["All"]
    half = student.ppf((1 + level) / 2, 59) * drawn["auc"].std() / (line["auc"] * (1 - line["auc"]))
    assert line[["auc_low", "auc_high"]].tolist() == pytest.approx(
        expit(logit(line["auc"]) + np.array([-half, half]))
    )
    share = line["expected_observed"]
    half = student.ppf((1 + level) / 2, 59) * drawn["expected_observed"].std() / share
    assert line["expected_observed_low"] == pytest.approx(share * np.exp(-half))
    ends = [(1 - level) / 2, (1 + level) / 2]
    assert line[["brier_low", "brier_high"]].tolist() == pytest.approx(
        drawn["brier"].quantile(ends).tolist()
    )
    ahead = drawn["brier"] - found.replicates["Baseline"]["brier"]
    assert found.differences.loc[("All", "brier"), ["low", "high"]].tolist() == pytest.approx(
        ahead.quantile(ends).tolist()
    )


def test_the_interval_with_training_is_of_each_fold_of_each_repeat():
    fold = np.column_stack([FOLD, PATIENT // 12])
    scores = {"Baseline": draw(0.3, 0, 2), "All": draw(0.6, 1, 2)}
    found = evaluate(scores, fold, baseline="Baseline", unit="image").differences
    for metric, function in (
        ("auc", roc_auc_score),
        ("log_loss", lambda y, s: log_loss(y, expit(s))),
    ):
        folds = np.array([
            function(Y[here], scores["All"][here, repeat])
            - function(Y[here], scores["Baseline"][here, repeat])
            for repeat in range(2)
            for here in (fold[:, repeat] == one for one in range(5))
        ])  # fmt: skip
        error = np.sqrt((1 / 10 + 1 / 4) * folds.var(ddof=1))
        expected = folds.mean() + student.ppf([0.025, 0.975], 9) * error
        line = found.loc[("All", metric), ["low_training", "high_training"]]
        assert line.tolist() == pytest.approx(expected.tolist())


def test_rows_together_have_the_largest_deviation_of_each_replicate():
    drawn = np.random.default_rng(0).normal(size=(7, 4000))
    found = simultaneous(np.zeros(7), drawn, 0.95)
    # Seven independent rows: the quantile at 0.95 ** (1 / 7) on both sides.
    assert found[:, 1] == pytest.approx(np.full(7, 2.69), abs=0.12)
    assert found[:, 0] == pytest.approx(-found[:, 1])


def test_a_verdict_needs_both_intervals_and_the_right_sign():
    scores = {"Baseline": draw(0.2), "All": draw(2.0, 1), "Null": draw(0.2, 2)}
    found = evaluate(scores, baseline="Baseline").differences["verdict"]
    assert found["All"][["auc", "accuracy", "log_loss", "brier"]].tolist() == ["better"] * 4
    found = evaluate(scores, baseline="All").differences["verdict"]
    assert found["Null"][["auc", "log_loss"]].tolist() == ["worse"] * 2
    # Better in all by the patients of one fold only: another training may not show it.
    lopsided = np.where(FOLD == 0, draw(2.0, 1) * 2, scores["Baseline"])
    line = evaluate(
        {"Baseline": scores["Baseline"], "All": lopsided}, baseline="Baseline", unit="image"
    ).differences.loc[("All", "accuracy")]
    assert line["low"] > 0 > line["low_training"]
    assert line["verdict"] == "not shown"


def test_few_patients_are_not_shown_to_be_better():
    few = PATIENT < 16
    # Always wrong and always right, in each fold and each replicate.
    scores = {"Baseline": draw(-20.0)[few], "All": draw(20.0)[few]}
    found = evaluate_scores(
        Y[few], scores, groups=PATIENT[few], fold=PATIENT[few] // 2 % 2, baseline="Baseline",
        metrics=["auc", "accuracy"], n_resamples=50, random_state=0,
    )  # fmt: skip
    assert set(found.differences["verdict"]) == {"not shown"}
    assert found.differences.filter(regex="low|high").isna().all(axis=None)


def test_missing_values_are_a_level_of_a_subgroup():
    site = pd.Series(np.where(PATIENT < 30, "a", None))
    found = evaluate(draw(1.0), subgroups={"site": site}, metrics=["accuracy"]).subgroups
    assert found["patients"].to_dict() == {
        ("site", "a", "model"): 30, ("site", "missing", "model"): 30
    }  # fmt: skip


def test_replicates_keep_the_number_of_patients_of_each_class():
    found = evaluate({"Rule": draw(0) * 0 - 1.0}, metrics=["accuracy"])
    assert found.replicates["Rule"]["accuracy"].tolist() == pytest.approx([0.5] * 200)
