"""Age as a number near one."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.ages import AgeNotation, age_of_dates, declared_for_age, hint_for_ages
from .._utils.cells import is_number, shown_number
from .._utils.number_columns import read_numbers
from .._utils.validation import check_parameter, shown
from ._cells import column_names, count_missing, read_table, to_float32, warn_of_codes
from ._warn_once import WarnsOnce


class AgeScaler(WarnsOnce, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Divide age in years by 100.

    The divisor is a constant, not the range of the training data: a new patient may be older or
    younger than every patient before. Missing values stay NaN.

    Parameters
    ----------
    scale : float, default=100.0
        The divisor, above 0, in years.
    valid_range : tuple of two floats or None, default=(0, 120)
        Youngest and oldest age that is taken, in years, both included; None takes any finite
        number.

    Attributes
    ----------
    n_missing_ : ndarray of shape (n_features_in_,)
        Number of missing values in each column of the data given to `fit`.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X in `fit` was a DataFrame with names of type str.

    Warns
    -----
    UserWarning
        In `fit`, for numbers that look like codes for a missing value, such as 99. It comes once
        for an estimator and its clones, not once a fold.

    See Also
    --------
    make_clinical_transformer : Normalize all clinical columns of a table.

    Notes
    -----
    The divisor is that of the paper, section "Integration of basic information".

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import AgeScaler
    >>> scaler = AgeScaler().set_output(transform="pandas")
    >>> scaler.fit_transform(pd.DataFrame({"age": [4, "81", None]}))
        age
    0  0.04
    1  0.81
    2   NaN
    """

    def __init__(self, *, scale=100.0, valid_range=(0, 120)):
        self.scale = scale
        self.valid_range = valid_range

    def fit(self, X, y=None):
        """Check the ages and count those that are missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Ages in years; numbers, or text that holds a number.
        y : None
            Ignored.

        Returns
        -------
        self : AgeScaler
            The fitted scaler.

        Raises
        ------
        ValueError
            For a parameter out of its set, an age outside `valid_range`, an infinite age, text
            that is not a number, and a column without any value.
        TypeError
            For a cell that is neither text nor number.
        """
        ages = self._read(X, reset=True)
        self.n_missing_ = count_missing(ages, column_names(self))
        warn_of_codes(self, X, ages, column_names(self))
        return self

    def transform(self, X):
        """Divide the ages by `scale`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Ages in years; numbers, or text that holds a number.

        Returns
        -------
        scaled : ndarray of shape (n_samples, n_features), float32
            Ages divided by `scale`; NaN where missing.

        Raises
        ------
        ValueError
            For an age outside `valid_range`, an infinite age, and text that is not a number.
        TypeError
            For a cell that is neither text nor number.
        """
        check_is_fitted(self)
        ages = self._read(X, reset=False)
        return to_float32(ages / self.scale, column_names(self))

    def inverse_transform(self, X):
        """Multiply by `scale`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Output of `transform`.

        Returns
        -------
        ages : ndarray of shape (n_samples, n_features), float32
            Ages in years; NaN where missing.

        Raises
        ------
        ValueError
            For an infinite value, and text that is not a number.
        TypeError
            For a cell that is neither text nor number.
        """
        check_is_fitted(self)
        scaled = read_table(self, X, read_numbers, reset=False)
        return to_float32(scaled * self.scale, column_names(self))

    def _read(self, X, *, reset):
        self._check_parameters()
        ages = read_table(self, X, _read_ages, reset=reset)
        if self.valid_range is not None:
            for column, name in zip(ages.T, column_names(self), strict=True):
                _check_ages(column, name, *self.valid_range)
        return ages

    def _check_parameters(self):
        valid = is_number(self.scale) and self.scale > 0
        check_parameter("scale", self.scale, valid, "a number above 0")
        valid = self.valid_range is None or _is_range(self.valid_range)
        check_parameter("valid_range", self.valid_range, valid, "(youngest, oldest) or None")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = _is_range(self.valid_range) and self.valid_range[0] >= 0
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _is_range(limits):
    """Return whether limits are two finite numbers, the first below the second."""
    return (
        isinstance(limits, tuple | list)
        and len(limits) == 2
        and all(is_number(limit) for limit in limits)
        and limits[0] < limits[1]
    )


def _check_ages(ages, column, youngest, oldest):
    """Raise ValueError for the first age outside the range, with the likely cause."""
    outside = np.flatnonzero((ages < youngest) | (ages > oldest))
    if not outside.size:
        return
    row = outside[0]
    hint = hint_for_ages(ages, column)
    remedy = hint or "correct it, leave it empty if unknown, or give another valid_range"
    more = f" (as in {shown(outside[1:], 'more row')})" if len(outside) > 1 else ""
    start = "Negative values in data: age" if ages[row] < 0 else "age"
    raise ValueError(
        f"{start} {shown_number(ages[row])} in column {column!r}, row {row} is outside the valid "
        f"range {youngest} to {oldest} years{more}; {remedy}"
    )


def _read_ages(cells, column):
    return read_numbers(
        cells, column, notation=AgeNotation(), declared=declared_for_age, dates=age_of_dates
    )
