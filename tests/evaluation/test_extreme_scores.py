"""Scores near 0, and scores so far from it that probabilities have no digits left."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from skosfusion import cross_val_scores, evaluate_scores, patient_scores

LARGEST = np.finfo(np.float64).max


def evaluated(y, scores, **options):
    return evaluate_scores(
        y, scores, groups=None, fold=None, n_resamples=50, random_state=0, **options
    )


class TestScoresFromZeroToOne:
    Y = np.arange(40) % 2
    SCORES = np.linspace(0.01, 0.4, 40)

    def test_they_are_refused_with_the_way_to_say_what_they_are(self):
        with pytest.raises(ValueError, match=r"probabilities do.*say are_log_odds=True"):
            evaluated(self.Y, self.SCORES)

    def test_they_pass_where_it_is_said_and_again_from_there(self):
        found = evaluated(self.Y, self.SCORES, are_log_odds=True)
        assert found.table.loc["model", "sensitivity"] == 1
        assert evaluated(found.y, found.scores).table.equals(found.table)

    def test_those_of_cross_val_scores_pass(self):
        X = np.random.default_rng(0).normal(size=(60, 2))
        y = np.arange(60) % 3 > 0
        # So strong a penalty leaves the intercept, as few epochs do.
        rows = {"All": {}, "Less": {"C": 1e-5}}
        result = cross_val_scores(
            LogisticRegression(C=1e-4), X, y, rows, groups=None, random_state=0
        )
        assert all(s.min() > 0 and s.max() < 1 for s in result.scores.values())
        found = evaluate_scores(
            result.y, result.scores, groups=result.groups, fold=result.fold, baseline="All",
            n_resamples=50, random_state=0,
        )  # fmt: skip
        assert len(found.differences)

    def test_what_is_put_beside_them_is_looked_at(self):
        found = evaluated(self.Y, {"one": self.SCORES}, are_log_odds=True)
        found.scores["own"] = self.SCORES[:, None]
        with pytest.raises(ValueError, match=r"row 'own'.*probabilities do"):
            evaluated(self.Y, found.scores)
        kept = pickle.loads(pickle.dumps(found.scores))
        with pytest.raises(ValueError, match=r"row 'own'.*probabilities do"):
            evaluated(self.Y, kept)
        del kept["own"]
        evaluated(self.Y, copy.deepcopy(kept))

    @pytest.mark.parametrize("value", [1, None, "yes"])
    def test_the_word_is_true_or_false(self, value):
        with pytest.raises(ValueError, match=r"are_log_odds=.*True or False"):
            evaluated(self.Y, self.SCORES, are_log_odds=value)

    def test_probabilities_of_several_classes_are_refused_without_that_way(self):
        scores = np.random.default_rng(0).dirichlet(np.ones(3), 30)
        with pytest.raises(ValueError, match="probabilities do") as refused:
            evaluated(np.arange(30) % 3, scores)
        assert "are_log_odds" not in str(refused.value)


class TestSeveralClasses:
    @pytest.mark.parametrize("scale", [1, 40, 1e4])
    def test_ranks_are_by_log_odds(self, scale):
        random, y = np.random.default_rng(0), np.arange(90) % 3
        scores = scale * (random.normal(size=(90, 3)) + np.eye(3)[y])
        found = evaluated(y, scores, metrics=["auc"]).table.loc["model"]
        for label in range(3):
            against = scores[:, label] - logsumexp(np.delete(scores, label, 1), axis=1)
            assert found[f"auc_{label}"] == pytest.approx(roc_auc_score(y == label, against))

    def test_gaps_above_37_are_no_ties(self):
        y = np.arange(30) % 3
        scores = np.zeros((30, 3))
        scores[:, 0] = np.where(y == 0, 60, 40) + np.arange(30) / 100
        assert evaluated(y, scores, metrics=["auc"]).table.loc["model", "auc_0"] == 1


class TestNoisyOr:
    @pytest.mark.parametrize("score", [-LARGEST, -1e6, -800.0, -38.5, -37.5, -1.0, 0.0, 800.0])
    def test_one_image_keeps_its_score(self, score):
        _, joined = patient_scores([score], ["a"], rule="noisy_or")
        assert joined[0] == pytest.approx(score, rel=1e-15, abs=1e-11)

    @pytest.mark.parametrize("score", [-800.0, -40.0, -37.0])
    def test_two_rare_chances_add_up(self, score):
        _, joined = patient_scores([score, score], ["a", "a"], rule="noisy_or")
        assert joined[0] == pytest.approx(score + np.log(2), abs=1e-11)

    @given(st.lists(st.floats(-30, 30), min_size=1, max_size=5))
    def test_it_is_the_chance_of_one_at_least(self, scores):
        _, joined = patient_scores(scores, ["a"] * len(scores), rule="noisy_or")
        log_none = -np.logaddexp(0, scores).sum()
        expected = np.log(-np.expm1(log_none)) - log_none
        assert joined[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("rule", ["mean_logit", "mean", "max", "noisy_or"])
@given(scores=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_rules_are_finite_for_all_finite_scores(rule, scores):
    _, joined = patient_scores(scores, ["a"] * len(scores), rule=rule)
    assert np.isfinite(joined).all()
    lowest = min(scores) - 1e-9 if min(scores) > -1e6 else min(scores) * (1 + 1e-12)
    assert joined[0] >= max(lowest, -LARGEST)
