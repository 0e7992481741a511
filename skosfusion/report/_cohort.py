"""Whether a cohort is the one that was evaluated."""

import numpy as np
import pandas as pd


def check_same_patients(given):
    """Refuse a cohort of other patients, or with other labels, than the evaluation; with numbers.

    Otherwise the table of patients would describe others, and classes have each other's names.
    """
    cohort, evaluation = given.cohort, given.evaluation
    if cohort is None:
        return
    there = np.asarray(cohort.groups, dtype=str)
    evaluated = np.asarray(evaluation.groups, dtype=str)
    if _are_rows(evaluated, len(there)):
        # groups=None: each image counted as a patient, in the order of the cohort.
        there = evaluated
    known, found = set(there), set(evaluated)
    if known != found:
        raise ValueError(
            f"cohort has {len(known)} patients and the evaluation {len(found)}, of whom "
            f"{len(known & found)} are in both; give the cohort that was evaluated, with the "
            "groups that evaluate_scores was given, or leave cohort out"
        )
    names = cohort.get("target_names")
    labels = _labels_by_patient(there, cohort.target)
    as_told = _labels_by_patient(evaluated, evaluation.y)
    n_other = _n_other(labels, as_told)
    target = np.asarray(cohort.target)
    if n_other and names is not None and target.dtype.kind in "iu" and target.max() < len(names):
        by_name = np.asarray(names, dtype=object)[target]
        n_other = min(n_other, _n_other(_labels_by_patient(there, by_name), as_told))
    if n_other:
        raise ValueError(
            f"{n_other} of {len(found)} patients have another label in the cohort than in the "
            "evaluation, so classes would have each other's names; evaluate cohort.target, or "
            "leave cohort out"
        )


def _are_rows(groups, n_images):
    """Return whether patients are the numbers of rows, as without groups."""
    return len(groups) == n_images and set(groups) == set(map(str, range(n_images)))


def _labels_by_patient(patients, labels):
    labels = np.asarray(labels)
    if labels.dtype.kind in "bf":
        # True and 1.0 are the label 1.
        labels = labels.astype(float).astype(int)
    return pd.Series(labels).astype(str).groupby(np.asarray(patients)).agg(set)


def _n_other(labels, as_told):
    """Count the patients of whom the evaluation has a label that the cohort has not."""
    pairs = zip(labels, as_told.reindex(labels.index), strict=True)
    return sum(not told <= known for known, told in pairs)
