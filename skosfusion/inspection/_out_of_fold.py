"""Models that explain only rows which they have not been trained on."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_validate

from ..model_selection import on_both_sides, row_numbers, split_rows


class OutOfFold:
    """For each row the model of the fold in which it was held out.

    Parameters
    ----------
    estimators : list of estimator
        Fitted, one a fold.
    indices : dict of str to list of ndarray
        ``"train"`` and ``"test"``, row numbers of each fold.
    n_samples : int
        Number of rows.

    Attributes
    ----------
    fold : ndarray of shape (n_samples,)
        Fold in which each row was held out, the first one if there are several; -1 for none.
    """

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
                    "explains nothing about rows that it has memorised"
                )
            free = test[self.fold[test] == -1]
            self.fold[free] = number

    @property
    def folds(self):
        """Training and test rows of each fold."""
        return list(zip(self.indices["train"], self.indices["test"], strict=True))

    def by_fold(self, rows):
        """Yield each fold's model with those of the rows that it may explain.

        Parameters
        ----------
        rows : ndarray of int
            Row numbers.

        Yields
        ------
        estimator : estimator
            The fold's model.
        places : ndarray of int
            Positions in `rows`.
        """
        for number, estimator in enumerate(self.estimators):
            places = np.flatnonzero(self.fold[rows] == number)
            if len(places):
                yield estimator, places

    def predict_proba(self, X, classes):
        """Predict each row by the model that has not seen it.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            All rows.
        classes : ndarray of shape (n_classes,)
            Labels that each model must know.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities; NaN where a row was never held out.
        """
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
        """Count the patients who stand on both sides of a split.

        Parameters
        ----------
        patients : ndarray of shape (n_samples,)
            Patient of each row.

        Returns
        -------
        int
            Number of patients.
        """
        return on_both_sides(pd.factorize(patients)[0], self.folds)["code"].nunique()


def make_folds(cv, X, y, patients):
    """Split the rows; by default in five folds that keep patients together.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        As in scikit-learn, but that a number of folds keeps patients together.
    X : DataFrame of shape (n_samples, n_features)
        The table.
    y : ndarray of shape (n_samples,)
        Labels.
    patients : ndarray of shape (n_samples,)
        Patient of each row.

    Returns
    -------
    list of tuple of ndarray
        Training and test rows.
    """
    if cv is None or isinstance(cv, Integral):
        n_folds = 5 if cv is None else cv
        is_grouped = len(set(patients)) < len(patients)
        kind = StratifiedGroupKFold if is_grouped else StratifiedKFold
        cv = kind(n_folds, shuffle=True, random_state=0)
    return split_rows(cv, X, y, patients)


def fit_out_of_fold(model, X, y, folds, *, params, n_jobs):
    """Fit a copy of an estimator on each fold, or take those that ``cross_validate`` fitted.

    Parameters
    ----------
    model : estimator or dict
        An estimator, or what ``cross_validate(..., return_estimator=True, return_indices=True)``
        returned for these rows.
    X : DataFrame of shape (n_samples, n_features)
        The table.
    y : ndarray of shape (n_samples,)
        Labels.
    folds : list of tuple of ndarray or None
        Training and test rows; not used for a dict.
    params : dict or None
        Further arguments of ``fit``.
    n_jobs : int or None
        Fits at a time.

    Returns
    -------
    OutOfFold
        The models.
    """
    if not isinstance(model, Mapping):
        model = cross_validate(
            model, X, y, cv=folds, params=params, n_jobs=n_jobs, scoring=_no_score,
            return_estimator=True, return_indices=True, error_score="raise",
        )  # fmt: skip
    missing = {"estimator", "indices"} - set(model)
    if missing:
        raise ValueError(
            f"the results of the cross-validation lack {' and '.join(sorted(missing))}; call "
            "cross_validate with return_estimator=True and return_indices=True"
        )
    estimators, indices = list(model["estimator"]), model["indices"]
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


def _no_score(estimator, X, y):
    """Score nothing: predictions are made later, once."""
    return 0.0
