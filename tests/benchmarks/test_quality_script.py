import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils import Bunch

from skosfusion.datasets._synthetic._cohort_plan import plan_cohort

from .._helpers.scripts import absent, cohorts, drawing, folds, methods, quality, statistics, truth


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def run(out, tmp_path_factory):
    """A short run: its options and its tables."""
    home = str(tmp_path_factory.mktemp("data_home"))
    options = ["--quick", "--patients", "20", "--data-home", home, "--out", str(out)]
    return options, quality.main(options)


@pytest.fixture
def data_set():
    """Eighty patients with two images each; features and an age lean to the label."""
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(80) % 2, 2)
    X = pd.DataFrame(rng.normal(target[:, None], 2.0, (160, 5)).astype(np.float32))
    X.columns = [f"feature_{i}" for i in range(5)]
    X["age"] = rng.integers(10, 40, 160) + 10.0 * target
    X.loc[::7, "age"] = np.nan
    return Bunch(
        X=X,
        data=X[["age"]],
        target=target,
        groups=np.repeat([f"p{i}" for i in range(80)], 2).astype(object),
        inputs=("age",),
        kits={},
        model={"epochs": 2, "seed": 0},
        is_synthetic=False,
    )


# By hand: patients a (1, 0), b (1) and c (0), their log-odds and losses.
TARGET = np.array([1, 0, 1, 0])
PATIENTS = np.array(["a", "a", "b", "c"])
SCORES = np.log([[3.0, 1.0, 1 / 3, 3.0]])
LOSSES = -np.log([0.75, 0.5, 0.25, 0.25])
ONE_FOLD = np.zeros((1, 4), int)


def test_log_loss_and_auc_under_weights_are_those_of_repeated_rows():
    weights = np.array([[1, 1, 1], [2, 0, 1], [1, 2, 0]], float)
    _, rows = statistics.patient_weights(TARGET, PATIENTS, 1, 0)
    losses = statistics.log_loss_of(TARGET, SCORES, weights, rows)
    aucs = statistics.auc_of(TARGET, SCORES, ONE_FOLD, weights, rows)
    assert losses[0] == pytest.approx(LOSSES.mean())
    assert losses[1] == pytest.approx((2 * LOSSES[0] + 2 * LOSSES[1] + LOSSES[3]) / 5)
    # (a+ before a-), (a+ level with c), (b behind both).
    assert aucs[0] == pytest.approx(1.5 / 4)
    for weight, loss, auc in zip(weights, losses, aucs, strict=True):
        taken = np.repeat(np.arange(4), weight[rows].astype(int))
        chances = 1 / (1 + np.exp(-SCORES[0][taken]))
        assert loss == pytest.approx(log_loss(TARGET[taken], chances))
        assert auc == pytest.approx(roc_auc_score(TARGET[taken], chances))


def test_auc_compares_images_of_one_fold_only_and_repeats_are_averaged():
    scores = np.array([[2.0, 1.0, 11.0, 12.0], [2.0, 1.0, 4.0, 3.0]])
    assigned = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    weights = np.ones((1, 3))
    rows = np.array([0, 0, 1, 2])
    target = np.array([1, 0, 1, 0])
    auc = statistics.auc_of(target, scores, assigned, weights, rows)
    assert auc == pytest.approx([(0.5 + 1.0) / 2])


def test_weights_take_patients_among_those_with_the_same_labels():
    weights, rows = statistics.patient_weights(
        [1, 0, 1, 1, 0, 0, 0], ["a", "a", "b", "c", "d", "e", "e"], 200, 0
    )
    assert rows.tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert (weights[:, 0] == 1).all()
    assert (weights[:, 1] + weights[:, 2] == 2).all()
    assert (weights[:, 3] + weights[:, 4] == 2).all()
    assert len(np.unique(weights, axis=0)) == 9


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    target = np.tile([0, 1], 50)
    scores = rng.normal(0, 3, (2, 100))
    losses = statistics.log_losses(target, scores)
    # The same images are easy for both, and each loses 0.1 more in one of them.
    worse = -np.log(np.expm1(losses + 0.1)) * np.where(target == 1, 1, -1)
    found = statistics.compare(
        target,
        np.arange(100) // 2,
        np.zeros((2, 100), int),
        {"reference": scores, "worse": worse, "same": scores + 0},
        "reference",
        n_draws=100,
        seed=0,
    )
    line = found["worse"]
    assert line["log_loss_difference"] == pytest.approx(0.1)
    assert line["log_loss_difference_low"] == pytest.approx(0.1)
    assert line["log_loss_difference_high"] == pytest.approx(0.1)
    assert line["log_loss_shown"] == "worse"
    assert found["same"]["log_loss_shown"] == found["same"]["auc_shown"] == "not shown"
    assert found["reference"]["auc_shown"] == "reference"
    assert found["reference"]["log_loss_high"] - found["reference"]["log_loss_low"] > 0.1


