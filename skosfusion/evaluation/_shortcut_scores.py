"""How well a few columns tell a label: ranks and categories, log-odds out of fold, and the AUC."""

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit, logit
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression

from ._ranks import Ranks

MAX_CATEGORIES = 30
FEWEST = 10
"""Patients of the smaller class from which on an AUC has an interval."""

# Weights of patients that are held at once, in numbers.
_AT_ONCE = 2**21


def encode(columns):
    """Return the design matrix of columns, one row for each of theirs; None where all are constant.

    Numbers and dates become ranks with unit variance and their squares, others a column for each of
    the most frequent categories; what is missing has a column of its own.
    """
    parts = [part for column in columns for part in _encoded(column)]
    if not parts:
        return None
    if any(map(sparse.issparse, parts)):
        return sparse.csr_matrix(sparse.hstack(parts))
    return np.column_stack(parts)


def _encoded(column):
    """Yield the parts of one column that are not constant."""
    column = column.reset_index(drop=True)
    missing = column.isna().to_numpy()
    if is_ordered(column):
        ranks = column.rank(pct=True).to_numpy(float)
        known = ranks[~missing]
        if known.max(initial=0) > known.min(initial=1):
            centered = np.where(missing, 0.0, (ranks - known.mean()) / known.std())
            yield centered[:, None]
            # Its square lets the extremes differ from the middle.
            yield np.where(missing, 0.0, centered**2 - 1)[:, None]
        if 0 < missing.sum() < len(column):
            yield missing.astype(float)[:, None]
        return
    codes, categories = pd.factorize(column.astype("str").where(~missing, "missing"))
    if len(categories) < 2:
        return
    order = np.argsort(-np.bincount(codes), kind="stable")
    place = np.empty(len(categories), int)
    place[order] = np.minimum(np.arange(len(categories)), MAX_CATEGORIES)
    rows = np.arange(len(codes))
    yield sparse.csr_matrix((np.ones(len(codes)), (rows, place[codes])))


def is_ordered(column):
    """Return whether a column holds numbers or dates, which have an order."""
    kind = pd.api.types
    is_number = kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column)
    return is_number or kind.is_datetime64_any_dtype(column)


class PatientScores:
    """Labels, patients and folds of a table, and the AUC of columns by patient under them.

    A unit is a patient with one label: who has images of both labels is two units, which are drawn
    together.
    """

    def __init__(self, y, patients, folds):
        self.y, self.folds = y, folds
        units, self.unit_of = np.unique(np.column_stack([patients, y]), axis=0, return_inverse=True)
        self.unit_of = self.unit_of.reshape(-1)
        self.patient, self.label = units.T
        # 1: images of one label, 2: of the other, 3: of both.
        kind = np.zeros(self.patient.max() + 1, int)
        np.bitwise_or.at(kind, self.patient, 1 + self.label)
        self.strata = [np.flatnonzero(kind == one) for one in (1, 2, 3)]
        self.n_patients = len(kind)
        self.weights = 1.0 / np.bincount(patients)[patients]

    @property
    def n_smaller(self):
        """Patients of the smaller class."""
        return int(np.bincount(self.label, minlength=2).min())

    def log_odds(self, design):
        """Return for each fold the units tested and their mean log-odds, out of fold."""
        tested = []
        for train, test in self.folds:
            model = LogisticRegression(max_iter=1000)
            model.fit(design[train], self.y[train], sample_weight=self.weights[train])
            scores = model.decision_function(design[test])
            units, places = np.unique(self.unit_of[test], return_inverse=True)
            tested.append((units, np.bincount(places, scores) / np.bincount(places)))
        return tested

    def auc(self, tested, weights=None):
        """Return the AUC of pairs within a fold; with `weights`, of each row of these."""
        weights = np.ones((1, self.n_patients), np.int32) if weights is None else weights
        won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for units, scores in tested:
            one_fold = np.zeros(len(units), int)
            ranks = Ranks(self.label[units] == 1, scores, one_fold, self.patient[units])
            won_here, pairs_here = ranks.auc(weights)
            won, pairs = won + won_here, pairs + pairs_here
        return won / np.where(pairs, pairs, np.nan)

    def resampled_errors(self, all_tested, n_resamples, random_state):
        """Return the standard error of each AUC over patients resampled, the same for all."""
        at_once = max(1, min(n_resamples, _AT_ONCE // self.n_patients))
        found = [[] for _ in all_tested]
        for start in range(0, n_resamples, at_once):
            weights = self._draw(min(at_once, n_resamples - start), random_state)
            for values, tested in zip(found, all_tested, strict=True):
                values.append(self.auc(tested, weights))
        return [float(np.nanstd(np.concatenate(values), ddof=1)) for values in found]

    def _draw(self, n_draws, random_state):
        """Return how often each patient is drawn, by the labels that patients have."""
        weights = np.zeros((n_draws, self.n_patients), np.int32)
        for members in self.strata:
            n = len(members)
            if n:
                drawn = random_state.randint(n, size=(n_draws, n)) + n * np.arange(n_draws)[:, None]
                counts = np.bincount(drawn.ravel(), minlength=n * n_draws)
                weights[:, members] = counts.reshape(n_draws, n)
        return weights


def interval(auc, error, n_smaller, confidence_level):
    """Return the interval of an AUC on the scale of its logit; exact bounds where all or none won.

    Degrees of freedom are those of the smaller class; without any error among pairs, the bound is
    that of so many patients who all fall on one side.
    """
    tail = (1 - confidence_level) / 2
    if 0 < auc < 1 and error == 0:
        return np.nan, np.nan
    if error == 0:
        bound = tail ** (1 / n_smaller)
        low, high = (bound, 1.0) if auc > 0.5 else (0.0, 1 - bound)
        return low, high
    width = student.ppf(1 - tail, n_smaller - 1) * error / (auc * (1 - auc))
    return float(expit(logit(auc) - width)), float(expit(logit(auc) + width))
