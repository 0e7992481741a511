"""Where a score counts as positive: declared, or chosen on the other folds."""

from numbers import Real

import numpy as np
from scipy.special import logit

from .._utils.validation import check_parameter


def check_threshold(threshold):
    """Refuse what is neither a probability between 0 and 1 nor "youden"."""
    is_number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    valid = threshold == "youden" if isinstance(threshold, str) else is_number and 0 < threshold < 1
    check_parameter("threshold", threshold, valid, "a probability between 0 and 1, or 'youden'")


def all_thresholds(threshold, units):
    """Return the threshold of each row of scores; with more than two classes there is none."""
    threshold = threshold if len(units.classes) == 2 else 0.5
    return {name: thresholds_of(threshold, units, score) for name, score in units.scores.items()}


def thresholds_of(threshold, units, score):
    """Return the threshold as log-odds: one number, or one for each unit and repeat."""
    if threshold != "youden":
        return float(logit(threshold))
    chosen = np.empty(score.shape)
    for repeat, fold in enumerate(units.fold.T):
        if len(np.unique(fold)) < 2:
            raise ValueError(
                "threshold='youden' is chosen on the scores of other folds, and there is one fold "
                "only; declare a probability beforehand, such as threshold=0.5"
            )
        for one in np.unique(fold):
            other = fold != one
            chosen[~other, repeat] = _youden(units.y[other], score[other, repeat])
    return chosen


def _youden(y, score):
    """Return the log-odds above which sensitivity plus specificity is greatest."""
    order = np.argsort(score, kind="stable")
    y, score = y[order], score[order]
    n_positive, n_negative = max((y == 1).sum(), 1), max((y == 0).sum(), 1)
    gain = np.cumsum(np.where(y == 1, -1 / n_positive, 1 / n_negative))
    gain[:-1][np.diff(score) == 0] = -np.inf
    best = gain[:-1].argmax() if len(gain) > 1 else 0
    return score[best : best + 2].mean()
