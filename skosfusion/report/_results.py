"""Sections on figures: rows, differences, calibration, subgroups, sites."""

import numpy as np

from . import _pictures
from ._document import Section, Table, figure, number, signed, span
from ._findings import called, why_no_differences
from ._masks import FEWEST, MASKED, is_few, masked_parts
from ._subgroups import subgroup_figures, subgroup_table

_RANKING = ["auc", "average_precision", "brier", "log_loss"]
_AT_THRESHOLD = ["accuracy", "sensitivity", "specificity", "precision", "f1", "net_benefit"]
_CALIBRATION = [
    "in_the_large", "calibration_intercept", "calibration_slope", "expected_observed"
]  # fmt: skip
_COMPARED = ["auc", "accuracy", "brier", "net_benefit"]


def rows(given):
    """Return the metrics of each row with their intervals."""
    section = Section("rows", "Rows with intervals")
    evaluation = given.evaluation
    # Whatever was asked for beside ours, such as an AUC for each class.
    ours = {*_RANKING, *_AT_THRESHOLD, *_CALIBRATION, "balanced_accuracy"}
    more = [n for n in evaluation.table if f"{n}_low" in evaluation.table and n not in ours]
    parts = [
        ("metrics", "Ranks and probabilities", [*_RANKING, *more]),
        (
            "metrics_threshold",
            f"At the threshold {given.text(evaluation.threshold)}",
            _AT_THRESHOLD,
        ),
    ]
    for name, caption, metrics in parts:
        table = _figures(given, name, f"{caption}; intervals by patient", metrics)
        section.tables += [table] if table else []
    missing = evaluation.table_without_imputed
    if missing is not None and "auc" in missing:
        lines = [
            [given.text(row), figure(line["auc"], line["auc_low"], line["auc_high"])]
            for row, line in missing.iterrows()
        ]
        caption = "Without patients whose values were imputed"
        section.tables.append(Table("without_imputed", caption, ["row", "AUC"], lines))
    notes = evaluation.DESCR.splitlines()
    # Those of subgroups are told in their table, where names are checked one by one.
    section.points += [
        given.text(_with_name(given, note)) for note in notes if not note.startswith("subgroup ")
    ]
    return section


def _with_name(given, note):
    """Return a note in which the positive class has its name, too."""
    number, name = str(given.classes[-1]), given.label(given.classes[-1])
    start = f"Positive class: {number}."
    if name == number or not note.startswith(start):
        return note
    return f"Positive class: {name} ({number}).{note.removeprefix(start)}"


def _figures(given, name, caption, metrics):
    table = given.evaluation.table
    metrics = [metric for metric in metrics if metric in table]
    if not metrics:
        return None
    lines = [
        [
            given.text(row),
            *(figure(line[m], line[f"{m}_low"], line[f"{m}_high"]) for m in metrics),
        ]
        for row, line in table.iterrows()
    ]
    return Table(name, caption, ["row", *(given.text(called(m)) for m in metrics)], lines)


def differences(given):
    """Return differences from the baseline, with both intervals and the forest."""
    section = Section("differences", "Differences from the baseline")
    found = given.evaluation.differences
    if not len(found):
        section.given = False
        section.paragraphs.append(f"{why_no_differences(given)}.")
        return section
    wanted = [m for m in _COMPARED if m in found.index.get_level_values("metric")]
    wanted = wanted or list(dict.fromkeys(found.index.get_level_values("metric")))
    lines = [
        [
            given.text(called(metric)), given.text(row), signed(line["difference"]),
            span(line["low"], line["high"]), span(line["low_training"], line["high_training"]),
            span(line["low_simultaneous"], line["high_simultaneous"]), line["verdict"],
        ]
        for metric in wanted
        for row, line in found.xs(metric, level="metric").iterrows()
    ]  # fmt: skip
    heads = ["metric", "row", "difference", "by patient", "with training", "all rows together"]
    caption = f"Difference from {given.text(given.evaluation.baseline)}"
    section.tables.append(Table("differences", caption, [*heads, "verdict"], lines))
    section.paragraphs.append(
        '"better" and "worse" are said only where the interval by patient and the one with '
        "training exclude 0 on the same side."
    )
    section.pictures += _pictures.forest(given)
    return section


