"""Cohorts of radiographs with clinical values: the embedded synthetic one, and the user's own."""

from .._utils.naming import publish
from ._data_home import get_data_home
from ._load import load_cohort
from ._osteosarcoma import make_osteosarcoma_cohort

__all__ = ["get_data_home", "load_cohort", "make_osteosarcoma_cohort"]

publish(__name__, __all__)
