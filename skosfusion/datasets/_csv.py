"""Text files read as tables of text, of any size that fits into a small machine."""

import csv

import numpy as np
import pandas as pd

from ._decimals import columns_with_commas
from ._header import check_header
from ._reading import FLOW, flow_of_file
from ._sniff import SEPARATORS, sniff

# What fits into the memory of a small machine; real tables stay far below.
MAX_ROWS = 10_000_000
MAX_BYTES = 2**30
_MAX_LINE = 2**20
# Rows of Python texts take fifty times their size, so they become columns now and then.
_CELLS_AT_ONCE = 2**18


def read_csv(path, title, *, separator=None, decimal=None, encoding=None):
    """Return the cells of a text file, and what is said of it: a dict of fields of `Reading`."""
    try:
        form = sniff(path, separator, encoding)
        cells = _read_cells(path, form)
    except (csv.Error, UnicodeDecodeError) as error:
        how = f"{form.words}; if it is of another kind, name it: read_table(path, separator=..., "
        raise ValueError(f"cannot read {title}: {error}; read as {how}encoding=...)") from error
    except ValueError as error:
        raise ValueError(f"cannot read {title}: {error}") from error
    commas = columns_with_commas(cells) if decimal is None and form.separator != "," else []
    return cells, {
        "said": form.words + decimal_words(decimal, commas),
        "decimals": dict.fromkeys(commas, ","),
        "has_signs": form.separator != ",",
    }


def decimal_words(decimal, commas):
    """Return what is said of decimal signs: the declared one, or the columns with commas."""
    if decimal is not None:
        return f", decimal {decimal!r}"
    return f", decimal ',' in {', '.join(map(repr, commas))}" if commas else ""


def _read_cells(path, form):
    header, rows, parts, n_rows, n_empty = None, [], [], 0, 0
    with open(path, encoding=_without_mark(form.encoding), newline="") as file:
        lines = _lines(file, form.n_skipped)
        for row in csv.reader(lines, delimiter=form.separator, strict=True):
            if header is None:
                header = row or None
            elif row and len(row) != len(header):
                raise ValueError(
                    f"row {n_rows} has {len(row)} cells, but the header has {len(header)}; "
                    f"quote cells that hold a {_noun(form.separator)}, and write empty cells out"
                    f"{_title_lines(len(row), len(header), n_rows, form)}"
                )
            elif not row:
                n_empty += 1
            else:
                rows.append(row)
                n_rows += 1
            if len(rows) * len(header or ()) >= _CELLS_AT_ONCE:
                parts.append(_part(header, rows, not parts, form))
                rows = []
                check_rows(n_rows)
    if header is None:
        raise ValueError("it is empty; its first line must name the columns")
    if rows or not parts:
        parts.append(_part(header, rows, not parts, form))
    cells = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    return without_left_over(cells, n_empty)


def _part(header, rows, is_first, form):
    """Return rows as columns of text, once the first of them are looked at."""
    if is_first:
        check_header(header, rows, lambda above, row: _remedy(form, above, row))
    return pd.DataFrame(rows, columns=header, dtype="str")


def _remedy(form, above, row):
    """Return the line of pandas that reads a table without some lines."""
    skipped = above + form.n_skipped if row is None else [form.n_skipped + row]
    options = [] if form.separator == "," else [f"sep={form.separator!r}"]
    options += [] if form.encoding == "utf-8" else [f"encoding={form.encoding!r}"]
    number = ", with their number in place of 1" if row is None else ""
    options = ", ".join([f"skiprows={skipped}", *options, "dtype=str"])
    return f"table = pd.read_csv(path, {options}){number}"


def _title_lines(n_cells, n_names, row, form):
    """Return the remedy where lines stand above the one that names the columns."""
    if row or n_names >= n_cells or n_names > 2:
        return ""
    return (
        "; if lines of a title stand above the names of the columns, leave them out: "
        f"{_remedy(form, 1, None)}"
    )


def _noun(separator):
    return SEPARATORS.get(separator, repr(separator)).removesuffix("s")


def _without_mark(encoding):
    return "utf-8-sig" if encoding == "utf-8" else encoding


def check_rows(n_rows):
    """Raise ValueError for more rows than fit into the memory of a small machine."""
    if n_rows > MAX_ROWS:
        raise ValueError(f"it has more than {MAX_ROWS} rows; split it")


def without_left_over(cells, n_empty):
    """Return a table without the rows and columns of nothing that spreadsheets leave."""
    n_rows = 0
    for place in range(cells.shape[1]):
        filled = np.flatnonzero(cells.iloc[:, place].str.strip() != "")
        n_rows = max(n_rows, filled[-1] + 1 if filled.size else 0)
    n_empty += len(cells) - n_rows
    cells = cells.iloc[:n_rows]
    is_left_over = [
        not name.strip() and not any(cells.iloc[:, i]) for i, name in enumerate(cells.columns)
    ]
    kept = cells.loc[:, np.logical_not(is_left_over)]
    if n_empty:
        kept.attrs[FLOW] = flow_of_file(len(kept), n_empty)
    return kept


def _lines(file, n_skipped):
    """Yield the lines of a file; a giant one is an error, not a giant in memory."""
    n_read = 0
    while line := file.readline(_MAX_LINE + 1):
        n_read += len(line)
        if len(line) > _MAX_LINE:
            raise ValueError(f"it has a line of more than {_MAX_LINE} characters")
        if n_read > MAX_BYTES:
            raise ValueError(f"it holds more than {MAX_BYTES} characters; split it")
        if n_skipped and line.strip():
            n_skipped -= 1
            continue
        yield line
