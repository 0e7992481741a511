"""Patients, labels and the like: one value for each row, and which values are equal."""

import numpy as np
import pandas as pd
from sklearn.utils import column_or_1d

from .record_numbers import check_group_digits


def complete_column(values, noun):
    """Return an array of one value for each row; ValueError for a row with none or several."""
    # numpy would make texts of mixed lists, and a patient called "nan" of a missing one.
    values = pd.Series(values) if isinstance(values, list | tuple) else values
    if np.ndim(values) == 2 and np.shape(values)[1] != 1:
        raise ValueError(
            f"a row has one {noun}, got {np.shape(values)[1]} columns of them; give one, and "
            "rename columns of one name"
        )
    values = column_or_1d(values)
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(
            f"there is no {noun} in {len(missing)} of {len(values)} rows, the first is row "
            f"{missing[0]}; name it, or leave these rows out"
        )
    check_group_digits(values, noun)
    return values


def codes_of(values, noun):
    """Give equal values one number from 0; return the numbers, and the values in their order."""
    check_group_digits(values, noun)
    try:
        return pd.factorize(values)
    except TypeError as error:
        raise TypeError(
            f"a {noun} must be a text, a number or the like, to be compared ({error})"
        ) from error
