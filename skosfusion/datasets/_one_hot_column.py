"""Declaration of columns of 0 and 1 that are one category."""

import decimal
import numbers
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd

from .._utils.cells import as_float, is_bool, is_missing, is_number_text, shown_cell, whole_text
from .._utils.problems import Problems
from .._utils.validation import check_parameter, shown
from ._column import Column, is_column_name, option_for
from ._input_columns import MOST_CHARACTERS

_EMPTY, _BAD = -1, -2
_JOINED = " + "


@dataclass(frozen=True, repr=False)
class OneHotColumn(Column):
    """Declare columns of 0 and 1 that are one category, such as one column for each bone.

    The category of a row is the name of the column that is 1. An empty cell counts as 0 where that
    is the only way to read it: where another column of the row is 1, or where no cell of the
    columns is 0, so that emptiness is how 0 is written. A row that is empty in all columns is else
    missing.

    Parameters
    ----------
    columns : list of str
        Your names for the columns, two or more of one table.
    none : {"error", "missing"} or str, default="error"
        What a row becomes where no column is 1: an error, a missing value, or any other text, which
        is then the category.
    several : {"error", "keep"}, default="error"
        What a row becomes where several columns are 1: an error, or a category of its own, with
        their names in the order of `columns`: "femur + knee".

    Raises
    ------
    ValueError
        For a value out of its set.

    See Also
    --------
    CategoryColumn : A category in one column.

    Examples
    --------
    >>> from skosfusion.datasets import OneHotColumn
    >>> OneHotColumn(["frontal", "lateral", "oblique"], none="other")
    OneHotColumn(columns=('frontal', 'lateral', 'oblique'), none='other')
    """

    columns: tuple
    _: KW_ONLY
    none: str = "error"
    several: str = "error"

    def __post_init__(self):
        names = self.columns
        valid = isinstance(names, list | tuple) and all(map(is_column_name, names))
        valid = valid and len({whole_text(name) for name in names}) == len(names) >= 2
        allowed = "a list of two or more different columns"
        check_parameter("columns", names, valid, allowed)
        # Declarations are hashable.
        object.__setattr__(self, "columns", tuple(names))
        own = [whole_text(name) for name in names]
        valid = isinstance(self.none, str) and self.none.strip() == self.none != ""
        valid = valid and self.none not in own and len(self.none) <= MOST_CHARACTERS
        allowed = "'error', 'missing', or a category of another name than the columns"
        check_parameter("none", self.none, valid and not is_missing(self.none), allowed)
        valid = isinstance(self.several, str) and self.several in ("error", "keep")
        check_parameter("several", self.several, valid, "'error' or 'keep'")

    @property
    def _columns(self):
        return list(self.columns)

    def _read(self, records, name):
        def read(cells, missing):
            return self._categories(cells, missing, name)

        return {name: records.together(self.columns, option_for(name), read)}

    def _categories(self, cells, missing, name):
        """Return the category of each row; errors name the rows and the columns."""
        problems = Problems()
        digits = np.empty(cells.shape, dtype=np.int8)
        for place, column in enumerate(self.columns):
            digits[:, place] = _digits(cells[column], column, missing, problems)
        problems.raise_any()
        n_ones, n_zeros = (digits == 1).sum(axis=1), (digits == 0).sum(axis=1)
        has_none = (n_ones == 0) & (n_zeros == len(self.columns))
        is_unclear = (n_ones == 0) & (n_zeros > 0) & ~has_none
        if n_zeros.any():
            is_absent = (n_ones == 0) & (n_zeros == 0)
        else:
            is_absent, has_none = np.zeros(len(cells), bool), n_ones == 0
        is_refused = {
            "none": has_none & (self.none == "error"),
            "several": (n_ones > 1) & (self.several == "error"),
            "unclear": is_unclear,
        }
        for kind, rows in is_refused.items():
            if rows.any():
                problems.add(self._error(kind, cells.index[rows], digits[rows][0], name))
        problems.raise_any()
        names = np.array([whole_text(column) for column in self.columns], dtype=object)
        read = [_JOINED.join(names[row == 1]) for row in digits]
        none = np.nan if self.none == "missing" else self.none
        read = pd.Series(read, index=cells.index, dtype=object).mask(has_none, none)
        return read.mask(is_absent, np.nan).astype("str")

    def _error(self, kind, rows, digits, name):
        first, more = rows[0], ""
        if len(rows) > 1:
            more = f"; so are {shown(rows[1:], 'more row')}"
        if kind == "several":
            ones = [self.columns[place] for place in np.flatnonzero(digits == 1)]
            return ValueError(
                f"row {first} is 1 in {shown(ones, 'column', repr)}, of which one can be{more}; "
                "correct the cells, or, to make a category of each combination, declare "
                f"{self._declared(name, several='keep')}"
            )
        if kind == "unclear":
            empty = [self.columns[place] for place in np.flatnonzero(digits == _EMPTY)]
            return ValueError(
                f"row {first} is 1 in no column of {name!r} and empty in "
                f"{shown(empty, 'column', repr)}, which may be 0 or 1{more}; fill the cells in, or "
                f"empty {shown(self.columns, 'column', repr)} in these rows if it is not known"
            )
        return ValueError(
            f"row {first} is 1 in none of {shown(self.columns, 'column', repr)}{more}; correct the "
            f"cells, or declare {self._declared(name, none='other')}, a category, or "
            f"{self._declared(name, none='missing')}"
        )


def _digits(cells, column, missing, problems):
    """Return cells as 0, 1, or -1 where they are empty; what is neither is added to `problems`."""
    digits, bad = np.empty(len(cells), dtype=np.int8), {}
    for place, (row, cell) in enumerate(cells.items()):
        digits[place] = _digit(cell, missing)
        if digits[place] == _BAD:
            bad.setdefault(f"{shown_cell(cell)} ({type(cell).__name__})", []).append(row)
    for text, rows in bad.items():
        more = f"; so are {shown(rows[1:], 'more row')}" if len(rows) > 1 else ""
        problems.add(
            ValueError(
                f"column {column!r}, row {rows[0]}: {text} is neither 0 nor 1{more}; write 1 where "
                "the row is of this category, and 0 where not; a column of other values is a "
                f"CategoryColumn({column!r})"
            )
        )
    return digits


def _digit(cell, missing):
    if is_missing(cell, missing):
        return _EMPTY
    if isinstance(cell, str):
        cell = float(cell) if is_number_text(cell) else None
    if is_bool(cell):
        return int(cell)
    if isinstance(cell, numbers.Real | decimal.Decimal) and as_float(cell) in (0.0, 1.0):
        return int(cell)
    return _BAD
