"""Tables of strangers: read as they are, and addressed by our names for their columns."""

import csv
import decimal
import difflib
import numbers
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, read_numbers, shown_cell, whole_text
from .._utils.validation import shown

_PARQUET_SUFFIXES = (".parquet", ".pq")
# What fits into the memory of a small machine; real tables stay far below.
_MAX_ROWS = 10_000_000
_MAX_BYTES = 2**30
_MAX_LINE = 2**20


@dataclass(frozen=True)
class Table:
    """A table whose index counts its rows from 0, with our names for some of its columns."""

    title: str
    cells: pd.DataFrame
    names: dict

    def column_of(self, name):
        """Return the table's own name for a column."""
        return self.names.get(name, name)

    def has(self, name):
        """Tell whether the table has a column."""
        return self.column_of(name) in self.cells.columns

    def column(self, name):
        """Return the cells of a column, as they came."""
        if not self.has(name):
            raise missing_column(name, [self])
        return self.cells[self.column_of(name)]

    def select(self, rows):
        """Return the table with some of its rows, which keep their numbers."""
        return replace(self, cells=self.cells.loc[rows])

    def numbers(self, name, missing):
        """Return a column as float64, NaN where missing."""
        cells = self.column(name)
        values = read_numbers(
            cells, self.column_of(name), missing=missing, rows=cells.index.tolist()
        )
        return pd.Series(values, index=cells.index)

    def texts(self, name, missing):
        """Return a column as text without surrounding white space, NaN where missing."""
        cells = self.column(name)
        column = self.column_of(name)
        texts = [
            np.nan if is_missing(cell, missing) else _text(cell, column, row)
            for row, cell in cells.items()
        ]
        return pd.Series(texts, index=cells.index, dtype="str")

    def refuse_missing(self, name, cells, remedy="or leave these rows out"):
        """Raise ValueError if a column that must be complete is not."""
        rows = cells.index[cells.isna()]
        if len(rows):
            raise ValueError(
                f"column {self.column_of(name)!r} of {self.title} is empty in {shown(rows, 'row')};"
                f" fill it in, {remedy}"
            )


def open_table(source, kind, names):
    """Return a DataFrame, or the CSV or Parquet file of this path, as a Table."""
    if isinstance(source, pd.DataFrame):
        title, cells = f"the {kind}", source.reset_index(drop=True)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"the {kind} {str(path)!r} does not exist")
        if not path.is_file():
            raise ValueError(f"the {kind} {str(path)!r} is no regular file")
        title = f"the {kind} {path.name!r}"
        read = _read_parquet if path.suffix.lower() in _PARQUET_SUFFIXES else _read_csv
        cells = read(path, title)
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
    return Table(title, cells, names)


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


def missing_column(name, tables):
    """Return the error for a column that none of the tables has."""
    wanted = tables[0].column_of(name)
    columns = [str(column) for table in tables for column in table.cells.columns]
    near = difflib.get_close_matches(str(wanted), columns, n=1)
    return ValueError(
        f"no column {wanted!r} in {' or '.join(table.title for table in tables)}; the columns are "
        f"{columns}" + (f", the nearest is {near[0]!r}" if near else "") + "; name the column that "
        f"holds it with columns={{{name!r}: ...}}"
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
        raise ValueError(f"{where}: {text!r} is no valid Unicode; correct the cell") from error
