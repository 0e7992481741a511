"""Fitted models in files without pickle."""

from .._utils.naming import publish
from ._model import load_model, save_model

__all__ = ["load_model", "save_model"]

publish(__name__, __all__)
