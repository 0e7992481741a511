"""Splits that do not leak, and the paper's ablation as plain model selection."""

from .._utils.naming import publish
from ._ablation import ABLATION_ROWS, ablation_param_grid, ablation_table
from ._folds import on_both_sides, patients_of, row_numbers, split_rows
from ._leakage import check_leakage

__all__ = ["ABLATION_ROWS", "ablation_param_grid", "ablation_table", "check_leakage"]

publish(__name__, __all__)
