"""The tables of an evaluation: a line for each row of scores."""

import numpy as np
import pandas as pd
from scipy.stats import t

from ._calibration import recalibrate
from ._intervals import exact_interval, interval
from ._metrics import is_of_ranks


def table_of(part, figures, metrics, calibration, level):
    """Return metrics and calibration of a part, with intervals; NaN where there are no figures."""
    n_patients, lines = len(np.unique(part.units.patient)), {}
    constant = part.units.constant_rows
    for name, score in part.units.scores.items():
        line = lines[name] = {}
        for place, metric in enumerate(metrics):
            value, ends = np.nan, (np.nan, np.nan)
            if figures:
                value, drawn = figures[name].found[place], figures[name].draws[:, place]
                if value in (0, 1) and metric.scale == "logit":
                    ends = exact_interval(value, figures[name].sizes[place], level)
                elif not (name in constant and is_of_ranks(metric)):
                    ends = interval(value, drawn, metric.scale, level, max(n_patients - 1, 1))
            _enter(line, metric.name, value, ends if part.has_intervals else (np.nan, np.nan))
        if figures and calibration:
            quantile = t.ppf((1 + level) / 2, n_patients)
            line |= _calibration(part, score, calibration, quantile, name in constant)
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("row")


def _calibration(part, score, names, quantile, is_constant):
    """Return the figures of a recalibration, with intervals; there is no slope on equal scores."""
    line, fitted = {}, recalibrate(part.units.y, score, part.units.patient)
    for name in names:
        is_defined = name == "in_the_large" or not is_constant
        value, error = fitted[name] if is_defined else (np.nan, np.nan)
        half = quantile * error if part.has_intervals else np.nan
        _enter(line, name, value, (value - half, value + half))
    return line


def _enter(line, name, value, ends):
    line[name] = value
    line[f"{name}_low"], line[f"{name}_high"] = ends


def subgroup_table(parts, tables):
    """Return the tables of all subgroups in one, with their numbers of patients and units."""
    found = {
        key: tables[key].assign(
            patients=len(np.unique(part.units.patient)), units=len(part.units.y)
        )
        for key, part in parts.items()
        if isinstance(key, tuple)
    }
    return pd.concat(found, names=["subgroup", "level"]) if found else pd.DataFrame()


def counts_of(images):
    """Count patients and images, in all and by fold."""
    lines = {("all", "all"): np.ones(len(images.y), bool)}
    for repeat, fold in enumerate(images.fold.T):
        lines |= {(repeat, one): fold == one for one in np.unique(fold)}
    return pd.DataFrame(
        [
            {
                "patients": len(np.unique(images.patient[here])),
                "images": int(here.sum()),
                "positives": int((images.y[here] == 1).sum()),
            }
            for here in lines.values()
        ],
        index=pd.MultiIndex.from_tuples(list(lines), names=["repeat", "fold"]),
    )


def replicates_of(figures, metrics):
    """Return the replicates of each row as a table."""
    names = [metric.name for metric in metrics]
    return {name: pd.DataFrame(found.draws, columns=names) for name, found in figures.items()}
