"""Columns of numbers: read as declared, with all cells that cannot be read in one error."""

import decimal
import math
import numbers
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .cells import MISSING, as_float, is_bool, is_missing, shown_cell
from .notation import PLAIN, Finding, Notation, recognize, thousands_with_points
from .problems import Problems
from .validation import shown

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_AS_IT_COMES = Notation()


def declared_when_loading(**options):
    """Return what one types to declare a notation where the kind of the column is not known."""
    typed = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"load_cohort(..., columns={{'alp': KitColumn(..., {typed})}})"


def read_numbers(
    cells,
    column,
    *,
    missing=MISSING,
    rows=None,
    notation=_AS_IT_COMES,
    declared=declared_when_loading,
    dates=None,
):
    """Return a column as float64, NaN where missing; with ``censored="limit"`` it may be infinite.

    `rows` are the numbers that errors show, `declared` returns what one types to declare options of
    the notation, and `dates` returns what to do with a column of dates like a given one.
    """
    cells = pd.Series(cells)
    rows = range(len(cells)) if rows is None else rows
    bad = _BadCells(column, rows, declared, dates)
    if pd.api.types.is_any_real_numeric_dtype(cells.dtype) and missing is MISSING:
        values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = _read_cells(cells.to_numpy(dtype=object), missing, notation, bad)
    # Larger values would end as infinities in float32; here the place and the cell are known.
    for place in np.flatnonzero(np.abs(values) > _FLOAT32_MAX):
        cell = cells.iloc[place]
        number = notation.read(cell) if isinstance(cell, str) else as_float(cell)
        if math.isinf(number) and notation.censored == "limit" and not _has_digits(cell):
            continue
        bad.add("infinite" if math.isinf(number) else "too large a", place, cell)
    bad.raise_any()
    return values


def _read_cells(cells, missing, notation, bad):
    """Return cells of any kind as float64, NaN where they are missing or bad."""
    values, read = np.full(len(cells), np.nan), {}
    is_plain = notation.decimal != "," and not notation.unit
    for place, cell in enumerate(cells):
        if isinstance(cell, str) and cell in read:
            value = read[cell]
        elif is_plain and type(cell) is str and PLAIN.fullmatch(cell):
            # The most frequent by far, and read at once.
            value = np.nan if cell.casefold() in missing else float(cell)
        elif is_missing(cell, missing):
            value = np.nan
        else:
            value = notation.read(cell) if isinstance(cell, str) else _plain_number(cell)
        if isinstance(cell, str):
            read[cell] = value
        if value is None:
            bad.add(recognize(cell, notation) if isinstance(cell, str) else type(cell), place, cell)
        else:
            values[place] = value
    if notation.decimal is None:
        texts = [notation.digits(cell) for cell, value in read.items() if value is not None]
        pointed = set(thousands_with_points(texts))
        for place, cell in enumerate(cells) if pointed else ():
            if isinstance(cell, str) and notation.digits(cell) in pointed:
                bad.add(_POINTED, place, cell)
    return values


def _has_digits(cell):
    """Return whether digits, too many for a float, stand behind what is read as infinite."""
    return any(character.isdecimal() for character in str(cell))


def _plain_number(cell):
    if is_bool(cell) or not isinstance(cell, numbers.Real | decimal.Decimal):
        return None
    return as_float(cell)


_POINTED = Finding(
    "points",
    "may be a number with points between thousands, as nothing else in this column has another "
    "decimal place; if so, declare decimal=','; if the point is a decimal sign",
    {"decimal": "."},
)


@dataclass
class _BadCells:
    """Cells of a column that are not numbers, by kind."""

    column: object
    rows: object
    declared: object
    dates: object
    kinds: dict = field(default_factory=dict)

    def add(self, finding, place, cell):
        kind = finding.kind if isinstance(finding, Finding) else finding
        # Each text without a meaning of its own is a problem of its own.
        kind = (kind, cell) if kind in ("text", "other") else kind
        self.kinds.setdefault(kind, (finding, cell, []))[2].append(place)

    def raise_any(self):
        """Raise one error for all of them; return if there is none."""
        problems = Problems()
        for finding, cell, places in self.kinds.values():
            problems.add(self._error(finding, cell, [self.rows[place] for place in places]))
        problems.raise_any()

    def _error(self, finding, cell, rows):
        where = f"column {self.column!r}, row {rows[0]}"
        more = f"; so are {shown(rows[1:], 'more row')}" if len(rows) > 1 else ""
        if isinstance(finding, Finding):
            text = f"cannot read {shown_cell(cell)} in {where} as a number"
            return ValueError(text + self._remedy(finding, cell) + more)
        if finding in ("infinite", "too large a"):
            remedy = f"give a finite number of at most {_FLOAT32_MAX:.3g}"
            if finding == "infinite":
                remedy += (
                    "; if it stands for what is beyond the limits of the assay, declare "
                    f"{self.declared(censored='limit')}, and the smallest or largest value of the "
                    "column takes its place"
                )
            return ValueError(f"{finding} value {shown_cell(cell)} in {where}; {remedy}{more}")
        if isinstance(cell, complex | np.complexfloating):
            return ValueError(
                f"Complex data not supported: {cell!r} in {where}; give real numbers{more}"
            )
        remedy = "give numbers, or text that holds one"
        if self.dates and hasattr(cell, "year"):
            remedy += f"; {self.dates(self.column, '')}"
        return TypeError(
            f"argument must be a string or a real number, got {shown_cell(cell)} "
            f"({type(cell).__name__}) in {where}; {remedy}{more}"
        )

    def _remedy(self, finding, cell):
        """Return what to do about a text; a measurement is never advised to be left out."""
        if finding.remedy:
            return f": it {finding.what}, declare {self.declared(**finding.remedy)}"
        if finding.kind == "date":
            do = self.dates(self.column, cell) if self.dates else "correct the cell"
            return f": it {finding.what}; {do}"
        if finding.what:
            return f": it {finding.what}"
        return (
            "; correct the cell (digits and a decimal point, without a unit), or, if it stands for "
            "a missing value and not for a measurement, load the table with load_cohort(..., "
            f"na_values=[{shown_cell(cell)}])"
        )
