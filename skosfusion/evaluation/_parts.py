"""Of which units figures are given: all, each level of a subgroup, those without imputed values."""

from typing import NamedTuple

import numpy as np

from ._inputs import Units
from ._subgroups import levels_of

FEWEST_PATIENTS = 10
ALL, COMPLETE = "all", "without imputed"


class Part(NamedTuple):
    """Some of the units, and which of them these are."""

    called: str
    mask: np.ndarray
    units: Units

    @property
    def has_all_classes(self):
        """Return whether there are figures."""
        codes = range(len(self.units.classes))
        return all(self.units.patients_with(code) > 0 for code in codes)

    @property
    def has_intervals(self):
        """Return whether there are patients enough for intervals."""
        return self.units.n_rare >= FEWEST_PATIENTS


def parts_of(units, images, unit, subgroups, imputed):
    """Return each part by its key; that of a subgroup is its name and level."""
    masks = {ALL: (ALL, np.ones(len(units.y), bool))}
    for name, level, mask in levels_of(subgroups, images, unit):
        masks[name, level] = (f"subgroup {name} = {level}", mask)
    if imputed is not None:
        masks[COMPLETE] = (COMPLETE, _complete_units(imputed, images, unit))
    return {key: Part(called, mask, units.take(mask)) for key, (called, mask) in masks.items()}


def _complete_units(imputed, images, unit):
    """Return which units have no imputed value."""
    imputed = np.asarray(imputed)
    if imputed.shape != images.y.shape or imputed.dtype != bool:
        raise ValueError(
            f"imputed has shape {imputed.shape} and type {imputed.dtype}; allowed: True or False "
            f"for each of {len(images.y)} samples"
        )
    if unit == "image":
        return ~imputed
    return np.bincount(images.patient, imputed, images.n_patients) == 0
