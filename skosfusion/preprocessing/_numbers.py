"""Further numbers of a clinical table."""

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.number_columns import read_numbers
from ._cells import column_names, count_missing, read_table, to_float32, warn_of_codes
from ._warn_once import WarnsOnce


class NumberReader(WarnsOnce, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Read columns of numbers, which may be text; missing values stay NaN.

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
        In `fit`, for numbers that look like codes for a missing value, such as 9999. It comes once
        for an estimator and its clones, not once a fold.

    See Also
    --------
    make_clinical_transformer : Use it with ``numbers=``.

    Examples
    --------
    >>> from skosfusion.preprocessing import NumberReader
    >>> NumberReader().fit_transform([["21.5"], [30], [None]])
    array([[21.5],
           [30. ],
           [ nan]], dtype=float32)
    """

    def fit(self, X, y=None):
        """Check the numbers and count those that are missing.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, or text that holds a number.
        y : None
            Ignored.

        Returns
        -------
        self : NumberReader
            The fitted transformer.

        Raises
        ------
        ValueError
            For an infinite value, text that is not a number, and a column without any value.
        TypeError
            For a cell that is neither text nor number.
        """
        values = read_table(self, X, read_numbers, reset=True)
        self.n_missing_ = count_missing(values, column_names(self))
        warn_of_codes(self, X, values, column_names(self), may_be_negative=True)
        return self

    def transform(self, X):
        """Read the numbers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, or text that holds a number.

        Returns
        -------
        values : ndarray of shape (n_samples, n_features), float32
            The numbers; NaN where missing.

        Raises
        ------
        ValueError
            For an infinite value, and text that is not a number.
        TypeError
            For a cell that is neither text nor number.
        """
        check_is_fitted(self)
        values = read_table(self, X, read_numbers, reset=False)
        return to_float32(values, column_names(self))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
