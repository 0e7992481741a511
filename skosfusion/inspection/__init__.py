"""Looking at results and fitted classifiers; the only room that draws."""

from ._ablation import AblationDisplay

__all__ = ["AblationDisplay"]
