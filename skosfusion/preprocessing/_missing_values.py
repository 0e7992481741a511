"""What becomes of missing values after a column has been normalized."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.utils.validation import check_is_fitted, validate_data

from .._utils.validation import check_choice
from ._cells import column_names

POLICIES = ("impute", "indicator", "error")


class MissingValues(TransformerMixin, BaseEstimator):
    """Fill in, mark or refuse the missing values of one column, and give the column its name.

    It is the second half of each step of :func:`make_clinical_transformer`.

    Parameters
    ----------
    name : str
        Name of the output column.
    strategy : {"median", "most_frequent"}, default="median"
        What missing values are filled in with, from the rows given to `fit`; of several most
        frequent values the smallest is taken.
    missing : {"impute", "indicator", "error"}, default="impute"
        What becomes of missing values. "impute": they are filled in. "indicator": they are filled
        in, and a second column ``<name>_missing`` holds 1.0 where the value was missing, else 0.0.
        "error": a ValueError.

    Attributes
    ----------
    imputer_ : SimpleImputer
        What fills in.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X in `fit` was a DataFrame with names of type str.

    See Also
    --------
    make_clinical_transformer : Normalize all clinical columns of a table.

    Examples
    --------
    >>> import numpy as np
    >>> from skosfusion.preprocessing import MissingValues
    >>> finish = MissingValues(name="age", missing="indicator").set_output(transform="pandas")
    >>> finish.fit_transform(np.array([[0.25], [0.75], [np.nan]], np.float32))
        age  age_missing
    0  0.25          0.0
    1  0.75          0.0
    2  0.50          1.0
    """

    def __init__(self, *, name, strategy="median", missing="impute"):
        self.name = name
        self.strategy = strategy
        self.missing = missing

    def fit(self, X, y=None):
        """Find what missing values are filled in with.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1)
            Numbers, NaN where missing.
        y : None
            Ignored.

        Returns
        -------
        self : MissingValues
            The fitted transformer.

        Raises
        ------
        ValueError
            For a parameter out of its set, another number of columns than one, and a missing value
            where that is an error.
        """
        check_choice("missing", self.missing, POLICIES)
        check_choice("strategy", self.strategy, ("median", "most_frequent"))
        self.imputer_ = SimpleImputer(strategy=self.strategy).fit(self._read(X, reset=True))
        return self

    def transform(self, X):
        """Fill in missing values, and mark them where that is wanted.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1)
            Numbers, NaN where missing.

        Returns
        -------
        filled : ndarray of shape (n_samples, 1) or (n_samples, 2), float32
            The values; with ``missing="indicator"`` also 1.0 where they were missing, else 0.0.

        Raises
        ------
        ValueError
            For a missing value where that is an error.
        """
        check_is_fitted(self)
        values = self._read(X, reset=False)
        filled = self.imputer_.transform(values)
        if self.missing != "indicator":
            return filled
        return np.hstack([filled, np.isnan(values).astype(values.dtype)])

    def get_feature_names_out(self, input_features=None):
        """Return the names of the output columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Ignored.

        Returns
        -------
        names : ndarray of str objects, shape (1,) or (2,)
            `name`, and ``<name>_missing`` with ``missing="indicator"``.
        """
        names = [self.name, f"{self.name}_missing"]
        return np.array(names if self.missing == "indicator" else names[:1], dtype=object)

    def _read(self, X, *, reset):
        values = validate_data(
            self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=reset
        )
        if values.shape[1] != 1:
            raise ValueError(
                f"MissingValues takes exactly one column, got {values.shape[1]}: "
                f"{column_names(self)}; make one for each"
            )
        absent = np.flatnonzero(np.isnan(values).any(axis=1))
        if self.missing == "error" and absent.size:
            raise ValueError(
                f"column {column_names(self)[0]!r} is missing in {absent.size} of "
                f"{len(values)} rows, first in row {absent[0]}; fill the values in, or use "
                "missing='impute' or 'indicator'"
            )
        return values
