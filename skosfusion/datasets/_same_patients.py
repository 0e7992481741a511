"""Patients of a table that names none: rows that agree in what belongs to a patient."""

import numpy as np
import pandas as pd

from .._utils.cells import MISSING, is_missing, shown_cell
from .._utils.validation import check_parameter, shown
from ._column import is_column_name
from ._labels import label_key
from ._tables import missing_column, open_table

_SHOWN_PAIRS = 3
_SHOWN_COLUMNS = 6
_AGREEING = 0.95
_MOST_CHARACTERS = 1000
# Gender alone tells no patient: any two rows agree in it every other time.
_MOST_BY_CHANCE = 0.2
_ROWS_FOR_CHANCE = 20


def same_patients(frame, columns, *, neighbors=True):
    """Return the patients of a table that names none, told by columns that agree.

    For tables of images without record numbers, in which the views of one patient stand one below
    the other. Two patients who agree in all columns become one, which costs little: their images
    stay together in all splits. One patient whose rows differ becomes two, which leaks: name only
    columns that are the same in all images of a patient, not the view.

    Parameters
    ----------
    frame : DataFrame or path-like
        One row per image. A path is read as :func:`load_cohort` reads it.
    columns : list of str
        The columns to compare, such as age, gender, hospital and bone, not the label. Cells are
        compared without regard to their spelling (case, white space, hyphens); 14.0 is 14. Empty
        cells agree with each other.
    neighbors : bool, default=True
        Whether only neighboring rows can be of one patient. Else all rows that agree are.

    Returns
    -------
    patients : Series of shape (n_rows,)
        Number of the patient of each row, from 0 in the order of the rows, with the index of the
        table.

    Raises
    ------
    ValueError
        For a column that is not there, an argument out of its set, a row that is empty in all the
        columns, and a table that is empty or cannot be read.
    TypeError
        For a table, or a cell, of another type.

    See Also
    --------
    PatientColumn : Use them in `load_cohort`, with ``same_in=``.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.datasets import same_patients
    >>> table = pd.DataFrame({"age": [14, 14, 15, 14], "gender": ["F", "f", "M", "F"]})
    >>> same_patients(table, ["age", "gender"]).tolist()
    [0, 0, 1, 2]
    >>> same_patients(table, ["age", "gender"], neighbors=False).tolist()
    [0, 0, 1, 0]
    """
    check_columns("columns", columns)
    check_parameter("neighbors", neighbors, isinstance(neighbors, bool), "True or False")
    table = open_table(frame, "image table", MISSING)
    groups = groups_of(table, columns, neighbors=neighbors, option="columns=...")
    if isinstance(frame, pd.DataFrame):
        groups = groups.set_axis(frame.index)
    return groups


def check_columns(name, columns):
    """Raise ValueError unless this is a list of different columns."""
    valid = isinstance(columns, list | tuple) and len(columns) > 0
    valid = valid and all(map(is_column_name, columns)) and len(set(columns)) == len(columns)
    check_parameter(name, columns, valid, "a list of one or more different columns")


def groups_of(table, columns, *, neighbors, option):
    """Return the number of the patient of each row; `option` is how one names other columns."""
    for column in columns:
        if not table.has(column):
            raise missing_column(column, option, [table])
    keys = pd.DataFrame({column: _keys(table, column) for column in columns})
    is_empty = (keys == "").all(axis=1)
    if is_empty.any():
        raise ValueError(
            f"{shown(keys.index[is_empty], 'row')} of {table.title} are empty in "
            f"{shown(columns, 'column', repr)}, so that nothing tells whose they are; leave these "
            f"rows out, or name further columns with {option}"
        )
    if neighbors:
        differs = (keys != keys.shift()).any(axis=1)
        return (differs.cumsum() - 1).astype(np.int64).rename("patient_id")
    return keys.groupby(list(columns), sort=False).ngroup().astype(np.int64).rename("patient_id")


