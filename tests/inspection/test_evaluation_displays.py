import copy

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from skosfusion import (
    CurveDisplay,
    DecisionCurveDisplay,
    DifferenceDisplay,
    RiskCalibrationDisplay,
    SiteDisplay,
    SubgroupDisplay,
    evaluate_scores,
    validate_by_site,
)
from skosfusion.inspection._plot._lowess import lowess
from skosfusion.inspection._plot._mean_curves import FALSE_POSITIVE_RATES, RECALLS, mean_curve

mpl.use("Agg")

PATIENT = np.repeat(np.arange(80), 2)
Y = PATIENT % 2
FOLD = PATIENT // 2 % 5
NAMES = np.array([f"secret-{number}" for number in range(80)])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def evaluate(y=Y, names=("Baseline", "All", "Null"), **more):
    random = np.random.default_rng(0)
    scores = {
        name: random.normal((gain * (y > np.unique(y)[0]) - gain / 2)[:, None], 1, (len(y), 2))
        for name, gain in zip(names, (0.4, 2.0, 0.4), strict=True)
    }
    options = {
        "groups": NAMES[PATIENT], "fold": FOLD, "baseline": names[0], "n_resamples": 100,
        "random_state": 0,
        "subgroups": {"site": np.where(PATIENT < 50, "a", "b"), "few": PATIENT < 10},
    }  # fmt: skip
    return evaluate_scores(y, scores, **options | more)


@pytest.fixture(scope="module")
def evaluation():
    return evaluate()


@pytest.fixture(scope="module")
def validation():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    site = np.array(["north", "south", "east"])[np.arange(len(y)) % 3]
    model = LogisticRegression(solver="liblinear")
    return validate_by_site(model, X.iloc[:, :2], y, site=site, groups=None)


def every_display(evaluation, validation):
    first = next(iter(evaluation.scores))
    return [
        DifferenceDisplay.from_evaluation(evaluation),
        DifferenceDisplay.from_evaluation({"one": evaluation, "other": evaluation}, "brier"),
        CurveDisplay.from_evaluation(evaluation, n_resamples=20),
        CurveDisplay.from_evaluation(evaluation, "precision_recall", n_resamples=20),
        RiskCalibrationDisplay.from_evaluation(evaluation, first),
        DecisionCurveDisplay.from_evaluation(evaluation),
        SubgroupDisplay.from_evaluation(evaluation, first),
        SiteDisplay.from_validation(validation),
    ]


def ends_of(lines):
    return np.array([segment[:, 0] for segment in lines.get_segments()])


def test_differences_are_drawn_where_the_evaluation_has_them(evaluation):
    display = DifferenceDisplay.from_evaluation(evaluation).plot()
    table = evaluation.differences.xs("auc", level="metric")
    pd.testing.assert_frame_equal(display.frame(), table)
    drawn = display.points_[""].get_offsets()
    np.testing.assert_allclose(drawn[:, 0], table["difference"])
    np.testing.assert_allclose(ends_of(display.intervals_[""]), table[["low", "high"]])
    np.testing.assert_allclose(
        ends_of(display.training_intervals_[""]), table[["low_training", "high_training"]]
    )
    caps = [line.get_xdata() for line in display.ax_.get_lines() if line.get_marker() == "|"]
    together = table[["low_simultaneous", "high_simultaneous"]]
    np.testing.assert_allclose(np.transpose(caps[:2]), together)
    # From top to bottom, with the verdicts beside their lines.
    places = dict(zip(table.index, drawn[:, 1], strict=True))
    assert places["All"] > places["Null"]
    verdicts = {text.get_position()[1]: text.get_text() for text in display.verdicts_}
    assert verdicts == {places["All"]: "better", places["Null"]: "not shown"}
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["All", "Null"]


def test_encoders_stand_beside_each_other(evaluation):
    other = copy.copy(evaluation)
    other.differences = evaluation.differences.assign(difference=0.25, verdict="worse")
    display = DifferenceDisplay.from_evaluation({"one": evaluation, "other": other}).plot()
    one, second = (display.points_[name].get_offsets() for name in ("one", "other"))
    np.testing.assert_allclose(second[:, 0], 0.25)
    assert (one[:, 1] > second[:, 1]).all()
    assert one[1, 1] < second[0, 1], "the rows are mixed"
    said = [text.get_text() for text in display.verdicts_]
    assert said == ["better", "worse", "not shown", "worse"]
    assert display.frame().loc[("other", "All"), "difference"] == 0.25
    colors = [display.points_[name].get_facecolor()[0].tolist() for name in ("one", "other")]
    assert colors[0] != colors[1]


