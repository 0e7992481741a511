"""Cells of clinical tables: what is missing, what is a number, and how errors show them."""

import decimal
import math
import numbers

import numpy as np
import pandas as pd

from .notation import PLAIN

# Compared with `spelling(cell)`.
MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "none", "null"})

_SHOWN_CHARACTERS = 80


def spelling(cell):
    """Return the text of a cell, without surrounding white space and in one case."""
    return whole_text(cell).casefold()


def whole_text(cell):
    """Return the text of a cell, without surrounding white space and as "17" for 17.0."""
    is_number = isinstance(cell, numbers.Real | decimal.Decimal) and not is_bool(cell)
    if is_number and as_float(cell).is_integer():
        cell = int(cell)
    return str(cell).strip()


def shown_cell(cell):
    """Return a cell as errors show it: without the names of NumPy's types, and cut if long."""
    text = repr(cell.item() if isinstance(cell, np.generic) else cell)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def shown_number(value):
    """Return a number as errors show it: 40 for 40.0, and in full otherwise."""
    return f"{value:.15g}"


def is_bool(value):
    """Return whether a value is a Python or NumPy boolean."""
    return isinstance(value, bool | np.bool_)


def is_number(value):
    """Return whether a value is a finite real number, booleans aside."""
    return isinstance(value, numbers.Real) and not is_bool(value) and math.isfinite(as_float(value))


def as_float(value):
    """Return a number as float: infinite where it is too large, NaN where it is any NaN."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except ValueError:  # decimal's signalling NaN
        return math.nan


def is_number_text(text):
    """Return whether a text is a decimal number, such as "3.5" or "-1e3"."""
    return bool(PLAIN.fullmatch(text.strip()))


def is_missing(cell, missing=MISSING):
    """Return whether a cell is None, NaN, NA or spelled as one of `missing`."""
    if isinstance(cell, decimal.Decimal) and cell.is_nan():
        return True
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell) or spelling(cell) in missing)
