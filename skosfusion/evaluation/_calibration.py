"""Logistic recalibration of log-odds, with a sandwich clustered by patient."""

import numpy as np
from scipy.special import expit

_STEPS = 100


def recalibrate(y, score, patient):
    """Return in the large, intercept and slope, each with its standard error; repeats are pooled.

    NaN where there is no maximum, as with scores that part the classes completely.
    """
    n_repeats = score.shape[1]
    y, patient = np.repeat(y, n_repeats), np.repeat(patient, n_repeats)
    score, ones = score.ravel(), np.ones(score.size)
    large = _fit(y, ones[:, None], score, patient)
    both = _fit(y, np.column_stack([ones, score]), np.zeros(score.size), patient)
    return {
        "in_the_large": (large[0][0], large[1][0]),
        "calibration_intercept": (both[0][0], both[1][0]),
        "calibration_slope": (both[0][1], both[1][1]),
    }


def _fit(y, X, offset, patient):
    """Return the coefficients of a logistic regression and their clustered standard errors."""
    coefficients, fitted = np.zeros(X.shape[1]), False
    nothing = np.full(X.shape[1], np.nan)
    for _ in range(_STEPS):
        p = expit(offset + X @ coefficients)
        information = X.T @ (X * (p * (1 - p))[:, None])
        if not np.linalg.cond(information) < 1e12:
            return nothing, nothing
        step = np.linalg.solve(information, X.T @ (y - p))
        coefficients = coefficients + np.clip(step, -2, 2)
        fitted = np.abs(step).max() < 1e-10
        if fitted:
            break
    if not fitted:
        return nothing, nothing
    parts = X * (y - expit(offset + X @ coefficients))[:, None]
    codes = np.unique(patient, return_inverse=True)[1]
    parts = np.column_stack([np.bincount(codes, part) for part in parts.T])
    bread = np.linalg.inv(information)
    variance = bread @ parts.T @ parts @ bread * len(parts) / max(len(parts) - 1, 1)
    return coefficients, np.sqrt(np.diag(variance))
