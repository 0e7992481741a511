"""Curves over thresholds as means of those of the folds, under counts of patients."""

import numpy as np

_N_POINTS = 501
#: Where ROC curves are taken, as shares of the negative units.
FALSE_POSITIVE_RATES = np.linspace(0, 1, _N_POINTS)
#: Where precision-recall curves are taken: the middles of equal steps.
RECALLS = (np.arange(_N_POINTS) + 0.5) / _N_POINTS


def mean_curve(kind, is_positive, score, fold, weights):
    """Return a curve for each line of `weights`, which counts units: (n_draws, n_points).

    Scores of different models are never compared. A fold counts by its pairs for the ROC curve, and
    by its positive units for precision and recall, so that the area is the metric of an evaluation.
    """
    total, shares = np.zeros((len(weights), _N_POINTS)), np.zeros(len(weights))
    for one_score, one_fold in zip(score.T, fold.T, strict=True):
        for one in np.unique(one_fold):
            here = np.flatnonzero(one_fold == one)
            order = here[np.argsort(-one_score[here], kind="stable")]
            # Tied scores have one threshold, at the last of them.
            ends = np.append(np.flatnonzero(np.diff(one_score[order])), len(order) - 1)
            drawn = weights[:, order]
            found = np.cumsum(np.where(is_positive[order], drawn, 0), axis=1)[:, ends]
            wrong = np.cumsum(np.where(is_positive[order], 0, drawn), axis=1)[:, ends]
            n_positive, n_negative = found[:, -1], wrong[:, -1]
            share = n_positive * (n_negative if kind == "roc" else 1)
            curve_of = _roc if kind == "roc" else _precision_recall
            for draw in np.flatnonzero(share):
                total[draw] += share[draw] * curve_of(found[draw], wrong[draw])
            shares += share
    return np.divide(total, shares[:, None], out=np.full_like(total, np.nan),
                     where=shares[:, None] > 0)  # fmt: skip


def _roc(found, wrong):
    rates = np.append(0, wrong / wrong[-1]), np.append(0, found / found[-1])
    return np.interp(FALSE_POSITIVE_RATES, *rates)


def _precision_recall(found, wrong):
    first = np.searchsorted(found, RECALLS * found[-1])
    return found[first] / (found[first] + wrong[first])
