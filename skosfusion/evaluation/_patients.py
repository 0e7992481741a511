"""The views of a patient joined into one score."""

import numpy as np
from scipy.special import log_expit, log_softmax, logsumexp

from .._utils.groups import codes_of, complete_column
from .._utils.log_odds import LogOdds
from .._utils.validation import check_parameter, did_you_mean, shown
from ._inputs import Units

#: How the scores of a patient's images become one.
RULES = ("mean_logit", "mean", "max", "noisy_or")
_DECIMALS, _LARGE = 12, 1e6
# Below, exp(x) is less than half a rounding of 1.
_LOG_ROUNDED = -38.0
_LARGEST = np.finfo(np.float64).max


def patient_scores(scores, groups, *, rule="mean_logit"):
    """Join the log-odds of each patient's images into one.

    Parameters
    ----------
    scores : array-like of shape (n_samples,) or (n_samples, n_repeats)
        Log-odds of the positive class; repeats of a cross-validation are joined one by one.
    groups : array-like of shape (n_samples,)
        The patient of each image.
    rule : {"mean_logit", "mean", "max", "noisy_or"} or callable, default="mean_logit"
        "mean_logit" is the mean of the log-odds, "mean" the mean of the probabilities, "max" the
        highest, and "noisy_or" the chance that at least one image is positive, were they
        independent. A callable takes the log-odds of one patient, of shape (n_images,), and
        returns one.

    Returns
    -------
    patients : ndarray of shape (n_patients,)
        In the order in which they first occur.
    scores : ndarray of shape (n_patients,) or (n_patients, n_repeats)
        Log-odds of each patient, in float64.

    Raises
    ------
    ValueError
        For another rule, patients of another length, and scores that are missing or infinite.

    See Also
    --------
    evaluate_scores : Metrics of out-of-fold scores, by patient.

    Notes
    -----
    All rules return log-odds. They are computed from logarithms, so that a probability that rounds
    to 1 keeps its rank, and rounded to 12 decimals, so that patients of one mean are tied whatever
    the order of their images. "max" and "noisy_or" rise with the number of images: where patients
    with more images have the disease more often, they count images.

    Examples
    --------
    >>> from skosfusion.evaluation import patient_scores
    >>> patients, joined = patient_scores([2.0, 1.0, -3.0], ["a", "a", "b"])
    >>> patients.tolist(), joined.tolist()
    (['a', 'b'], [1.5, -3.0])
    """
    check_rule(rule)
    scores = np.asarray(scores, dtype=np.float64)
    groups = complete_column(groups, "patient")
    if scores.ndim not in (1, 2) or len(scores) != len(groups):
        raise ValueError(
            f"scores have shape {scores.shape} and groups {groups.shape}; allowed for the scores: "
            f"{(len(groups),)} or {(len(groups), 'n_repeats')}"
        )
    broken = np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
    if len(broken):
        raise ValueError(
            f"the score is missing or infinite in {shown(broken, 'row')}; keep log-odds in float64"
        )
    codes, names = codes_of(groups, "patient")
    return np.asarray(names), _rounded(_join(scores, codes, len(names), rule))


def check_rule(rule, name="rule"):
    """Refuse what is neither one of the rules nor callable; `name` is that of the parameter."""
    is_known = callable(rule) or (isinstance(rule, str) and rule in RULES)
    allowed = ", ".join(map(repr, RULES)) + " or a callable of one patient's log-odds"
    guess = did_you_mean(rule, RULES)
    check_parameter(name, rule, is_known, f"{allowed}; {guess}" if guess else allowed)


def join_patients(images, rule, label_rule):
    """Return patients as units: one score, label and fold each."""
    n_patients, n_classes = images.n_patients, len(images.classes)
    if n_classes > 2 and rule not in ("mean_logit", "mean"):
        raise ValueError(
            f"patient_rule={rule!r} is for two classes; allowed for {n_classes}: 'mean_logit' or "
            "'mean'"
        )
    join = _join if n_classes == 2 else _join_classes
    scores = LogOdds(
        {
            name: _rounded(join(score, images.patient, n_patients, rule))
            for name, score in images.scores.items()
        }
    )
    first = np.zeros(n_patients, int)
    first[images.patient[::-1]] = np.arange(len(images.y))[::-1]
    y = _labels(images, first, label_rule)
    return Units(y, scores, images.fold[first], np.arange(n_patients), n_patients, images.classes)


