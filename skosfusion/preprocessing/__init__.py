"""Clinical values as numbers that a network can take: one transformer for each normalisation."""

from skosfusion.preprocessing._age import AgeScaler
from skosfusion.preprocessing._clinical import make_clinical_transformer
from skosfusion.preprocessing._gender import GenderEncoder
from skosfusion.preprocessing._kit_range import KitRangeScaler

__all__ = ["AgeScaler", "GenderEncoder", "KitRangeScaler", "make_clinical_transformer"]
