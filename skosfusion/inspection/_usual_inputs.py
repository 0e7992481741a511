"""What was usual in a clinical input of the training set, told so that no patient can be read."""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

from ._raw_inputs import NUMBER

# What fewer patients share is not told.
FEWEST = 5
_LEVELS = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
MEDIAN = 0.5
# As far as three deviations of a normal distribution that has the outermost quantile are usual, and
# at least half as far again from it as it is from the median ...
_DEVIATIONS = 3.0
_LEAST_STEP = 0.5
# ... times the first of these that leaves so few patients outside as `budget_of` allows.
_WIDER = (1.0, 2.0, 4.0, 8.0, 16.0)
# Where all patients share a value, as of a kit's limits, a neighbor of it is not unusual.
_LEAST_SHARE = 0.25
MOST_NAMES = 200
LONGEST_NAME = 100
_KINDS = ["row", "column", "kind", "value", "usual", "distance"]


def budget_of(rate, n_patients):
    """Return how many patients of the training set may lie outside what is usual."""
    return max(FEWEST - 1, math.floor(rate * n_patients))


def at_most(n_patients):
    """Return a count that tells nothing of one to four patients: 0, 4, or the count."""
    return max(int(n_patients), FEWEST - 1) if n_patients else 0


def summarize_input(column, kind, values, patients, rate):
    """Return what is usual in a column, as JSON can hold it."""
    there = pd.notna(values)
    n_missing = len(np.unique(patients[~there]))
    summarize = _summarize_numbers if kind == NUMBER else _summarize_categories
    return {
        "column": column,
        "kind": kind,
        "n_patients": len(np.unique(patients[there])),
        "n_missing": at_most(n_missing),
        **summarize(values[there], patients[there], rate),
    }