def _labels(images, first, label_rule):
    """Return one label for each patient; ValueError where images differ and no rule was given."""
    n_classes = len(images.classes)
    is_allowed = label_rule is None or (label_rule == "any" and n_classes == 2)
    check_parameter("label_rule", label_rule, is_allowed, "None or, for two classes, 'any'")
    y = images.y[first]
    differ = np.flatnonzero(y[images.patient] != images.y)
    if not len(differ):
        return y
    if label_rule == "any":
        np.maximum.at(y, images.patient, images.y)
        return y
    rows = np.flatnonzero(images.patient == images.patient[differ[0]])
    raise ValueError(
        f"{len(np.unique(images.patient[differ]))} patients have images of several labels, the "
        f"first in {shown(rows, 'row')}; correct the labels, or give unit='image', or "
        "label_rule='any', by which one positive image makes a positive patient"
    )


def _sorted(scores, codes):
    """Sort scores by patient; return them, and where each patient starts."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return scores[order], starts


def _join(scores, codes, n_patients, rule):
    """Join log-odds along the first axis, patient by patient."""
    scores, starts = _sorted(scores, codes)
    counts = np.diff(starts, append=len(scores)).reshape(-1, *[1] * (scores.ndim - 1))
    if rule == "mean_logit":
        return _kept_if_equal(_means(scores, starts, counts), scores, starts)
    if rule == "max":
        return np.maximum.reduceat(scores, starts)
    if rule == "mean":
        positive = np.logaddexp.reduceat(log_expit(scores), starts)
        joined = positive - np.logaddexp.reduceat(log_expit(-scores), starts)
        return _kept_if_equal(joined, scores, starts)
    if rule == "noisy_or":
        return _noisy_or(scores, starts)
    ends = np.append(starts[1:], len(scores))
    flat = scores.reshape(len(scores), -1)
    joined = np.array(
        [
            [float(rule(column[start:end])) for column in flat.T]
            for start, end in zip(starts, ends, strict=True)
        ]
    )
    if not np.isfinite(joined).all():
        raise ValueError(f"rule={rule!r} returned a missing or infinite score; return log-odds")
    return joined.reshape(len(starts), *scores.shape[1:])


def _means(scores, starts, counts):
    """Return the mean of each patient's scores, also where their sum is beyond float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.add.reduceat(scores, starts) / counts
    if np.isfinite(means).all():
        return means
    parts = scores / np.repeat(counts, counts.ravel(), axis=0)
    return np.where(np.isfinite(means), means, np.add.reduceat(parts, starts))


def _noisy_or(scores, starts):
    """Return the log-odds that one image at least is positive; within float64 for any scores."""
    # The chance of none is exp(-against); its logarithm lasts where it would round to 0.
    log_against = np.logaddexp.reduceat(_log_softplus(scores), starts)
    with np.errstate(over="ignore"):
        against = np.minimum(-np.add.reduceat(log_expit(-scores), starts), _LARGEST)
    # log(exp(against) - 1), which neither overflows nor cancels, and below tends to log(against).
    is_small = log_against < _LOG_ROUNDED
    large = np.where(is_small, 1.0, against)
    return np.where(is_small, log_against, large + np.log(-np.expm1(-large)))


def _log_softplus(scores):
    """Return log(log(1 + exp(score))), which tends to the score where this is small."""
    is_small = scores < _LOG_ROUNDED
    return np.where(is_small, scores, np.log(np.logaddexp(0, np.where(is_small, 0.0, scores))))


def _rounded(joined):
    """Round, so that patients of one mean are tied in whatever order it was added up."""
    # Larger ones have no such decimals, and would overflow on the way.
    is_large = np.abs(joined) > _LARGE
    return np.where(is_large, joined, np.round(np.where(is_large, 0.0, joined), _DECIMALS))


def _kept_if_equal(joined, scores, starts):
    """Keep a score that all images of a patient share: rounding would part equal patients."""
    is_equal = np.minimum.reduceat(scores, starts) == np.maximum.reduceat(scores, starts)
    return np.where(is_equal, scores[starts], joined)


def _join_classes(scores, codes, n_patients, rule):
    """Join log-probabilities of several classes; they add up to 1 again."""
    scores, starts = _sorted(scores, codes)
    if rule == "mean":
        joined = np.logaddexp.reduceat(scores, starts)
        joined = joined - logsumexp(joined, axis=1, keepdims=True)
        return _kept_if_equal(joined, scores, starts)
    counts = np.diff(starts, append=len(scores))[:, None, None]
    joined = log_softmax(np.add.reduceat(scores, starts) / counts, axis=1)
    return _kept_if_equal(joined, scores, starts)
