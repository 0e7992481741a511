"""Fitted models in files without pickle."""

from .._utils.naming import publish
from ._model import load_model, load_recalibration, load_summary, save_model
from ._pipeline import import_skops

__all__ = ["load_model", "load_recalibration", "load_summary", "save_model"]

publish(__name__, __all__)
