"""Statistics on scores that are kept out of fold, and checks of the data behind them."""

from .._utils.naming import publish
from ._shortcuts import audit_shortcuts

__all__ = ["audit_shortcuts"]

publish(__name__, __all__)
