"""What is evaluated: labels, log-odds, patients and folds, checked and in one form."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from .._utils.groups import codes_of, complete_column
from .._utils.log_odds import LogOdds
from .._utils.validation import check_parameter, shown


class Units(NamedTuple):
    """What metrics are taken over, images or patients, and which patient each belongs to."""

    y: np.ndarray
    scores: dict
    fold: np.ndarray
    patient: np.ndarray
    n_patients: int
    classes: np.ndarray

    def take(self, rows):
        """Return some of the units; patients keep their numbers."""
        scores = LogOdds({name: score[rows] for name, score in self.scores.items()})
        return self._replace(
            y=self.y[rows], scores=scores, fold=self.fold[rows], patient=self.patient[rows]
        )

    @property
    def constant_rows(self):
        """Return the rows whose scores are equal in each fold, as those of a rule or a prior."""
        firsts = []
        for column in self.fold.T:
            _, first, codes = np.unique(column, return_index=True, return_inverse=True)
            firsts.append(first[codes])
        return [
            name
            for name, score in self.scores.items()
            if all((score[..., i] == score[first, ..., i]).all() for i, first in enumerate(firsts))
        ]

    def patients_with(self, code):
        """Count the patients who have a unit of this class."""
        return len(np.unique(self.patient[self.y == code]))

    @property
    def n_rare(self):
        """Count the patients of the class that has fewest."""
        return min(self.patients_with(code) for code in range(len(self.classes)))


def check_images(y, scores, groups, fold, *, are_log_odds):
    """Check what was given for each image; return it as units, and the patients' names."""
    y = complete_column(y, "label")
    codes, classes = _classes_of(y)
    given, named = scores, _named(scores)
    scores = {str(name): score for name, score in named.items()}
    allowed = "rows whose names differ as text"
    check_parameter("scores", list(named), len(scores) == len(named), allowed)
    check_parameter("scores", scores, len(scores) > 0, "at least one row")
    scores = LogOdds(
        {name: _check_score(name, score, len(y), classes) for name, score in scores.items()}
    )
    n_repeats = _repeats_of(scores)
    if groups is None:
        patient, names = np.arange(len(y)), np.arange(len(y))
    else:
        patient, names = codes_of(_column_like(groups, len(y), "groups", "patient"), "patient")
    fold = _check_fold(fold, len(y), n_repeats)
    _check_whole_patients(patient, fold)
    images = Units(codes, scores, fold, patient, len(names), classes)
    if not are_log_odds:
        is_certain = getattr(given, "is_certain", lambda row: False)
        _check_not_probabilities(images, [row for row in named if not is_certain(row)])
    return images, np.asarray(names)


def _classes_of(y):
    """Return the number of each label, and the labels in their order."""
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y has the one label {classes.tolist()!r:.200}; an evaluation needs two or more "
            "classes"
        )
    return codes, classes


def _named(scores):
    if isinstance(scores, Mapping):
        return dict(scores)
    if isinstance(scores, pd.DataFrame):
        return {name: scores[name] for name in scores.columns}
    return {"model": scores}


def _column_like(values, n_samples, name, noun):
    """Return one value for each sample; ValueError for another number of them."""
    values = complete_column(values, noun)
    if len(values) != n_samples:
        raise ValueError(
            f"{name} has {len(values)} values and y has {n_samples}; give one for each sample, in "
            "the order of y"
        )
    return values