def test_only_what_belongs_together_is_put_together(evaluation):
    with pytest.raises(ValueError, match=r"2 values of baseline, .'All', 'Baseline'"):
        DifferenceDisplay.from_evaluation({"a": evaluation, "b": evaluate(baseline="All")})
    with pytest.raises(ValueError, match="baseline=, the row that"):
        DifferenceDisplay.from_evaluation(evaluate(baseline=None))
    with pytest.raises(ValueError, match=r"metric='aucc'.*did you mean"):
        DifferenceDisplay.from_evaluation(evaluation, "aucc")
    with pytest.raises(ValueError, match="no evaluation"):
        DifferenceDisplay.from_evaluation({})


@pytest.mark.parametrize("unit", ["patient", "image"])
@pytest.mark.parametrize("digits", [0, 6])
def test_the_area_under_a_curve_is_the_metric_of_the_evaluation(unit, digits):
    random = np.random.default_rng(1)
    # Folds differ in size and in how easy they are; scores are shifted, and rounded ones tied.
    fold = np.searchsorted([20, 32, 50], PATIENT)
    score = np.round(random.normal((Y - 0.5) * fold) + 3 * fold, digits)
    found = evaluate_scores(
        Y, score, groups=PATIENT, fold=fold, unit=unit, metrics=["auc", "average_precision"],
        n_resamples=20, random_state=0,
    )  # fmt: skip
    curve = CurveDisplay.from_evaluation(found, n_resamples=5).frame().loc["model"]
    area = auc(curve["false_positive_rate"], curve["true_positive_rate"])
    assert area == pytest.approx(found.table.loc["model", "auc"], abs=2e-3)
    curve = CurveDisplay.from_evaluation(found, "precision_recall", n_resamples=5).frame()
    area = curve["precision"].mean()
    assert area == pytest.approx(found.table.loc["model", "average_precision"], abs=2e-3)


def test_with_one_fold_curves_are_those_of_scikit_learn():
    random = np.random.default_rng(2)
    score, weights = random.normal(Y - 0.5), random.integers(1, 4, len(Y))
    of = (Y == 1, score[:, None], np.zeros((len(Y), 1), int), weights[None])
    false, true, _ = roc_curve(Y, score, sample_weight=weights, drop_intermediate=False)
    expected = np.interp(FALSE_POSITIVE_RATES, false, true)
    np.testing.assert_allclose(mean_curve("roc", *of)[0], expected)
    precision, recall, _ = precision_recall_curve(Y, score, sample_weight=weights)
    first = np.searchsorted(recall[::-1], RECALLS)
    np.testing.assert_allclose(mean_curve("precision_recall", *of)[0], precision[::-1][first])
    expected = average_precision_score(Y, score, sample_weight=weights)
    assert mean_curve("precision_recall", *of).mean() == pytest.approx(expected, abs=2e-3)


def test_a_fold_of_one_class_does_not_count_for_the_roc_curve():
    fold = np.where(Y == 1, 0, np.where(PATIENT < 40, 0, 1))[:, None]
    score = np.linspace(0, 1, len(Y))[:, None]
    inside = fold[:, 0] == 0
    ones = np.ones((1, len(Y)), int)
    expected = mean_curve("roc", Y[inside] == 1, score[inside], fold[inside], ones[:, inside])
    np.testing.assert_allclose(mean_curve("roc", Y == 1, score, fold, ones), expected)


