"""Log loss, AUC and calibration slope of out-of-fold log-odds; paired intervals by patient.

`scores` and `folds` have a row for each repeat of the cross-validation and a column for each image.
"""

import numpy as np
from sklearn.metrics import roc_auc_score

from skosfusion.evaluation import Ranks, recalibrate

LEVEL = 0.95


def log_losses(target, scores):
    """Return the log loss of each image."""
    return np.logaddexp(0.0, np.where(np.asarray(target) == 1, -1.0, 1.0) * scores)


def patient_weights(target, patients, n_draws, seed):
    """Draw how often each patient is taken, with replacement.

    Patients are drawn among those whose images have the same set of labels. Returns the counts, of
    shape (n_draws, n_patients), and the position of each image's patient in them.
    """
    names, rows = np.unique(patients, return_inverse=True)
    labels = np.zeros((len(names), 2), bool)
    labels[rows, np.asarray(target)] = True
    weights = np.empty((n_draws, len(names)))
    rng = np.random.default_rng(seed)
    for kind in np.unique(labels, axis=0):
        members = np.flatnonzero((labels == kind).all(axis=1))
        chances = np.full(len(members), 1 / len(members))
        weights[:, members] = rng.multinomial(len(members), chances, size=n_draws)
    return weights, rows


def log_loss_of(target, scores, weights, rows):
    """Return the mean log loss under each row of weights; repeats are averaged image by image."""
    n_patients = weights.shape[1]
    losses = np.bincount(rows, log_losses(target, scores).mean(axis=0), n_patients)
    return weights @ losses / (weights @ np.bincount(rows, minlength=n_patients))


def auc_of(target, scores, folds, weights, rows):
    """Return the AUC under each row of weights: over pairs within a fold, the mean of repeats.

    Scores of different folds are of different models, so they are not compared.
    """
    counts, is_positive, aucs = weights.astype(np.int32), np.asarray(target) == 1, []
    for score, fold in zip(scores, folds, strict=True):
        right, pairs = Ranks(is_positive, score, fold, rows).auc(counts)
        with np.errstate(invalid="ignore"):
            aucs.append(right / pairs)
    return np.mean(aucs, axis=0)


def calibration_slope(target, scores, folds):
    """Return the slope of a logistic recalibration, the mean of repeats.

    1 is right; below 1 the probabilities are too extreme. NaN where no fold tells images apart, or
    one score parts the classes completely.
    """
    slopes = []
    for score, fold in zip(scores, folds, strict=True):
        if not any(np.ptp(score[fold == one]) for one in np.unique(fold)):
            return np.nan
        found = recalibrate(np.asarray(target), score[:, None], np.arange(len(target)))
        slopes.append(found["calibration_slope"][0])
    return float(np.mean(slopes))


def interval(draws):
    """Return the percentile interval of resampled values."""
    return tuple(np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))


def compare(target, patients, folds, scores, reference, *, n_draws, seed):
    """Compare methods with a reference on the same resampled patients.

    Parameters
    ----------
    scores : dict of str to ndarray of shape (n_repeats, n_images)
        Out-of-fold log-odds of each method.
    reference : str
        Name of one of them.

    Returns
    -------
    dict of str to dict
        For each method the figures of one line of the table; differences are those of the method
        minus the reference. "not shown" stands where the interval includes 0.
    """
    target, folds = np.asarray(target), np.asarray(folds)
    weights, rows = patient_weights(target, patients, n_draws, seed)
    # The first line is the cohort as it is.
    weights = np.vstack([np.ones(weights.shape[1]), weights])
    scores = {name: np.asarray(score, float) for name, score in scores.items()}
    values = {
        name: {
            "log_loss": log_loss_of(target, score, weights, rows),
            "auc": auc_of(target, score, folds, weights, rows),
        }
        for name, score in scores.items()
    }
    lines = {}
    for name, of_method in values.items():
        line = lines[name] = {}
        for metric, (first, *draws) in of_method.items():
            line[metric] = first
            line[f"{metric}_low"], line[f"{metric}_high"] = interval(draws)
            ahead = of_method[metric] - values[reference][metric]
            low, high = interval(ahead[1:])
            line[f"{metric}_difference"] = ahead[0]
            line[f"{metric}_difference_low"], line[f"{metric}_difference_high"] = low, high
            line[f"{metric}_shown"] = _verdict(low, high, metric, name == reference)
        # As others report it, with pairs of scores of different models.
        line["auc_pooled"] = np.mean([roc_auc_score(target, score) for score in scores[name]])
        line["calibration_slope"] = calibration_slope(target, scores[name], folds)
        line["accuracy"] = float(np.mean((scores[name] > 0) == (target == 1)))
    return lines


def _verdict(low, high, metric, is_reference):
    """Say in a word what an interval of a difference shows."""
    if is_reference:
        return "reference"
    if low <= 0 <= high:
        return "not shown"
    return "better" if (low > 0) == (metric == "auc") else "worse"
