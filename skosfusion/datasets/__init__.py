"""Cohorts of radiographs with clinical values: the embedded synthetic one, and the user's own."""

from .._utils.naming import publish
from ._data_home import get_data_home
from ._declarations import ImageColumn, PatientColumn, TargetColumn
from ._digests import check_digests
from ._flow import exclude_rows, exclusion_flow
from ._gender_column import GenderColumn
from ._kept_columns import KeptColumn
from ._load import load_cohort
from ._number_columns import AgeColumn, KitColumn
from ._osteosarcoma import make_osteosarcoma_cohort
from ._screenshots import crop_screenshots, exclude_screenshots

__all__ = [
    "AgeColumn",
    "GenderColumn",
    "ImageColumn",
    "KeptColumn",
    "KitColumn",
    "PatientColumn",
    "TargetColumn",
    "check_digests",
    "crop_screenshots",
    "exclude_rows",
    "exclude_screenshots",
    "exclusion_flow",
    "get_data_home",
    "load_cohort",
    "make_osteosarcoma_cohort",
]

publish(__name__, __all__)
