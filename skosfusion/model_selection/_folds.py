"""Rows, patients and folds: who stands where in a split."""

import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv
from sklearn.utils import check_consistent_length, column_or_1d

#: Where the package's own tables keep the patient.
PATIENT_COLUMN = "patient_id"


def patients_of(X, groups):
    """Find the patient of each row.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        The table.
    groups : array-like of shape (n_samples,) or None
        Patients; None takes column "patient_id", and without it each row for a patient.

    Returns
    -------
    ndarray of shape (n_samples,)
        The patients.
    """
    if groups is None:
        if PATIENT_COLUMN not in X.columns:
            return np.arange(len(X))
        groups = X[PATIENT_COLUMN]
    if isinstance(groups, str):
        raise TypeError(
            f"groups={groups!r} must hold the patient of each row; for a column, give "
            f"groups=X[{groups!r}]"
        )
    return complete_column(X, groups, "patient")


def complete_column(X, values, noun):
    """Return one value a row; a row without is an error.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        The table.
    values : array-like of shape (n_samples,)
        The values.
    noun : str
        What they are, for the error.

    Returns
    -------
    ndarray of shape (n_samples,)
        The values.
    """
    check_consistent_length(X, values)
    # numpy would make texts of mixed lists, and a patient called "nan" of a missing one.
    values = pd.Series(values) if isinstance(values, list | tuple) else values
    if np.ndim(values) == 2 and np.shape(values)[1] != 1:
        raise ValueError(
            f"a row has one {noun}, got {np.shape(values)[1]} columns of them; give one, and "
            "rename columns of one name"
        )
    values = column_or_1d(values)
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(f"row {missing[0]} has no {noun}; name one, or leave the row out")
    return values


def split_rows(cv, X, y, groups):
    """Split rows as scikit-learn's own tools do with a classifier.

    Parameters
    ----------
    cv : int, splitter or iterable
        How to split.
    X : DataFrame of shape (n_samples, n_features)
        The table.
    y : ndarray of shape (n_samples,) or None
        Labels.
    groups : ndarray of shape (n_samples,) or None
        Patient of each row.

    Returns
    -------
    list of tuple
        Training and test rows of each fold, as they come.
    """
    if isinstance(cv, Iterable) and not isinstance(cv, str) and not hasattr(cv, "split"):
        return list(cv)
    with warnings.catch_warnings():
        # Some splitters warn that they do not need the patients, and say so by a warning alone.
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        return list(check_cv(cv, y, classifier=True).split(X, y, groups))


def codes_of(values, noun):
    """Give equal values one number.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Patients, or the like.
    noun : str
        What they are, for the error.

    Returns
    -------
    codes : ndarray of int, shape (n_samples,)
        The number of each value, from 0.
    known : ndarray
        The different values by their number.
    """
    try:
        return pd.factorize(values)
    except TypeError as error:
        raise TypeError(
            f"a {noun} must be a text, a number or the like, to be compared ({error})"
        ) from error


def row_numbers(rows, n_rows):
    """Count rows from 0 on, whether they are counted from the end or given as a mask.

    Parameters
    ----------
    rows : array-like of int or bool
        One side of a fold.
    n_rows : int
        Rows of the table.

    Returns
    -------
    ndarray of int
        Row numbers.

    Raises
    ------
    IndexError
        If they are no rows of the table.
    """
    rows = np.asarray(rows)
    return np.arange(n_rows)[rows if rows.size else rows.astype(int)]


def on_both_sides(codes, folds):
    """Find the patients, or the like, with rows on both sides of a fold.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Whose row it is, counted from 0; -1 is passed over.
    folds : iterable of tuple of ndarray
        Training and test rows.

    Returns
    -------
    DataFrame
        Columns "fold" (counted from 0) and "code", one line a fold and code.
    """
    n_codes = codes.max(initial=-1) + 1
    found = [np.empty((0, 2), int)]
    for number, sides in enumerate(folds):
        is_there = np.zeros((2, n_codes + 1), bool)
        for side, rows in zip(is_there, sides, strict=True):
            side[codes[rows]] = True
        # The last place is that of -1.
        shared = np.flatnonzero(is_there[:, :n_codes].all(axis=0))
        found.append(np.column_stack([np.full(len(shared), number), shared]))
    return pd.DataFrame(np.concatenate(found), columns=["fold", "code"])
