"""The table beside the paper's, and the files that keep it."""

import textwrap
import warnings
from pathlib import Path

import pandas as pd

from .._utils.files import sweep_temporary_files, write_atomically
from ..inspection import AblationDisplay, choose_fonts
from ._files import plain, set_aside, write_record
from ._machine import machine_facts, versions
from ._predictions import set_predictions_aside, write_predictions
from ._units import METRICS

#: Table 1 of the paper (ResNet18, images of 848 patients): accuracy, precision, recall, F1.
PAPER = {
    "Baseline": (0.9435, 0.9588, 0.9144, 0.9357),
    "Gender": (0.9493, 0.9571, 0.9300, 0.9432),
    "Age": (0.9643, 0.9680, 0.9532, 0.9600),
    "Gender & age": (0.9612, 0.9652, 0.9481, 0.9566),
    "LDH": (0.9489, 0.9595, 0.9262, 0.9423),
    "ALP": (0.9635, 0.9704, 0.9481, 0.9591),
    "ALP & LDH": (0.9643, 0.9662, 0.9538, 0.9599),
    "All": (0.9719, 0.9826, 0.9549, 0.9685),
}


def add_counts(table, cohort, *, with_paper=True):
    """Put numbers of patients and images into a table, and the figures of the paper beside it."""
    table.insert(1, "n_patients", len(set(cohort.groups)))
    table.insert(2, "n_images", len(cohort.data))
    if with_paper:
        for i, metric in enumerate(METRICS):
            table[f"paper_{metric}"] = [
                PAPER[row][i] if row in PAPER else None for row in table.index
            ]
    return table


def format_table(table):
    """Write the table for people."""
    shown = pd.DataFrame(index=table.index.rename(None))
    shown["patients"], shown["images"] = table["n_patients"], table["n_images"]
    for metric in METRICS:
        pairs = zip(table[metric], table[f"{metric}_std"], strict=True)
        name = "F1" if metric == "f1" else metric
        shown[name] = [f"{mean:.4f} ± {std:.4f}" for mean, std in pairs]
        if f"paper_{metric}" in table:
            shown[f"paper {name}"] = [
                "" if pd.isna(value) else f"{value:.4f}" for value in table[f"paper_{metric}"]
            ]
    return shown.to_string()


def leakage(found):
    """Sum up what a check for leakage found, without the names of patients."""
    columns = ["image_id", "row", "several_names", "several_patients", "several_labels"]
    return {
        "leaks": found.leaks,
        "leaking_patients_by_fold": [
            int((found.patients_in_both["fold"] == fold).sum()) for fold in range(found.n_folds)
        ],
        "leaking_images": found.n_leaking_images,
        "patients_with_two_labels": found.patients_with_two_labels["patient"].nunique(),
        "repeated_images": found.repeated_images[[*columns, "in_both"]].to_dict("records"),
    }


def write_ablation(folder, table, result, rows, record, output):
    """Write the table, the predictions, the record and the bar chart."""
    cv_results = result.cv_results
    folder = Path(folder)
    for name in ("ablation.csv", "ablation.json", "predictions.csv", "predictions-key.csv"):
        sweep_temporary_files(folder, of=name)
    moved = set_aside(folder, "ablation", record["run"])
    if moved:
        mark = moved[-1][1].stem.removeprefix("ablation-")
        moved += set_predictions_aside(folder, mark)
    for old, kept in moved:
        output.say(f"{old} held the results of another run; they are kept as {kept}")
    csv, record_file, chart = (folder / f"ablation.{kind}" for kind in ("csv", "json", "png"))
    write_atomically(csv, table.rename(index=plain).to_csv().encode())
    of_images = write_predictions(folder, result)
    folds = {
        metric: {
            row: [
                float(cv_results[key][i])
                for key in cv_results
                if key.startswith("split") and key.endswith(f"_{metric}")
            ]
            for i, row in enumerate(rows)
        }
        for metric in METRICS
    }
    record = record | {"folds": folds, "versions": versions(), "machine": machine_facts()}
    write_record(record_file, record)
    try:
        display = AblationDisplay.from_cv_results(cv_results, ablations=rows).plot()
    except ImportError as error:
        output.say(f"no bar chart: {error}")
        return [csv, *of_images, record_file]
    display.ax_.set_title(wrapped(record["title"], 120), fontsize=9)
    absent = choose_fonts(display.figure_)
    if absent:
        output.say(f"no font of this machine has {' '.join(sorted(absent))}; the chart has boxes")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph|Matplotlib currently does not support")
        display.figure_.savefig(chart, dpi=150)
    # Matplotlib keeps figures, and warns from the twentieth on, where a process runs many.
    from matplotlib import pyplot as plt

    plt.close(display.figure_)
    return [csv, *of_images, record_file, chart]


def wrapped(title, n_characters):
    """Break the lines of a title, so that a figure shows all of it."""
    return "\n".join(
        textwrap.fill(line, n_characters, break_on_hyphens=False) for line in title.splitlines()
    )
