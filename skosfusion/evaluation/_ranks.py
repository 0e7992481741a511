"""Metrics of the order of scores, within folds, under counts of patients."""

from typing import NamedTuple

import numpy as np


class Ranks:
    """The order of one column of scores, made once and used for every replicate.

    Scores are sorted once, so a replicate costs a running sum: no table of all pairs is kept.
    """

    def __init__(self, is_positive, score, fold, patient):
        order = np.lexsort((-score, fold))
        fold, score = fold[order], score[order]
        self.patient = patient[order]
        self.is_positive = is_positive[order]
        self.starts = np.flatnonzero(np.diff(fold, prepend=-1))
        is_last = np.append((np.diff(fold) != 0) | (np.diff(score) != 0), True)
        n_units = np.diff(self.starts, append=len(fold))
        n_positive = np.add.reduceat(self.is_positive.astype(int), self.starts)
        # Among positives alone every precision is 1.
        self.has_both = np.repeat((n_positive > 0) & (n_positive < n_units), n_units)
        self.ends = None if is_last.all() else np.flatnonzero(is_last)
        ends = np.arange(len(fold)) if self.ends is None else self.ends
        # Which running sum stands before each threshold's fold; the last place holds 0.
        self.before_fold = self.starts[np.cumsum(np.diff(fold, prepend=-1) != 0) - 1][ends] - 1

    def _counts(self, weights):
        """Return the counts of positive and negative units in order."""
        drawn = np.take(weights, self.patient, axis=1)
        positive = np.where(self.is_positive, drawn, 0)
        return positive, drawn - positive

    def auc(self, weights):
        """Return pairs of a fold in the right order, ties half, and all pairs of a fold."""
        positive, negative = self._counts(weights)
        above = np.cumsum(positive, axis=1, dtype=np.int32)
        n_positive = np.add.reduceat(positive, self.starts, axis=1, dtype=np.float64)
        n_negative = np.add.reduceat(negative, self.starts, axis=1, dtype=np.float64)
        if self.ends is None:
            right = _product(negative, above)
        else:
            at_end = above[:, self.ends]
            first = np.append(0, self.ends[:-1] + 1)
            here = np.add.reduceat(negative, first, axis=1)
            right = 0.5 * (_product(here, at_end) + _product(here[:, 1:], at_end[:, :-1]))
        earlier = np.cumsum(n_positive, axis=1) - n_positive
        return right - _product(earlier, n_negative), _product(n_positive, n_negative)

    def average_precision(self, weights):
        """Return the sum of the precision at each positive unit, and their number.

        Folds that lack a class do not count.
        """
        positive, negative = (np.where(self.has_both, n, 0) for n in self._counts(weights))
        above = np.cumsum(positive, axis=1, dtype=np.int32)
        total = above[:, -1].astype(float)
        everyone = above + np.cumsum(negative, axis=1, dtype=np.int32)
        above, everyone = (np.pad(part, ((0, 0), (0, 1))) for part in (above, everyone))
        ends = slice(-1) if self.ends is None else self.ends
        found = above[:, ends] - above[:, self.before_fold]
        chosen = everyone[:, ends] - everyone[:, self.before_fold]
        precision = np.divide(found, chosen, out=np.zeros(found.shape), where=chosen > 0)
        new = np.diff(above[:, ends], axis=1, prepend=0)
        return _product(new, precision), total


def _product(one, other):
    """Return the sum of products of each row, in float64: exact for counts."""
    return np.einsum("ij,ij->i", one, other, dtype=np.float64, casting="unsafe")


class ClusteredAUC(NamedTuple):
    """An AUC with its standard error, and what each patient adds to it on either side."""

    auc: float
    standard_error: float
    positive: np.ndarray
    negative: np.ndarray


def clustered_auc(is_positive, score, patient, fold=None):
    """Return the AUC within folds and its standard error by patient (Obuchowski 1997).

    With one image a patient and one fold it is DeLong's. Images of a patient may have both labels.
    """
    is_positive, score = np.asarray(is_positive, bool), np.asarray(score, float)
    patient = np.unique(np.asarray(patient), return_inverse=True)[1]
    fold = np.zeros(len(score), int) if fold is None else np.asarray(fold)
    won, rivals = np.zeros(len(score)), np.zeros(len(score))
    for one in np.unique(fold):
        here = fold == one
        for side, sign in ((is_positive, 1.0), (~is_positive, -1.0)):
            mine, theirs = np.flatnonzero(here & side), np.sort(sign * score[here & ~side])
            places = [np.searchsorted(theirs, sign * score[mine], way) for way in ("left", "right")]
            won[mine], rivals[mine] = np.mean(places, axis=0), len(theirs)
    pairs = rivals[is_positive].sum()
    auc = won[is_positive].sum() / pairs if pairs else np.nan
    parts = []
    for side in (is_positive, ~is_positive):
        surplus = np.where(side, won - auc * rivals, 0.0) / (pairs or np.nan)
        parts.append(np.bincount(patient, surplus))
    counts = [len(np.unique(patient[side])) for side in (is_positive, ~is_positive)]
    variance = covariance(parts, parts, counts)
    return ClusteredAUC(float(auc), float(np.sqrt(max(variance, 0.0))), *parts)


def covariance(one, other, counts):
    """Return the covariance of two AUCs from what patients add to each; equation 3 of the paper."""
    n_all = len(one[0])
    if min(counts) < 2:
        return np.nan
    sides = [n / (n - 1) * (a @ b) for n, a, b in zip(counts, one, other, strict=True)]
    return sum(sides) + n_all / (n_all - 1) * (one[0] @ other[1] + one[1] @ other[0])
