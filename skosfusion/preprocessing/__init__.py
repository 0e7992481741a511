"""Clinical values as numbers that a network can take: one transformer for each normalization."""

from .._utils.naming import publish
from ._age import AgeScaler
from ._clinical import ClinicalTransformer, make_clinical_transformer
from ._gender import GenderEncoder
from ._kit_range import KitRangeScaler
from ._kits import PAPER_KITS, check_kit, check_kit_name
from ._missing_values import MissingValues

__all__ = [
    "AgeScaler",
    "ClinicalTransformer",
    "GenderEncoder",
    "KitRangeScaler",
    "MissingValues",
    "make_clinical_transformer",
]

publish(__name__, __all__)