def _summarize_numbers(values, patients, rate):
    # One value for each patient: of many images of one, five would be one patient's.
    by_patient = pd.Series(values, dtype=np.float64).groupby(patients)
    levels, quantiles = _quantiles(np.sort(by_patient.median().to_numpy()))
    summary = {"levels": levels, "quantiles": quantiles, "scale": "difference"}
    summary |= {"low": None, "high": None}
    if MEDIAN not in levels[1:-1]:
        return summary
    ends = by_patient.min().to_numpy(), by_patient.max().to_numpy()
    budget = max(FEWEST - 1, budget_of(rate, len(ends[0])) // 2)
    for scale in ("ratio", "difference")[quantiles[0] <= 0 :]:
        median, outer = quantiles[levels.index(MEDIAN)], quantiles[:: len(quantiles) - 1]
        steps = [
            _step(scale, median, end, level)
            for end, level in zip(outer, levels[:: len(levels) - 1], strict=True)
        ]
        low = _limit(scale, outer[0], -steps[0], lambda low: (ends[0] < low).sum() <= budget)
        high = _limit(scale, outer[1], steps[1], lambda high: (ends[1] > high).sum() <= budget)
        summary |= {"scale": scale, "low": low, "high": high}
        if low is not None and high is not None:
            break
    return summary


def _quantiles(ordered):
    """Return levels and quantiles that are each the mean of five patients, with five beyond."""
    centers = {}
    # From the middle to the ends, so that no two share a patient.
    for level in sorted(_LEVELS, key=lambda level: abs(level - MEDIAN)):
        center = round(level * (len(ordered) - 1))
        is_apart = all(abs(center - other) >= FEWEST for other in centers.values())
        if is_apart and FEWEST <= center <= len(ordered) - 1 - FEWEST:
            centers[level] = center
    half = FEWEST // 2
    return sorted(centers), [
        _rounded(ordered[centers[level] - half : centers[level] + half + 1].mean())
        for level in sorted(centers)
    ]


def _step(scale, median, outer, level):
    """Return how far beyond the outermost quantile values are usual; a logarithm for ratios."""
    deviations = abs(NormalDist().inv_cdf(level))
    share = max(_DEVIATIONS / deviations - 1, _LEAST_STEP)
    if scale == "ratio":
        return share * max(abs(math.log(outer / median)), math.log1p(_LEAST_SHARE))
    return share * max(abs(outer - median), _LEAST_SHARE * abs(median))


def _limit(scale, outer, step, is_enough):
    """Return the nearest limit beyond a quantile that leaves few patients outside, None for none.

    It is found by counts of five patients and more, so that no patient's value decides on it.
    """
    for wider in _WIDER:
        away = min(wider * abs(step), 700.0) if scale == "ratio" else wider * abs(step)
        away = math.copysign(away, step)
        limit = outer * math.exp(away) if scale == "ratio" else outer + away
        if math.isfinite(limit) and is_enough(_rounded(limit)):
            return _rounded(limit)
    return None


def _rounded(value):
    return float(f"{value:.6g}")


def _summarize_categories(values, patients, rate):
    pairs = pd.DataFrame({"patient": patients, "name": values}).drop_duplicates()
    counts = pairs["name"].value_counts()
    counts = counts.iloc[np.lexsort([counts.index, -counts.to_numpy()])]
    named = counts[(counts >= FEWEST) & (counts.index.map(len) <= LONGEST_NAME)][:MOST_NAMES]
    others = pairs.loc[~pairs["name"].isin(named.index), "patient"].nunique()
    return {
        "names": named.index.tolist(),
        "counts": [int(count) for count in named],
        "n_others": at_most(others),
    }


def outside_inputs(inputs, columns, rate):
    """List what lies outside: position of the row, column, kind, value, usual, distance."""
    found = []
    for summary in inputs:
        column, values = summary["column"], columns[summary["column"]]
        if summary["n_missing"] == 0 and summary["n_patients"]:
            rows = np.flatnonzero(pd.isna(values))
            found += [(row, column, "missing", None, "never missing", np.nan) for row in rows]
        outside = _outside_numbers if summary["kind"] == NUMBER else _outside_categories
        rows, distances, usual = outside(summary, values, rate)
        found += [
            (row, column, summary["kind"], values[row], usual, distance)
            for row, distance in zip(rows, distances, strict=True)
        ]
    return found


def _outside_numbers(summary, values, rate):
    low, high = summary["low"], summary["high"]
    ends = -np.inf if low is None else low, np.inf if high is None else high
    rows = np.flatnonzero((values < ends[0]) | (values > ends[1]))
    named = (("from", low), ("to", high))
    usual = " ".join(f"{word} {end:.4g}" for word, end in named if end is not None)
    median = median_of(summary) if len(rows) else None
    return rows, [_distance(summary["scale"], values[row], median, ends) for row in rows], usual


def median_of(summary):
    """Return the median of a column of numbers; one that has limits has it."""
    return summary["quantiles"][summary["levels"].index(MEDIAN)]


def _distance(scale, value, median, ends):
    """Return how far a value is from the median; the limit is 1."""
    limit = ends[int(value > median)]
    if scale == "ratio":
        if value <= 0:
            return np.inf
        # A file may hold any positive numbers.
        value, limit, median = np.log([value, limit, median])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return float(np.abs(np.divide(value - median, limit - median)))


def _outside_categories(summary, values, rate):
    n_all = summary["n_patients"]
    if summary["n_others"] > budget_of(rate, n_all) or not summary["names"]:
        return [], [], ""
    known = set(summary["names"])
    rows = [row for row, value in enumerate(values) if value is not None and value not in known]
    shown = ", ".join(map(repr, summary["names"][:FEWEST]))
    return rows, [np.nan] * len(rows), shown + ", ..." * (len(known) > FEWEST)


def as_table(found, index):
    """Return what lies outside as a table, in the order of its rows."""
    found = sorted(found, key=lambda line: line[0])
    table = pd.DataFrame(found, columns=_KINDS)
    table["value"] = pd.Series([line[3] for line in found], dtype=object)
    table["distance"] = table["distance"].astype(np.float64)
    table["row"] = index[np.array([line[0] for line in found], int)]
    return table
