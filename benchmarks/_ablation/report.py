"""The table beside the paper's, and the files that keep it."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from skosfusion import AblationDisplay, ablation_table

from .units import SCORING, sweep, write_atomically

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
_PACKAGES = (
    "skosfusion",
    "torch",
    "torchvision",
    "skorch",
    "scikit-learn",
    "pandas",
    "numpy",
    "pillow",
)


def make_table(cv_results, rows, cohort, *, with_paper):
    """Arrange the results.

    Parameters
    ----------
    cv_results : dict
        Results of the search.
    rows : dict of str to tuple of str
        Clinical inputs by row name.
    cohort : Bunch
        The cohort.
    with_paper : bool
        Whether to put the paper's figures beside.

    Returns
    -------
    DataFrame
        One line a row.
    """
    table = ablation_table(cv_results, rows)
    table.insert(1, "n_patients", len(set(cohort.groups)))
    table.insert(2, "n_images", len(cohort.data))
    if with_paper:
        for i, metric in enumerate(SCORING):
            table[f"paper_{metric}"] = [
                PAPER[row][i] if row in PAPER else None for row in table.index
            ]
    return table


def format_table(table):
    """Write the table for people.

    Parameters
    ----------
    table : DataFrame
        From `make_table`.

    Returns
    -------
    str
        Several lines.
    """
    shown = pd.DataFrame(index=table.index.rename(None))
    shown["patients"], shown["images"] = table["n_patients"], table["n_images"]
    for metric in SCORING:
        pairs = zip(table[metric], table[f"{metric}_std"], strict=True)
        name = "F1" if metric == "f1" else metric
        shown[name] = [f"{mean:.4f} ± {std:.4f}" for mean, std in pairs]
        if f"paper_{metric}" in table:
            shown[f"paper {name}"] = [
                "" if pd.isna(value) else f"{value:.4f}" for value in table[f"paper_{metric}"]
            ]
    return shown.to_string()


def leakage(found):
    """Sum up what a check for leakage found, without the names of patients.

    Parameters
    ----------
    found : Bunch
        As `skosfusion.check_leakage` returns it.

    Returns
    -------
    dict
        Counts, and row numbers where a picture is repeated; for the JSON file.
    """
    columns = ["picture", "row", "several_names", "several_patients", "several_labels"]
    return {
        "leaks": found.leaks,
        "leaking_patients_by_fold": [
            int((found.patients_on_both_sides["fold"] == fold).sum())
            for fold in range(found.n_folds)
        ],
        "leaking_images": found.n_leaking_images,
        "patients_with_two_labels": found.patients_with_two_labels["patient"].nunique(),
        "repeated_images": found.repeated_images[[*columns, "on_both_sides"]].to_dict("records"),
    }


def write(folder, table, cv_results, rows, record):
    """Write CSV, JSON and the bar chart.

    Parameters
    ----------
    folder : path-like
        Where to.
    table : DataFrame
        From `make_table`.
    cv_results : dict
        Results of the search.
    rows : dict of str to tuple of str
        Clinical inputs by row name.
    record : dict
        What was run, for the JSON file.

    Returns
    -------
    list of Path
        The files.
    """
    folder = Path(folder)
    sweep(folder, "ablation.")
    csv, record_file, chart = (folder / f"ablation.{kind}" for kind in ("csv", "json", "png"))
    write_atomically(csv, table.to_csv().encode())
    folds = {
        metric: {
            row: [
                float(cv_results[key][i])
                for key in cv_results
                if key.startswith("split") and key.endswith(f"_{metric}")
            ]
            for i, row in enumerate(rows)
        }
        for metric in SCORING
    }
    record = record | {"folds": folds, "versions": versions(), "machine": _machine()}
    write_atomically(record_file, json.dumps(record, indent=1, default=str).encode())
    try:
        display = AblationDisplay.from_cv_results(cv_results, rows=rows).plot()
    except ImportError as error:
        print(f"no bar chart: {error}")
        return [csv, record_file]
    display.ax_.set_title(record["title"], fontsize=9)
    display.figure_.savefig(chart, dpi=150)
    return [csv, record_file, chart]


def versions():
    """Give the versions of Python and the packages that decide a result."""
    capability = "CUDA" if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    return {"python": platform.python_version(), "computes with": capability} | {
        name: version(name) for name in _PACKAGES
    }


def _machine():
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }
