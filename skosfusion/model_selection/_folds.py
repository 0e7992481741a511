"""Rows, patients and folds: who is where in a split."""

import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv
from sklearn.utils import check_consistent_length

from .._utils.groups import complete_column

#: Where the package's own tables keep the patient.
PATIENT_COLUMN = "patient_id"


def patients_of(X, groups):
    """Return the patient of each row: groups, else column "patient_id", else the row itself."""
    if groups is None:
        if PATIENT_COLUMN not in X.columns:
            return np.arange(len(X))
        groups = X[PATIENT_COLUMN]
    if isinstance(groups, str):
        raise TypeError(
            f"groups={groups!r} must hold the patient of each row; for a column, give "
            f"groups=X[{groups!r}]"
        )
    check_consistent_length(X, groups)
    return complete_column(groups, "patient")


def split_rows(cv, X, y, groups):
    """Split rows as scikit-learn's own tools do with a classifier; folds as they come."""
    if isinstance(cv, Iterable) and not isinstance(cv, str) and not hasattr(cv, "split"):
        return list(cv)
    with warnings.catch_warnings():
        # Some splitters warn that they do not need the patients, and say so by a warning alone.
        warnings.filterwarnings("ignore", "The groups parameter is ignored")
        return list(check_cv(cv, y, classifier=True).split(X, y, groups))


def row_numbers(rows, n_rows):
    """Count rows from 0, be they counted from the end or a mask; IndexError for others."""
    rows = np.asarray(rows)
    return np.arange(n_rows)[rows if rows.size else rows.astype(int)]


def in_both_sets(codes, folds):
    """List "fold" and "code" of each code in both the training and the test set; not of -1."""
    n_codes = codes.max(initial=-1) + 1
    found = [np.empty((0, 2), int)]
    for number, fold in enumerate(folds):
        is_there = np.zeros((2, n_codes + 1), bool)
        for codes_there, rows in zip(is_there, fold, strict=True):
            codes_there[codes[rows]] = True
        # The last place is that of -1.
        shared = np.flatnonzero(is_there[:, :n_codes].all(axis=0))
        found.append(np.column_stack([np.full(len(shared), number), shared]))
    return pd.DataFrame(np.concatenate(found), columns=["fold", "code"])


def apart_in_a_fold(codes, pairs, folds):
    """Return whether a fold trains on one code of a pair and tests on the other, for each pair."""
    apart = np.zeros(len(pairs), bool)
    one, other = np.asarray(pairs, int).reshape(-1, 2).T
    for fold in folds if len(pairs) else ():
        # The last place is that of -1.
        is_there = np.zeros((2, codes.max() + 2), bool)
        for there, rows in zip(is_there, fold, strict=True):
            there[codes[rows]] = True
        training, tested = is_there
        apart |= (training[one] & tested[other]) | (training[other] & tested[one])
    return apart