@pytest.mark.parametrize("kind", ["roc", "precision_recall"])
def test_curves_are_drawn_as_computed_with_figures_in_the_legend(evaluation, kind):
    display = CurveDisplay.from_evaluation(evaluation, kind, ["All", "Null"], n_resamples=50)
    display.plot()
    metric = "auc" if kind == "roc" else "average_precision"
    assert list(display.lines_) == ["All", "Null"]
    for row, line in display.lines_.items():
        x, y, low, high = display.frame().loc[row].to_numpy().T
        drawn = np.column_stack([line.get_xdata(), line.get_ydata()])
        inner = drawn[1:] if kind == "roc" else drawn[-2:0:-1]
        np.testing.assert_allclose(inner, np.column_stack([x, y]))
        assert (low <= high).all()
        assert ((low <= y) & (y <= high)).all()
        value, low, high = evaluation.table.loc[row, [metric, f"{metric}_low", f"{metric}_high"]]
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert any(f"{row}, " in text and f"{value:.2f} [{low:.2f}, {high:.2f}]" in text
                   for text in labels)  # fmt: skip
    chance = display.ax_.get_lines()[-1]
    expected = [0, 1] if kind == "roc" else [0.5, 0.5]
    np.testing.assert_allclose(chance.get_ydata(), expected)
    assert len(display.ax_.collections) == 2
    assert len(display.plot(bands=False).ax_.collections) == 0
    again = CurveDisplay.from_evaluation(evaluation, kind, ["All", "Null"], n_resamples=50)
    pd.testing.assert_frame_equal(again.frame(), display.frame())


def test_without_the_metric_there_is_no_figure_in_the_legend():
    display = CurveDisplay.from_evaluation(evaluate(metrics=["brier"]), n_resamples=5).plot()
    assert display.ax_.get_legend().get_texts()[0].get_text() == "Baseline"


def test_calibration_shows_risks_slope_and_intercept(evaluation):
    display = RiskCalibrationDisplay.from_evaluation(evaluation, "All").plot()
    np.testing.assert_allclose(display.line_.get_ydata(), display.frame()["observed"])
    line = evaluation.table.loc["All"]
    for name in ("calibration_slope", "in_the_large"):
        ends = f"{line[name]:.2f} [{line[f'{name}_low']:.2f}, {line[f'{name}_high']:.2f}]"
        assert ends in display.text_.get_text()
    heights = [[bar.get_height() for bar in bars] for bars in display.histogram_ax_.containers]
    np.testing.assert_allclose(np.sum(heights, axis=1), [1, -1])
    risk = 1 / (1 + np.exp(-evaluation.scores["All"][evaluation.y == 1]))
    expected = np.histogram(risk, np.linspace(0, 1, 26))[0] / risk.size
    np.testing.assert_allclose(heights[0], expected)
    few = evaluate(metrics=["auc"])
    assert RiskCalibrationDisplay.from_evaluation(few, "All").plot().text_.get_text() == ""


def test_the_smooth_curve_follows_risks_that_are_right():
    random = np.random.default_rng(3)
    risk = random.uniform(size=4000)
    observed = lowess(risk, random.uniform(size=4000) < risk, np.linspace(0, 1, 21))
    np.testing.assert_allclose(observed, np.linspace(0, 1, 21), atol=0.06)
    x = np.linspace(0, 1, 40)
    np.testing.assert_allclose(lowess(x, 0.2 + 0.5 * x, x), 0.2 + 0.5 * x)
    np.testing.assert_allclose(lowess(np.full(9, 0.3), np.arange(9.0), np.array([0.3])), 4.0)


def test_the_smooth_curve_is_a_local_weighted_line():
    random = np.random.default_rng(4)
    x, y = random.uniform(size=50), random.normal(size=50)
    distance = np.abs(x - 0.4)
    reach = np.sort(distance)[29]
    weights = np.where(distance < reach, (1 - (distance / reach) ** 3) ** 3, 0)
    expected = np.polyval(np.polyfit(x, y, 1, w=np.sqrt(weights)), 0.4)
    assert lowess(x, y, np.array([0.4]), share=0.6)[0] == pytest.approx(expected)


def test_net_benefit_has_the_known_values():
    data = load_breast_cancer()
    y = 1 - data.target
    found = evaluate_scores(
        y, data.data[:, 0] - 15, groups=np.arange(len(y)) // 3, fold=None, unit="image",
        metrics=["net_benefit"], n_resamples=5, random_state=0,
    )  # fmt: skip
    at = [0.1, 0.2, 0.3, 0.5]
    display = DecisionCurveDisplay.from_evaluation(found, thresholds=at).plot()
    expected = [0.3274751, 0.2992091, 0.2816972, 0.2601054]
    np.testing.assert_allclose(display.lines_["model"].get_ydata(), expected, atol=1e-7)
    share = y.mean()
    odds = np.array(at) / (1 - np.array(at))
    np.testing.assert_allclose(display.frame()["treat all"], share - odds * (1 - share))
    np.testing.assert_allclose(display.lines_["treat none"].get_ydata(), 0)


