import numpy as np
import pytest
from sklearn.metrics import log_loss

from skosfusion.evaluation import evaluate_scores

PATIENT = np.repeat(np.arange(80), 2)
Y = PATIENT % 2
FOLD = PATIENT // 2 % 5


@pytest.fixture
def scores():
    random = np.random.default_rng(0)
    one, other = random.normal(0.4 * Y - 0.2, 1), random.normal(2 * Y - 1.0, 1)
    return {"Baseline": one, "All": other, "Null": random.normal(0.4 * Y - 0.2, 1)}


def evaluate(scores, y=Y, groups=PATIENT, fold=FOLD, **more):
    options = {"n_resamples": 200, "random_state": 0, **more}
    return evaluate_scores(y, scores, groups=groups, fold=fold, **options)


@pytest.mark.parametrize("unit", ["patient", "image"])
def test_everything_is_there(scores, unit):
    imputed = np.arange(160) % 10 == 0
    found = evaluate(
        scores, unit=unit, baseline="Baseline", declared="All", imputed=imputed,
        subgroups={"site": np.where(PATIENT < 50, "a", "b"), "few": PATIENT < 10},
    )  # fmt: skip
    assert found.table.notna().all(axis=None)
    assert found.differences.loc[("All", "auc"), "verdict"] == "better"
    assert found.differences.loc[("Null", "auc"), "verdict"] == "not shown"
    assert found.mcnemar["p_value"] < 0.05
    assert found.counts.loc[("all", "all")].tolist() == [80, 160, 80]
    assert found.replicates["All"].shape == (200, 12)
    assert np.isnan(found.subgroups.loc[("few", True, "All"), "auc_low"])
    assert "subgroup few = True: fewer than 10 patients" in found.DESCR
    assert not found.table_without_imputed.equals(found.table)


def test_order_of_rows_and_names_of_patients_do_not_matter(scores):
    order = np.random.default_rng(1).permutation(160)
    names = np.array([f"p{i * 7 % 80}" for i in range(80)])
    first = evaluate(scores)
    moved = {name: score[order] for name, score in scores.items()}
    second = evaluate(moved, Y[order], names[PATIENT[order]], FOLD[order])
    np.testing.assert_allclose(first.table, second.table, rtol=1e-9)


def test_repeats_foreign_metrics_and_youden(scores):
    random = np.random.default_rng(2)
    repeated = {n: s[:, None] + random.normal(0, 0.1, (160, 3)) for n, s in scores.items()}
    found = evaluate(repeated, metrics=["auc", "sensitivity"], threshold="youden")
    assert found.table.notna().all(axis=None)
    found = evaluate(scores, metrics=["neg_log_loss", "log_loss"], unit="image", n_resamples=5)
    np.testing.assert_allclose(found.table["neg_log_loss"], -found.table["log_loss"])


def test_three_classes():
    y = PATIENT % 3
    logits = np.random.default_rng(0).normal(np.eye(3)[y], 1)
    found = evaluate(logits, y, unit="image")
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found.table["log_loss"].item() == pytest.approx(log_loss(y, p))
    assert {"auc", "auc_0", "auc_2", "accuracy"} <= set(found.table)
    assert "Left out" in found.DESCR


def test_both_labels_in_a_patient(scores):
    y = np.r_[1 - Y[0], Y[1:]]
    with pytest.raises(ValueError, match=r"several labels, the first in 2 rows \(0, 1\)"):
        evaluate(scores, y)
    assert evaluate(scores, y, label_rule="any").y.sum() == 41
    assert evaluate(scores, y, unit="image").y.sum() == 81


def test_a_subgroup_of_one_class_has_no_figure(scores):
    found = evaluate(scores, subgroups={"label": Y}, metrics=["auc"])
    assert found.subgroups["auc"].isna().all()
    assert "a class is missing" in found.DESCR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {"scores": {"All": 1 / (1 + np.exp(-a))}}, "'All'.*probabilities.*log-odds"),
        (lambda a: {"scores": {"All": np.where(a == a[3], np.nan, a)}}, r"'All'.*\(3\)"),
        (lambda a: {"scores": {"All": np.where(a == a[3], np.inf, a)}}, r"infinite.*\(3\)"),
        (lambda a: {"scores": {"All": a[:-1]}}, "shape"),
        (lambda a: {"groups": PATIENT[1:]}, "groups has 159 values"),
        (lambda a: {"fold": np.arange(160) % 5}, "folds part 80 patients"),
        (lambda a: {"baseline": "Basline"}, "did you mean 'Baseline'"),
        (lambda a: {"metrics": ["acc"]}, "metrics='acc'"),
        (lambda a: {"threshold": 1.0}, "threshold=1.0"),
        (lambda a: {"unit": "knee"}, "unit='knee'"),
        (lambda a: {"y": Y * 0}, "two or more classes"),
    ],
)
def test_refusals(scores, change, message):
    with pytest.raises(ValueError, match=message):
        evaluate(**{"scores": scores, **change(scores["All"])})
