"""How the score changes with each clinical value, as box plots."""

import numpy as np
import pandas as pd

from .._clinical_gradients import clinical_gradients
from .._samples import shorten
from ._drawing import import_pyplot, new_axes


class ClinicalGradientsDisplay:
    """One box a clinical value: the derivative of a class's logit over the rows.

    Make it with `from_estimator`.

    Parameters
    ----------
    result : sklearn.utils.Bunch
        As `clinical_gradients` returns it.
    target : str or None, default=None
        What to call the class whose logit was differentiated; None leaves it out.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where it was drawn.
    figure_ : matplotlib.figure.Figure
        The figure it is in.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skosfusion import ClinicalGradientsDisplay, FusionClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean radius", "mean texture"]].apply(scale)
    >>> classifier = FusionClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> display = ClinicalGradientsDisplay.from_estimator(classifier, X, target=0)
    >>> display.frame().shape
    (569, 2)
    """

    def __init__(self, result, *, target=None):
        self.result = result
        self.target = target

    @classmethod
    def from_estimator(cls, estimator, X, *, target=None, display_label=None):
        """Differentiate the score for each row.

        Parameters
        ----------
        estimator : FusionClassifier or Pipeline
            As in `clinical_gradients`.
        X : DataFrame or array-like of shape (n_samples, n_features)
            As in `clinical_gradients`.
        target : label, "predicted", array-like of shape (n_samples,) or None, default=None
            As in `clinical_gradients`.
        display_label : str or None, default=None
            What to call the class; None takes `target`.

        Returns
        -------
        ClinicalGradientsDisplay
            Not drawn yet.
        """
        result = clinical_gradients(estimator, X, target=target)
        if display_label is None and target is not None:
            is_one = np.ndim(target) == 0 and not (
                isinstance(target, str) and target == "predicted"
            )
            display_label = str(target) if is_one else "each row's class"
        return cls(result, target=display_label)

    def frame(self):
        """Return the numbers behind the figure.

        Returns
        -------
        DataFrame of shape (n_samples, n_clinical)
            Derivatives of the logit, row by row.
        """
        return pd.DataFrame(self.result.importances, columns=self.result.feature_names)

    def plot(self, ax=None):
        """Draw boxes from quartile to quartile; whiskers end at 5 and 95 % of the rows.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ClinicalGradientsDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        plt = import_pyplot("ClinicalGradientsDisplay.plot")
        names, values = self.result.feature_names, self.result.importances
        ax = new_axes(plt, ax, 6.4, 1.4 + 0.45 * len(names))
        places = range(len(names), 0, -1)
        ax.boxplot(
            values, positions=list(places), orientation="horizontal", whis=(5, 95), widths=0.55,
            showfliers=False, patch_artist=True,
            boxprops={"facecolor": plt.get_cmap("cividis")(0.75)}, medianprops={"color": "black"},
        )  # fmt: skip
        ax.scatter(
            self.result.importances_mean, places, marker="D", color="black", s=22, zorder=3,
            label="mean",
        )  # fmt: skip
        ax.axvline(0, color="dimgrey", lw=0.8, ls="dashed")
        sizes = self.result.magnitudes_mean
        labels = [
            f"{shorten(name)}\nmean |gradient| {size:.3g}"
            for name, size in zip(names, sizes, strict=True)
        ]
        ax.set_yticks(list(places), labels, parse_math=False)
        of = "the class" if self.target is None else shorten(self.target)
        ax.set_xlabel(
            f"change of the logit of {of}\nfor each unit of the normalized value", parse_math=False
        )
        ax.legend(frameon=False, loc="best")
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
