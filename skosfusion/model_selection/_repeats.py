"""Folds that test each sample once, again and again, and what they part."""

import copy
from numbers import Integral

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state

from ._folds import in_both_sets, row_numbers, split_rows

_DEFAULT_FOLDS = 5


def make_repeats(cv, X, y, groups, codes, *, n_repeats, random_state):
    """Return the folds of each repeat, lists of training and test rows, and their seeds."""
    draws = check_random_state(random_state).randint(2**31 - 1, size=n_repeats)
    seeds = [int(seed) for seed in draws]
    repeats = []
    for seed in seeds:
        splitter = _splitter(cv, codes, seed, n_repeats)
        folds = split_rows(splitter, X, y, groups)
        repeats.append([[row_numbers(part, len(y)) for part in fold] for fold in folds])
    return repeats, seeds


def _splitter(cv, codes, seed, n_repeats):
    if cv is None or (isinstance(cv, Integral) and not isinstance(cv, bool)):
        n_folds = _DEFAULT_FOLDS if cv is None else int(cv)
        is_grouped = len(np.unique(codes)) < len(codes)
        kind = StratifiedGroupKFold if is_grouped else StratifiedKFold
        return kind(n_folds, shuffle=True, random_state=seed)
    if n_repeats == 1:
        return cv
    if not (hasattr(cv, "random_state") and getattr(cv, "shuffle", False)):
        raise ValueError(
            f"cv={cv!r:.200} gives the same folds each time, and n_repeats={n_repeats} needs other "
            "ones; use a number of folds, or a splitter with shuffle=True, or n_repeats=1"
        )
    cv = copy.copy(cv)
    cv.random_state = seed
    return cv


def fold_of_each(folds, n_samples):
    """Return the fold that tests each sample; ValueError unless each is tested exactly once."""
    fold_of, n_tests = np.full(n_samples, -1), np.zeros(n_samples, int)
    for number, (train, test) in enumerate(folds):
        shared = np.intersect1d(train, test)
        if len(shared):
            raise ValueError(
                f"row {shared[0]} is both trained on and tested in fold {number}; scores of rows "
                "that a model has learned from say nothing"
            )
        np.add.at(n_tests, test, 1)
        fold_of[test] = number
    wrong = np.flatnonzero(n_tests != 1)
    if len(wrong):
        raise ValueError(
            f"row {wrong[0]} is tested {n_tests[wrong[0]]} times in one repeat, as are or miss "
            f"{len(wrong) - 1} others; each must be tested exactly once: use a splitter whose test "
            "sets part the table, such as StratifiedGroupKFold, and n_repeats for repeats"
        )
    return fold_of


def leaking_groups(repeats, codes, *, allow_leaks):
    """Count patients in both sets of a fold; ValueError for one, unless leaks are allowed."""
    leaking = set()
    for folds in repeats:
        found = in_both_sets(codes, folds)
        leaking |= set(found["code"])
        if len(found) and not allow_leaks:
            number, code = found.iloc[0]
            row = int(np.flatnonzero(codes == code)[0])
            raise ValueError(
                f"{len(leaking)} patients are in both the training and the test set of a fold, "
                f"first the patient of row {row} in fold {number}; scores would be too good. Use "
                "StratifiedGroupKFold or a number of folds, or say allow_leaks=True"
            )
    return len(leaking)
