"""Clinical values as numbers that a network can take: one transformer for each normalization."""

from .._utils.naming import publish
from ._age import AgeScaler
from ._categories import CategoryEncoder
from ._clinical import make_clinical_transformer
from ._clinical_transformer import ClinicalTransformer
from ._gender import GenderEncoder
from ._gender_words import WORDS_OF_GENDER, gender_of_words, refuse_two_meanings
from ._kit_range import KitRangeScaler
from ._kits import PAPER_KITS, check_kit, check_kit_name
from ._limits import Clipper
from ._missing_values import MissingValues
from ._numbers import NumberReader
from ._spline import SplineBasis

__all__ = [
    "AgeScaler",
    "CategoryEncoder",
    "ClinicalTransformer",
    "Clipper",
    "GenderEncoder",
    "KitRangeScaler",
    "MissingValues",
    "NumberReader",
    "SplineBasis",
    "make_clinical_transformer",
]

publish(__name__, __all__)
