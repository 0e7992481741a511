"""Inputs whose column has no value in any row: left out, and said."""

from .._utils.cells import is_missing
from ._number_columns import KitColumn


def leave_out_empty(columns, tables):
    """Take inputs without any value out of the columns to read; return their names and notes."""
    empty = {}
    for name, column in list(columns.items()):
        # Of a laboratory value the limits may be there: without a value they are of no use.
        own = column._columns[:1] if isinstance(column, KitColumn) else column._columns
        found = [(table, one) for one in own for table in tables if table.has(one)]
        if len(found) != len(own) or not own:
            continue
        missing = column._missing() if hasattr(column, "_missing") else frozenset()
        if all(_is_empty(table, one, missing) for table, one in found):
            del columns[name]
            table, one = found[0]
            empty[name] = (
                f"column {one!r} of {table.title} has no value in any of its {len(table.cells)} "
                f"rows: the input {name!r} is left out; columns={{{name!r}: None}} says so without "
                "a warning"
            )
    return empty


def _is_empty(table, column, missing):
    """Return whether all cells of a column are missing."""
    cells = table.cells[column]
    missing = table.missing | missing
    return all(is_missing(cell, missing) for cell in cells)
