"""What the figures are, and what was left out and why, in words."""

import numpy as np
from scipy.special import expit

from ._parts import FEWEST_PATIENTS


def notes_on_units(units, unit, patient_rule, groups):
    """Say what metrics are taken over."""
    rule = f", joined by {patient_rule!r}" if unit == "patient" else "; intervals are by patient"
    notes = [f"{len(units.y)} units ({unit}) of {units.n_patients} patients{rule}."]
    if groups is None:
        notes.append("groups=None: each image counts as a patient of its own.")
    return notes


def notes_on_scores(units, threshold, left_out):
    """Say which class and threshold are meant, and which folds and metrics are left out."""
    notes = []
    if len(units.classes) == 2:
        notes.append(f"Positive class: {units.classes[1]}. Threshold: {threshold}.")
        rounded = sum(int((np.isin(expit(s), (0, 1))).sum()) for s in units.scores.values())
        notes.append(f"No score was clipped; {rounded} have a probability that rounds to 0 or 1.")
    if left_out:
        notes.append(f"Left out, for two classes only: {', '.join(left_out)}.")
    for repeat, fold in enumerate(units.fold.T):
        for one in np.unique(fold):
            if len(np.unique(units.y[fold == one])) < len(units.classes):
                notes.append(f"Repeat {repeat}, fold {one} lacks a class: not in the AUC.")
    return notes


def notes_on_part(part, figures, metrics):
    """Say why a part has no figures or no intervals."""
    if not figures:
        return [f"{part.called}: a class is missing, so there are no figures."]
    if not part.has_intervals:
        return [
            f"{part.called}: fewer than {FEWEST_PATIENTS} patients of a class, so there are "
            "no intervals."
        ]
    return [
        f"{part.called}, {name}: {metric.name} is {value:g}, so there is no interval."
        for name, of_row in figures.items()
        for metric, value in zip(metrics, of_row.found, strict=True)
        if metric.scale == "logit" and value in (0, 1)
    ]
