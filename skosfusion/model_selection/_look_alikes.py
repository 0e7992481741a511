"""Patients and images that may be the same, and where a split has them."""

import numpy as np
import pandas as pd

from .._utils.identity import respelled
from ._folds import apart_in_a_fold
from ._near_images import CHANGES, near_pairs


def patient_spellings(codes, known, folds):
    """List pairs of patients that are the same but for spelling: "patient", "other", "in_both"."""
    code_of = {patient: code for code, patient in enumerate(known)}
    pairs = respelled(known)
    places = np.array([[code_of[one], code_of[other]] for one, other in pairs], int).reshape(-1, 2)
    return pd.DataFrame(
        {
            "patient": [one for one, _ in pairs],
            "other": [other for _, other in pairs],
            "in_both": apart_in_a_fold(codes, places, folds),
        }
    )


def near_images(images, thumbnails, names, codes, known, folds):
    """List pairs of images that look the same and are of different patients.

    `images` has the number of the image of each row, -1 where there is none; `codes` the number of
    its patient, a place in `known`.
    """
    rows = np.flatnonzero(images >= 0) if len(thumbnails) else np.empty(0, int)
    names = np.full(len(images), None, object) if names is None else names
    first_rows = np.empty(len(thumbnails), int)
    first_rows[images[rows[::-1]]] = rows[::-1]
    owners = codes[first_rows]
    several = np.zeros(len(thumbnails), bool)
    several[images[rows[codes[rows] != owners[images[rows]]]]] = True
    pairs = near_pairs(thumbnails, np.where(several, -1, owners))
    row, other = first_rows[pairs.first], first_rows[pairs.second]
    # Of an image in rows of several patients, a row of another patient is shown.
    for place in np.flatnonzero(codes[row] == codes[other]):
        candidates = rows[images[rows] == pairs.second[place]]
        candidates = candidates[codes[candidates] != codes[row[place]]]
        if len(candidates):
            other[place] = candidates[0]
        else:
            candidates = rows[images[rows] == pairs.first[place]]
            row[place] = candidates[codes[candidates] != codes[other[place]]][0]
    order = np.lexsort((other, row))
    row, other = row[order], other[order]
    return pd.DataFrame(
        {
            "row": row,
            "other_row": other,
            "image": names[row],
            "other_image": names[other],
            "patient": known[codes[row]],
            "other_patient": known[codes[other]],
            "change": np.array(list(CHANGES), object)[pairs.change[order]],
            "agreement": -pairs.value[order],
            "in_both": apart_in_a_fold(
                images, np.column_stack([pairs.first, pairs.second])[order], folds
            ),
        }
    )
