"""Random effects: one figure from several sites, and how much sites differ."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import t

_ROUNDING = 1e-10


class Pooled(NamedTuple):
    """Mean over sites, its interval, the spread of sites, and where a new site is expected."""

    mean: float
    low: float
    high: float
    tau: float
    prediction_low: float
    prediction_high: float


def pool(values, variances, *, level):
    """Pool by REML, with the modified interval of Hartung and Knapp; NaN for too few."""
    values, variances = np.asarray(values, float), np.asarray(variances, float)
    n_sites, nan = len(values), np.nan
    if n_sites == 0:
        return Pooled(*[nan] * 6)
    if n_sites == 1:
        return Pooled(float(values[0]), *[nan] * 5)
    tau = _tau(values, variances)
    weights = 1 / (variances + tau**2)
    mean = np.average(values, weights=weights)
    squared_error = np.average((values - mean) ** 2, weights=weights) / (n_sites - 1)
    # Few sites may agree by chance; they know no more for that than their own errors allow.
    squared_error = max(squared_error, 1 / weights.sum())
    margin = t.ppf((1 + level) / 2, n_sites - 1) * np.sqrt(squared_error)
    expected = nan
    if n_sites > 2:
        spread = np.sqrt(tau**2 + 1 / weights.sum())
        expected = t.ppf((1 + level) / 2, n_sites - 2) * spread
    ends = (mean - margin, mean + margin, tau, mean - expected, mean + expected)
    return Pooled(float(mean), *map(float, ends))


def _tau(values, variances):
    """Estimate the standard deviation between sites by restricted maximum likelihood."""

    def loss(tau):
        total = variances + tau**2
        mean = np.average(values, weights=1 / total)
        return (
            np.log(total).sum() + np.log((1 / total).sum()) + ((values - mean) ** 2 / total).sum()
        )

    most = 10 * (np.std(values) + np.sqrt(variances.max()))
    found = minimize_scalar(loss, bounds=(0, most), method="bounded", options={"xatol": 1e-10})
    # Where 0 is best, the search ends close beside it.
    return 0.0 if loss(0.0) <= found.fun + _ROUNDING else float(found.x)
