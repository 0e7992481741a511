"""Several tables in place of one: stacked where they have the same columns, else side by side."""

import pandas as pd

from .._utils.problems import Problems
from .._utils.validation import shown
from ._reading import FLOW
from ._tables import Table, open_table


def open_tables(source, kind, missing, texts):
    """Return the tables that a table or a list of them makes; those of the same columns are one.

    A row of stacked tables has the name of its table in its number: "3 of 'b.csv'".
    """
    if not isinstance(source, list | tuple):
        return [open_table(source, kind, missing, texts)]
    if not source:
        raise ValueError(f"the {kind} is an empty list; give one table or more")
    opened, problems = [], Problems()
    for place, one in enumerate(source):
        with problems.collected():
            name = kind if not isinstance(one, pd.DataFrame) else f"{kind} number {place + 1}"
            opened.append(open_table(one, name, missing, texts))
    problems.raise_any()
    groups = {}
    for table in opened:
        groups.setdefault(frozenset(table.cells.columns), []).append(table)
    return [_stacked(tables, kind) for tables in groups.values()]


def _stacked(tables, kind):
    """Return tables of the same columns as one."""
    if len(tables) == 1:
        return tables[0]
    names = _names(tables)
    columns = tables[0].cells.columns
    cells = [
        table.cells[columns].set_axis([f"{row} of {name}" for row in table.cells.index])
        for table, name in zip(tables, names, strict=True)
    ]
    stacked = pd.concat([_plain(one) for one in cells])
    parts = [pd.Series(place, one.index) for place, one in enumerate(cells)]
    flow = _joined_flows([(table.cells.attrs.get(FLOW), len(table.cells)) for table in tables])
    if flow:
        stacked.attrs[FLOW] = flow
    title = f"the {kind}s {' and '.join(names)}" if len(names) < 4 else f"the {len(names)} {kind}s"
    return Table(
        title,
        stacked,
        tables[0].missing,
        tuple(reading for table in tables for reading in table.readings),
        tuple(note for table in tables for note in table.notes),
        pd.concat(parts),
    )


def _plain(frame):
    """Return a frame without attrs, which are those of one file."""
    frame = frame.copy(deep=False)
    frame.attrs = {}
    return frame


def _names(tables):
    """Return a name for each table, no two of them the same."""
    readings = [table.readings[0] for table in tables]
    names = [
        f"table {place + 1}" if reading is None else repr(reading.name)
        for place, reading in enumerate(readings)
    ]
    for place, name in enumerate(names):
        if names.count(name) > 1:
            path = readings[place].path
            others = [one.path for one, other in zip(readings, names, strict=True) if other == name]
            names = [
                repr(reading.path) if other == name and len(set(others)) > 1 else other
                for reading, other in zip(readings, names, strict=True)
            ]
            if others.count(path) > 1:
                raise ValueError(f"the table {path!r} is given twice; give it once")
    return names


def _joined_flows(flows):
    """Return the steps of stacked tables in one row, where one of them has steps."""
    if not any(steps for steps, _ in flows):
        return None
    total = sum(steps[0]["n_images"] if steps else length for steps, length in flows)
    first = {"step": "table", "reason": "rows of the tables", "n_images": total}
    joined = [
        first
        | {"n_patients": None, "excluded_images": 0, "excluded_patients": 0}
        | {"excluded_records": 0}
    ]
    for steps, _ in flows:
        for step in (steps or [])[1:]:
            total -= step["excluded_images"]
            joined.append(step | {"n_images": total, "n_patients": None})
    return joined


def split_by_images(tables, image):
    """Return the table of images and the others, which are joined to it by record number."""
    with_images = [table for table in tables if table.has(image)]
    if len(with_images) > 1:
        one, other = with_images[:2]
        differences = [
            f"only {table.title} has {shown(only, 'column', repr)}"
            for table, only in ((one, _beyond(one, other)), (other, _beyond(other, one)))
            if only
        ]
        raise ValueError(
            f"{one.title} and {other.title} both have the column {image!r} of images, but not the "
            f"same columns: {'; '.join(differences)}; rename them, or add an empty column, so that "
            "the tables can be stacked"
        )
    first = with_images[0] if with_images else tables[0]
    return [first, *(table for table in tables if table is not first)]


def _beyond(one, other):
    """Return the columns that only the first of two tables has."""
    return [column for column in one.cells.columns if not other.has(column)]
