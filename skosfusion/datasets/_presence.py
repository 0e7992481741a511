"""Labels out of a column of which it counts whether there is a value."""

import numpy as np

from .._utils.cells import is_bool, is_missing, is_number, is_number_text, shown_cell
from .._utils.validation import shown
from ._labels import UNKNOWN, label_key

_NO = {"no", "n", "nein", "non", "false", "f", "negative", "negativ", "never", "absent", "kein"}


def known_cells(cells, missing):
    """Return cells as they came, NaN where missing."""
    return cells.astype(object).mask([is_missing(cell, missing) for cell in cells])


def read_presence(cells, column, declared):
    """Return 1 where there is a value, else 0; one of each must be there."""
    is_there = cells.notna()
    if is_there.all() or not is_there.any():
        what = "has a value in every row" if is_there.all() else "is empty in every row"
        raise ValueError(
            f"column {column!r} {what}, so that {declared()} makes one class of all "
            f"{len(cells)} images; name the column that is empty where there is no event"
        )
    return is_there.astype(np.int64).rename(column)


def count_present(labels, column):
    """Return the number of images of each class, by name, in the order of the classes."""
    return {f"no {column}": int((labels == 0).sum()), column: int((labels == 1).sum())}


def describe_presence(counts):
    """Return what became which class, for `DESCR`."""
    (no, n_empty), (yes, n_there) = counts.items()
    return f"0 ({no}): empty cells {n_empty}; 1 ({yes}): cells with a value {n_there}"


def note_presence(cells, column):
    """Return a warning for values that seem to say that there is none, and count as one."""
    there = cells.dropna()
    digits = {_digit(cell) for cell in there}
    notes = []
    for cell in dict.fromkeys(map(_as_text, there)):
        key = label_key(cell)
        says_no = key in _NO or (key in UNKNOWN and not is_number_text(key))
        if says_no or (digits == {0, 1} and _digit(cell) == 0):
            rows = there.index[[_as_text(one) == cell for one in there]]
            notes.append(
                f"column {column!r} says {shown_cell(cell)} in {shown(rows, 'row')}, which counts "
                "as a value, so that the label is 1 (present=True); if it means that there is "
                f"none, declare TargetColumn({column!r}, positive=...) with the positive labels, "
                "or empty these cells"
            )
    return notes


def _as_text(cell):
    return cell if isinstance(cell, str) else str(cell)


def _digit(cell):
    """Return 0 or 1 where a cell is one of them, else None."""
    if isinstance(cell, str) and is_number_text(cell):
        cell = float(cell)
    is_one = is_bool(cell) or (is_number(cell) and cell in (0, 1))
    return int(cell) if is_one else None
