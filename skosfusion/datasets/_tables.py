"""Untrusted tables: read as they are, and read column by column."""

import csv
import decimal
import numbers
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, shown_cell, whole_text
from .._utils.number_columns import read_numbers
from .._utils.validation import did_you_mean, shown

_PARQUET_SUFFIXES = (".parquet", ".pq")
# What fits into the memory of a small machine; real tables stay far below.
_MAX_ROWS = 10_000_000
_MAX_BYTES = 2**30
_MAX_LINE = 2**20


@dataclass(frozen=True)
class Table:
    """A table whose index holds the row numbers that errors show, and what is missing in it."""

    title: str
    cells: pd.DataFrame
    missing: frozenset

    def has(self, column):
        """Return whether the table has a column."""
        return column in self.cells.columns

    def column(self, column, option):
        """Return the cells of a column, as they came; `option` is how one names another."""
        if not self.has(column):
            raise missing_column(column, option, [self])
        return self.cells[column]

    def known(self, column, option):
        """Return the cells of a column as they came, NaN where missing."""
        cells = self.column(column, option)
        return cells.mask([is_missing(cell, self.missing) for cell in cells])

    def select(self, rows):
        """Return the table with some of its rows, which keep their numbers."""
        return replace(self, cells=self.cells.loc[rows])

    def numbers(self, column, option):
        """Return a column as float64, NaN where missing."""
        cells = self.column(column, option)
        values = read_numbers(cells, column, missing=self.missing, rows=cells.index.tolist())
        return pd.Series(values, index=cells.index)

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
        if len(rows):
            raise ValueError(
                f"column {column!r} of {self.title} is empty in {shown(rows, 'row')};"
                f" fill it in, {remedy}"
            )


def open_table(source, kind, missing):
    """Return a DataFrame, or the CSV or Parquet file of this path, as a Table."""
    if isinstance(source, pd.DataFrame):
        title, cells = f"the {kind}", _with_row_numbers(source)
    elif isinstance(source, str | os.PathLike):
        title, cells = _read_file(Path(source), kind)
    else:
        raise TypeError(
            f"the {kind} must be a DataFrame or the path of a CSV or Parquet file, "
            f"got {type(source).__name__}"
        )
    twice = cells.columns[cells.columns.duplicated()].tolist()
    if twice:
        raise ValueError(f"{title} has more than one column named {twice[0]!r}; rename one of them")
    for size, noun in zip(cells.shape, ("rows", "columns"), strict=True):
        if size == 0:
            raise ValueError(f"{title} has no {noun}")
    return Table(title, cells, missing)


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


def _read_file(path, kind):
    """Return the title and the cells of a table in a file."""
    if not path.exists():
        raise FileNotFoundError(f"the {kind} {str(path)!r} does not exist")
    if not path.is_file():
        raise ValueError(f"the {kind} {str(path)!r} is not a regular file")
    title = f"the {kind} {path.name!r}"
    read = _read_parquet if path.suffix.lower() in _PARQUET_SUFFIXES else _read_csv
    return title, read(path, title)


def _read_csv(path, title):
    header, rows = None, []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(_lines(file), strict=True):
                if header is None:
                    header = row or None
                elif row and len(row) != len(header):
                    raise ValueError(
                        f"row {len(rows)} has {len(row)} cells, but the header has {len(header)}; "
                        "quote cells that hold a comma, and write empty cells out"
                    )
                elif row:
                    rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot read {title}: {error}; it must be comma-separated text in UTF-8"
        ) from error
    except ValueError as error:
        raise ValueError(f"cannot read {title}: {error}") from error
    if header is None:
        raise ValueError(f"{title} is empty; its first line must name the columns")
    # Spreadsheets leave lines and columns of nothing but commas behind.
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    cells = pd.DataFrame(rows, columns=header, dtype="str")
    is_left_over = [not name.strip() and not any(cells.iloc[:, i]) for i, name in enumerate(header)]
    return cells.loc[:, np.logical_not(is_left_over)]


def _lines(file):
    """Yield the lines of a file; a giant one is an error, not a giant in memory."""
    n_read = 0
    while line := file.readline(_MAX_LINE + 1):
        n_read += len(line)
        if len(line) > _MAX_LINE:
            raise ValueError(f"it has a line of more than {_MAX_LINE} characters")
        if n_read > _MAX_BYTES:
            raise ValueError(f"it holds more than {_MAX_BYTES} characters; split it")
        yield line


def _read_parquet(path, title):
    try:
        from ._parquet import PARQUET_ERRORS, read_flat_columns
    except ImportError as error:
        raise ImportError(
            "reading Parquet needs pyarrow: pip install 'skosfusion[parquet]'"
        ) from error
    try:
        return read_flat_columns(path, max_rows=_MAX_ROWS, max_bytes=_MAX_BYTES)
    except PARQUET_ERRORS as error:
        raise ValueError(f"cannot read {title}: {error}") from error


def missing_column(column, option, tables):
    """Return the error for a column that none of the tables has; `option` names another."""
    columns = [str(column) for table in tables for column in table.cells.columns]
    hint = did_you_mean(column, columns)
    return ValueError(
        f"no column {column!r} in {' or '.join(table.title for table in tables)}; the columns are "
        f"{columns}; {f'{hint} Name' if hint else 'name'} the column that holds it with {option}"
    )


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
