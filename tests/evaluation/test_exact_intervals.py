import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import beta, norm

from skosfusion.evaluation import evaluate_scores
from skosfusion.evaluation._intervals import effective_number, exact_interval

PATIENT = np.repeat(np.arange(80), 2)
Y = PATIENT % 2
NOISE = np.random.default_rng(0).normal(size=160)
BOUNDED = ["auc", "accuracy", "sensitivity", "specificity", "precision"]


def evaluate(scores, **more):
    return evaluate_scores(
        Y, scores, groups=PATIENT, fold=PATIENT // 2 % 5, n_resamples=50, random_state=0, **more
    )


@pytest.mark.parametrize("unit", ["patient", "image"])
def test_a_perfect_row_has_the_intervals_of_its_patients(unit):
    found = evaluate(NOISE + 40 * Y - 20, unit=unit, metrics=[*BOUNDED, "f1"])
    line = found.table.iloc[0]
    assert (line[BOUNDED] == 1).all()
    assert (line[[f"{name}_high" for name in BOUNDED]] == 1).all()
    # Two images are worth one patient.
    clopper = {n: beta.ppf(0.025, n, 1) for n in (40, 80)}
    assert line["accuracy_low"] == pytest.approx(clopper[80])
    assert line["sensitivity_low"] == pytest.approx(clopper[40])
    assert line["specificity_low"] == pytest.approx(clopper[40])
    assert line["precision_low"] == pytest.approx(clopper[40])
    assert 0.9 < line["auc_low"] < 1
    assert np.isnan(line["f1_low"])
    assert "all, model: no interval of f1, since replicates do not vary" in found.DESCR


def test_a_row_that_is_always_wrong_has_the_mirrored_intervals():
    right, wrong = (evaluate(sign * (NOISE + 40 * Y - 20)).table.iloc[0] for sign in (1, -1))
    for name in ("auc", "accuracy", "sensitivity", "specificity"):
        assert wrong[name] == wrong[f"{name}_low"] == 0
        assert wrong[f"{name}_high"] == pytest.approx(1 - right[f"{name}_low"])


@pytest.mark.parametrize(("n_positive", "n_negative"), [(10, 10), (12, 90), (400, 30)])
def test_the_bound_of_an_auc_is_newcombes(n_positive, n_negative):
    low, high = exact_interval(1.0, [n_positive, n_negative], 0.95)

    def z_of(auc):
        n = (n_positive + n_negative) / 2 - 1
        spread = 1 + n * (1 - auc) / (2 - auc) + n * auc / (1 + auc)
        return (1 - auc) / np.sqrt(auc * (1 - auc) * spread / (n_positive * n_negative))

    assert high == 1
    assert low == pytest.approx(brentq(lambda auc: z_of(auc) - norm.ppf(0.975), 1e-9, 1 - 1e-12))


def test_the_effective_number_is_kishs():
    assert effective_number(np.array([0, 3, 3, 3])) == 3
    assert effective_number(np.array([1, 1, 4])) == pytest.approx(2)


def test_few_patients_have_no_exact_interval():
    found = evaluate(NOISE + 40 * Y - 20, subgroups={"few": PATIENT < 10}, metrics=["accuracy"])
    line = found.subgroups.loc[("few", True, "model")]
    assert line["accuracy"] == 1
    assert np.isnan(line["accuracy_low"])


def test_several_classes():
    y = PATIENT % 3
    logits = NOISE[:, None] + 40 * np.eye(3)[y]
    line = evaluate_scores(
        y, logits, groups=PATIENT, fold=None, n_resamples=20, random_state=0
    ).table.iloc[0]
    assert line["accuracy_low"] == pytest.approx(beta.ppf(0.025, 80, 1))
    n_positive = len(np.unique(PATIENT[y == 1]))
    expected = exact_interval(1.0, [n_positive, 80 - n_positive], 0.95)
    assert line[["auc_1_low", "auc_1_high"]].tolist() == pytest.approx(expected)
    assert np.isnan(line["auc_low"])
