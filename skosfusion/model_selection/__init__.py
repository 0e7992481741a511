"""Splits that do not leak, and the paper's ablation as plain model selection."""

from ._ablation_grid import ABLATION_ROWS, ablation_param_grid, ablation_table
from ._leakage import check_leakage

__all__ = ["ABLATION_ROWS", "ablation_param_grid", "ablation_table", "check_leakage"]
