"""Predicted risk against what was observed, for one row."""

import numpy as np
import pandas as pd
from scipy.special import expit

from .._samples import shorten
from ._drawing import import_pyplot, new_axes
from ._evaluation_drawing import (
    COLORS,
    check_evaluation,
    check_known,
    counts_of,
    put_legend,
    set_title,
    two_classes,
    with_interval,
)
from ._lowess import lowess

_N_POINTS = 101
_N_BINS = 25
_HISTOGRAM_INCHES = 1.2
_TEXTS = {"calibration_slope": "slope", "in_the_large": "intercept (slope 1)"}


class RiskCalibrationDisplay:
    """Smooth calibration curve of one row, with the distribution of risk in each class [1]_.

    Make it with `from_evaluation`. A perfect model lies on the diagonal; above it, risks are too
    low.

    Parameters
    ----------
    curve : DataFrame of shape (n_points, 2)
        "predicted", the risk from 0 to 1, and "observed", the smoothed share of positive units.
    risks : DataFrame
        "risk", from 0 to 1, and "is_positive", one line a unit and repeat.
    row : str
        The row that it is of.
    figures : DataFrame or None, default=None
        Indexed by "calibration_slope" and "in_the_large": "value", "low" and "high".
    counts : str or None, default=None
        The number of patients and images, in words; None leaves it out.
    positive : str or None, default=None
        The positive class; None leaves it out.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where the curve was drawn.
    histogram_ax_ : matplotlib.axes.Axes
        Where the histograms were drawn, below it; positive units upwards, the others downwards.
    figure_ : matplotlib.figure.Figure
        The figure they are in.
    line_ : matplotlib.lines.Line2D
        The curve.
    text_ : matplotlib.text.Text
        Slope and intercept.

    Notes
    -----
    The curve is Cleveland's lowess over units (patients, unless the evaluation is by image), with
    three quarters of them at each point, and ends at the lowest and the highest risk; where few
    units are, it says little. Slope and intercept are those of the evaluation: the intercept is
    "calibration in the large", with the slope held at 1.

    References
    ----------
    .. [1] B. Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC
       Medicine 17:230, 2019.
    .. [2] P. Austin and E. Steyerberg, "Graphical assessment of internal and external calibration
       of logistic regression models by using loess smoothers", Statistics in Medicine 33,
       517-535, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion import RiskCalibrationDisplay, evaluate_scores
    >>> random, y = np.random.default_rng(0), np.arange(60) % 2
    >>> found = evaluate_scores(
    ...     y, random.normal(y - 0.5), groups=None, fold=None, n_resamples=50, random_state=0)
    >>> display = RiskCalibrationDisplay.from_evaluation(found, "model")
    >>> display.frame().columns.tolist()
    ['predicted', 'observed']
    """

    def __init__(self, curve, risks, row, *, figures=None, counts=None, positive=None):
        self.curve = curve
        self.risks = risks
        self.row = row
        self.figures = figures
        self.counts = counts
        self.positive = positive

    @classmethod
    def from_evaluation(cls, evaluation, row):
        """Smooth what was observed over the risks of a row.

        Parameters
        ----------
        evaluation : Bunch
            What `evaluate_scores` returns, for two classes.
        row : str
            One of its rows.

        Returns
        -------
        RiskCalibrationDisplay
            Not drawn yet. Slope and intercept are there if the evaluation has them.

        Raises
        ------
        ValueError
            For more than two classes, an unknown row, and what is not an evaluation.
        """
        check_evaluation(evaluation)
        is_positive, label = two_classes("RiskCalibrationDisplay", evaluation)
        check_known("row", row, evaluation.scores)
        score = evaluation.scores[row]
        risks = pd.DataFrame(
            {
                "risk": expit(score).ravel(),
                "is_positive": np.repeat(is_positive, score.shape[1]),
            }
        )
        risk = risks["risk"].to_numpy()
        at = np.linspace(risk.min(), risk.max(), _N_POINTS)
        observed = lowess(risk, risks["is_positive"].to_numpy(float), at)
        line = evaluation.table.loc[row]
        figures = pd.DataFrame(
            {name: [line[name], line[f"{name}_low"], line[f"{name}_high"]]
             for name in _TEXTS if name in line},
            index=["value", "low", "high"],
        ).T  # fmt: skip
        return cls(
            pd.DataFrame({"predicted": at, "observed": np.clip(observed, 0, 1)}), risks, row,
            figures=figures, counts=counts_of(evaluation), positive=str(label),
        )  # fmt: skip

    def frame(self):
        """Return the numbers behind the curve.

        Returns
        -------
        DataFrame
            A copy of it.
        """
        return self.curve.copy()

    def plot(self, ax=None):
        """Draw the curve, and below it how often each risk was given to either class.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure. The histograms stand below it: leave room.

        Returns
        -------
        RiskCalibrationDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("RiskCalibrationDisplay.plot")
        ax = new_axes(plt, ax, 5.2, 6.6)
        (diagonal,) = ax.plot([0, 1], [0, 1], color="dimgrey", ls="dashed", lw=0.8)
        (self.line_,) = ax.plot(
            self.curve["predicted"], self.curve["observed"], color=COLORS[0], lw=1.8
        )
        ax.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="observed share")
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(axis="x", labelbottom=False)
        figures = {} if self.figures is None else self.figures.T
        lines = [f"{_TEXTS[name]} {with_interval(*figures[name])}" for name in figures]
        self.text_ = ax.text(0.03, 0.97, "\n".join(lines), va="top", fontsize=9)
        title = f"Calibration of {shorten(self.row)}"
        set_title(ax, f"{title}\n{self.counts}" if self.counts else title)
        self.histogram_ax_, bars = self._draw_histograms(ax)
        positive = "positive class" if self.positive is None else shorten(self.positive, 20)
        labels = ["lowess", "perfect", f"{positive} (upwards)", "the others (downwards)"]
        put_legend(ax, [self.line_, diagonal, *bars], labels, loc="lower right")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_histograms(self, ax):
        """Draw the risks of positive units upwards and of the others downwards."""
        from matplotlib.transforms import ScaledTranslation, blended_transform_factory

        # As wide as the axes, and of a height in inches: so a layout knows what room is needed.
        inches = ax.figure.dpi_scale_trans + ScaledTranslation(0, 0, ax.transAxes)
        place = blended_transform_factory(ax.transAxes, inches)
        below = ax.inset_axes(
            [0, -_HISTOGRAM_INCHES - 0.15, 1, _HISTOGRAM_INCHES], transform=place, sharex=ax
        )
        edges = np.linspace(0, 1, _N_BINS + 1)
        is_positive = self.risks["is_positive"].to_numpy()
        bars = []
        for of, sign, color, hatch in (
            (is_positive, 1, COLORS[1], None), (~is_positive, -1, "white", "////"),
        ):  # fmt: skip
            share = np.histogram(self.risks["risk"][of], edges)[0] / of.sum()
            bars.append(below.bar(
                edges[:-1], sign * share, np.diff(edges), align="edge", color=color, hatch=hatch,
                edgecolor="black", lw=0.6,
            ))  # fmt: skip
        below.axhline(0, color="black", lw=0.8)
        highest = max(abs(bar.get_height()) for of in bars for bar in of)
        below.set_ylim(-1.1 * highest, 1.1 * highest)
        # Shares are counted upwards on either side.
        below.yaxis.set_major_formatter(lambda value, _: f"{abs(value):.0%}")
        below.set_xlabel("predicted risk")
        below.set_ylabel("share of class")
        below.spines[["top", "right"]].set_visible(False)
        return below, bars
