"""Statistics on out-of-fold log-odds, with the patient as their unit."""

from .._utils.naming import publish
from ._calibration import recalibrate
from ._evaluate import evaluate_scores
from ._patients import patient_scores
from ._ranks import Ranks, clustered_auc

__all__ = ["evaluate_scores", "patient_scores"]

publish(__name__, __all__)
