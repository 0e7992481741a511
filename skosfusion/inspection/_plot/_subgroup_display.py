"""One metric in each declared subgroup, as a forest."""

import pandas as pd

from .._samples import shorten
from ._drawing import import_pyplot, new_axes
from ._evaluation_drawing import (
    COLORS,
    MARKERS,
    check_evaluation,
    check_known,
    counts_of,
    direction,
    draw_ranges,
    finish_forest,
    forest_height,
    metric_name,
    set_title,
    with_interval,
    write_at_right,
)

_ALL = ("", "all")


class SubgroupDisplay:
    """Forest of a metric over the levels of each declared subgroup, beside all units.

    Make it with `from_evaluation`. Levels whose intervals overlap may still differ, and levels
    that differ may do so by chance: whether a model is as good everywhere is not tested here.

    Parameters
    ----------
    table : DataFrame
        Indexed by "subgroup" and "level", in the order drawn: "value", "low", "high", "patients"
        and "units". The first line is ("", "all"), all units together.
    row : str
        The row that it is of.
    metric : str
        What "value" is.
    confidence_level : float, default=0.95
        Level of the intervals, between 0 and 1.
    counts : str or None, default=None
        The number of patients and images, in words; None leaves it out.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is in.
    points_ : matplotlib.collections.PathCollection
        The figures, from top to bottom.
    intervals_ : matplotlib.collections.LineCollection
        The intervals of those lines that have one.
    texts_ : list of matplotlib.text.Text
        Figure and interval in numbers, one a line, from top to bottom.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion import SubgroupDisplay, evaluate_scores
    >>> random, y = np.random.default_rng(0), np.arange(80) % 2
    >>> found = evaluate_scores(
    ...     y, random.normal(y - 0.5), groups=None, fold=None, metrics=["auc"], n_resamples=50,
    ...     subgroups={"site": np.where(np.arange(80) < 40, "a", "b")}, random_state=0)
    >>> SubgroupDisplay.from_evaluation(found, "model").frame()["patients"].tolist()
    [80, 40, 40]
    """

    def __init__(self, table, row, metric, *, confidence_level=0.95, counts=None):
        self.table = table
        self.row = row
        self.metric = metric
        self.confidence_level = confidence_level
        self.counts = counts

    @classmethod
    def from_evaluation(cls, evaluation, row, metric="auc"):
        """Take one row's metric in all subgroups.

        Parameters
        ----------
        evaluation : Bunch
            What `evaluate_scores` returns, with subgroups.
        row : str
            One of its rows.
        metric : str, default="auc"
            One of the metrics evaluated.

        Returns
        -------
        SubgroupDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            For an evaluation without subgroups, an unknown row or metric, and what is not an
            evaluation.
        """
        check_evaluation(evaluation)
        if not len(evaluation.subgroups):
            raise ValueError(
                "evaluation has no subgroups; call evaluate_scores with subgroups=, such as "
                '{"site": site}'
            )
        check_known("row", row, evaluation.scores)
        names = [name for name in evaluation.table if f"{name}_low" in evaluation.table]
        check_known("metric", metric, names)
        columns = {metric: "value", f"{metric}_low": "low", f"{metric}_high": "high"}
        found = evaluation.subgroups
        table = found[found.index.get_level_values("row") == row].droplevel("row")
        table = table[[*columns, "patients", "units"]].rename(columns=columns)
        overall = evaluation.table.loc[[row], list(columns)].rename(columns=columns)
        overall.index = pd.MultiIndex.from_tuples([_ALL], names=table.index.names)
        patients = int(evaluation.counts.loc[("all", "all"), "patients"])
        overall = overall.assign(patients=patients, units=len(evaluation.y))
        return cls(
            pd.concat([overall, table]), row, metric,
            confidence_level=evaluation.confidence_level, counts=counts_of(evaluation),
        )  # fmt: skip

    def frame(self):
        """Return the numbers behind the forest.

        Returns
        -------
        DataFrame
            A copy of the table.
        """
        return self.table.copy()

    def plot(self, ax=None):
        """Draw one line a level; the dashed line is the figure of all units.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        SubgroupDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("SubgroupDisplay.plot")
        subgroups = self.table.index.get_level_values("subgroup")
        places, place = [], 0.0
        for number, subgroup in enumerate(subgroups):
            # Subgroups stand apart.
            place -= 1.5 if number and subgroup != subgroups[number - 1] else 1.0
            places.append(place)
        ax = new_axes(plt, ax, 7.0, forest_height(-place))
        overall = self.table["value"].iloc[0]
        ax.axvline(overall, color="dimgrey", lw=0.8, ls="dashed", zorder=0)
        self.intervals_ = draw_ranges(
            ax, places, self.table["low"], self.table["high"], color="black", lw=1.2, zorder=2
        )
        is_all = [key == _ALL for key in self.table.index]
        self.points_ = ax.scatter(
            self.table["value"], places, marker=MARKERS[1], s=40, zorder=3, edgecolor="black",
            color=["black" if one else COLORS[0] for one in is_all],
        )  # fmt: skip
        labels = [
            f"{_called(subgroup, level)} (n = {n})"
            for (subgroup, level), n in self.table["patients"].items()
        ]
        finish_forest(ax, places, labels)
        lines = self.table[["value", "low", "high"]].to_numpy()
        self.texts_ = write_at_right(ax, places, [with_interval(*line) for line in lines])
        name = metric_name(self.metric)
        ax.set_xlabel(
            f"{name} with {self.confidence_level:.0%} interval{direction(self.metric)}\n"
            "n: patients; dashed: all together",
            parse_math=False,
        )
        title = f"{name} of {shorten(self.row)} in subgroups"
        set_title(ax, f"{title}\n{self.counts}" if self.counts else title)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _called(subgroup, level):
    return "all" if (subgroup, level) == _ALL else f"{shorten(subgroup, 20)}: {shorten(level, 20)}"
