"""An evaluation as HTML for notebooks: metrics with intervals, differences, notes."""

import numpy as np
import pandas as pd

from .._utils.html import document, heading, number, paragraphs, table

_ENDS = ("_low", "_high")


def evaluation_html(evaluation):
    """Return an evaluation as HTML; it names no patient."""
    found = evaluation["table"]
    n_units, unit = len(evaluation["y"]), evaluation.get("unit", "patient")
    parts = [heading(f"Evaluation of {n_units} {unit}s, {len(found)} rows")]
    parts.append(_metrics(found))
    parts.append(_differences(evaluation.get("differences"), evaluation.get("baseline")))
    complete = evaluation.get("table_without_imputed")
    if complete is not None:
        parts.append(_metrics(complete, "Without samples whose values were imputed"))
    parts.append(paragraphs(evaluation.get("DESCR", "")))
    return document(parts)


def _metrics(found, caption="Metrics, with intervals"):
    names = [
        name
        for name in found.columns
        if not str(name).endswith(_ENDS) or str(name).rpartition("_")[0] not in found.columns
    ]
    lines = [
        [row, *(_with_interval(found.loc[row], name, *_ends_of(name)) for name in names)]
        for row in found.index
    ]
    return table(caption, ["row", *(str(name).replace("_", " ") for name in names)], lines)


def _ends_of(name):
    return [f"{name}{end}" for end in _ENDS]


def _with_interval(line, name, low, high):
    """Return a value and, where there is one, its interval."""
    value, ends = number(line[name]), [line.get(low, np.nan), line.get(high, np.nan)]
    if pd.isna(ends).any():
        return value
    return f"{value} ({number(ends[0])} to {number(ends[1])})"


def _differences(differences, baseline):
    if differences is None or not len(differences):
        return ""
    lines = [
        [
            *key,
            _with_interval(line, "difference", "low", "high"),
            _with_interval(line, "difference", "low_training", "high_training").partition(" ")[2],
            line["verdict"],
        ]
        for key, line in differences.iterrows()
    ]
    header = ["row", "metric", "difference (of test patients)", "with training", "verdict"]
    return table(f"Differences from {baseline}", header, lines)
