"""Log-odds of a fitted model, recalibrated by what an evaluation out of fold has found."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from .._utils.cells import is_number
from .._utils.validation import check_parameter, did_you_mean

_NAMES = ("calibration_intercept", "calibration_slope")


@dataclass(frozen=True)
class Recalibration:
    """Logistic recalibration: ``intercept + slope * log-odds`` [1]_.

    A model that is trained on all rows, after it was evaluated out of fold, has no scores of its
    own to be calibrated on; those out of fold stand in for them. The map is a line with a slope
    above 0: it changes no order, so that AUC and the like stay as they are, and the mean of a
    patient's log-odds may be recalibrated as each of them.

    Parameters
    ----------
    intercept : float
        Intercept, natural logarithm of odds.
    slope : float
        Slope, above 0; below 1 where the scores were too extreme.

    Raises
    ------
    ValueError
        For an intercept or a slope that is not a finite number, and a slope of 0 or less.

    See Also
    --------
    skosfusion.evaluate_scores : Finds intercept and slope.
    skosfusion.save_model : Keeps them in the file of a model.

    References
    ----------
    .. [1] D. Cox, "Two further applications of a model for binary regression", Biometrika 45, 1958.

    Examples
    --------
    >>> from skosfusion import Recalibration
    >>> recalibration = Recalibration(intercept=-0.5, slope=0.8)
    >>> recalibration.apply([0.0, 2.0])
    array([-0.5,  1.1])
    >>> recalibration.probabilities([0.0, 2.0]).round(2)
    array([[0.62, 0.38],
           [0.25, 0.75]])
    """

    intercept: float
    slope: float

    def __post_init__(self):
        check_parameter("intercept", self.intercept, is_number(self.intercept), "a finite number")
        valid = is_number(self.slope) and self.slope > 0
        allowed = "a finite number above 0; with others the scores tell nothing to be scaled"
        check_parameter("slope", self.slope, valid, allowed)
        object.__setattr__(self, "intercept", float(self.intercept))
        object.__setattr__(self, "slope", float(self.slope))

    @classmethod
    def from_evaluation(cls, evaluation, row=None):
        """Take intercept and slope of a row from what `evaluate_scores` returned.

        Parameters
        ----------
        evaluation : Evaluation
            Of two classes, with the default `metrics`.
        row : str or None, default=None
            The row whose model is kept; None where there is but one.

        Returns
        -------
        Recalibration

        Raises
        ------
        ValueError
            For an unknown row, an evaluation without calibration, and a row whose slope is not
            known (as of scores that part the classes completely) or not above 0.
        """
        table = evaluation.table
        rows = list(table.index)
        row = rows[0] if row is None and len(rows) == 1 else row
        allowed = f"one of the rows {', '.join(map(repr, rows))}; {did_you_mean(row, rows)}"
        check_parameter("row", row, row in rows, allowed.rstrip("; "))
        if not set(_NAMES) <= set(table.columns):
            raise ValueError(
                "the evaluation has no calibration slope, which it has of two classes and with "
                "metrics=None; evaluate the scores again"
            )
        intercept, slope = (float(table.loc[row, name]) for name in _NAMES)
        if not (np.isfinite([intercept, slope]).all() and slope > 0):
            raise ValueError(
                f"row {row!r} has the calibration intercept {intercept:.3g} and slope {slope:.3g}; "
                "only a finite slope above 0 recalibrates: with more patients there may be one, "
                "else leave the recalibration out"
            )
        return cls(intercept, slope)

    def apply(self, log_odds):
        """Recalibrate log-odds.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Of the second class, as of `decision_function`.

        Returns
        -------
        ndarray of shape (n_samples,)
            float64.
        """
        return self.intercept + self.slope * np.asarray(log_odds, dtype=np.float64)

    def probabilities(self, log_odds):
        """Return recalibrated probabilities.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Of the second class, as of `decision_function`.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            float64, of both classes in their order; each row sums to 1.
        """
        recalibrated = self.apply(log_odds)
        return np.column_stack([expit(-recalibrated), expit(recalibrated)])
