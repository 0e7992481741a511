"""Figures by subgroup: those of the evaluation, else age bands and sex."""

import warnings

import numpy as np
import pandas as pd

from ..evaluation import evaluate_scores
from ._document import Table, figure
from ._masks import FEWEST, MASKED, masked_parts
from ._table_one import by_patient

_BANDS = [-np.inf, 18, 40, 65, np.inf]
_BAND_NAMES = ["0 to 17", "18 to 39", "40 to 64", "65 and above"]
_MOST_SEXES = 5
_RESAMPLES = 1000
_METRICS = ["auc", "sensitivity", "specificity"]


def subgroup_figures(given):
    """Return subgroups as `evaluate_scores` has them; None where nothing is known."""
    evaluation = given.evaluation
    if len(evaluation.subgroups):
        return evaluation.subgroups
    columns = {} if given.cohort is None else _default_columns(given.cohort, evaluation.groups)
    if not columns:
        return None
    with warnings.catch_warnings():
        # Of rows that are constant `evaluate_scores` has warned before.
        warnings.simplefilter("ignore", UserWarning)
        return _evaluated(given, columns)


def _evaluated(given, columns):
    evaluation = given.evaluation
    return evaluate_scores(
        evaluation.y, evaluation.scores, groups=evaluation.groups, fold=evaluation.fold,
        unit=evaluation.unit, threshold=evaluation.threshold, subgroups=columns,
        metrics=_METRICS if given.is_binary else ["auc"], n_resamples=_RESAMPLES,
        confidence_level=evaluation.confidence_level, random_state=0, are_log_odds=True,
    ).subgroups  # fmt: skip


def _default_columns(cohort, groups):
    """Return age band and sex for each unit of the evaluation."""
    frame, _ = by_patient(cohort)
    frame = frame.reindex(np.asarray(groups, str))
    columns = {}
    if "age" in frame and pd.api.types.is_numeric_dtype(frame["age"]):
        bands = pd.cut(frame["age"].astype(float), _BANDS, right=False, labels=_BAND_NAMES)
        columns["age band"] = bands.astype(object).to_numpy()
    if "gender" in frame and frame["gender"].nunique() <= _MOST_SEXES:
        columns["sex"] = frame["gender"].astype(object).to_numpy()
    return {name: values for name, values in columns.items() if not pd.isna(values).all()}


def subgroup_table(given, found, row):
    """Return the figures of one row by subgroup as a Table, levels of few patients masked."""
    metrics = [name for name in _METRICS if name in found.columns]
    here = found[found.index.get_level_values("row") == row].droplevel("row")
    shown = {}
    for name, counts in here["patients"].groupby(level=0, sort=False):
        levels = counts.droplevel(0).astype(int).to_dict()
        shown |= {(name, level): text for level, text in masked_parts(levels).items()}
    lines = []
    for (name, level), line in here.iterrows():
        cells, n = [], int(line["patients"])
        for metric in metrics:
            ends = line[f"{metric}_low"], line[f"{metric}_high"]
            if n < FEWEST:
                cells.append(MASKED)
            elif np.isfinite(line[f"{metrics[0]}_low"]):
                cells.append(figure(line[metric], *ends))
            else:
                # Of a class with a handful of patients, a share would tell who was wrong.
                cells.append("too few patients of a class")
        lines.append([given.text(name), given.text(level), shown[name, level], *cells])
    caption = f"Row {given.text(row)} by subgroup. Levels of fewer than {FEWEST} patients: masked."
    heads = ["subgroup", "level", "patients", *(metric.replace("auc", "AUC") for metric in metrics)]
    return Table("subgroups", caption, heads, lines)
