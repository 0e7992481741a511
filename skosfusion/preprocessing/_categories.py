"""Categories of a clinical table."""

import unicodedata
from collections import Counter

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._utils.cells import is_missing, shown_cell, spelling, whole_text
from .._utils.validation import check_choice, did_you_mean
from ._cells import column_names, read_table
from ._missing_values import POLICIES
from ._warn_once import WarnsOnce

_SHOWN = 10
_MOST_CHARACTERS = 1000


class CategoryEncoder(WarnsOnce, TransformerMixin, BaseEstimator):
    """Encode the categories of one column as columns of 0 and 1, one for each category.

    Categories are compared as text, without surrounding white space: 2, 2.0 and "2" are the same.
    It is scikit-learn's OneHotEncoder for one column, with errors that name the row, a declared
    policy for missing values, and a fitted state that model files can keep.

    Parameters
    ----------
    name : str
        Start of the names of the output columns, ``<name>_<category>``.
    unknown : {"error", "ignore"}, default="error"
        What becomes of a category that was not in `fit`: a ValueError, or 0 in all columns.
    missing : {"impute", "indicator", "error"}, default="impute"
        What becomes of missing values. "impute": the most frequent category in `fit` takes their
        place (of several, the first by name). "indicator": 0 in all columns, and 1 in a further
        one, ``<name>_missing``. "error": a ValueError.

    Attributes
    ----------
    categories_ : ndarray of shape (n_categories,)
        The categories in `fit`, sorted, as text.
    most_frequent_ : str
        The most frequent one.
    n_missing_ : int
        Number of missing values in `fit`.
    n_features_in_ : int
        Number of columns seen in `fit`, 1.
    feature_names_in_ : ndarray of shape (1,)
        Name of the column, where X in `fit` was a DataFrame with names of type str.

    Warns
    -----
    UserWarning
        In `fit`, for cells that say "none", which is read as missing. It comes once for an
        estimator and its clones, not once a fold.

    See Also
    --------
    make_clinical_transformer : Use it with ``categories=``.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.preprocessing import CategoryEncoder
    >>> encoder = CategoryEncoder(name="site").set_output(transform="pandas")
    >>> encoder.fit_transform(pd.DataFrame({"site": ["knee", "hip", "knee"]}))
       site_hip  site_knee
    0       0.0        1.0
    1       1.0        0.0
    2       0.0        1.0
    """

    def __init__(self, *, name, unknown="error", missing="impute"):
        self.name = name
        self.unknown = unknown
        self.missing = missing

    def fit(self, X, y=None):
        """Find the categories.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1)
            Categories: text, numbers or booleans.
        y : None
            Ignored.

        Returns
        -------
        self : CategoryEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            For a parameter out of its set, another number of columns than one, a column without any
            value, categories that differ in spelling only, and a missing value where that is an
            error.
        TypeError
            For a cell that is not one value.
        """
        check_choice("unknown", self.unknown, ("error", "ignore"))
        check_choice("missing", self.missing, POLICIES)
        texts = self._read(X, reset=True)
        there = texts[texts != None]  # noqa: E711 - by element
        if not len(there):
            raise ValueError(
                f"column {column_names(self)[0]!r} has no value in any of the {len(texts)} rows to "
                "fit; leave this input out, or give rows that have it"
            )
        self._warn_of_none(X)
        # Not as one array of text, in which each cell would be as long as the longest.
        counts = Counter(there)
        categories = sorted(counts)
        self._refuse_twins(categories)
        self.categories_ = np.array(categories)
        counts = np.array([counts[category] for category in categories])
        self.most_frequent_ = str(self.categories_[counts.argmax()])
        self.n_missing_ = len(texts) - len(there)
        return self

    def transform(self, X):
        """Encode the categories.

        Parameters
        ----------
        X : array-like of shape (n_samples, 1)
            Categories: text, numbers or booleans.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_outputs), float32
            1.0 in the column of the row's category, else 0.0.

        Raises
        ------
        ValueError
            For a category that was not in `fit`, and a missing value, where these are errors.
        TypeError
            For a cell that is not one value.
        """
        check_is_fitted(self)
        texts = self._read(X, reset=False)
        is_absent = np.array([text is None for text in texts])
        if self.missing == "impute":
            texts[is_absent] = self.most_frequent_
        encoded = texts[:, None] == np.asarray(self.categories_, dtype=object)
        if self.unknown == "error":
            self._refuse_unknown(texts, encoded)
        else:
            self._refuse_respelled(texts, encoded)
        if self.missing == "indicator":
            encoded = np.column_stack([encoded, is_absent])
        return encoded.astype(np.float32)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the output columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Ignored.

        Returns
        -------
        names : ndarray of str objects, shape (n_outputs,)
            ``<name>_<category>``, and ``<name>_missing`` with ``missing="indicator"``.
        """
        check_is_fitted(self)
        names = [f"{self.name}_{category}" for category in self.categories_]
        return np.array([*names, *[f"{self.name}_missing"][: self.missing == "indicator"]], object)

    def _read(self, X, *, reset):
        """Return the cells as text, None where they are missing."""
        cells = read_table(self, X, _as_they_are, reset=reset, dtype=object)
        if cells.shape[1] != 1:
            raise ValueError(
                f"CategoryEncoder takes exactly one column, got {cells.shape[1]}: "
                f"{column_names(self)}; make one for each"
            )
        texts = np.empty(len(cells), object)
        for row, cell in enumerate(cells[:, 0]):
            if np.ndim(cell):
                raise TypeError(
                    f"column {column_names(self)[0]!r}, row {row} holds {shown_cell(cell)} "
                    f"({type(cell).__name__}); a category is one value, such as a text"
                )
            texts[row] = None if is_missing(cell) else whole_text(cell)
            if texts[row] is None and self.missing == "error":
                raise ValueError(
                    f"column {column_names(self)[0]!r} is missing in row {row}; fill it in, or use "
                    "missing='impute' or 'indicator'"
                )
            if texts[row] is not None and len(texts[row]) > _MOST_CHARACTERS:
                raise ValueError(
                    f"column {column_names(self)[0]!r}, row {row} holds a text of "
                    f"{len(texts[row])} characters, {shown_cell(cell)}; a category has at most "
                    f"{_MOST_CHARACTERS}"
                )
        return texts

    def _warn_of_none(self, X):
        cells = read_table(self, X, _as_they_are, reset=False, dtype=object)[:, 0]
        is_none = [isinstance(cell, str) and spelling(cell) == "none" for cell in cells]
        column = column_names(self)[0]
        if any(is_none):
            self._warn_once(
                column,
                f"column {column!r} says 'none' in {sum(is_none)} of {len(cells)} rows, the first "
                f"is row {is_none.index(True)}, which is read as missing; if it is a category, "
                f"call it otherwise: table[{column!r}] = table[{column!r}].replace('none', 'no')",
            )

    def _refuse_twins(self, categories):
        column, seen = column_names(self)[0], {}
        if self.missing == "indicator" and "missing" in categories:
            raise ValueError(
                f"column {column!r} has the category 'missing', whose output would have the name "
                "of the one for missing values; call it otherwise: "
                f"table[{column!r}] = table[{column!r}].replace('missing', 'not there'), or leave "
                "these cells empty"
            )
        for category in categories:
            twin = seen.setdefault(_plain(category), category)
            if twin != category:
                raise ValueError(
                    f"column {column!r} has the categories {twin!a} and {category!a}, which differ "
                    "in spelling only; make them one: "
                    f"table[{column!r}] = table[{column!r}].replace({category!a}, {twin!a})"
                )

    def _refuse_respelled(self, texts, encoded):
        """Refuse a category that is one of training but for its spelling, whatever the policy."""
        known = {_plain(category): category for category in self.categories_.tolist()}
        column = column_names(self)[0]
        for row in np.flatnonzero(~encoded.any(axis=1)):
            twin = None if texts[row] is None else known.get(_plain(texts[row]))
            if twin is not None:
                raise ValueError(
                    f"column {column!r}, row {row} has the category {texts[row]!a:.80}, which "
                    f"differs in spelling only from {twin!a} of training; make them one: "
                    f"table[{column!r}] = table[{column!r}].replace({texts[row]!a}, {twin!a})"
                )

    def _refuse_unknown(self, texts, encoded):
        known = [text is None for text in texts] | encoded.any(axis=1)
        for row in np.flatnonzero(~known)[:1]:
            names = self.categories_.tolist()
            shown = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
            hint = did_you_mean(texts[row], names)
            n_more = int((~known).sum()) - 1
            more = f" (and in {n_more} more rows others)" if n_more else ""
            raise ValueError(
                f"column {column_names(self)[0]!r}, row {row} has the category {texts[row]!r:.80}"
                f"{more}, which was not in training; there were {shown}; "
                f"{f'{hint} ' if hint else ''}correct it, leave it empty, or use "
                "unknown_category='ignore', which encodes it as none of them"
            )

    def __setstate__(self, state):
        super().__setstate__(state)
        categories = getattr(self, "categories_", None)
        if categories is not None and (np.ndim(categories) != 1 or categories.dtype.kind != "U"):
            raise ValueError("its categories are not a list of texts")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _as_they_are(cells, column):
    values = np.empty(len(cells), object)
    values[:] = list(cells)
    return values


def _plain(category):
    """Return a category in one case, form and spacing, without invisible characters."""
    text = unicodedata.normalize("NFKC", category)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(text.split()).casefold()
