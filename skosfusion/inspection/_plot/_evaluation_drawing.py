"""What the displays of an evaluation have in common: checks, names, styles, forests."""

import textwrap

import numpy as np

from ..._utils.validation import check_parameter, did_you_mean

# Okabe and Ito's colors, which the color-blind tell apart; grey for yellow, which is too light.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (9, 2)))
_NAMES = {"auc": "AUC", "f1": "F1", "brier": "Brier score", "log_loss": "log loss"}
_LESS_IS_BETTER = ("brier", "log_loss")
_TITLE_CHARACTERS = 62
_INCHES_A_LINE = 0.3


def check_bunch(name, value, keys, maker):
    """Refuse what `maker` has not returned."""
    missing = [key for key in keys if not hasattr(value, key)]
    if missing:
        raise ValueError(
            f"{name} is a {type(value).__name__} without {missing[0]!r}; allowed: what {maker} "
            "returns"
        )


def check_evaluation(evaluation):
    """Refuse what is not an evaluation."""
    keys = ("table", "differences", "subgroups", "counts", "scores", "confidence_level")
    check_bunch("evaluation", evaluation, keys, "evaluate_scores")


def check_known(name, value, known):
    """Refuse a row or metric that is not among those known."""
    known = list(known)
    allowed = f"{', '.join(map(repr, known)) or 'none'}; {did_you_mean(value, known)}"
    check_parameter(name, value, value in known, allowed)


def check_rows(rows, evaluation):
    """Return the rows to draw; None is all of them."""
    if rows is None:
        return list(evaluation.scores)
    rows = [rows] if isinstance(rows, str) else list(rows)
    check_parameter("rows", rows, len(rows) > 0, "None or one row at least")
    for row in rows:
        check_known("rows", row, evaluation.scores)
    return rows


def two_classes(who, evaluation):
    """Return which units are positive, and the positive label; ValueError for more classes."""
    classes = np.unique(evaluation.y)
    if len(classes) != 2:
        raise ValueError(
            f"{who} is for two classes only, and y has {len(classes)}; for more, "
            "DifferenceDisplay and SubgroupDisplay show their AUC and accuracy; or evaluate one "
            "class against the others"
        )
    return evaluation.y == classes[1], classes[1]


def style(number):
    """Return color and line style of the row with this number; 40 differ."""
    return {"color": COLORS[number % len(COLORS)], "linestyle": _DASHES[number % len(_DASHES)]}


def metric_name(metric):
    """Write a metric as people do."""
    return _NAMES.get(metric, str(metric).replace("_", " "))


def direction(metric):
    """Say which way is better where it is not upwards."""
    return ", less is better" if metric in _LESS_IS_BETTER else ""


def counts_of(evaluation):
    """Say how many patients and images there are, and what figures are taken over."""
    patients, images, _ = evaluation.counts.loc[("all", "all")].tolist()
    return f"{patients} patients, {images} images, by {evaluation.unit}"


def with_interval(value, low, high):
    """Write a figure with its interval, or without where there is none."""
    if not np.isfinite(value):
        return "no figure"
    has_interval = np.isfinite([low, high]).all()
    return f"{value:.2f} [{low:.2f}, {high:.2f}]" if has_interval else f"{value:.2f}, no interval"


def forest_height(n_lines):
    """Return how high the figure of a forest is, in inches."""
    return 1.9 + _INCHES_A_LINE * n_lines


def set_title(ax, title):
    """Set a title on the left, in lines that fit."""
    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, _TITLE_CHARACTERS)]
    ax.set_title("\n".join(lines), loc="left", fontsize=10, parse_math=False)


def put_legend(ax, handles, labels, *, below=None, n_columns=2, **place):
    """Draw a legend, so many inches below the axes or at a place; names may hold a dollar sign."""
    if below is not None:
        # At a fixed distance: axes differ in height, and the label of x does not.
        from matplotlib.transforms import ScaledTranslation

        shift = ScaledTranslation(0, -below, ax.figure.dpi_scale_trans)
        place = {
            "loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": n_columns,
            "bbox_transform": ax.transAxes + shift, "borderaxespad": 0.0,
        }  # fmt: skip
    legend = ax.legend(handles, labels, frameon=False, fontsize=8, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return legend


def draw_ranges(ax, places, low, high, **look):
    """Draw one horizontal line a range, leaving out those without ends; return the lines."""
    places, low, high = (np.asarray(values, float) for values in (places, low, high))
    there = np.isfinite(low) & np.isfinite(high)
    return ax.hlines(places[there], low[there], high[there], **look)


def finish_forest(ax, places, labels):
    """Name the lines of a forest and leave room above and below them."""
    ax.set_yticks(places, labels, parse_math=False, fontsize=9)
    ax.set_ylim(min(places) - 0.7, max(places) + 0.7)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)


def write_at_right(ax, places, texts):
    """Write a text to the right of each line."""
    across = ax.get_yaxis_transform()
    return [
        ax.text(1.02, place, text, transform=across, va="center", fontsize=8, parse_math=False)
        for place, text in zip(places, texts, strict=True)
    ]
