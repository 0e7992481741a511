"""Looking at results and fitted classifiers; the only room that draws."""

from .._utils.naming import publish
from ._clinical_gradients import clinical_gradients
from ._comparison import compare_explanations
from ._gradcam import GradCAM
from ._localization import boxes_on_heatmaps, localization_scores
from ._modality_importance import modality_importance
from ._plot._ablation import AblationDisplay
from ._plot._comparison_display import ComparisonDisplay
from ._plot._gradcam_display import GradCAMDisplay
from ._plot._gradients_display import ClinicalGradientsDisplay

__all__ = [
    "AblationDisplay",
    "ClinicalGradientsDisplay",
    "ComparisonDisplay",
    "GradCAM",
    "GradCAMDisplay",
    "boxes_on_heatmaps",
    "clinical_gradients",
    "compare_explanations",
    "localization_scores",
    "modality_importance",
]

publish(__name__, __all__)
