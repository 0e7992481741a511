"""Which units belong to which level of a declared subgroup."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

_MOST_LEVELS = 50


def levels_of(subgroups, images, unit):
    """Yield subgroup, level and which units are of it."""
    if subgroups is None:
        return
    if not isinstance(subgroups, Mapping | pd.DataFrame):
        raise ValueError(
            f"subgroups is a {type(subgroups).__name__}; allowed: a dict or DataFrame, name -> "
            "one value for each sample"
        )
    for name, values in subgroups.items():
        values = pd.Series(np.asarray(values, dtype=object)).astype(object)
        if len(values) != len(images.y):
            raise ValueError(
                f"subgroup {name!r} has {len(values)} values and y has {len(images.y)}; give one "
                "for each sample"
            )
        values = values.where(values.notna(), "missing")
        codes, levels = pd.factorize(values)
        if len(levels) > _MOST_LEVELS:
            raise ValueError(
                f"subgroup {name!r} has {len(levels)} levels; allowed: up to {_MOST_LEVELS}; cut "
                "numbers into ranges that were declared beforehand, as with pandas.cut"
            )
        if unit == "patient":
            codes = _by_patient(codes, images, name)
        for code in sorted(range(len(levels)), key=lambda code: str(levels[code])):
            yield str(name), levels[code], codes == code


def _by_patient(codes, images, name):
    """Return the level of each patient; ValueError where images of a patient differ."""
    of_patient = np.zeros(images.n_patients, int)
    of_patient[images.patient] = codes
    differ = np.flatnonzero(of_patient[images.patient] != codes)
    if len(differ):
        raise ValueError(
            f"subgroup {name!r} differs among images of one patient, first in row {differ[0]}; "
            "give unit='image', or one value for each patient"
        )
    return of_patient
