import warnings

import numpy as np
import pytest
from scipy.special import logit

from skosfusion.evaluation import evaluate_scores

PATIENT = np.repeat(np.arange(80), np.arange(80) % 3 + 1)
Y = (PATIENT % 4 == 0).astype(int)
FOLD = PATIENT // 4 % 5
MODEL = np.random.default_rng(0).normal(1.2 * Y - 0.6)
#: As a prior that each fold learns from the others, with log-odds between 0 and 1.
PRIOR = np.array([0.1, 0.3, 0.2, 0.4, 0.15])[FOLD]


def evaluate(scores, **more):
    options = {"groups": PATIENT, "fold": FOLD, "n_resamples": 100, "random_state": 0, **more}
    return evaluate_scores(Y, scores, **options)


@pytest.mark.parametrize("score", [Y * 0.0 - 1.1, Y * 0.0 + 0.1, Y * 0.0])
@pytest.mark.parametrize("rule", ["mean_logit", "mean", "max"])
def test_a_rule_can_be_evaluated_and_says_what_its_figures_are(score, rule):
    found = evaluate({"Rule": score, "Model": MODEL}, patient_rule=rule, baseline="Rule")
    line = found.table.loc["Rule"]
    assert line["auc"] == 0.5
    assert line["accuracy"] == (0.25 if score[0] > 0 else 0.75)
    assert line[["calibration_intercept", "calibration_slope"]].isna().all()
    assert line["in_the_large"] == pytest.approx(logit(0.25) - score[0])
    assert line[["auc_low", "average_precision_low", "accuracy_low", "brier_low"]].isna().all()
    # Of 20 positive patients none, or all, are found.
    ends = line[["sensitivity_low", "sensitivity_high"]].tolist()
    bound = 0.025 ** (1 / 20)
    assert ends == pytest.approx([bound, 1] if score[0] > 0 else [0, 1 - bound])
    assert found.table.loc["Model"].notna().all()
    assert found.differences.loc[("Model", "auc"), "verdict"] == "better"
    assert "Row Rule: the scores of each fold are equal" in found.DESCR
    assert f"a probability of {1 / (1 + np.exp(-score[0])):.3g}." in found.DESCR
    assert "all, Rule: no interval of auc, average_precision" in found.DESCR


def test_a_prior_differs_between_folds_and_ranks_nothing():
    found = evaluate({"Prior": PRIOR, "Model": MODEL}, baseline="Prior", unit="image")
    line = found.table.loc["Prior"]
    assert line["auc"] == 0.5
    assert line[["auc_low", "average_precision_low", "calibration_slope"]].isna().all()
    assert np.isfinite(line[["in_the_large_low", "log_loss_low", "accuracy_low"]].tolist()).all()
    assert "a probability of 0.525 to 0.599" in found.DESCR


def test_a_row_that_may_be_a_model_warns():
    with pytest.warns(UserWarning, match="'Model'.*tells nothing apart") as caught:
        evaluate({"Model": PRIOR})
    assert caught[0].filename == __file__
    # With one fold it cannot be told from a model, but for the baseline.
    with pytest.warns(UserWarning, match="'Model'"):
        evaluate({"Model": Y * 0 - 1.0}, fold=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate({"Majority class": Y * 0 - 1.0})
        evaluate({"Prior": PRIOR}, baseline="Prior")


def test_scores_that_differ_in_one_fold_are_of_a_model():
    score = np.where(FOLD == 2, MODEL, PRIOR)
    assert "are equal" not in evaluate(score, metrics=["auc"]).DESCR
    with pytest.raises(ValueError, match="probabilities"):
        evaluate(np.where(FOLD == 2, 1 / (1 + np.exp(-MODEL)), PRIOR))


def test_repeats_and_several_classes():
    y, random = PATIENT % 3, np.random.default_rng(1)
    priors = np.log(random.dirichlet(np.ones(3), (5, 2)))[FOLD].transpose(0, 2, 1)
    found = evaluate_scores(
        y, {"Prior": priors}, groups=PATIENT, fold=FOLD, baseline="Prior", n_resamples=20,
        random_state=0,
    )  # fmt: skip
    assert found.table.loc["Prior", ["auc", "auc_0", "auc_2"]].tolist() == [0.5, 0.5, 0.5]
    assert found.table.loc["Prior", ["auc_low", "auc_0_low"]].isna().all()
    assert "Row Prior: the scores of each fold are equal" in found.DESCR