def test_the_bootstrap_gives_the_clustered_error_of_the_literature():
    X, y = load_breast_cancer(return_X_y=True)
    y = 1 - y
    weights, rows = statistics.patient_weights(y, np.arange(len(y)) // 3, 2000, 0)
    weights = np.vstack([np.ones(weights.shape[1]), weights])
    fold = np.zeros((1, len(y)), int)
    aucs = [statistics.auc_of(y, X[None, :, i], fold, weights, rows) for i in (0, 1)]
    assert [auc[0] for auc in aucs] == pytest.approx([0.93751652, 0.77582448], abs=1e-8)
    assert [auc[1:].std() for auc in aucs] == pytest.approx([0.01111324, 0.02219464], rel=0.08)
    difference = aucs[0] - aucs[1]
    assert difference[0] / difference[1:].std() == pytest.approx(6.5917581, rel=0.08)


def test_the_calibration_slope_is_that_of_the_literature():
    X, y = load_breast_cancer(return_X_y=True)
    scores = X[None, :, 0] - 15
    slope = statistics.calibration_slope(1 - y, scores, np.zeros(scores.shape, int))
    assert slope == pytest.approx(1.03358882, rel=1e-5)
    constant = np.array([[0.1, 0.1, 0.2, 0.2]])
    assert np.isnan(statistics.calibration_slope(TARGET, constant, np.array([[0, 0, 1, 1]])))


def test_a_patient_is_in_one_fold_and_repeats_differ(data_set):
    assigned = folds.assign(data_set.target, data_set.groups, n_folds=5, n_repeats=3, seed=0)
    assert assigned.shape == (3, 160)
    for fold in assigned:
        assert set(fold) == set(range(5))
        assert pd.Series(fold).groupby(data_set.groups).nunique().max() == 1
    assert len(np.unique(assigned, axis=0)) == 3


@pytest.mark.parametrize(
    "name",
    ["prior", "clinical_logistic", "clinical_boosting", "clinical_paper", "image_logistic",
     "fusion_logistic", "fusion_logistic_cv", "decision_level"],
)  # fmt: skip
def test_no_label_of_a_test_row_reaches_its_score(data_set, name):
    method = methods.METHODS[name]
    assigned = folds.assign(data_set.target, data_set.groups, n_folds=2, n_repeats=1, seed=0)
    before = folds.scores_of(method, data_set, assigned)
    test = assigned[0] == 0
    data_set.target = data_set.target.copy()
    data_set.target[test] = np.random.default_rng(1).permutation(data_set.target[test])
    after = folds.scores_of(method, data_set, assigned)
    assert np.isfinite(before).all()
    np.testing.assert_array_equal(after[0, test], before[0, test])
    # The other fold was trained on these labels.
    assert name == "prior" or (after[0, ~test] != before[0, ~test]).any()


@pytest.mark.parametrize("name", ["clinical_logistic", "fusion_logistic_cv", "decision_level"])
def test_no_other_test_row_reaches_a_score(data_set, name):
    method, test = methods.METHODS[name], np.arange(160) < 20
    X, y, groups = data_set.X[~test], data_set.target[~test], data_set.groups[~test]
    scores = folds.fit_and_score(method, data_set, X, y, groups, data_set.X[test])
    alone = folds.fit_and_score(method, data_set, X, y, groups, data_set.X[:1])
    # A product of matrices in float32 depends on their number of rows in its last digit.
    assert alone == pytest.approx(scores[:1], rel=1e-6, abs=1e-6)


def test_log_odds_without_end_are_limited():
    class Certain:
        def predict_proba(self, X):
            return np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.8]])

    odds = folds.log_odds(Certain(), None)
    assert odds.tolist()[:2] == [np.inf, -np.inf]
    assert odds[2] == pytest.approx(np.log(4))
    assert np.clip(odds, -folds.LIMIT, folds.LIMIT).tolist()[:2] == [folds.LIMIT, -folds.LIMIT]


