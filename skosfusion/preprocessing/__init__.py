"""Clinical values as numbers that a network can take: one transformer for each normalisation."""

from .._utils.naming import publish
from ._age import AgeScaler
from ._clinical import PAPER_KITS, check_kits, make_clinical_transformer
from ._gender import GenderEncoder
from ._kit_range import KitRangeScaler

__all__ = ["AgeScaler", "GenderEncoder", "KitRangeScaler", "make_clinical_transformer"]

publish(__name__, __all__)
