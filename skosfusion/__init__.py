"""Late fusion of medical images and clinical values, as scikit-learn estimators."""

import importlib

__version__ = "0.2.0"

# Each public name and the room it lives in. A room is opened when it is first asked for: whoever
# normalizes a table or draws images, in many processes perhaps, need not wait for torch to load.
_ROOMS = {
    "ABLATIONS": "model_selection",
    "AblationDisplay": "inspection",
    "AgeScaler": "preprocessing",
    "CLASS_WEIGHTED": "model_selection",
    "CLINICAL_ONLY": "model_selection",
    "ClinicalGradientsDisplay": "inspection",
    "ClinicalTransformer": "preprocessing",
    "ComparisonDisplay": "inspection",
    "CurveDisplay": "inspection",
    "DecisionCurveDisplay": "inspection",
    "DifferenceDisplay": "inspection",
    "FusionClassifier": "classifier",
    "GenderEncoder": "preprocessing",
    "GradCAM": "inspection",
    "GradCAMDisplay": "inspection",
    "ImageEncoder": "classifier",
    "KitRangeScaler": "preprocessing",
    "Recalibration": "evaluation",
    "RiskCalibrationDisplay": "inspection",
    "SiteDisplay": "inspection",
    "SubgroupDisplay": "inspection",
    "TrainingSummary": "inspection",
    "ablation_param_grid": "model_selection",
    "ablation_table": "model_selection",
    "audit_shortcuts": "evaluation",
    "check_leakage": "model_selection",
    "clinical_gradients": "inspection",
    "cross_val_scores": "model_selection",
    "evaluate_scores": "evaluation",
    "load_model": "persistence",
    "load_recalibration": "persistence",
    "load_summary": "persistence",
    "localization_scores": "inspection",
    "make_clinical_transformer": "preprocessing",
    "make_fusion_pipeline": "pipeline",
    "modality_importance": "inspection",
    "patient_scores": "evaluation",
    "save_model": "persistence",
    "scale_boxes": "inspection",
    "summarize_training": "inspection",
    "validate_by_site": "model_selection",
    "write_report": "report",
}

__all__ = sorted(_ROOMS)


def __getattr__(name):
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_ROOMS[name]}", __name__), name)


def __dir__():
    return sorted([*globals(), *_ROOMS])