def test_inner_folds_keep_patients_together(data_set):
    for train, test in folds._inner_folds(data_set.target, data_set.groups, 0):
        assert not set(data_set.groups[train]) & set(data_set.groups[test])


def test_bars_are_as_high_as_the_values_and_a_missing_one_is_gray():
    data_set = Bunch(
        inputs=("gender", "age", "crp"),
        kits={"crp": ("crp", 0, 5)},
        data=pd.DataFrame(
            {"gender": ["F", "M", None], "age": [50, 20, 80], "crp": [2.5, 100, np.nan]}
        ),
    )
    heights = drawing.bar_heights(data_set)
    np.testing.assert_allclose(heights[:, 0], [1, 0, np.nan])
    np.testing.assert_allclose(heights[:, 1], [0.5, 0.2, 0.8])
    assert heights[0, 2] == pytest.approx(0.5)
    assert 0.9 < heights[1, 2] < 1
    pixels = np.full((1, 40, 30), 7, np.uint8)
    drawing.add_bars(pixels, heights[2])
    assert (pixels[:, :30] == 7).all()
    assert set(pixels[0, 30:, 0]) == {128}
    assert pixels[0, 30:, 11].tolist() == [0] * 2 + [255] * 8


@pytest.mark.parametrize("inputs", [("age",), ("gender", "age", "alp", "ldh")])
def test_the_truth_of_the_generator_is_calibrated(inputs):
    patients = plan_cohort(3000, 3000, 1)
    data = pd.DataFrame([patient.record for patient in patients])
    target = np.array([patient.has_tumor for patient in patients], int)
    odds = truth.clinical_log_odds(data, inputs)[None]
    slope = statistics.calibration_slope(target, odds, np.zeros(odds.shape, int))
    assert slope == pytest.approx(1.0, abs=0.15)
    share = (1 / (1 + np.exp(-odds))).mean()
    assert share == pytest.approx(target.mean(), abs=0.03)


@pytest.mark.parametrize("analyte", ["alp", "ldh"])
def test_the_densities_of_the_truth_hold_all_patients(analyte):
    grid = np.linspace(-2.0, 20.0, 4000)
    low, high = truth.drawn.ADULT_LIMITS[analyte]
    data = pd.DataFrame({analyte: np.exp(grid), f"{analyte}_low": low, f"{analyte}_high": high})
    densities = truth._activity_densities(data, analyte, np.full(4000, 14.0), np.zeros(4000, bool))
    for density in densities:
        total = np.trapezoid(density, grid, axis=0)
        np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_a_short_run_writes_all_files_and_says_what_the_figures_are(run, out):
    _, found = run
    assert list(found) == ["embedded"]
    assert {path.name for path in out.iterdir()} == {
        "quality.csv", "quality.json", "quality.png", "quality.scores.csv", "quality.txt"
    }  # fmt: skip
    text = (out / "quality.txt").read_text()
    for words in ("SYNTHETIC", "small and confounded", "rested on 52 variants", "6 candidates"):
        assert words in " ".join(text.split())
    record = json.loads((out / "quality.json").read_text())
    assert set(record["data_sets"]["embedded"]["scores"]) == set(found["embedded"].index)
    scores = pd.read_csv(out / "quality.scores.csv")
    assert len(scores) == len(found["embedded"]) * len(record["data_sets"]["embedded"]["target"])


def test_the_table_can_be_computed_from_the_record_alone(run, out):
    _, found = run
    again = quality.main(["--table", str(out / "quality.json")])
    pd.testing.assert_frame_equal(again["embedded"], found["embedded"])