def _check_score(name, score, n_samples, classes):
    """Return log-odds with repeats last; log-probabilities where there are more classes."""
    try:
        score = np.asarray(score, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"row {name!r}: scores must be log-odds, one number a sample") from error
    shape, is_binary = score.shape, len(classes) == 2
    axes = (n_samples,) if is_binary else (n_samples, len(classes))
    if shape[: len(axes)] != axes or score.ndim > len(axes) + 1 or 0 in shape:
        repeats = (*axes, "n_repeats")
        raise ValueError(
            f"row {name!r}: scores have shape {shape}; allowed for {n_samples} samples of "
            f"{len(classes)} classes: {axes} or {repeats}"
        )
    if is_binary and shape[1:] == (2,):
        _refuse_two_classes(name, score)
    score = score.reshape(*axes, -1)
    _check_numbers(name, score)
    if not is_binary:
        if score.min() >= 0 and np.allclose(score.sum(axis=1), 1):
            raise _are_probabilities(name, "np.log(probabilities)")
        return log_softmax(score, axis=1)
    return score


def _refuse_two_classes(name, score):
    """Refuse a column for each of two classes, which would count as two repeats."""
    first, second = score.T
    with np.errstate(over="ignore"):
        are_logarithms = np.allclose(np.exp(first) + np.exp(second), 1)
    if are_logarithms or np.allclose(first + second, 1) or np.allclose(first, -second):
        raise ValueError(
            f"row {name!r}: scores have shape {score.shape}, a column for each of two classes; "
            "columns are repeats: give the log-odds of the second class alone, such as "
            "scores[:, 1] - scores[:, 0] of log-probabilities"
        )


def _check_numbers(name, score):
    broken = np.flatnonzero(~np.isfinite(score).all(axis=tuple(range(1, score.ndim))))
    if len(broken):
        raise ValueError(
            f"row {name!r}: the score is missing or infinite in {shown(broken, 'sample')}; keep "
            "log-odds in float64, and score each sample out of fold"
        )


def _check_not_probabilities(images, rows):
    """Refuse rows of two classes whose scores all lie in [0, 1]; those of a prior may."""
    for name in map(str, rows):
        score = images.scores[name]
        lie_there = score.ndim == 2 and score.min() >= 0 and score.max() <= 1
        if lie_there and name not in images.constant_rows:
            raise _are_probabilities(
                name,
                "np.log(p / (1 - p))",
                "; if they are log-odds, as after few epochs, say are_log_odds=True",
            )


def _are_probabilities(name, remedy, otherwise=""):
    return ValueError(
        f"row {name!r}: all scores lie in [0, 1], as probabilities do; allowed: log-odds, such as "
        f"those of decision_function or {remedy} in float64{otherwise}"
    )


def _repeats_of(scores):
    repeats = {name: score.shape[-1] for name, score in scores.items()}
    if len(set(repeats.values())) > 1:
        raise ValueError(
            f"rows differ in their number of repeats, {repeats}; give each all of them"
        )
    return next(iter(repeats.values()))


def _check_fold(fold, n_samples, n_repeats):
    """Return the number of each sample's fold in each repeat; one fold where there is None."""
    if fold is None:
        return np.zeros((n_samples, n_repeats), int)
    fold = np.asarray(fold)
    if fold.ndim == 1:
        fold = np.repeat(_column_like(fold, n_samples, "fold", "fold")[:, None], n_repeats, axis=1)
    if fold.shape != (n_samples, n_repeats):
        raise ValueError(
            f"fold has shape {fold.shape}; allowed: {(n_samples,)} or {(n_samples, n_repeats)}"
        )
    columns = [complete_column(column, "fold") for column in fold.T]
    fold = np.column_stack([np.unique(column, return_inverse=True)[1] for column in columns])
    return fold


def _check_whole_patients(patient, fold):
    """Refuse folds that part a patient: a model of another fold has seen the patient."""
    for repeat, column in enumerate(fold.T):
        first = np.zeros(patient.max() + 1, int)
        first[patient[::-1]] = column[::-1]
        parted = np.flatnonzero(first[patient] != column)
        if len(parted):
            rows = np.flatnonzero(patient == patient[parted[0]])
            raise ValueError(
                f"repeat {repeat}: folds part {len(np.unique(patient[parted]))} patients, the "
                f"first in {shown(rows, 'row')}; use a cv that keeps groups together, such as "
                "StratifiedGroupKFold"
            )
