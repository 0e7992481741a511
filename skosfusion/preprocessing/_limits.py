"""Values kept within limits."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.cells import is_number
from .._utils.validation import check_parameter


class Clipper(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Cut values off at a limit on both sides of 0.

    Beyond a few deviations a z-score says no more than "there", and should not decide alone.

    Parameters
    ----------
    limit : float, default=4.0
        Largest value that is let through, above 0; the smallest is minus that.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X in `fit` was a DataFrame with names of type str.

    See Also
    --------
    make_clinical_transformer : Use it with ``encoding="spline"``.

    Examples
    --------
    >>> from skosfusion.preprocessing import Clipper
    >>> Clipper(limit=2.0).fit_transform([[-7.0], [1.5], [3.0]])
    array([[-2. ],
           [ 1.5],
           [ 2. ]])
    """

    def __init__(self, limit=4.0):
        self.limit = limit

    def fit(self, X, y=None):
        """Check the limit; nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers.
        y : None
            Ignored.

        Returns
        -------
        self : Clipper
            The transformer itself.

        Raises
        ------
        ValueError
            For a limit that is not a number above 0.
        """
        self._check_limit()
        self._read(X, reset=True)
        return self

    def transform(self, X):
        """Cut values off.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN stays.

        Returns
        -------
        values : ndarray of shape (n_samples, n_features)
            Numbers from ``-limit`` to ``limit``, of the type of X.
        """
        check_is_fitted(self)
        return np.clip(self._read(X, reset=False), -self.limit, self.limit)

    def __setstate__(self, state):
        super().__setstate__(state)
        self._check_limit()

    def _check_limit(self):
        valid = is_number(self.limit) and self.limit > 0
        check_parameter("limit", self.limit, valid, "a number above 0")

    def _read(self, X, *, reset):
        types = [np.float64, np.float32]
        return validate_data(self, X, dtype=types, ensure_all_finite=False, reset=reset)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_features_in_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
