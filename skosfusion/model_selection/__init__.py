"""Splits that do not leak, and the paper's ablation as plain model selection."""

from .._utils.naming import publish
from ._ablation import ABLATIONS, CLASS_WEIGHTED, CLINICAL_ONLY, ablation_param_grid, ablation_table
from ._cross_val_scores import cross_val_scores
from ._folds import PATIENT_COLUMN, in_both_sets, patients_of, row_numbers, split_rows
from ._leakage import check_leakage
from ._validate_by_site import validate_by_site

__all__ = [
    "ABLATIONS",
    "CLASS_WEIGHTED",
    "CLINICAL_ONLY",
    "ablation_param_grid",
    "ablation_table",
    "check_leakage",
    "cross_val_scores",
    "validate_by_site",
]

publish(__name__, __all__)
