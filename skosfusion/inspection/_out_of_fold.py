"""Models that explain only rows which they have not been trained on."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_validate

from ..model_selection import in_both_sets, row_numbers, split_rows


class OutOfFold:
    """For each row the model of the first fold in which it was held out; `fold` is -1 for none."""

    def __init__(self, estimators, indices, n_samples):
        self.estimators = estimators
        self.indices = {
            part: [row_numbers(fold, n_samples) for fold in indices[part]]
            for part in ("train", "test")
        }
        self.fold = np.full(n_samples, -1)
        for number, (train, test) in enumerate(self.folds):
            shared = np.intersect1d(train, test)
            if len(shared):
                raise ValueError(
                    f"row {shared[0]} is both trained on and held out in fold {number}; a model "
                    "explains nothing about rows that it has memorized"
                )
            free = test[self.fold[test] == -1]
            self.fold[free] = number

    @property
    def folds(self):
        """Training and test rows of each fold."""
        return list(zip(self.indices["train"], self.indices["test"], strict=True))

    def by_fold(self, rows):
        """Yield each fold's model with the positions in `rows` of those that it may explain."""
        for number, estimator in enumerate(self.estimators):
            places = np.flatnonzero(self.fold[rows] == number)
            if len(places):
                yield estimator, places

    def predict_proba(self, X, classes):
        """Predict each row by the model that has not seen it; NaN where there is none."""
        probabilities = np.full((len(X), len(classes)), np.nan)
        for estimator, rows in self.by_fold(np.arange(len(X))):
            if not np.array_equal(estimator.classes_, classes):
                raise ValueError(
                    f"a fold was trained on the classes {estimator.classes_.tolist()} of "
                    f"{classes.tolist()}; use fewer folds, or stratified ones"
                )
            probabilities[rows] = estimator.predict_proba(X.iloc[rows])
        return probabilities

    def count_leaking(self, patients):
        """Count the patients who are in both the training and the test set of a fold."""
        return in_both_sets(pd.factorize(patients)[0], self.folds)["code"].nunique()


def fit_both(models, X, y, patients, *, cv, params):
    """Fit two models on the same folds, or take what ``cross_validate`` fitted."""
    fitted = [_from_results(model, X) if isinstance(model, Mapping) else None for model in models]
    given = next((model for model in fitted if model is not None), None)
    # Only models of the same folds can be compared.
    folds = _make_folds(cv, X, y, patients) if given is None else given.folds
    first, second = (
        done or _from_results(_cross_validate(model, X, y, folds, params), X)
        for done, model in zip(fitted, models, strict=True)
    )
    if not np.array_equal(first.fold, second.fold):
        raise ValueError(
            "the two cross-validations held out other rows in their folds, so that their models "
            "have not learned from the same rows; use the same cv for both"
        )
    return first, second


def _make_folds(cv, X, y, patients):
    """Split the rows; a number of folds, and None for 5, keeps patients together."""
    if cv is None or isinstance(cv, Integral):
        n_folds = 5 if cv is None else cv
        is_grouped = len(set(patients)) < len(patients)
        kind = StratifiedGroupKFold if is_grouped else StratifiedKFold
        cv = kind(n_folds, shuffle=True, random_state=0)
    return split_rows(cv, X, y, patients)


def _cross_validate(model, X, y, folds, params):
    return cross_validate(
        model, X, y, cv=folds, params=params, scoring=_no_score,
        return_estimator=True, return_indices=True, error_score="raise",
    )  # fmt: skip


def _no_score(estimator, X, y):
    """Score nothing: predictions are made later, once."""
    return 0.0


def _from_results(results, X):
    """Take the models that ``cross_validate`` fitted on these rows."""
    missing = {"estimator", "indices"} - set(results)
    if missing:
        raise ValueError(
            f"the results of the cross-validation lack {' and '.join(sorted(missing))}; call "
            "cross_validate with return_estimator=True and return_indices=True"
        )
    estimators, indices = list(results["estimator"]), results["indices"]
    if not estimators or {len(indices[part]) for part in ("train", "test")} != {len(estimators)}:
        raise ValueError(
            f"the results of the cross-validation hold {len(estimators)} estimators; they must "
            "hold at least one, and training and test rows for each"
        )
    try:
        return OutOfFold(estimators, indices, len(X))
    except IndexError as error:
        raise ValueError(
            f"the cross-validation was not made on these {len(X)} rows ({error}); pass the X that "
            "it was given"
        ) from error
