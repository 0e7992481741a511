"""The metrics of each row: as they are, under each replicate, and in each fold."""

from typing import NamedTuple

import numpy as np

from ._intervals import effective_number
from ._metrics import RowMetrics


class Figures(NamedTuple):
    """What was found for a row: (n_metrics,) and (n_resamples, n_metrics).

    `sizes` is over how many patients each metric is taken, see `RowMetrics.taken_over`.
    """

    found: np.ndarray
    draws: np.ndarray
    sizes: list


def replicate(parts, metrics, thresholds, draws):
    """Return the figures of each row by part, but for parts that lack a class."""
    tasks, figures = [], {}
    for key, part in parts.items():
        if not part.has_all_classes:
            continue
        figures[key], once = {}, _each_patient_once(part.units)
        for name, score in part.units.scores.items():
            row = RowMetrics(part.units, score, metrics, _taken(thresholds[name], part.mask))
            drawn = np.empty((draws.n_resamples, len(metrics)))
            sizes = [[effective_number(n) for n in row.taken_over(metric)] for metric in metrics]
            figures[key][name] = Figures(row.values(once)[0], drawn, sizes)
            tasks.append((row, drawn))
    # All rows and parts see the same blocks of draws.
    for replicates, counts in draws.blocks():
        for row, drawn in tasks:
            drawn[replicates] = row.values(counts)
    return figures


def figures_by_fold(units, metrics, thresholds):
    """Return each row's metrics in each fold of each repeat, and the test to training ratio."""
    lines, shares = {name: [] for name in units.scores}, []
    for repeat, fold in enumerate(units.fold.T):
        column = slice(repeat, repeat + 1)
        for one in np.unique(fold):
            here = fold == one
            shares.append(here.mean())
            part = units.take(here)._replace(fold=units.fold[here, column])
            for name, line in lines.items():
                cut = _taken(thresholds[name], here, column)
                line.append(_one_fold(part, part.scores[name][..., column], metrics, cut))
    share = np.mean(shares)
    ratio = share / (1 - share) if share < 1 else np.nan
    return {name: np.array(line) for name, line in lines.items()}, ratio


def _one_fold(units, score, metrics, threshold):
    """Return a row's metrics in one fold; NaN where it lacks a class."""
    if len(np.unique(units.y)) < len(units.classes):
        return np.full(len(metrics), np.nan)
    return RowMetrics(units, score, metrics, threshold).values(_each_patient_once(units))[0]


def _each_patient_once(units):
    return np.ones((1, units.n_patients), np.int32)


def _taken(threshold, mask, columns=slice(None)):
    """Return the thresholds of some units, where each has its own."""
    return threshold if np.ndim(threshold) == 0 else threshold[mask][:, columns]
