"""Rows against a baseline: paired differences, what they show, and one declared test."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from ._intervals import corrected_t, percentile, simultaneous

_NO_WIDTH = 1e-12


def compare_rows(figures, by_fold, baseline, metrics, ratio, level, *, with_intervals):
    """Return the table of differences from the baseline, indexed by row and metric."""
    rows = [name for name in figures if name != baseline]
    reference, lines = figures[baseline], {}
    for place, metric in enumerate(metrics):
        if not metric.better or not rows:
            continue
        ahead = np.array([figures[row].found[place] for row in rows]) - reference.found[place]
        drawn = np.array([figures[row].draws[:, place] - reference.draws[:, place] for row in rows])
        together = simultaneous(ahead, drawn, level)
        for number, row in enumerate(rows):
            low, high = percentile(drawn[number], level)
            folds = by_fold[row][:, place] - by_fold[baseline][:, place]
            _, (low_training, high_training) = corrected_t(folds, ratio, level)
            bounds = [(low, high)]
            if len(folds) > 1:
                bounds.append((low_training, high_training))
            lines[row, metric.name] = {
                "difference": ahead[number], "low": low, "high": high,
                "low_training": low_training, "high_training": high_training,
                "low_simultaneous": together[number, 0],
                "high_simultaneous": together[number, 1],
                "verdict": _verdict(bounds, metric.better),
            }  # fmt: skip
    if not lines:
        return pd.DataFrame()
    index = pd.MultiIndex.from_tuples(list(lines), names=["row", "metric"])
    table = pd.DataFrame(list(lines.values()), index=index)
    if not with_intervals:
        table.loc[:, table.columns.str.contains("low|high")] = np.nan
        table["verdict"] = "not shown"
    return table


def _verdict(bounds, better):
    """Say "better" or "worse" only where all intervals exclude 0 on the same side.

    An interval without width says that nothing varied, not that nothing can.
    """
    if np.ptp(np.reshape(bounds, (-1, 2)), axis=1).min() <= _NO_WIDTH:
        return "not shown"
    ends = better * np.array(bounds)
    if (ends > 0).all():
        return "better"
    return "worse" if (ends < 0).all() else "not shown"


def clustered_mcnemar(is_right, is_right_baseline, patient):
    """Return z, p and the clustered standard error of a difference of accuracies (Yang 2010)."""
    surplus = np.asarray(is_right, float) - np.asarray(is_right_baseline, float)
    codes = np.unique(patient, return_inverse=True)[1]
    by_patient, sizes = np.bincount(codes, surplus), np.bincount(codes)
    squares = by_patient @ by_patient
    z = by_patient.sum() / np.sqrt(squares) if squares else 0.0
    centered = by_patient - sizes * surplus.mean()
    n = len(sizes)
    error = np.sqrt(centered @ centered * n / max(n - 1, 1)) / len(surplus)
    return {
        "difference": float(surplus.mean()), "standard_error": float(error),
        "z": float(z), "p_value": float(2 * norm.sf(abs(z))),
    }  # fmt: skip


def declared_test(units, thresholds, declared, baseline):
    """Return the clustered McNemar test of the declared comparison, if one was declared."""
    if declared is None:
        return None
    right = [
        ((units.scores[name] > thresholds[name]) == (units.y == 1)[:, None]).mean(axis=1)
        for name in (declared, baseline)
    ]
    return {"row": declared, "baseline": baseline, **clustered_mcnemar(*right, units.patient)}