def _keys(table, column):
    """Return the cells of a column as texts that are equal where cells agree, "" where missing."""
    cells, keys, known = table.cells[column], [], {}
    for row, cell in cells.items():
        key = known.get(cell) if isinstance(cell, str) else None
        if key is None:
            key = _key(cell, table.missing, f"column {column!r}, row {row}")
        if isinstance(cell, str):
            known[cell] = key
        keys.append(key)
    return pd.Series(keys, index=cells.index, dtype=object)


def _key(cell, missing, where):
    if not pd.api.types.is_scalar(cell) or isinstance(cell, bytes):
        raise TypeError(
            f"{where} must hold text or a number, got {shown_cell(cell)} ({type(cell).__name__})"
        )
    text = "" if is_missing(cell, missing) else label_key(cell)
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(
            f"{where} holds a text of {len(text)} characters, {shown_cell(cell)}; compare columns "
            f"whose cells have at most {_MOST_CHARACTERS}"
        )
    return text


def no_patients_named(table, given, of_patients):
    """Return the error for an image table that has no column of patients.

    `given` are the columns that are of an image or of the labels, and `of_patients` those that are
    of a patient: neighboring rows that agree in these look like one patient.
    """
    missing = missing_column("patient_id", "columns={'patient_id': ...}", [table])
    same_in, pairs = _look_alikes(table, given, of_patients)
    lines = []
    if pairs:
        cells = table.cells
        shown_columns = [column for column in of_patients if column in same_in]
        shown_columns = (shown_columns if len(shown_columns) > 1 else same_in)[:_SHOWN_COLUMNS]
        lines = [
            f"rows {one} and {other} ("
            + ", ".join(f"{name}: {shown_cell(cells.loc[one, name])}" for name in shown_columns)
            + ")"
            for one, other in pairs[:_SHOWN_PAIRS]
        ]
        more = f" and {len(pairs) - _SHOWN_PAIRS} more pairs" if len(pairs) > _SHOWN_PAIRS else ""
        looks = f" {'; '.join(lines)}{more} look like one patient each."
    else:
        looks = ""
    return ValueError(
        f"{missing}. Without the patients, images of one patient may come into both the training "
        f"and the test set (folds leak), and results look better than they are.{looks} If no "
        "column names the patients, declare columns={'patient_id': PatientColumn(same_in="
        f"{same_in or ['...']!r})}}, so that neighboring rows which agree in these are one "
        "patient, or columns={'patient_id': None}, if each image is of another patient"
    )


def _look_alikes(table, given, of_patients):
    """Return the columns to compare, and the pairs of neighboring rows that look like a patient."""
    keys = {}
    for column in table.cells.columns:
        try:
            if column not in given:
                keys[column] = _keys(table, column).to_numpy()
        except (TypeError, ValueError):
            continue
    # What names each image tells no patient, and what is the same everywhere tells none either.
    keys = {name: cells for name, cells in keys.items() if 1 < len(set(cells)) < len(cells)}
    own = [column for column in of_patients if column in keys]
    own = own if own and _tell_rows_apart([keys[column] for column in own]) else []
    agree = {name: cells[1:] == cells[:-1] for name, cells in keys.items()}
    wanted = own or list(agree)
    if not wanted:
        return [], []
    is_pair = np.logical_and.reduce([agree[name] for name in wanted])
    if not is_pair.any():
        return own, []
    same_in = [name for name in agree if name in own or agree[name][is_pair].mean() >= _AGREEING]
    is_pair = np.logical_and.reduce([agree[name] for name in same_in])
    rows = table.cells.index
    places = np.flatnonzero(is_pair)
    return same_in, [(rows[place], rows[place + 1]) for place in places]


def _tell_rows_apart(columns):
    """Return whether two rows seldom agree in these columns by chance."""
    counts = pd.Series(list(zip(*columns, strict=True))).value_counts()
    n_rows = int(counts.sum())
    by_chance = float((counts * (counts - 1)).sum()) / max(n_rows * (n_rows - 1), 1)
    return n_rows < _ROWS_FOR_CHANCE or by_chance <= _MOST_BY_CHANCE
