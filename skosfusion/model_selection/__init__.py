"""Splits that hold, and the paper's ablation as plain model selection."""

from ._ablation_grid import ABLATION_ROWS, ablation_param_grid, ablation_table

__all__ = ["ABLATION_ROWS", "ablation_param_grid", "ablation_table"]
