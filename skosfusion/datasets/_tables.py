"""Tables of strangers: read as they are, and addressed by our names for their columns."""

import csv
import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..preprocessing._columns import is_missing, read_numbers, shown

_PARQUET_SUFFIXES = (".parquet", ".pq")
# A few bytes of Parquet can stand for any number of equal rows.
_MAX_PARQUET_ROWS = 10_000_000


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
        texts = [np.nan if is_missing(cell, missing) else _text(cell) for cell in cells]
        return pd.Series(texts, index=cells.index, dtype="str")

    def refuse_missing(self, name, cells):
        """Raise ValueError if a column that must be complete is not."""
        rows = cells.index[cells.isna()]
        if len(rows):
            raise ValueError(
                f"column {self.column_of(name)!r} of {self.title} is empty in {shown(rows, 'row')};"
                " fill it in, or leave these rows out"
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
    if cells.empty:
        raise ValueError(f"{title} has no rows")
    return Table(title, cells, names)


def _read_csv(path, title):
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot read {title}: {error}; it must be comma-separated text in UTF-8"
        ) from error
    if not rows:
        raise ValueError(f"{title} is empty; its first line must name the columns")
    header, *rows = rows
    for position, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(
                f"cannot read {title}: row {position} has {len(row)} cells, but the header has "
                f"{len(header)}; quote cells that hold a comma, and write empty cells out"
            )
    # Spreadsheets leave lines and columns of nothing but commas behind.
    while rows and not any(cell.strip() for cell in rows[-1]):
        rows.pop()
    cells = pd.DataFrame(rows, columns=header, dtype="str")
    is_left_over = [not name.strip() and not any(cells.iloc[:, i]) for i, name in enumerate(header)]
    return cells.loc[:, np.logical_not(is_left_over)]


def _read_parquet(path, title):
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "reading Parquet needs pyarrow: pip install 'skosfusion[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            n_rows = file.metadata.num_rows
            if n_rows > _MAX_PARQUET_ROWS:
                raise ValueError(f"it has {n_rows} rows, more than {_MAX_PARQUET_ROWS}")
            return file.read().to_pandas().reset_index(drop=True)
    except (OSError, ValueError) as error:
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


def _text(cell):
    # A column of whole numbers turns to floats where one is missing: 17.0 is still record 17.
    whole = isinstance(cell, float | np.floating) and float(cell).is_integer()
    return str(int(cell) if whole else cell).strip()
