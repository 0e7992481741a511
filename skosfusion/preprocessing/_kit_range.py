"""Laboratory values in terms of the normal range of their kit."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.cells import shown_number
from .._utils.notation import Notation
from .._utils.number_columns import read_numbers
from .._utils.validation import check_choice, check_parameter, shown
from ._cells import column_names, count_missing, read_table, to_float32, warn_of_codes
from ._kits import is_range
from ._warn_once import WarnsOnce

# Disease raises a cohort's median several-fold; a wrong unit changes it by a power of ten.
_SUSPECT_RATIO = 6.0
# ... and moves healthy patients, too: a few values within the range say that the unit is right.
_NORMAL_SHARE = 0.02


class KitRangeScaler(WarnsOnce, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Normalize a laboratory value by the normal range of the kit that measured it.

    The normalized value is ``(y - L) / (H - L)`` for a value y and the limits L and H of the normal
    range: 0 at L, 1 at H, above 1 for a raised and below 0 for a lowered value. Kits differ in
    method and unit; the normalized values of all kits can be compared. Missing values stay NaN.

    A range with one end, such as CRP up to 5 mg/l, makes a ratio: ``y / H``, or ``y / L``.

    Parameters
    ----------
    low : float or None, default=None
        Lower limit L where all rows share one range; None with `high` given: the range has no lower
        end. With None for both limits, X has exactly three columns: value, lower limit, upper
        limit.
    high : float or None, default=None
        Upper limit H where all rows share one range; None with `low` given: the range has no upper
        end. X then has any number of columns, which are all normalized by this range.
    allow_negative : bool, default=False
        Whether values below 0 are taken, as for a base excess; a ratio has none.
    censored : {"error", "limit"}, default="error"
        What becomes of values beyond the limits of the assay: "<5", ">1200", -inf and inf. With
        "limit" the limit takes their place, 5 and 1200; for -inf and inf the smallest and the
        largest value in `fit`.

    Attributes
    ----------
    limits_ : ndarray of shape (2, n_features_out)
        The smallest and the largest value of each value column in `fit`.
    n_missing_ : ndarray of shape (n_features_out,)
        Number of missing values in each value column of the data given to `fit`.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X in `fit` was a DataFrame with names of type str.

    Warns
    -----
    UserWarning
        In `fit`, if the median of a value is 6 times the middle of its range or more and hardly any
        value lies within it, or one sixth or less and below the range: the unit of the value may
        not be that of the range. Also for
        numbers that look like codes for a missing value, such as 9999. A warning comes once for an
        estimator and its clones, not once a fold.

    See Also
    --------
    make_clinical_transformer : Normalize all clinical columns of a table.

    Notes
    -----
    The formula is the paper's Eq. 2.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import KitRangeScaler
    >>> X = pd.DataFrame({"alp": [95.0, 300.0], "alp_low": [40, 100], "alp_high": [150, 300]})
    >>> KitRangeScaler().set_output(transform="pandas").fit_transform(X)
       alp
    0  0.5
    1  1.0
    >>> KitRangeScaler(low=95, high=100).fit_transform([[90.0], [99.0]])
    array([[-1. ],
           [ 0.8]], dtype=float32)
    """

    def __init__(self, low=None, high=None, *, allow_negative=False, censored="error"):
        self.low = low
        self.high = high
        self.allow_negative = allow_negative
        self.censored = censored

    def __setstate__(self, state):
        # Files of before this parameter lack it.
        super().__setstate__({"censored": "error"} | state)

    def fit(self, X, y=None):
        """Check the values and count those that are missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, 3) or (n_samples, n_features)
            Value, lower limit and upper limit in one unit; with `low` and `high` given, values.
            Numbers, or text that holds a number.
        y : None
            Ignored.

        Returns
        -------
        self : KitRangeScaler
            The fitted scaler.

        Raises
        ------
        ValueError
            For a parameter out of its set, another number of columns than three without `low` and
            `high`, H <= L, a value without its limits, a negative value unless allowed, an infinite
            value, text that is not a number, and a value column without any value.
        TypeError
            For a cell that is neither text nor number.
        """
        values, low, high = self._read(X, reset=True)
        limits = self._limits(values)
        values = np.clip(values, *limits) if self.censored == "limit" else values
        self._refuse_negative(values)
        n_missing = count_missing(values, self._value_columns())
        self._warn_of_units(values, low, high)
        lowest = float(np.nanmin(low)) if np.isfinite(low).any() else 0.0
        warn_of_codes(
            self,
            X,
            values,
            self._value_columns(),
            may_be_negative=self.allow_negative,
            low=lowest,
        )
        self.n_missing_ = n_missing
        self.limits_ = limits
        return self

    def transform(self, X):
        """Normalize the values.

        Parameters
        ----------
        X : array-like of shape (n_samples, 3) or (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        normalized : ndarray of shape (n_samples, 1) or (n_samples, n_features), float32
            ``(y - L) / (H - L)``, or the ratio; NaN where the value is missing.

        Raises
        ------
        ValueError
            For H <= L, a value without its limits, a negative value unless allowed, an infinite
            value, and text that is not a number.
        TypeError
            For a cell that is neither text nor number.
        """
        check_is_fitted(self)
        values, low, high = self._read(X, reset=False)
        if self.censored == "limit":
            values = np.where(np.isinf(values), np.clip(values, *self.limits_), values)
        self._refuse_negative(values)
        with np.errstate(over="ignore"):  # what overflows is refused
            normalized = (values - low) / (high - low)
        return to_float32(normalized, self._value_columns())

    def inverse_transform(self, X):
        """Return values in the unit of their limits.

        Parameters
        ----------
        X : array-like of shape (n_samples, 3) or (n_samples, n_features)
            Normalized value, lower limit and upper limit; with `low` and `high` given, normalized
            values.

        Returns
        -------
        values : ndarray of shape (n_samples, 1) or (n_samples, n_features), float32
            ``L + normalized * (H - L)``; NaN where the normalized value is missing.

        Raises
        ------
        ValueError
            For H <= L, a value without its limits, an infinite value, and text that is not a
            number.
        TypeError
            For a cell that is neither text nor number.
        """
        check_is_fitted(self)
        normalized, low, high = self._read(X, reset=False)
        return to_float32(low + normalized * (high - low), self._value_columns())

    def get_feature_names_out(self, input_features=None):
        """Return the names of the value columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns given to `fit`; None takes those that were seen.

        Returns
        -------
        names : ndarray of str objects, shape (1,) or (n_features_in_,)
            The first input name; with `low` and `high` given, all of them.
        """
        names = super().get_feature_names_out(input_features)
        return names[:1] if self._limits_are_columns else names

    @property
    def _limits_are_columns(self):
        return self.low is None and self.high is None

    @property
    def _has_one_end(self):
        return (self.low is None) != (self.high is None)

    def _value_columns(self):
        return column_names(self)[:1] if self._limits_are_columns else column_names(self)

    def _read(self, X, *, reset):
        """Return values, lower limits and upper limits, which broadcast to one shape."""
        self._check_parameters()
        table = read_table(self, X, self._read_column, reset=reset)
        if self._has_one_end:
            return table, 0.0, float(self.high if self.low is None else self.low)
        if not self._limits_are_columns:
            return table, float(self.low), float(self.high)
        if table.shape[1] != 3:
            raise ValueError(
                "KitRangeScaler without low and high takes exactly three columns (value, lower "
                f"limit, upper limit), got {table.shape[1]}: {column_names(self)}; select three, "
                "or give low and high"
            )
        _check_limits(table, column_names(self))
        return table[:, :1], table[:, 1:2], table[:, 2:]

    def _read_column(self, cells, column):
        is_limit = self._limits_are_columns and column in column_names(self)[1:]
        censored = "error" if is_limit else self.censored
        return read_numbers(cells, column, notation=Notation(censored=censored, is_limit=is_limit))

    def _limits(self, values):
        """Return the smallest and the largest finite value of each column."""
        finite = np.where(np.isfinite(values), values, np.nan)
        has_values = np.isfinite(finite).any(axis=0)
        for column in np.flatnonzero(np.isinf(values).any(axis=0) & ~has_values):
            raise ValueError(
                f"column {self._value_columns()[column]!r} has no value but infinite ones, so that "
                "no limit is known; give the limit of the assay in their place"
            )
        finite = np.where(has_values, finite, 0.0)
        return np.array([np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)])

    def _check_parameters(self):
        limits = (self.low, self.high)
        allowed = (
            "two finite numbers with low < high, one above 0 and None for the end that the range "
            "does not have, or None for both"
        )
        valid = self._limits_are_columns or is_range(*limits)
        check_parameter("(low, high)", limits, valid, allowed)
        valid = isinstance(self.allow_negative, bool | np.bool_)
        check_parameter("allow_negative", self.allow_negative, valid, "True or False")
        check_choice("censored", self.censored, ("error", "limit"))

    def _refuse_negative(self, values):
        if self.allow_negative and not self._has_one_end:
            return
        negative = np.argwhere(values < 0)
        if len(negative):
            row, column = negative[0]
            rows = np.flatnonzero(values[:, column] < 0)
            more = f"; so are {shown(rows[1:], 'more row')}" if len(rows) > 1 else ""
            remedy = (
                "or give both ends of the range, since with one it is a ratio"
                if self._has_one_end
                else "or use allow_negative=True"
            )
            raise ValueError(
                f"Negative values in data: {shown_number(values[row, column])} in column "
                f"{self._value_columns()[column]!r}, row {row}; correct it, leave it empty if "
                f"unknown, {remedy}{more}"
            )

    def _warn_of_units(self, values, low, high):
        # Above a range with a lower end alone, nothing is too high.
        is_open = self._has_one_end and self.high is None
        middle, what = ((low + high) / 2, "the middle of its normal range")
        if is_open:
            low, middle, high, what = high, high, np.inf, "the lower end of its normal range"
        middle = np.broadcast_to(middle, values.shape)
        with np.errstate(over="ignore"):
            ratios = np.divide(values, middle, out=np.full(values.shape, np.nan), where=middle > 0)
        below = np.nanmedian(values - low, axis=0) < 0
        within = np.mean(values <= high, axis=0)
        within /= np.maximum(np.mean(~np.isnan(values), axis=0), 1e-12)
        for ratio, is_below, share, column in zip(
            ratios.T, below, within, self._value_columns(), strict=True
        ):
            median = np.nanmedian(ratio) if np.isfinite(ratio).any() else 1.0
            too_low = is_below and 0 < median <= 1 / _SUSPECT_RATIO
            if too_low or (median >= _SUSPECT_RATIO and share < _NORMAL_SHARE):
                power = 10.0 ** np.round(np.log10(median))
                self._warn_once(
                    (column, power),
                    f"the median of column {column!r} is {median:.3g} times {what}, about "
                    f"{power:g}: are the values and their limits in the same unit?",
                )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = not self.allow_negative
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _check_limits(table, columns):
    """Raise ValueError for the first value without its limits, or the first range upside down."""
    value, low, high = table.T
    for name, limit in zip(columns[1:], (low, high), strict=True):
        without_limit = np.flatnonzero(~np.isnan(value) & np.isnan(limit))
        if len(without_limit):
            row = without_limit[0]
            raise ValueError(
                f"column {columns[0]!r}, row {row} has the value {shown_number(value[row])}, but "
                f"its limit in column {name!r} is missing; fill the limit in, or leave it out"
            )
    upside_down = np.flatnonzero(high <= low)
    if len(upside_down):
        row = upside_down[0]
        raise ValueError(
            f"normal range of column {columns[0]!r}, row {row} has L={shown_number(low[row])} "
            f"(column {columns[1]!r}) and H={shown_number(high[row])} (column {columns[2]!r}), but "
            "H must be above L; correct the limits, they are never swapped for you"
        )
