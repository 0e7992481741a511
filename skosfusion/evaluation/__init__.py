"""Statistics on out-of-fold log-odds, with the patient as their unit, and checks of the data."""

from .._utils.naming import publish
from ._calibration import recalibrate
from ._evaluate import evaluate_scores
from ._evaluation import Evaluation
from ._inputs import Units
from ._patients import patient_scores
from ._ranks import Ranks, clustered_auc
from ._recalibration import Recalibration
from ._resampling import Draws
from ._shortcuts import audit_shortcuts

__all__ = ["Evaluation", "Recalibration", "audit_shortcuts", "evaluate_scores", "patient_scores"]

publish(__name__, __all__)
