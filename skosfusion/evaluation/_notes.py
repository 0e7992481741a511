"""What the figures are, and what was left out and why, in words."""

import warnings

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
                where = f"Repeat {repeat}, fold {one}"
                notes.append(f"{where} lacks a class: not in the AUC, nor in average precision.")
    return notes


def notes_on_constant_rows(units):
    """Say what figures of a row mean whose scores are equal in each fold."""
    notes = []
    for name in units.constant_rows:
        score = units.scores[name]
        note = (
            f"Row {name}: the scores of each fold are equal, so they rank nothing: the AUC is 0.5 "
            "and the average precision the share of positives, without intervals"
        )
        if score.ndim == 2:
            low, high = expit([score.min(), score.max()])
            chance = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            note += (
                "; calibration intercept and slope are not defined; read as log-odds, they are a "
                f"probability of {chance}"
            )
        notes.append(f"{note}.")
    return notes


def warn_of_constant_rows(units, baseline):
    """Warn of rows that may be models which tell nothing apart, not rules or priors."""
    for name in units.constant_rows:
        score, n_folds = units.scores[name], len(np.unique(units.fold))
        is_rule = n_folds > 1 and (score == score[:1, ..., :1]).all()
        if name != baseline and not is_rule:
            warnings.warn(
                f"row {name!r}: the scores of each fold are equal, as those of a model that tells "
                "nothing apart; look at how it was fitted, or, where it is a prior, make it the "
                "baseline",
                UserWarning,
                stacklevel=3,
            )


def notes_on_part(part, figures, table, metrics):
    """Say why a part has no figures or no intervals."""
    if not figures:
        return [f"{part.called}: a class is missing, so there are no figures."]
    if not part.has_intervals:
        return [
            f"{part.called}: fewer than {FEWEST_PATIENTS} patients of a class, so there are "
            "no intervals."
        ]
    notes = []
    for name, line in table.iterrows():
        names = [metric.name for metric in metrics]
        without = [n for n in names if np.isfinite(line[n]) and not np.isfinite(line[f"{n}_low"])]
        if without:
            notes.append(
                f"{part.called}, {name}: no interval of {', '.join(without)}, since replicates do "
                "not vary."
            )
    return notes
