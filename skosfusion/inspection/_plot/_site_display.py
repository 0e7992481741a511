"""Sites left out in turn, as a forest with their pooled mean."""

import numpy as np

from ..._utils.validation import check_parameter
from .._samples import shorten
from ._drawing import import_pyplot, new_axes
from ._evaluation_drawing import (
    COLORS,
    MARKERS,
    check_bunch,
    check_known,
    draw_ranges,
    finish_forest,
    forest_height,
    set_title,
    with_interval,
    write_at_right,
)


class SiteDisplay:
    """Forest of the AUC at each site left out, with the pooled mean and what to expect [1]_.

    Make it with `from_validation`. A diamond is the interval of the mean over sites; the line below
    it is the prediction interval, where 95 % of the AUCs of new sites are expected.

    Parameters
    ----------
    table : DataFrame
        One line for each "site": "n_patients", "n_images", "auc", "low" and "high".
    pooled : Series
        "n_sites", "auc", "low", "high", "prediction_low" and "prediction_high".
    row : str
        The row that it is of.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is in.
    points_ : matplotlib.collections.PathCollection
        The AUC of each site, from top to bottom; larger where there are more patients.
    intervals_ : matplotlib.collections.LineCollection
        The intervals of those sites that have one.
    diamond_ : matplotlib.patches.Polygon or None
        Pooled mean and interval; None where there are too few sites.
    prediction_ : matplotlib.collections.LineCollection
        The prediction interval.
    texts_ : list of matplotlib.text.Text
        AUC and interval in numbers, one a line, from top to bottom.

    References
    ----------
    .. [1] T. Debray et al., "A guide to systematic review and meta-analysis of prediction model
       performance", BMJ 356:i6460, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skosfusion import SiteDisplay, validate_by_site
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> site = np.array(["north", "south", "east"])[np.arange(len(y)) % 3]
    >>> model = LogisticRegression(solver="liblinear")
    >>> result = validate_by_site(model, X, y, site=site, groups=None)
    >>> SiteDisplay.from_validation(result).frame()["site"].tolist()
    ['east', 'north', 'south']
    """

    def __init__(self, table, pooled, row):
        self.table = table
        self.pooled = pooled
        self.row = row

    @classmethod
    def from_validation(cls, validation, row=None):
        """Take one row of a validation by site.

        Parameters
        ----------
        validation : Bunch
            What `validate_by_site` returns.
        row : str or None, default=None
            One of its rows; None takes the only one.

        Returns
        -------
        SiteDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            For an unknown row, None where there are several, and what is not such a validation.
        """
        check_bunch("validation", validation, ("table", "pooled", "sites"), "validate_by_site")
        rows = list(validation.pooled.index)
        if row is None:
            names = ", ".join(map(repr, rows))
            check_parameter("row", row, len(rows) == 1, f"one of the rows {names}")
            row = rows[0]
        check_known("row", row, rows)
        table = validation.table[validation.table["row"] == row].reset_index(drop=True)
        return cls(table, validation.pooled.loc[row].copy(), row)

    def frame(self):
        """Return the numbers behind the forest.

        Returns
        -------
        DataFrame
            A copy of the table of sites.
        """
        return self.table.copy()

    def plot(self, ax=None):
        """Draw one line a site, and the pooled mean below.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        SiteDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("SiteDisplay.plot")
        n_sites = len(self.table)
        places = [-float(number) for number in range(n_sites)]
        mean_place, prediction_place = -n_sites - 0.5, -n_sites - 1.5
        ax = new_axes(plt, ax, 7.0, forest_height(n_sites + 3))
        self.intervals_ = draw_ranges(
            ax, places, self.table["low"], self.table["high"], color="black", lw=1.2, zorder=2
        )
        n_patients = self.table["n_patients"]
        self.points_ = ax.scatter(
            self.table["auc"], places, s=20 + 80 * n_patients / n_patients.max(), zorder=3,
            marker=MARKERS[1], color=COLORS[0], edgecolor="black",
        )  # fmt: skip
        mean, low, high = self.pooled[["auc", "low", "high"]].astype(float)
        expected = self.pooled[["prediction_low", "prediction_high"]].astype(float)
        if np.isfinite(mean):
            ax.axvline(mean, color="dimgrey", lw=0.8, ls="dashed", zorder=0)
        self.diamond_ = None
        if np.isfinite([mean, low, high]).all():
            corners = ([low, mean, high, mean], mean_place + np.array([0, 0.28, 0, -0.28]))
            (self.diamond_,) = ax.fill(*corners, facecolor=COLORS[1], edgecolor="black", lw=0.8)
        self.prediction_ = draw_ranges(
            ax, [prediction_place], expected[:1], expected[1:], color=COLORS[1], lw=3,
        )  # fmt: skip
        labels = [
            f"{shorten(site, 28)} (n = {n})"
            for site, n in zip(self.table["site"], n_patients, strict=True)
        ]
        lines = [*places, mean_place, prediction_place]
        finish_forest(ax, lines, [*labels, "mean over sites", "expected at a new site"])
        of_sites = self.table[["auc", "low", "high"]].to_numpy(float)
        texts = [with_interval(*line) for line in [*of_sites, (mean, low, high)]]
        is_known = np.isfinite(expected).all()
        low, high = expected
        texts.append(f"[{low:.2f}, {high:.2f}]" if is_known else "too few sites")
        self.texts_ = write_at_right(ax, lines, texts)
        ax.set_xlabel("AUC with 95% interval\nn: patients; dashed: mean over sites")
        total = f"{n_patients.sum()} patients, {self.table['n_images'].sum()} images"
        pooled = f"{int(self.pooled['n_sites'])} of {n_sites} sites pooled"
        set_title(ax, f"AUC of {shorten(self.row)} at sites left out\n{total}; {pooled}")
        self.ax_, self.figure_ = ax, ax.figure
        return self