def curves(given):
    """Return ROC and precision-recall curves."""
    return _pictured("curves", "ROC and precision-recall curves", _pictures.curves(given))


def decision(given):
    """Return the decision curve."""
    return _pictured("decision", "Decision curve", _pictures.decision(given))


def _pictured(key, title, pictures):
    section = Section(key, title, given=bool(pictures), pictures=pictures)
    if not pictures:
        section.paragraphs.append("Not drawn: for two classes, and with matplotlib installed.")
    return section


def calibration(given):
    """Return whether probabilities are what they say."""
    section = Section("calibration", "Calibration")
    caption = "In the large and intercept are best at 0, slope and expected/observed at 1"
    table = _figures(given, "calibration", caption, _CALIBRATION)
    if table is None:
        section.given = False
        section.paragraphs.append("Not evaluated: for two classes only.")
        return section
    section.tables.append(table)
    section.pictures += _pictures.calibration(given)
    return section


def subgroups(given):
    """Return the main row by subgroup."""
    section = Section("subgroups", "Subgroups")
    found = subgroup_figures(given)
    if found is None or "auc" not in found:
        section.given = False
        section.paragraphs.append("None was declared, and no age or sex is known.")
        return section
    section.tables.append(subgroup_table(given, found, given.main_row))
    if not len(given.evaluation.subgroups):
        section.paragraphs.append(
            "Age bands and sex are this report's own, the same for all cohorts. Subgroups of a "
            "study are to be declared beforehand."
        )
    elif (found["patients"] >= FEWEST).all():
        section.pictures += _pictures.subgroups(given)
    return section


def sites(given):
    """Return sites left out in turn."""
    section = Section("sites", "Sites left out in turn")
    if given.sites is None:
        section.given = False
        section.paragraphs.append("Not done; validate_by_site does.")
        return section
    lines, any_few = [], False
    for row, table in given.sites.table.groupby("row", sort=False):
        patients = masked_parts(
            dict(zip(table.index, table["n_patients"].astype(int), strict=True))
        )
        for place, line in table.iterrows():
            few = is_few(line["n_patients"])
            any_few |= few
            shown = MASKED if few else figure(line["auc"], line["low"], line["high"])
            # Beside patients, images of a hidden site would be had as a difference, too.
            images = str(line["n_images"]) if patients[place].isdigit() else MASKED
            cells = [given.text(row), given.text(line["site"]), patients[place], images, shown]
            lines.append([*cells, MASKED if few else given.text(line["note"])])
    heads = ["row", "site", "patients", "images", "AUC", "note"]
    section.tables.append(Table("sites", "Each tested by a model of the others", heads, lines))
    lines = [
        [
            given.text(row), str(int(line["n_sites"])),
            figure(line["auc"], line["low"], line["high"]), number(line["tau"]),
            span(line["prediction_low"], line["prediction_high"]),
        ]
        for row, line in given.sites.pooled.iterrows()
    ]  # fmt: skip
    heads = ["row", "sites", "mean AUC", "tau (logit)", "expected at a new site"]
    section.tables.append(Table("sites_pooled", "Pooled by random effects", heads, lines))
    if not any_few:
        section.pictures += _pictures.sites(given)
    return section


def records(given):
    """Return metrics and differences as plain values for JSON."""
    table, differences = given.evaluation.table, given.evaluation.differences
    metrics = [
        {"row": given.text(row)} | {given.text(n): _plain(value) for n, value in line.items()}
        for row, line in table.iterrows()
    ]
    compared = [
        {"row": given.text(row), "metric": given.text(metric)}
        | {name: _plain(value) for name, value in line.items()}
        for (row, metric), line in differences.iterrows()
    ]
    return {"metrics": metrics, "differences": compared}


def _plain(value):
    """Return a value that JSON has; nothing for what is not defined."""
    if isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None
