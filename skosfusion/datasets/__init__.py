"""Cohorts of radiographs with clinical values: the embedded synthetic one, and the user's own."""

from .._utils.naming import publish
from ._age_column import AgeColumn
from ._cohort import Cohort
from ._data_home import get_data_home
from ._declarations import ImageColumn, TargetColumn
from ._digests import check_digests
from ._flow import exclude_rows, exclusion_flow
from ._gender_column import GenderColumn
from ._image_files import IMAGE_SUFFIXES as IMAGE_SUFFIXES
from ._image_list import list_images
from ._input_columns import CategoryColumn, NumberColumn
from ._kept_columns import KeptColumn
from ._load import load_cohort
from ._number_columns import KitColumn
from ._one_hot_column import OneHotColumn
from ._osteosarcoma import make_osteosarcoma_cohort
from ._patient_column import PatientColumn
from ._read_table import read_table
from ._read_table import visible_sheets as visible_sheets
from ._same_patients import same_patients
from ._screenshots import crop_screenshots, exclude_screenshots

__all__ = [
    "AgeColumn",
    "CategoryColumn",
    "Cohort",
    "GenderColumn",
    "ImageColumn",
    "KeptColumn",
    "KitColumn",
    "NumberColumn",
    "OneHotColumn",
    "PatientColumn",
    "TargetColumn",
    "check_digests",
    "crop_screenshots",
    "exclude_rows",
    "exclude_screenshots",
    "exclusion_flow",
    "get_data_home",
    "list_images",
    "load_cohort",
    "make_osteosarcoma_cohort",
    "read_table",
    "same_patients",
]

publish(__name__, __all__)
