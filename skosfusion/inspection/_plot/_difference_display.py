"""Paired differences from the baseline, as a forest."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

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
    put_legend,
    set_title,
    write_at_right,
)


class DifferenceDisplay:
    """Forest of each row's difference from the baseline, with its intervals [1]_.

    Make it with `from_evaluation`. A thick bar is the interval of the test patients, a thin line
    the one with training, and caps are the ends of the interval that holds for all rows together.

    Parameters
    ----------
    table : DataFrame
        Indexed by "encoder" and "row", in the order drawn; "difference", the ends "low", "high",
        "low_training", "high_training", "low_simultaneous" and "high_simultaneous", "verdict".
    metric : str
        What the differences are of.
    baseline : str
        The row that the others are compared with.
    confidence_level : float, default=0.95
        Level of the intervals, between 0 and 1.
    counts : dict of str to str or None, default=None
        Encoder to the number of its patients and images, in words; None leaves it out.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is in.
    points_, intervals_, training_intervals_ : dict
        Encoder to the artist that shows its differences, the intervals of its test patients, and
        those with training.
    verdicts_ : list of matplotlib.text.Text
        One a line, from top to bottom.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", Fig. 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion import DifferenceDisplay, evaluate_scores
    >>> random, y = np.random.default_rng(0), np.arange(300) % 2
    >>> scores = {"All": random.normal(3 * y - 1.5), "Baseline": random.normal(y - 0.5)}
    >>> found = evaluate_scores(
    ...     y, scores, groups=None, fold=np.arange(300) // 2 % 5, baseline="Baseline",
    ...     metrics=["auc"], n_resamples=200, random_state=0)
    >>> DifferenceDisplay.from_evaluation(found).frame()["verdict"].tolist()
    ['better']

    Several encoders stand side by side, as in the paper's figure:

    >>> display = DifferenceDisplay.from_evaluation({"ResNet18": found, "ResNet50": found})
    >>> display.frame().index.tolist()
    [('ResNet18', 'All'), ('ResNet50', 'All')]
    """

    def __init__(self, table, metric, baseline, *, confidence_level=0.95, counts=None):
        self.table = table
        self.metric = metric
        self.baseline = baseline
        self.confidence_level = confidence_level
        self.counts = counts

    @classmethod
    def from_evaluation(cls, evaluation, metric="auc"):
        """Take the differences of an evaluation, or of several beside each other.

        Parameters
        ----------
        evaluation : Bunch or dict of str to Bunch
            What `evaluate_scores` returns, with a baseline. A dict puts several encoders beside
            each other; all have the same baseline and confidence level.
        metric : str, default="auc"
            One of the metrics evaluated.

        Returns
        -------
        DifferenceDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            For what is not an evaluation, or has no differences; for a metric that was not
            evaluated; for several baselines or confidence levels.
        """
        # A Bunch is a dict, too.
        several = isinstance(evaluation, Mapping) and not isinstance(evaluation, Bunch)
        evaluations = dict(evaluation) if several else {"": evaluation}
        if not evaluations:
            raise ValueError("evaluation={} holds no evaluation; give one at least")
        tables = {}
        for name, one in evaluations.items():
            check_evaluation(one)
            if not len(one.differences):
                raise ValueError(
                    f"the evaluation {name!r} has no differences; call evaluate_scores with two "
                    "rows or more and baseline=, the row that the others are compared with"
                )
            metrics = one.differences.index.get_level_values("metric")
            check_known("metric", metric, metrics.unique())
            tables[str(name)] = one.differences.xs(metric, level="metric")
        for what in ("baseline", "confidence_level"):
            values = {getattr(one, what) for one in evaluations.values()}
            if len(values) > 1:
                raise ValueError(
                    f"the evaluations have {len(values)} values of {what}, "
                    f"{sorted(values)}; evaluate all of them with the same"
                )
        counts = {str(name): counts_of(one) for name, one in evaluations.items()}
        first = next(iter(evaluations.values()))
        table = pd.concat(tables, names=["encoder"])
        return cls(
            table, metric, first.baseline, confidence_level=first.confidence_level, counts=counts
        )

    def frame(self):
        """Return the numbers behind the figure.

        Returns
        -------
        DataFrame
            A copy of the table; without the level "encoder" where there is one only.
        """
        table = self.table.copy()
        encoders = table.index.get_level_values("encoder").unique()
        return table.droplevel("encoder") if len(encoders) == 1 else table

    def plot(self, ax=None):
        """Draw one line a row and encoder; 0 is the baseline.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        DifferenceDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("DifferenceDisplay.plot")
        encoders = self.table.index.get_level_values("encoder").unique().tolist()
        rows = self.table.index.get_level_values("row").unique().tolist()
        # Lines of a row stand close together, and rows apart.
        step = 1.0 if len(encoders) == 1 else len(encoders) + 0.7
        centers = [-number * step for number in range(len(rows))]
        ax = new_axes(plt, ax, 7.0, forest_height(step * len(rows)) + 0.25 * (len(encoders) > 1))
        ax.axvline(0, color="dimgrey", lw=0.8, ls="dashed", zorder=0)
        self.points_, self.intervals_, self.training_intervals_ = {}, {}, {}
        verdicts = {}
        for number, encoder in enumerate(encoders):
            table = self.table.xs(encoder, level="encoder")
            shift = (len(encoders) - 1) / 2 - number
            places = np.array([centers[rows.index(row)] + shift for row in table.index])
            verdicts |= dict(zip(places.tolist(), table["verdict"], strict=True))
            color = COLORS[number % len(COLORS)]
            self.intervals_[encoder] = draw_ranges(
                ax, places, table["low"], table["high"], color=color, lw=6, alpha=0.45,
            )  # fmt: skip
            self.training_intervals_[encoder] = draw_ranges(
                ax, places, table["low_training"], table["high_training"], color="black", lw=1.0,
                zorder=3,
            )  # fmt: skip
            for end in ("low_simultaneous", "high_simultaneous"):
                ax.plot(table[end], places, "|", color="black", ms=9, mew=1.2, zorder=3)
            self.points_[encoder] = ax.scatter(
                table["difference"], places, marker=MARKERS[number % len(MARKERS)], color=color,
                edgecolor="black", s=34, zorder=4,
            )  # fmt: skip
        self._label(ax, rows, centers, encoders)
        places = sorted(verdicts, reverse=True)
        self.verdicts_ = write_at_right(ax, places, [verdicts[place] for place in places])
        ax.set_ylim(places[-1] - 0.8, places[0] + 0.8)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _label(self, ax, rows, centers, encoders):
        """Write title, axes and legend."""
        finish_forest(ax, centers, [shorten(row, 28) for row in rows])
        name = metric_name(self.metric)
        baseline = shorten(self.baseline)
        ax.set_xlabel(
            f"difference of {name} from {baseline}{direction(self.metric)}", parse_math=False
        )
        counts = self.counts or {}
        title = f"{name} against {baseline}"
        if len(encoders) == 1 and encoders[0] in counts:
            title += f"\n{counts[encoders[0]]}"
        set_title(ax, title)
        level = f"{self.confidence_level:.0%}"
        handles = [
            ax.plot([], [], color="grey", lw=6, alpha=0.6)[0],
            ax.plot([], [], color="black", lw=1.0)[0],
            ax.plot([], [], "|", color="black", ms=9, mew=1.2)[0],
        ]
        labels = [f"{level}, test patients", f"{level}, with training", f"{level}, rows together"]
        if len(encoders) > 1:
            for encoder in encoders:
                handles.append(self.points_[encoder])
                said = f" ({counts[encoder]})" if encoder in counts else ""
                labels.append(shorten(encoder, 24) + said)
        # One column for long names: two would be wider than the figure.
        put_legend(ax, handles, labels, below=0.55, n_columns=3 if len(encoders) == 1 else 1)
