"""A line over log-odds, from an evaluation out of fold."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skosfusion import Recalibration, evaluate_scores


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    return y, {"All": rng.normal(3 * y - 1, 2), "Half": rng.normal(y - 0.5)}


@pytest.fixture(scope="module")
def evaluation(scores):
    y, rows = scores
    return evaluate_scores(y, rows, groups=None, fold=None, n_resamples=20, random_state=0)


def test_it_is_the_maximum_of_the_likelihood(scores, evaluation):
    y, rows = scores
    found = Recalibration.from_evaluation(evaluation, "All")
    peer = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(rows["All"][:, None], y)
    assert found.intercept == pytest.approx(peer.intercept_[0], rel=1e-5)
    assert found.slope == pytest.approx(peer.coef_[0, 0], rel=1e-5)
    expected = peer.predict_proba(rows["All"][:, None])
    assert found.probabilities(rows["All"]) == pytest.approx(expected, rel=1e-4)


def test_recalibrated_scores_are_calibrated(scores, evaluation):
    y, rows = scores
    again = Recalibration.from_evaluation(evaluation, "All").apply(rows["All"])
    found = evaluate_scores(y, again, groups=None, fold=None, n_resamples=20, random_state=0)
    line = found.table.loc["model"]
    assert line["calibration_intercept"] == pytest.approx(0, abs=1e-6)
    assert line["calibration_slope"] == pytest.approx(1, abs=1e-6)
    assert line["auc"] == evaluation.table.loc["All", "auc"]


def test_probabilities_stay_apart_where_log_odds_are_large():
    found = Recalibration(0.0, 1.0).probabilities([-800.0, -40.0, 40.0, 800.0])
    assert found[1, 1] == pytest.approx(np.exp(-40))
    assert found[2, 0] == pytest.approx(np.exp(-40))
    assert (found.sum(axis=1) == 1).all()


def test_a_row_must_be_named_where_there_are_several(evaluation):
    with pytest.raises(ValueError, match=r"row=None is not allowed.*'All', 'Half'"):
        Recalibration.from_evaluation(evaluation)
    with pytest.raises(ValueError, match="did you mean 'All'"):
        Recalibration.from_evaluation(evaluation, "Al")


def test_without_calibration_there_is_none(scores):
    y, rows = scores
    options = {"groups": None, "fold": None, "n_resamples": 20, "random_state": 0}
    of_auc = evaluate_scores(y, rows["All"], metrics=["auc"], **options)
    with pytest.raises(ValueError, match="has no calibration slope"):
        Recalibration.from_evaluation(of_auc)
    parted = evaluate_scores(y, 8.0 * y - 4 + rows["Half"] / 10, **options)
    with pytest.raises(ValueError, match="slope nan"):
        Recalibration.from_evaluation(parted)
    turned = evaluate_scores(y, -rows["All"], **options)
    with pytest.raises(ValueError, match="slope -0"):
        Recalibration.from_evaluation(turned)


@pytest.mark.parametrize("slope", [0, -1.0, np.nan, np.inf, "1", None, True])
def test_slopes_that_are_none_are_refused(slope):
    with pytest.raises(ValueError, match="slope="):
        Recalibration(0.0, slope)


def test_it_compares_and_pickles():
    assert pickle.loads(pickle.dumps(Recalibration(1, 2))) == Recalibration(1.0, 2.0)
    assert repr(Recalibration(np.float64(1), 2)) == "Recalibration(intercept=1.0, slope=2.0)"