def test_net_benefit_is_that_of_the_evaluation(evaluation):
    display = DecisionCurveDisplay.from_evaluation(evaluation, ["All", "Null"])
    expected = evaluation.table.loc[["All", "Null"], "net_benefit"]
    np.testing.assert_allclose(display.frame().loc[0.5, ["All", "Null"]], expected)
    assert len(display.frame()) == 99
    for wrong in ([0.5, 0.2], [0.0, 0.5], [0.5, 1.0], [], 0.5):
        with pytest.raises(ValueError, match=r"thresholds=.*rising probabilities"):
            DecisionCurveDisplay.from_evaluation(evaluation, thresholds=wrong)


def test_subgroups_are_drawn_where_the_evaluation_has_them(evaluation):
    display = SubgroupDisplay.from_evaluation(evaluation, "All", "accuracy").plot()
    found = evaluation.subgroups.xs("All", level="row")
    expected = [evaluation.table.loc["All", "accuracy"], *found["accuracy"]]
    np.testing.assert_allclose(display.points_.get_offsets()[:, 0], expected)
    table = display.frame()
    # Ten patients are too few for an interval.
    has_interval = table["low"].notna()
    assert not has_interval.loc[("few", True)]
    drawn = ends_of(display.intervals_)
    np.testing.assert_allclose(drawn, table.loc[has_interval, ["low", "high"]])
    assert table["patients"].tolist() == [80, *found["patients"]]
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels[0] == "all (n = 80)"
    assert "site: a (n = 50)" in labels
    assert "no interval" in display.texts_[list(table.index).index(("few", True))].get_text()
    with pytest.raises(ValueError, match="call evaluate_scores with subgroups="):
        SubgroupDisplay.from_evaluation(evaluate(subgroups=None), "All")


