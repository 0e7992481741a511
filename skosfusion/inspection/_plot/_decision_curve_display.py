"""Decision curves: net benefit over thresholds."""

import numpy as np
import pandas as pd
from scipy.special import logit

from ..._utils.validation import check_parameter
from .._samples import shorten
from ._drawing import import_pyplot, new_axes
from ._evaluation_drawing import (
    check_evaluation,
    check_rows,
    counts_of,
    put_legend,
    set_title,
    style,
    two_classes,
)

_ALL, _NONE = "treat all", "treat none"


class DecisionCurveDisplay:
    """Net benefit of each row at each threshold, beside treating all and treating none [1]_.

    Make it with `from_evaluation`. There is no band: a decision rests on the expected net benefit
    [2]_. `evaluate_scores` gives the interval at the one threshold that was declared.

    Parameters
    ----------
    table : DataFrame of shape (n_thresholds, 2 + n_rows)
        Net benefit, in true positives for each unit, up to the share of positive ones; indexed by
        "threshold", a probability. Columns "treat all", "treat none" and the rows.
    counts : str or None, default=None
        The number of patients and images, in words; None leaves it out.
    positive : str or None, default=None
        The positive class; None leaves it out.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is in.
    lines_ : dict of str to matplotlib.lines.Line2D
        Column of the table to its curve.

    Notes
    -----
    At a threshold t, ``(true positives - false positives * t / (1 - t)) / n``; a score at the
    threshold is positive. Repeats of a cross-validation are averaged.

    References
    ----------
    .. [1] A. Vickers and E. Elkin, "Decision curve analysis: a novel method for evaluating
       prediction models", Medical Decision Making 26, 565-574, 2006.
    .. [2] A. Vickers, B. Van Calster et al., "Decision curve analysis: confidence intervals and
       hypothesis testing for net benefit", Diagnostic and Prognostic Research 7:11, 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion import DecisionCurveDisplay, evaluate_scores
    >>> random, y = np.random.default_rng(0), np.arange(60) % 2
    >>> found = evaluate_scores(
    ...     y, random.normal(3 * y - 1.5), groups=None, fold=None, metrics=["net_benefit"],
    ...     n_resamples=200, random_state=0)
    >>> display = DecisionCurveDisplay.from_evaluation(found, thresholds=[0.2, 0.5])
    >>> display.frame()["treat all"].round(3).tolist()
    [0.375, 0.0]
    """

    def __init__(self, table, *, counts=None, positive=None):
        self.table = table
        self.counts = counts
        self.positive = positive

    @classmethod
    def from_evaluation(cls, evaluation, rows=None, thresholds=None):
        """Compute the net benefit of some rows.

        Parameters
        ----------
        evaluation : Bunch
            What `evaluate_scores` returns, for two classes.
        rows : list of str, str or None, default=None
            The rows to draw; None takes all.
        thresholds : array-like of shape (n_thresholds,) or None, default=None
            Probabilities between 0 and 1, in rising order; None takes 0.01, 0.02, to 0.99.

        Returns
        -------
        DecisionCurveDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            For more than two classes, an unknown row, thresholds that are no probabilities or do
            not rise, and what is not an evaluation.
        """
        check_evaluation(evaluation)
        is_positive, label = two_classes("DecisionCurveDisplay", evaluation)
        rows = check_rows(rows, evaluation)
        taken = [row for row in rows if row in (_ALL, _NONE)]
        check_parameter("rows", rows, not taken, f"rows not called {_ALL!r} or {_NONE!r}")
        at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, float)
        valid = at.ndim == 1 and len(at) > 0 and (at > 0).all() and (at < 1).all()
        valid = valid and (np.diff(at) > 0).all()
        check_parameter(
            "thresholds", thresholds, valid, "None or rising probabilities, above 0 and below 1"
        )
        odds, prevalence = at / (1 - at), is_positive.mean()
        benefits = {_ALL: prevalence - odds * (1 - prevalence), _NONE: np.zeros(len(at))}
        for row in rows:
            score = evaluation.scores[row]
            found, wrong = (
                np.array([(score[of] >= cut).sum() for cut in logit(at)]) / score.size
                for of in (is_positive, ~is_positive)
            )
            benefits[row] = found - odds * wrong
        table = pd.DataFrame(benefits, index=pd.Index(at, name="threshold"))
        return cls(table, counts=counts_of(evaluation), positive=str(label))

    def frame(self):
        """Return the numbers behind the curves.

        Returns
        -------
        DataFrame
            A copy of the table.
        """
        return self.table.copy()

    def plot(self, ax=None):
        """Draw one curve a row; what is far below 0 is left out.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        DecisionCurveDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("DecisionCurveDisplay.plot")
        rows = [name for name in self.table if name not in (_ALL, _NONE)]
        ax = new_axes(plt, ax, 6.0, 4.6 + 0.18 * ((len(rows) + 3) // 2))
        looks = {row: style(number) | {"lw": 1.6} for number, row in enumerate(rows)}
        # Thin and grey: they are there to be compared with.
        looks[_ALL] = {"color": "dimgrey", "linestyle": "solid", "lw": 0.9}
        looks[_NONE] = {"color": "dimgrey", "linestyle": "dashed", "lw": 0.9}
        self.lines_ = {
            name: ax.plot(self.table.index, self.table[name], **look)[0]
            for name, look in looks.items()
        }
        best = max(float(self.table.to_numpy().max()), 0.01)
        ax.set_ylim(-0.15 * best, 1.08 * best)
        ax.set_xlim(0, 1) if len(self.table) == 1 else ax.set_xlim(*self.table.index[[0, -1]])
        ax.set_xlabel("threshold: probability from which a unit counts as positive")
        ax.set_ylabel("net benefit")
        ax.spines[["top", "right"]].set_visible(False)
        name = "Decision curve"
        title = name if self.positive is None else f"{name}, positive: {shorten(self.positive)}"
        set_title(ax, f"{title}\n{self.counts}" if self.counts else title)
        labels = [shorten(name, 28) for name in self.lines_]
        put_legend(ax, list(self.lines_.values()), labels, below=0.55)
        self.ax_, self.figure_ = ax, ax.figure
        return self
