"""How well a few columns tell a label: ranks and categories, log-odds out of fold, and the AUC."""

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from ._inputs import Units
from ._intervals import exact_interval, interval
from ._ranks import Ranks
from ._resampling import Draws

MAX_CATEGORIES = 30
FEWEST = 10
"""Patients of the smaller class from which on an AUC has an interval."""


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
        self.n_patients = int(self.patient.max()) + 1
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

    def resampled(self, all_tested, n_resamples, random_state):
        """Return each AUC over patients resampled, the same for all."""
        draws = Draws(self._units(), n_resamples, random_state)
        found = [np.empty(n_resamples) for _ in all_tested]
        for replicates, weights in draws.blocks():
            for values, tested in zip(found, all_tested, strict=True):
                values[replicates] = self.auc(tested, weights)
        return found

    def _units(self):
        one_fold = np.zeros((len(self.label), 1), int)
        return Units(self.label, {}, one_fold, self.patient, self.n_patients, np.array([0, 1]))

    def interval(self, auc, draws, confidence_level):
        """Return the interval of an AUC, with as many patients as the smaller class has."""
        if auc in (0.0, 1.0):
            sizes = np.bincount(self.label, minlength=2)[::-1]
            return exact_interval(auc, sizes, confidence_level)
        return interval(auc, draws, "logit", confidence_level, self.n_smaller - 1)
