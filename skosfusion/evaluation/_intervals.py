"""Intervals from replicates and from folds."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, t

_ROUNDING = 1e-12


def interval(value, draws, scale, level, df):
    """Return an interval: on the scale of "logit" or "log" with t, else by percentile.

    NaN where all draws are the same, as the accuracy of a rule is when classes keep their numbers.
    """
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(draws) < 2 or np.ptp(draws) <= _ROUNDING * max(abs(value), 1):
        return np.nan, np.nan
    if scale is None:
        return percentile(draws, level)
    spread, quantile = np.std(draws, ddof=1), t.ppf((1 + level) / 2, df)
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale == "log":
            center, error, back = np.log(value), spread / value, np.exp
        else:
            center, error, back = logit(value), spread / (value * (1 - value)), expit
        if not np.isfinite([center, error]).all():
            return np.nan, np.nan
    return float(back(center - quantile * error)), float(back(center + quantile * error))


def exact_interval(value, sizes, level):
    """Return the interval of a proportion or an AUC that is exactly 0 or 1; NaN for other metrics.

    `sizes` is over how many patients a proportion is taken, or the positive and the negative ones.
    """
    if len(sizes) == 1:
        # Clopper and Pearson 1934, with the effective size as Korn and Graubard 1998.
        low = ((1 - level) / 2) ** (1 / sizes[0])
    elif len(sizes) == 2:
        low = _newcombe_bound(*sizes, norm.ppf((1 + level) / 2))
    else:
        return np.nan, np.nan
    return (float(low), 1.0) if value == 1 else (0.0, float(1 - low))


def _newcombe_bound(n_positive, n_negative, z):
    """Return the lower bound of an AUC of 1: method 5 of Newcombe 2006."""
    others, pairs = (n_positive + n_negative) / 2 - 1, n_positive * n_negative

    def surplus(auc):
        spread = 1 + others * ((1 - auc) / (2 - auc) + auc / (1 + auc))
        return (1 - auc) * pairs - z**2 * auc * spread

    return brentq(surplus, 0, 1)


def effective_number(by_patient):
    """Return how many patients of one image these weigh (Kish 1965).

    All images of a patient are taken for one: where no unit differs there is no other estimate.
    """
    squares = by_patient @ by_patient
    return by_patient.sum() ** 2 / squares if squares else np.nan


def percentile(draws, level):
    """Return the percentile interval of the finite draws."""
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return np.nan, np.nan
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def simultaneous(differences, draws, level):
    """Return intervals that hold for all rows together, by the largest |t| of each replicate."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.std(draws, axis=1, ddof=1)
        largest = np.abs((draws - differences[:, None]) / error[:, None])
    largest = largest[np.isfinite(largest).all(axis=1)]
    if not len(largest):
        return np.full((len(differences), 2), np.nan)
    critical = np.quantile(largest.max(axis=0), level)
    return np.column_stack([differences - critical * error, differences + critical * error])


def corrected_t(differences, test_to_train, level):
    """Return t and the interval of fold differences (Nadeau and Bengio 2003, corrected)."""
    differences = differences[np.isfinite(differences)]
    n_folds = len(differences)
    if n_folds < 2:
        return np.nan, (np.nan, np.nan)
    center = differences.mean()
    error = np.sqrt((1 / n_folds + test_to_train) * differences.var(ddof=1))
    half = t.ppf((1 + level) / 2, n_folds - 1) * error
    ratio = center / error if error else np.nan
    return float(ratio), (float(center - half), float(center + half))
