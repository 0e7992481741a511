"""Values of other software, with data that ships with scikit-learn or is named by a variable."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from skosfusion.evaluation import clustered_auc, evaluate_scores
from skosfusion.evaluation._calibration import recalibrate
from skosfusion.evaluation._differences import clustered_mcnemar
from skosfusion.evaluation._intervals import corrected_t, exact_interval

#: A folder with df_binary.csv of dcurves and aSAH.csv of pROC, whose licenses differ from ours.
DATA = os.environ.get("SKOSFUSION_REFERENCE_DATA", "")
RIGHT = np.r_[np.ones(12), np.zeros(2)]


def reference(name):
    path = Path(DATA) / name
    if not DATA or not path.is_file():
        pytest.skip(f"SKOSFUSION_REFERENCE_DATA names no folder with {name}")
    return pd.read_csv(path)


def test_corrected_t_on_the_grid_search_example_of_scikit_learn():
    X, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    cv = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    rbf, linear = (
        cross_val_score(SVC(kernel=kernel, random_state=0), X, y, scoring="roc_auc", cv=cv)
        for kernel in ("rbf", "linear")
    )
    corrected, (low, high) = corrected_t(rbf - linear, 10 / 90, 0.95)
    assert corrected == pytest.approx(0.75031, abs=5e-6)
    assert student.sf(corrected, 99) == pytest.approx(0.22742, abs=5e-6)
    assert corrected_t(rbf - linear, 0, 0.95)[0] == pytest.approx(2.6112, abs=5e-5)
    center = np.mean(rbf - linear)
    assert [low, high] == pytest.approx(
        center * (1 + np.array([-1, 1]) * student.ppf(0.975, 99) / corrected)
    )


def test_mcnemar_with_yates_and_exact():
    z = clustered_mcnemar(RIGHT, 1 - RIGHT, np.arange(14))["z"]
    assert z**2 == pytest.approx(7.142857, abs=5e-7)
    # From z and the discordant patients: what Yates takes off, and the count that is tested.
    surplus = z * np.sqrt(14)
    assert (surplus - 1) ** 2 / 14 == pytest.approx(5.785714, abs=5e-7)
    exact = binomtest(round((14 + surplus) / 2), 14).pvalue
    assert exact == pytest.approx(0.0129, abs=5e-5)


def test_sample_size_of_riley_from_the_log_loss_of_a_prior():
    prevalence, n_parameters, r2 = 0.174, 24, 0.288
    y = np.arange(1000) < 1000 * prevalence
    null = evaluate_scores(
        y, {"Prior": np.full(1000, logit(prevalence))}, groups=None, fold=None, baseline="Prior",
        metrics=["log_loss", "in_the_large"], n_resamples=2, random_state=0,
    ).table.loc["Prior"]  # fmt: skip
    assert null["in_the_large"] == pytest.approx(0, abs=1e-9)
    most_r2 = 1 - np.exp(-2 * null["log_loss"])
    of_shrinkage = [
        n_parameters / ((shrinkage - 1) * np.log(1 - r2 / shrinkage))
        for shrinkage in (0.9, r2 / (r2 + 0.05 * most_r2))
    ]
    of_prevalence = (1.96 / 0.05) ** 2 * prevalence * (1 - prevalence)
    assert np.ceil([*of_shrinkage, of_prevalence]).tolist() == [623, 662, 221]


@pytest.mark.parametrize(
    ("threshold", "benefit"),
    [(0.05, 0.105544), (0.1, 0.087407), (0.15, 0.079216), (0.2, 0.067333), (0.25, 0.064),
     (0.35, 0.050154)],
)  # fmt: skip
def test_net_benefit_of_dcurves(threshold, benefit):
    frame = reference("df_binary.csv")
    y, p = frame["cancer"].to_numpy(bool), frame["cancerpredmarker"].to_numpy()
    rows = {"Model": logit(p), "Treat all": np.full(len(y), 5.0)}
    found = evaluate_scores(
        y, rows, groups=None, fold=None, baseline="Treat all", threshold=threshold,
        metrics=["net_benefit"], n_resamples=2, random_state=0,
    ).table["net_benefit"]  # fmt: skip
    assert found["Model"] == pytest.approx(benefit, abs=5e-7)
    if threshold == 0.1:
        assert found["Treat all"] == pytest.approx(0.044444, abs=5e-7)


@pytest.mark.parametrize(
    ("column", "auc", "variance"),
    [("wfns", 0.8236787, 0.00146991), ("s100b", 0.7313686, 0.00266868),
     ("ndka", 0.6119580, 0.00319081)],
)  # fmt: skip
def test_auc_of_proc(column, auc, variance):
    frame = reference("aSAH.csv")
    found = clustered_auc(frame["outcome"] == "Poor", frame[column], np.arange(len(frame)))
    assert found.auc == pytest.approx(auc, abs=2e-7)
    assert found.standard_error**2 == pytest.approx(variance, abs=5e-9)


class TestStatsmodels:
    @pytest.fixture
    def api(self):
        return pytest.importorskip("statsmodels.api", reason="needs statsmodels")

    def test_mcnemar(self, api):
        from statsmodels.stats.contingency_tables import mcnemar

        z = clustered_mcnemar(RIGHT, 1 - RIGHT, np.arange(14))["z"]
        table = [[0, 12], [2, 0]]
        assert mcnemar(table, exact=False, correction=False).statistic == pytest.approx(z**2)
        assert mcnemar(table, exact=False).statistic == pytest.approx(5.785714, abs=5e-7)
        assert mcnemar(table, exact=True).pvalue == pytest.approx(0.0129, abs=5e-5)

    def test_recalibration(self, api):
        X, target = load_breast_cancer(return_X_y=True)
        y, score, patient = 1 - target, X[:, 0] - 15, np.arange(len(X)) // 3
        found = recalibrate(y, score[:, None], patient)

        def fit(design, offset):
            model = api.GLM(y, design, family=api.families.Binomial(), offset=offset)
            model = model.fit(cov_type="cluster", cov_kwds={"groups": patient}, tol=1e-12)
            n, k = len(y), design.shape[1]
            return model.params, model.bse / np.sqrt((n - 1) / (n - k))

        values, errors = fit(api.add_constant(score), None)
        for place, name in enumerate(("calibration_intercept", "calibration_slope")):
            assert found[name] == pytest.approx((values[place], errors[place]), rel=1e-7)
        values, errors = fit(np.ones((len(y), 1)), score)
        assert found["in_the_large"] == pytest.approx((values[0], errors[0]), rel=1e-7)

    @pytest.mark.parametrize("n", [10, 57])
    def test_clopper_and_pearson(self, api, n):
        from statsmodels.stats.proportion import proportion_confint

        for value in (0, 1):
            expected = proportion_confint(value * n, n, method="beta")
            assert exact_interval(value, [n], 0.95) == pytest.approx(expected)


def test_brier_of_a_prior_is_the_variance_of_the_label():
    y = np.arange(40) % 4 == 0
    found = evaluate_scores(
        y, {"Prior": np.full(40, logit(0.25))}, groups=None, fold=np.arange(40) // 4 % 2,
        metrics=["brier", "expected_observed"], n_resamples=2, random_state=0,
    ).table.loc["Prior"]  # fmt: skip
    assert found["brier"] == pytest.approx(0.25 * 0.75)
    assert found["expected_observed"] == pytest.approx(expit(logit(0.25)) / 0.25)
