"""Out-of-fold log-odds of a method: no label of a test row is ever at hand."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedGroupKFold

from .methods import Task

#: Log-odds beyond it are written as this, and counted: float32 knows no smaller probability.
LIMIT = 100.0
_INNER_FOLDS = 5


def assign(target, groups, *, n_folds, n_repeats, seed):
    """Return the fold of each image, a row for each repeat; a patient is in one fold."""
    folds = np.empty((n_repeats, len(target)), int)
    for repeat in range(n_repeats):
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed + repeat)
        for number, (_, test) in enumerate(splitter.split(target, target, groups)):
            folds[repeat, test] = number
    return folds


def scores_of(method, data_set, folds, progress=lambda: None):
    """Return the out-of-fold log-odds of a method, of the shape of `folds`."""
    scores = np.full(folds.shape, np.nan)
    for repeat, fold in enumerate(folds):
        for number in np.unique(fold):
            test = fold == number
            scores[repeat, test] = fit_and_score(
                method,
                data_set,
                data_set.X[~test],
                data_set.target[~test],
                data_set.groups[~test],
                data_set.X[test],
            )
            progress()
    return np.round(np.clip(scores, -LIMIT, LIMIT), 6)


def fit_and_score(method, data_set, X, y, groups, X_test):
    """Fit a method to the training rows, and return the log-odds of others."""
    task = Task(
        inputs=tuple(name for name in data_set.inputs if X[name].notna().any()),
        kits=data_set.kits,
        model=data_set.model,
        inner=_inner_folds(y, groups, data_set.model["seed"]),
    )
    with warnings.catch_warnings():
        # On few patients, inner folds with one class and values far from their range are usual.
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("always", ConvergenceWarning)
        estimator = method.make(task).fit(X, y)
        return log_odds(estimator, X_test)


def _inner_folds(y, groups, seed):
    """Split training rows by patient: into five parts, or fewer where one would lack a class."""
    for n_folds in range(_INNER_FOLDS, 1, -1):
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        parts = list(splitter.split(y, y, groups))
        if all(len(np.unique(y[rows])) == 2 for part in parts for rows in part):
            break
    return parts


def log_odds(estimator, X):
    """Return the log-odds of the positive class in float64."""
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(X), float)
    chances = np.asarray(estimator.predict_proba(X), float)
    with np.errstate(divide="ignore"):
        return np.log(chances[:, 1]) - np.log(chances[:, 0])
