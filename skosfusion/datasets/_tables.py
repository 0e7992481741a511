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
from ._formats import recognize_table

FLOW = "skosfusion: flow of exclusions"
"""Where a table keeps what has been left out of it (`DataFrame.attrs`), see `_flow.py`."""

_PARQUET_SUFFIXES = (".parquet", ".pq")
# What fits into the memory of a small machine; real tables stay far below.
_MAX_ROWS = 10_000_000
_MAX_BYTES = 2**30
_MAX_LINE = 2**20
# Rows of Python texts take fifty times their size, so they become columns now and then.
_CELLS_AT_ONCE = 2**18


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

    def numbers(self, column, option, *, missing=frozenset(), **how):
        """Return a column as float64, NaN where missing; `missing` is so in this column alone."""
        cells = self.column(column, option)
        missing = self.missing | missing if missing else self.missing
        values = read_numbers(cells, column, missing=missing, rows=cells.index.tolist(), **how)
        return pd.Series(_at_limits(values, column), index=cells.index)

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
    """Return a DataFrame, or the CSV or Parquet file of this path, as a Table.

    `texts` are the columns that must stay text, for the remedy where a file is of another format.
    """
    if isinstance(source, pd.DataFrame):
        title, cells = f"the {kind}", _with_row_numbers(source)
    elif isinstance(source, str | os.PathLike):
        title, cells = _read_file(Path(source), kind, texts)
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


def _read_file(path, kind, texts):
    """Return the title and the cells of a table in a file."""
    if not path.exists():
        raise FileNotFoundError(f"the {kind} {str(path)!r} does not exist")
    if not path.is_file():
        raise ValueError(f"the {kind} {str(path)!r} is not a regular file")
    title = f"the {kind} {path.name!r}"
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        return title, _read_parquet(path, title)
    other = recognize_table(path, texts)
    if other:
        raise ValueError(f"cannot read {title}: {other}")
    return title, _read_csv(path, title)


def _read_csv(path, title):
    header, rows, parts, n_rows, n_empty = None, [], [], 0, 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(_lines(file), strict=True):
                if header is None:
                    header = row or None
                elif row and len(row) != len(header):
                    raise ValueError(
                        f"row {n_rows} has {len(row)} cells, but the header has {len(header)}; "
                        "quote cells that hold a comma, and write empty cells out"
                        f"{_title_lines(len(row), len(header), n_rows)}"
                    )
                elif not row:
                    n_empty += 1
                else:
                    rows.append(row)
                    n_rows += 1
                if len(rows) * len(header or ()) >= _CELLS_AT_ONCE:
                    parts.append(pd.DataFrame(rows, columns=header, dtype="str"))
                    rows = []
                    _check_rows(n_rows)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot read {title}: {error}; it must be comma-separated text in UTF-8"
        ) from error
    except ValueError as error:
        raise ValueError(f"cannot read {title}: {error}") from error
    if header is None:
        raise ValueError(f"{title} is empty; its first line must name the columns")
    if rows or not parts:
        parts.append(pd.DataFrame(rows, columns=header, dtype="str"))
    cells = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    kept = _without_left_over(cells)
    n_empty += len(cells) - len(kept)
    if n_empty:
        kept.attrs[FLOW] = _flow_of_file(len(kept), n_empty)
    return kept


def _title_lines(n_cells, n_names, row):
    """Return the remedy where lines stand above the one that names the columns."""
    if row or n_names >= n_cells or n_names > 2:
        return ""
    return (
        "; if lines of a title stand above the names of the columns, leave them out: table = "
        "pd.read_csv(path, skiprows=1, dtype=str), with their number in place of 1"
    )


def _check_rows(n_rows):
    if n_rows > _MAX_ROWS:
        raise ValueError(f"it has more than {_MAX_ROWS} rows; split it")


def _without_left_over(cells):
    """Return a table without the rows and columns of nothing but commas that spreadsheets leave."""
    n_rows = len(cells)
    while n_rows and not any(cell.strip() for cell in cells.iloc[n_rows - 1]):
        n_rows -= 1
    cells = cells.iloc[:n_rows]
    is_left_over = [
        not name.strip() and not any(cells.iloc[:, i]) for i, name in enumerate(cells.columns)
    ]
    return cells.loc[:, np.logical_not(is_left_over)]


def _flow_of_file(n_rows, n_empty):
    """Return the first steps of a file with lines of nothing, or of nothing but commas."""
    counts = {"n_patients": None, "excluded_patients": None, "excluded_records": 0}
    return [
        {"step": "table", "reason": "lines of the file", "n_images": n_rows + n_empty}
        | {"excluded_images": 0, **counts, "excluded_patients": 0},
        {"step": "table", "reason": "lines without any value", "n_images": n_rows}
        | {"excluded_images": n_empty, **counts},
    ]


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