def test_a_subgroup_of_one_class_has_no_figure():
    found = evaluate(subgroups={"site": np.where(PATIENT % 2 + PATIENT // 40 == 0, "a", "b")})
    display = SubgroupDisplay.from_evaluation(found, "All").plot()
    assert display.texts_[1].get_text() == "no figure"


def test_sites_are_drawn_where_the_validation_has_them(validation):
    display = SiteDisplay.from_validation(validation).plot()
    table, pooled = validation.table, validation.pooled.loc["model"]
    np.testing.assert_allclose(display.points_.get_offsets()[:, 0], table["auc"])
    np.testing.assert_allclose(ends_of(display.intervals_), table[["low", "high"]])
    corners = display.diamond_.get_xy()[:4, 0]
    np.testing.assert_allclose(corners, pooled[["low", "auc", "high", "auc"]].astype(float))
    expected = pooled[["prediction_low", "prediction_high"]].astype(float)
    np.testing.assert_allclose(ends_of(display.prediction_)[0], expected)
    n_patients = display.ax_.get_yticklabels()[0].get_text()
    assert n_patients == "east (n = 189)"


def test_too_few_sites_have_no_diamond(validation):
    few = copy.copy(validation)
    few.pooled = validation.pooled.assign(
        low=np.nan, high=np.nan, prediction_low=np.nan, prediction_high=np.nan
    )
    display = SiteDisplay.from_validation(few).plot()
    assert display.diamond_ is None
    assert display.texts_[-1].get_text() == "too few sites"


def test_a_row_must_be_named_where_there_are_several(validation):
    several = copy.copy(validation)
    several.pooled = pd.concat([validation.pooled, validation.pooled.rename({"model": "All"})])
    with pytest.raises(ValueError, match=r"row=None.*'model', 'All'"):
        SiteDisplay.from_validation(several)
    with pytest.raises(ValueError, match=r"row='Al'.*did you mean 'All'"):
        SiteDisplay.from_validation(several, "Al")


def test_more_than_two_classes_are_refused_where_there_is_no_such_figure():
    random = np.random.default_rng(0)
    y = PATIENT % 3
    scores = {name: random.normal(size=(160, 3)) for name in ("All", "Baseline")}
    found = evaluate_scores(
        y, scores, groups=PATIENT, fold=None, n_resamples=20, random_state=0, baseline="Baseline",
        subgroups={"site": PATIENT < 40},
    )  # fmt: skip
    for make in (CurveDisplay, DecisionCurveDisplay):
        with pytest.raises(ValueError, match=f"{make.__name__} is for two classes only.*has 3"):
            make.from_evaluation(found)
    with pytest.raises(ValueError, match="RiskCalibrationDisplay is for two classes only"):
        RiskCalibrationDisplay.from_evaluation(found, "All")
    DifferenceDisplay.from_evaluation(found).plot()
    SubgroupDisplay.from_evaluation(found, "All").plot()


def test_wrong_rows_and_wrong_things_are_named(evaluation):
    for make in (CurveDisplay, DecisionCurveDisplay):
        with pytest.raises(ValueError, match=r"rows='Al'.*did you mean 'All'"):
            make.from_evaluation(evaluation, rows=["Al"])
    for make in (RiskCalibrationDisplay, SubgroupDisplay):
        with pytest.raises(ValueError, match=r"row='Al'.*did you mean 'All'"):
            make.from_evaluation(evaluation, "Al")
        with pytest.raises(ValueError, match=r"a DataFrame without 'table'.*evaluate_scores"):
            make.from_evaluation(evaluation.table, "All")
    with pytest.raises(ValueError, match="allowed: what validate_by_site returns"):
        SiteDisplay.from_validation(evaluation)
    with pytest.raises(ValueError, match="kind='ROC'"):
        CurveDisplay.from_evaluation(evaluation, "ROC")


def test_nothing_is_cut_off_and_nothing_else_is_changed(validation):
    names = ("Baseline", "an ablation with a $name$ far too long for one line of a figure", "_x")
    found = evaluate(names=names)
    before, settings = copy.deepcopy(found), mpl.rcParams.copy()
    for display in every_display(found, validation):
        figure = display.plot().figure_
        figure.canvas.draw()
        drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        is_inside = min(*drawn.min, width - drawn.x1, height - drawn.y1) > -0.01
        assert is_inside, f"{type(display).__name__} is cut off: {drawn} in {width, height}"
    assert dict(settings) == dict(mpl.rcParams)
    pd.testing.assert_frame_equal(found.table, before.table)
    pd.testing.assert_frame_equal(found.differences, before.differences)
    pd.testing.assert_frame_equal(found.subgroups, before.subgroups)


def test_long_labels_and_dollar_signs_are_drawn_as_they_are():
    label = "b: a class of $one$ and $two$ with a long name"
    found = evaluate(y=np.where(Y == 1, label, "a"), names=("$x$", "All", "Null"))
    for kind in ("roc", "precision_recall"):
        ax = CurveDisplay.from_evaluation(found, kind, "$x$", n_resamples=5).plot().ax_
        text = ax.get_legend().get_texts()[0]
        assert text.get_text().startswith("$x$")
        assert not text.get_parse_math()
        title = ax.get_title(loc="left")
        assert max(map(len, title.split("\n"))) <= 62
        assert "a class of $one$" in title.replace("\n", " ")


def test_they_draw_where_they_are_told(evaluation, validation):
    for display in every_display(evaluation, validation):
        figure, ax = plt.subplots()
        assert display.plot(ax) is display
        assert display.ax_ is ax
        assert display.figure_ is figure
        assert len(plt.get_fignums()) == 1
        plt.close(figure)


def test_no_name_of_a_patient_is_kept(evaluation, validation):
    for display in every_display(evaluation, validation):
        held = [part.to_csv() if hasattr(part, "to_csv") else repr(part)
                for part in vars(display).values()]  # fmt: skip
        assert "secret" not in "".join(held)


def test_without_matplotlib_the_error_names_the_extra(evaluation, validation, monkeypatch):
    displays = every_display(evaluation, validation)
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    for display in displays:
        with pytest.raises(ImportError, match=rf"{type(display).__name__}.plot.*skosfusion\[plot"):
            display.plot()