def test_another_reference_is_taken_where_it_was_scored(run, out):
    _, found = run
    record = str(out / "quality.json")
    again = quality.main(["--table", record, "--reference", "prior"])["embedded"]
    assert again.loc["prior", "auc_shown"] == "reference"
    opposite = -found["embedded"].loc["prior", "log_loss_difference"]
    assert again.loc["fusion_logistic", "log_loss_difference"] == pytest.approx(opposite)
    with pytest.raises(SystemExit, match="'telepathy' was not scored on embedded"):
        quality.main(["--table", record, "--reference", "telepathy"])


def test_scores_of_an_earlier_run_are_joined(run, out, tmp_path, monkeypatch):
    options, found = run
    calls = []
    scores_of = folds.scores_of

    def counted(method, *args):
        calls.append(method.words)
        return scores_of(method, *args)

    monkeypatch.setattr(folds, "scores_of", counted)
    joined = ["--join", str(out / "quality.json"), "--out", str(tmp_path)]
    again = quality.main([*options, *joined, "--methods", "image_logistic", "--variants-seen", "7"])
    assert calls == [methods.METHODS["image_logistic"].words]
    assert set(again["embedded"].index) == {*found["embedded"].index, "image_logistic"}
    old = again["embedded"].loc[found["embedded"].index]
    pd.testing.assert_frame_equal(old, found["embedded"])
    text = " ".join((tmp_path / "quality.txt").read_text().split())
    assert "rested on 7 variants" in text
    # Other folds are other scores.
    options += ["--methods", "prior", "--reference", "prior", "--seed", "1"]
    quality.main([*options, *joined])
    record = json.loads((tmp_path / "quality.json").read_text())
    assert list(record["data_sets"]["embedded"]["scores"]) == ["prior"]


def test_a_method_that_cannot_run_is_left_out_with_a_reason(data_set):
    one = methods.METHODS["fusion_paper"]
    assert methods.why_not(one, data_set) is None
    unknown = one._replace(keywords={"telepathy": True})
    assert methods.why_not(unknown, data_set) == "this skosfusion has no telepathy"
    absent = one._replace(package="no_such_package.of_ours")
    assert methods.why_not(absent, data_set) == "no_such_package.of_ours is not installed"
    assert "truth" in methods.why_not(methods.METHODS["ceiling"], data_set)


def test_the_real_sets_are_read_as_their_sources_describe_them(chest_xray):
    options = Bunch(data=chest_xray.parent)
    chest, care = (cohorts.load(name, options) for name in ("chest_xray", "hannover"))
    assert (len(chest.data), len(set(chest.groups)), chest.target.sum()) == (129, 72, 93)
    assert (len(care.data), len(set(care.groups)), care.target.sum()) == (126, 38, 98)
    assert chest.inputs[:2] == ("gender", "age")
    assert "age" not in care.inputs
    assert np.isfinite(care.data["ldh"].dropna()).all()


def test_real_sets_that_are_not_there_are_left_out_with_a_reason(tmp_path):
    with pytest.raises(SystemExit, match="no data set is there: there is no folder"):
        quality.main(
            ["--data-sets", "chest_xray", "--data", str(tmp_path), "--weights", "none",
             "--out", str(tmp_path / "out")]
        )  # fmt: skip


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(SystemExit, match="'telepathy' is none of prior"):
        quality.main(["--methods", "telepathy"])


def test_what_a_missing_modality_costs_is_gated_minus_the_other(data_set):
    assigned = np.zeros((1, 160), int)
    sure = np.where(data_set.target == 1, 2.0, -2.0)[None]
    unsure = 0.5 * sure
    scores = {("image", name): unsure for name in absent.METHODS} | {("image", "gated"): sure}
    data_set.groups = np.arange(160) // 2
    table = absent._table(data_set, assigned, scores, Bunch(draws=50, seed=0))
    lost = np.log1p(np.exp(-2.0)) - np.log1p(np.exp(-1.0))
    cell = table.loc[("image", "robust"), "gated minus this"]
    assert cell.startswith(f"{lost:+.4f} [")
    assert table.loc[("image", "gated"), "gated minus this"] == ""
