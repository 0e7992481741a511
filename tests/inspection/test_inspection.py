import matplotlib as mpl
import numpy as np
import pytest

from skosfusion import ABLATIONS, AblationDisplay, ablation_param_grid

mpl.use("Agg")


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    points = [{key: value[0] for key, value in point.items()} for point in ablation_param_grid()]
    results = {"params": points}
    for metric in ("accuracy", "f1"):
        results[f"mean_test_{metric}"] = rng.uniform(0.8, 0.95, len(points))
        results[f"std_test_{metric}"] = rng.uniform(0.01, 0.02, len(points))
    return results


def test_the_frame_holds_the_numbers(results):
    frame = AblationDisplay.from_cv_results(results).frame()
    assert list(frame.index) == list(ABLATIONS)
    np.testing.assert_array_equal(frame["f1"], results["mean_test_f1"])


def test_each_row_has_its_bars_at_the_height_of_the_means(results):
    display = AblationDisplay.from_cv_results(results).plot()
    heights = [[bar.get_height() for bar in bars] for bars in display.bars_]
    expected = np.column_stack([results["mean_test_accuracy"], results["mean_test_f1"]])
    np.testing.assert_allclose(heights, expected)
    mpl.pyplot.close(display.figure_)


def test_the_lowest_bar_with_its_spread_is_in_the_image(results):
    display = AblationDisplay.from_cv_results(results).plot()
    bottom, top = display.ax_.get_ylim()
    lowest = (results["mean_test_f1"] - results["std_test_f1"]).min()
    assert bottom < lowest
    assert top <= 1
    mpl.pyplot.close(display.figure_)


def test_metrics_below_zero_are_drawn_upright(results):
    for metric in ("accuracy", "f1"):
        results[f"mean_test_{metric}"] -= 2
    display = AblationDisplay.from_cv_results(results).plot()
    bottom, top = display.ax_.get_ylim()
    assert bottom < -1.2 < -1.05 < top
    mpl.pyplot.close(display.figure_)


def test_it_draws_where_it_is_told(results):
    figure, ax = mpl.pyplot.subplots()
    display = AblationDisplay.from_cv_results(results).plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    mpl.pyplot.close(figure)


def test_the_baseline_is_told_apart_by_more_than_color(results):
    display = AblationDisplay.from_cv_results(results, baseline="ALP").plot()
    hatched = [bars[0].get_hatch() is not None for bars in display.bars_]
    assert hatched == [name == "ALP" for name in ABLATIONS]
    mpl.pyplot.close(display.figure_)


def test_an_unknown_baseline_is_named(results):
    with pytest.raises(ValueError, match="baseline='None' is not a row"):
        AblationDisplay.from_cv_results(results, baseline="None").plot()


def test_without_matplotlib_the_error_names_the_extra(results, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"skosfusion\[plot\]"):
        AblationDisplay.from_cv_results(results).plot()
