"""Looking at results and fitted classifiers; the only room that draws."""

from .._utils.naming import publish
from ._clinical_gradients import clinical_gradients
from ._gradcam import GradCAM
from ._localization import localization_scores, scale_boxes
from ._modality_importance import modality_importance
from ._plot._ablation import AblationDisplay
from ._plot._comparison_display import ComparisonDisplay
from ._plot._curve_display import CurveDisplay
from ._plot._decision_curve_display import DecisionCurveDisplay
from ._plot._difference_display import DifferenceDisplay
from ._plot._fonts import choose_fonts as choose_fonts
from ._plot._gradcam_display import GradCAMDisplay
from ._plot._gradients_display import ClinicalGradientsDisplay
from ._plot._risk_calibration_display import RiskCalibrationDisplay
from ._plot._site_display import SiteDisplay
from ._plot._subgroup_display import SubgroupDisplay
from ._training_summary import TrainingSummary, summarize_training

__all__ = [
    "AblationDisplay",
    "ClinicalGradientsDisplay",
    "ComparisonDisplay",
    "CurveDisplay",
    "DecisionCurveDisplay",
    "DifferenceDisplay",
    "GradCAM",
    "GradCAMDisplay",
    "RiskCalibrationDisplay",
    "SiteDisplay",
    "SubgroupDisplay",
    "TrainingSummary",
    "clinical_gradients",
    "localization_scores",
    "modality_importance",
    "scale_boxes",
    "summarize_training",
]

publish(__name__, __all__)
