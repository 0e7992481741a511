"""Tables for people and files for programs."""

from pathlib import Path

import pandas as pd
from _common.files import write_atomically, write_record

from skosfusion import ClinicalGradientsDisplay
from skosfusion.cli import versions, wrapped

#: The paper's ratio of the gradients of ALP and LDH.
PAPER_RATIO = 2.415
GALLERIES = ("right", "false_negatives", "false_positives", "corrected", "worsened")


def localization_table(found, random):
    """Summarise how heatmaps and boxes agree."""
    lines = {name: _summary(scores) for name, scores in found.items()}
    if random:
        each = pd.DataFrame([_summary(scores) for scores in random])
        line = each.mean()
        line["hit / chance, lowest"] = each["hit / chance"].min()
        line["hit / chance, highest"] = each["hit / chance"].max()
        lines[f"random weights, mean of {len(random)}"] = line
    table = pd.DataFrame(lines).T
    return table[max(lines.values(), key=len).index]


def _summary(scores):
    means = scores.astype(float).mean()
    return pd.Series(
        {
            "images": float(len(scores)),
            "hit rate": means["hit"],
            "energy in the box": means["energy_share"],
            "chance (box area)": means["chance"],
            "hit / chance": means["hit"] / means["chance"],
            "energy / chance": means["energy_share"] / means["chance"],
            "flat heatmaps": means["is_flat"],
        }
    )


def ratio_lines(gradients):
    """Say how large the clinical gradients are, beside the paper's ratio where it applies."""
    sizes = zip(gradients.feature_names, gradients.magnitudes_mean, strict=True)
    lines = ["mean |gradient| of the logit: " + ", ".join(f"{n} {size:.3f}" for n, size in sizes)]
    if {"alp", "ldh"} <= set(gradients.feature_names):
        folds = [ratios.loc["alp", "ldh"] for ratios in gradients.fold_ratios]
        lines.append(
            f"ALP : LDH {gradients.ratios.loc['alp', 'ldh']:.3f} (folds {min(folds):.3f} to "
            f"{max(folds):.3f}; paper, on private data: {PAPER_RATIO})"
        )
    return lines


def draw(folder, comparison, gradients, title):
    """Draw the galleries and the gradients."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in GALLERIES:
        if len(comparison.galleries[name].rows):
            files.append(folder / f"{name}.png")
            figure = comparison.plot(name).figure_
            heading = f"{figure.get_suptitle()}\n{wrapped(title, 150)}"
            figure.suptitle(heading, fontsize=9, parse_math=False)
            figure.savefig(files[-1], dpi=110)
            plt.close(comparison.figure_)
        else:
            (folder / f"{name}.png").unlink(missing_ok=True)
    if gradients is not None:
        display = ClinicalGradientsDisplay(gradients, target="the positive class").plot()
        display.figure_.suptitle(wrapped(title, 90), fontsize=8)
        files.append(folder / "clinical_gradients.png")
        display.figure_.savefig(files[-1], dpi=150)
        plt.close(display.figure_)
    return files


def write(folder, tables, record):
    """Write each table as CSV and all that was run as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, table in tables.items():
        files.append(Path(folder) / f"{name}.csv")
        write_atomically(files[-1], table.to_csv().encode())
    files.append(folder / "interpretability.json")
    write_record(files[-1], record | {"versions": versions()})
    return files
