"""Cells of clinical tables: numbers, missing values, and errors that say where."""

import decimal
import math
import numbers
import re

import numpy as np
import pandas as pd

# Compared with `spelling(cell)`.
MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "none", "null"})

# Stricter than `float`, which also takes "1_000", "infinity" and digits of any script.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SHOWN_CHARACTERS = 80
_FLOAT32_MAX = float(np.finfo(np.float32).max)


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
    return bool(_NUMBER.fullmatch(text.strip()))


def is_missing(cell, missing=MISSING):
    """Return whether a cell is None, NaN, NA or spelled as one of `missing`."""
    if isinstance(cell, decimal.Decimal) and cell.is_nan():
        return True
    return pd.api.types.is_scalar(cell) and bool(pd.isna(cell) or spelling(cell) in missing)


def read_numbers(cells, column, *, missing=MISSING, rows=None):
    """Return a column as float64, NaN where missing; `rows` are the numbers that errors show."""
    cells = pd.Series(cells)
    dtype = cells.dtype
    plain = pd.api.types.is_any_real_numeric_dtype(dtype) and missing is MISSING
    rows = range(len(cells)) if rows is None else rows
    if plain:
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = np.array(
            [
                np.nan if is_missing(cell, missing) else _read_number(cell, column, row)
                for cell, row in zip(cells.to_numpy(dtype=object), rows, strict=True)
            ],
            dtype=np.float64,
        )
    # Larger values would end as infinities in float32; here the place and the cell are known.
    outside = np.flatnonzero(np.abs(values) > _FLOAT32_MAX)
    if outside.size:
        first = outside[0]
        kind = "infinite" if np.isinf(as_float(cells.iloc[first])) else "too large a"
        raise ValueError(
            f"{kind} value {shown_cell(cells.iloc[first])} in column {column!r}, row "
            f"{rows[first]}; give a finite number of at most {_FLOAT32_MAX:.3g}, or leave the "
            "cell empty where the value is missing"
        )
    return values


def _read_number(cell, column, row):
    where = f"column {column!r}, row {row}"
    if isinstance(cell, complex | np.complexfloating):
        raise ValueError(f"Complex data not supported: {cell!r} in {where}; give real numbers")
    if is_bool(cell) or not isinstance(cell, str | numbers.Real | decimal.Decimal):
        raise TypeError(
            f"argument must be a string or a real number, got {shown_cell(cell)} "
            f"({type(cell).__name__}) in {where}; give numbers, or text that holds one"
        )
    if isinstance(cell, str) and not is_number_text(cell):
        raise ValueError(
            f"cannot read {shown_cell(cell)} in {where} as a number; correct the cell (digits and "
            "a decimal point, without a unit), or, if it stands for a missing value, load the "
            f"table with load_cohort(..., na_values=[{shown_cell(cell)}])"
        )
    return as_float(cell)
