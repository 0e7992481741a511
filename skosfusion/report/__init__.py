"""The report of an evaluation: one page, its figures, and what a reviewer asks for."""

from .._utils.naming import publish
from ._write import write_report

__all__ = ["write_report"]

publish(__name__, __all__)
