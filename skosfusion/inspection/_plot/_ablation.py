"""The ablation table as a bar chart."""

from ...model_selection import ablation_table
from ._drawing import import_pyplot, new_axes


class AblationDisplay:
    """Bars of every ablation in every metric, against the Baseline [1]_.

    Make it with `from_cv_results`.

    Parameters
    ----------
    table : DataFrame
        As `skosfusion.ablation_table` returns it.
    baseline : str or None, default=None
        Row that the others are compared with; None takes the first.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is in.
    bars_ : list of matplotlib.container.BarContainer
        One container a row.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", Fig. 6.

    Examples
    --------
    >>> from skosfusion import AblationDisplay
    >>> results = {
    ...     "params": [{"clinical__age": "drop"}, {}],
    ...     "mean_test_accuracy": [0.90, 0.95],
    ...     "std_test_accuracy": [0.02, 0.01],
    ... }
    >>> display = AblationDisplay.from_cv_results(results, ablations={"Image": (), "Age": ("age",)})
    >>> display.frame()["accuracy"].tolist()
    [0.9, 0.95]
    """

    def __init__(self, table, *, baseline=None):
        self.table = table
        self.baseline = baseline

    @classmethod
    def from_cv_results(
        cls, search, *, ablations=None, step="clinical", baseline=None, estimator=None
    ):
        """Take the results of a search over `skosfusion.ablation_param_grid`.

        Parameters
        ----------
        search : GridSearchCV or dict
            The fitted search, or its ``cv_results_``.
        ablations : dict of str to tuple of str or None, default=None
            Those searched; None takes `skosfusion.ABLATIONS`.
        step : str or None, default="clinical"
            Name of the ColumnTransformer in the pipeline.
        baseline : str or None, default=None
            Row that the others are compared with; None takes the first.
        estimator : Pipeline, ColumnTransformer or None, default=None
            As in `skosfusion.ablation_table`.

        Returns
        -------
        AblationDisplay
            Not drawn yet.
        """
        table = ablation_table(search, ablations, step=step, estimator=estimator)
        return cls(table, baseline=baseline)

    def frame(self):
        """Return the numbers behind the chart.

        Returns
        -------
        DataFrame
            A copy of the table.
        """
        return self.table.copy()

    def plot(self, ax=None):
        """Draw one group of bars a metric; lines at the bar tops are one standard deviation.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        AblationDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `baseline` is not a row of the table.
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("AblationDisplay.plot")
        rows = list(self.table.index)
        baseline = rows[0] if self.baseline is None else self.baseline
        if baseline not in rows:
            raise ValueError(
                f"baseline={baseline!r} is not a row of the table; its rows are {rows}"
            )
        metrics = [name for name in self.table.columns if f"{name}_std" in self.table.columns]
        ax = new_axes(plt, ax, 2.2 + 2.1 * len(metrics), 4.4)
        width = 0.86 / len(rows)
        # One hue from light to dark tells the rows apart without relying on color vision.
        shades = plt.get_cmap("viridis_r")(
            [0.12 + 0.8 * i / max(len(rows) - 1, 1) for i in range(len(rows))]
        )
        self.bars_ = []
        for i, row in enumerate(rows):
            is_baseline = row == baseline
            self.bars_.append(
                ax.bar(
                    [j + (i - (len(rows) - 1) / 2) * width for j in range(len(metrics))],
                    self.table.loc[row, metrics].astype(float),
                    width,
                    yerr=self.table.loc[row, [f"{m}_std" for m in metrics]].astype(float),
                    color="white" if is_baseline else shades[i],
                    edgecolor="black",
                    linewidth=0.6,
                    hatch="///" if is_baseline else None,
                    error_kw={"elinewidth": 0.8, "ecolor": "dimgrey"},
                    label=row,
                )
            )
        for j, metric in enumerate(metrics):
            ax.hlines(
                self.table.loc[baseline, metric], j - 0.45, j + 0.45, "black", "dashed", lw=0.8
            )
        means = self.table[metrics].to_numpy(float)
        spread = self.table[[f"{m}_std" for m in metrics]].to_numpy(float)
        lowest, highest = float((means - spread).min()) - 0.03, float((means + spread).max()) + 0.02
        if means.min() >= 0 and means.max() <= 1:
            lowest, highest = max(0.0, lowest), min(1.0, highest)
        ax.set_ylim(lowest, highest)
        ax.set_xticks(range(len(metrics)), [m if m != "f1" else "F1" for m in metrics])
        ax.set_ylabel("mean over folds")
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, title="inputs")
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
