import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score

from skosfusion.evaluation import clustered_auc, evaluate_scores
from skosfusion.evaluation._calibration import recalibrate
from skosfusion.evaluation._differences import clustered_mcnemar
from skosfusion.evaluation._ranks import Ranks, covariance

DATA = load_breast_cancer()
Y = (DATA.target == 0).astype(int)
A, B = DATA.data[:, 0], DATA.data[:, 1]
ROWS = np.arange(len(Y))


def approx(value):
    return pytest.approx(value, abs=1e-7)


def z_of(patient):
    one, other = (clustered_auc(Y, score, patient) for score in (A, B))
    parts = [one.positive - other.positive, one.negative - other.negative]
    counts = [len(np.unique(patient[label == Y])) for label in (1, 0)]
    return (one.auc - other.auc) / np.sqrt(covariance(parts, parts, counts))


@pytest.mark.parametrize(
    ("patient", "errors", "z"),
    [
        (ROWS, (0.01045726, 0.01973431), 7.3087874),
        (ROWS // 3, (0.01111324, 0.02219464), 6.5917581),
    ],
)
def test_auc_by_delong_and_by_obuchowski(patient, errors, z):
    for score, auc, error in zip((A, B), (0.93751652, 0.77582448), errors, strict=True):
        found = clustered_auc(Y, score, patient)
        assert found.auc == pytest.approx(auc, abs=6e-9)
        assert found.standard_error == pytest.approx(error, abs=6e-9)
    assert z_of(patient) == pytest.approx(z, abs=6e-8)


def test_every_image_twice_leaves_the_clustered_error():
    once, twice = ROWS // 3, np.repeat(ROWS // 3, 2)
    found = clustered_auc(np.repeat(Y, 2), np.repeat(A, 2), twice)
    assert found[:2] == pytest.approx(clustered_auc(Y, A, once)[:2], rel=1e-12)


def test_accuracies_and_mcnemar():
    right = [(A > 15) == Y, (B > 20) == Y]
    assert [part.mean() for part in right] == approx([0.8892794, 0.7311072])
    found = clustered_mcnemar(*right, ROWS // 3)
    assert found["standard_error"] == pytest.approx(0.0256300947, abs=1e-10)
    assert found["z"] == approx(5.6471022)
    assert clustered_mcnemar(*right, ROWS)["z"] ** 2 == pytest.approx(43.548387, abs=1e-6)
    discordant = np.r_[np.ones(12), np.zeros(2)]
    assert clustered_mcnemar(discordant, 1 - discordant, np.arange(14))["z"] ** 2 == pytest.approx(
        7.142857, abs=1e-6
    )


def test_calibration():
    found = recalibrate(Y, (A - 15)[:, None], ROWS // 3)
    assert found["calibration_intercept"] == approx((0.25796155, 0.16508573))
    assert found["calibration_slope"] == approx((1.03358882, 0.09287602))
    assert found["in_the_large"][0] == approx(0.2292984)


@pytest.mark.parametrize(
    ("threshold", "benefit"),
    [(0.1, 0.3274751), (0.2, 0.2992091), (0.3, 0.2816972), (0.5, 0.2601054)],
)
def test_brier_expected_observed_and_net_benefit(threshold, benefit):
    found = evaluate_scores(
        Y, A - 15, groups=ROWS // 3, fold=None, unit="image", threshold=threshold,
        metrics=["brier", "expected_observed", "net_benefit"], n_resamples=2, random_state=0,
    ).table.loc["model"]  # fmt: skip
    expected = [0.0896306, 0.9448689, benefit]
    assert found[["brier", "expected_observed", "net_benefit"]].tolist() == approx(expected)


@pytest.mark.parametrize("decimals", [1, 8])
def test_ranks_are_those_of_all_pairs(decimals):
    random = np.random.default_rng(0)
    y, fold, patient = random.integers(2, size=90), random.integers(3, size=90), np.arange(90) // 3
    score = random.normal(y, 1).round(decimals)
    weights = random.poisson(1, (20, 30)).astype(np.int32)
    won, pairs = np.zeros((30, 30)), np.zeros((30, 30))
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero((y == 0) & (fold == fold[i])):
            won[patient[i], patient[j]] += (score[i] > score[j]) + 0.5 * (score[i] == score[j])
            pairs[patient[i], patient[j]] += 1
    above, below = Ranks(y == 1, score, fold, patient).auc(weights)
    kernels = [np.einsum("bi,ij,bj->b", weights, kernel, weights) for kernel in (won, pairs)]
    np.testing.assert_allclose([above, below], kernels, rtol=1e-12)
    one = Ranks(y == 1, score, np.zeros(90, int), patient)
    for counts in weights:
        drawn = counts[patient]
        above, below = one.average_precision(counts[None])
        expected = average_precision_score(y, score, sample_weight=drawn)
        assert (above / below)[0] == pytest.approx(expected, rel=1e-12)
        above, below = one.auc(counts[None])
        expected = roc_auc_score(y, score, sample_weight=drawn)
        assert (above / below)[0] == pytest.approx(expected, rel=1e-12)


def test_expit_of_joined_scores_is_a_noisy_or():
    from skosfusion.evaluation import patient_scores

    scores = np.array([-2.0, 0.5, 1.0])
    joined = {
        rule: patient_scores(scores, ["a", "a", "b"], rule=rule)[1][0]
        for rule in ("mean_logit", "mean", "max", "noisy_or")
    }
    p = expit(scores[:2])
    assert joined["mean_logit"] == -0.75
    assert joined["max"] == 0.5
    assert expit(joined["mean"]) == pytest.approx(p.mean())
    assert expit(joined["noisy_or"]) == pytest.approx(1 - np.prod(1 - p))
