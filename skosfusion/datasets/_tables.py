"""Untrusted tables: read as they are, and read column by column."""

import decimal
import numbers
import os
import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, shown_cell, whole_text
from .._utils.notation import Notation
from .._utils.number_columns import declared_when_loading, read_numbers
from .._utils.problems import Problems
from .._utils.validation import did_you_mean, shown
from ._decimals import notation_for
from ._read_table import read_file
from ._reading import FLOW, reading_of

__all__ = ["FLOW", "Table", "check_unicode", "missing_column", "open_table"]

_ERRORS = ["#N/A", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#DIV/0!", "#SPILL!", "#CALC!"]
_ERRORS += ["#NV", "#WERT!", "#BEZUG!", "#ZAHL!", "#ERROR", "#GETTING_DATA"]
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d( .*)?", re.ASCII)


@dataclass(frozen=True)
class Table:
    """A table whose index holds the row numbers that errors show, and what is missing in it."""

    title: str
    cells: pd.DataFrame
    missing: frozenset
    readings: tuple = (None,)  # how each of its parts was read, None where it is not known
    notes: tuple = ()  # what the user is warned of
    parts: pd.Series | None = None  # place in `readings` of each row; None where there is one

    def has(self, column):
        """Return whether the table has a column."""
        return column in self.cells.columns

    def column(self, column, option):
        """Return the cells of a column, as they came; `option` is how one names another."""
        if not self.has(column):
            raise missing_column(column, option, [self])
        cells = self.cells[column]
        self._refuse_errors(cells, column)
        return cells

    def _refuse_errors(self, cells, column):
        """Raise ValueError for what a spreadsheet shows in place of a value that it has not."""
        if not any(self.readings) or pd.api.types.is_numeric_dtype(cells.dtype):
            return
        rows = cells.index[cells.isin(_ERRORS)]
        rows = [row for row in rows if not is_missing(cells[row], self.missing)]
        if rows:
            error = cells[rows[0]]
            raise ValueError(
                f"column {column!r} of {self.title}, row {rows[0]}: {error!r} is the error of a "
                f"spreadsheet in place of a value ({shown(rows, 'row')}); correct the formula, or, "
                f"if it stands for a missing value, use load_cohort(..., na_values=[{error!r}])"
            )

    def refuse_dates(self, column, option):
        """Raise ValueError for cells of dates in a column of record numbers."""
        cells = self.column(column, option)
        for reading, part in self._parts_of(cells):
            if reading is None or column not in reading.date_columns:
                continue
            rows = [row for row, text in part.items() if _ISO_DATE.fullmatch(str(text))]
            if rows:
                raise ValueError(
                    f"column {column!r} of {self.title}, row {rows[0]}: the record number is a "
                    f"date, {part[rows[0]]!r} ({shown(rows, 'row')}), which a spreadsheet makes of "
                    "numbers such as '3-1'; write the record numbers anew into cells of text"
                )

    def _parts_of(self, cells):
        """Return the cells of a column by file, each with how this was read."""
        if self.parts is None:
            return [(self.readings[0], cells)]
        places = self.parts.loc[cells.index]
        return [(self.readings[place], cells[places == place]) for place in sorted(set(places))]

    def known(self, column, option):
        """Return the cells of a column as they came, NaN where missing."""
        cells = self.column(column, option)
        return cells.mask([is_missing(cell, self.missing) for cell in cells])

    def select(self, rows):
        """Return the table with some of its rows, which keep their numbers."""
        cells = self.cells.loc[rows]
        parts = None if self.parts is None else self.parts.loc[cells.index]
        return replace(self, cells=cells, parts=parts)

    def numbers(self, column, option, *, missing=frozenset(), **how):
        """Return a column as float64, NaN where missing; `missing` is so in this column alone."""
        cells = self.column(column, option)
        missing = self.missing | missing if missing else self.missing
        notation = how.pop("notation", Notation())
        values, problems = pd.Series(np.nan, cells.index), Problems()
        for reading, part in self._parts_of(cells):
            with problems.collected():
                how["notation"] = notation_for(
                    part, column, notation, reading, how.get("declared", declared_when_loading)
                )
                read = read_numbers(part, column, missing=missing, rows=part.index.tolist(), **how)
                values.loc[part.index] = read
        problems.raise_any()
        return pd.Series(_at_limits(values.to_numpy(), column), index=cells.index)

    def texts(self, column, option):
        """Return a column as text without surrounding white space, NaN where missing."""
        cells = self.column(column, option)
        texts = [
            np.nan if is_missing(cell, self.missing) else _text(cell, column, row)
            for row, cell in cells.items()
        ]
        return pd.Series(texts, index=cells.index, dtype="str")

    def refuse_missing(self, column, cells, remedy="or leave these rows out"):
        """Raise ValueError if a column that must be complete is not."""
        rows = cells.index[cells.isna()]
        if not len(rows):
            return
        # Tables made with pandas may hold such a word as a label, and it would be lost as a class.
        written = self.cells.loc[rows, column]
        words = dict.fromkeys(str(cell).strip() for cell in written if isinstance(cell, str))
        words.pop("", None)
        hint = ""
        if words:
            word = next(iter(words))
            hint = (
                f" ({shown(words, 'text', repr)} there is read as missing; if it is a value, write "
                f"another word: table[{column!r}] = table[{column!r}].replace({word!r}, "
                "'no finding'))"
            )
        raise ValueError(
            f"column {column!r} of {self.title} is empty in {shown(rows, 'row')}{hint}; fill it "
            f"in, {remedy}"
        )


def open_table(source, kind, missing, texts=()):
    """Return a DataFrame, or the table in the file of this path, as a Table.

    `texts` are the columns that must stay text, for the remedy where a file is of another format.
    """
    if isinstance(source, pd.DataFrame):
        reading, notes = reading_of(source), ()
        title = f"the {kind}" + (f" {reading.name!r}" if reading else "")
        cells = _with_row_numbers(source)
    elif isinstance(source, str | os.PathLike):
        title, cells, reading = read_file(source, kind, texts)
        notes = reading.notes
    else:
        raise TypeError(
            f"the {kind} must be a DataFrame or the path of a table, got {type(source).__name__}"
        )
    twice = cells.columns[cells.columns.duplicated()].tolist()
    if twice:
        raise ValueError(f"{title} has more than one column named {twice[0]!r}; rename one of them")
    for size, noun in zip(cells.shape, ("rows", "columns"), strict=True):
        if size == 0:
            raise ValueError(f"{title} has no {noun}")
    return Table(title, cells, missing, (reading,), notes)


def _with_row_numbers(frame):
    """Return a frame with the index that a selection of rows has left, else numbered from 0."""
    index = frame.index
    is_selection = (
        pd.api.types.is_integer_dtype(index.dtype)
        and index.is_unique
        and index.is_monotonic_increasing
        and bool((index >= 0).all())
    )
    return frame.rename_axis(index=None) if is_selection else frame.reset_index(drop=True)


def missing_column(column, option, tables):
    """Return the error for a column that none of the tables has; `option` names another."""
    columns = [str(column) for table in tables for column in table.cells.columns]
    hint = did_you_mean(column, columns)
    return ValueError(
        f"no column {column!r} in {' or '.join(table.title for table in tables)}; the columns are "
        f"{columns}; {f'{hint} Name' if hint else 'name'} the column that holds it with {option}"
    )


def _at_limits(values, column):
    """Return values with the smallest and largest finite one in place of -inf and inf."""
    finite = values[np.isfinite(values)]
    if not np.isinf(values).any():
        return values
    if not finite.size:
        raise ValueError(
            f"column {column!r} has no value but infinite ones, so that no limit is known; give "
            "the limit of the assay in their place"
        )
    return np.clip(values, finite.min(), finite.max())


def _text(cell, column, row):
    if not isinstance(cell, str | numbers.Real | decimal.Decimal | np.bool_):
        raise TypeError(
            f"column {column!r}, row {row} must hold text or a number, got {shown_cell(cell)} "
            f"({type(cell).__name__}); turn the column into text"
        )
    # A column of whole numbers turns to floats where one is missing: 17.0 is still record 17.
    text = whole_text(cell)
    check_unicode(text, f"column {column!r}, row {row}")
    return text


def check_unicode(text, where):
    """Raise ValueError for what no text column can hold: half of a UTF-16 pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: {text!r} is not valid Unicode; correct the cell") from error
