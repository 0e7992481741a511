"""The flow of exclusions: from the rows of a table to those of a cohort, with counts."""

import numpy as np
import pandas as pd

from .._utils.cells import MISSING, is_missing, whole_text
from .._utils.validation import check_parameter
from ._column import is_column_name
from ._tables import FLOW, open_table

_COUNTS = ["n_images", "n_patients", "excluded_images", "excluded_patients", "excluded_records"]


def exclude_rows(frame, rows, reason, *, patient="patient_id"):
    """Leave rows out of an image table, and count them in the flow of the cohort.

    For images that cannot be used, labels that are not known, patients without a record, and
    whatever else leaves rows out before :func:`load_cohort`: ``cohort.flow`` then says how many
    rows and patients were left out, and why.

    Parameters
    ----------
    frame : DataFrame or path-like
        One row per image. A path is read as :func:`load_cohort` reads it, all cells of CSV as text.
    rows : array-like of bool, shape (n_rows,)
        Which rows to leave out.
    reason : str
        Why, in a few words without the name of a person.
    patient : str or None, default="patient_id"
        Column of the record numbers, by which patients are counted. Without it, or where `frame`
        has no column of this name, patients are not counted.

    Returns
    -------
    kept : DataFrame
        The other rows, which keep their index: errors of :func:`load_cohort` name rows by it. The
        counts are in ``kept.attrs``.

    Raises
    ------
    ValueError
        For `rows` that are not one bool for each row, or all of them; for a reason that is empty;
        and for a table that is empty or cannot be read.
    TypeError
        For a table of another type.
    FileNotFoundError
        For a table that is not there.

    See Also
    --------
    exclusion_flow : The counts as a table.
    exclude_screenshots : Leave rows out by the name of the image.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.datasets import exclude_rows, exclusion_flow
    >>> table = pd.DataFrame({"image": ["a.png", "b.png"], "patient_id": ["1", "2"]})
    >>> kept = exclude_rows(table, table["image"] == "b.png", "hand instead of knee")
    >>> exclusion_flow(kept)[["reason", "n_images", "n_patients"]]
                     reason  n_images  n_patients
    0     rows of the table         2           2
    1  hand instead of knee         1           1
    """
    valid = isinstance(reason, str) and bool(reason.strip())
    check_parameter("reason", reason, valid, "a few words that say why")
    cells = open_table(frame, "image table", MISSING).cells
    is_indexed = isinstance(rows, pd.Series) and isinstance(frame, pd.DataFrame)
    if is_indexed and not rows.index.equals(frame.index):
        rows = _in_order_of(frame, rows)
    excluded = np.asarray(rows)
    if excluded.shape != (len(cells),) or excluded.dtype != bool:
        raise ValueError(
            f"rows must be {len(cells)} bools, one for each row of the table, got an array of "
            f"shape {excluded.shape} and type {excluded.dtype}"
        )
    if excluded.all():
        raise ValueError(f"rows leaves out all {len(cells)} rows; leave some in")
    frame = frame if isinstance(frame, pd.DataFrame) else cells
    return without_rows(frame, excluded, "exclude_rows", reason.strip(), patient)


def _in_order_of(frame, rows):
    """Return a Series in the order of a table's index, as pandas would take it."""
    if not (rows.index.is_unique and set(rows.index) == set(frame.index)):
        raise ValueError(
            "rows is a Series with another index than the table; give one with the index of the "
            "table, or rows.to_numpy() in the order of its rows"
        )
    return rows.reindex(frame.index)


def exclusion_flow(frame):
    """Return what has been left out of an image table so far, step by step.

    Parameters
    ----------
    frame : DataFrame
        An image table from :func:`exclude_rows` or :func:`exclude_screenshots`, or a cohort's
        ``frame``.

    Returns
    -------
    flow : DataFrame
        One line for each step, from the rows of the table to those of the cohort: "step" (the
        function) and "reason"; "n_images" and "n_patients" after the step; "excluded_images",
        "excluded_patients" (who have no image left) and "excluded_records" (clinical records). The
        counts are Int64, <NA> where not known. A table that nothing was left out of has one line.

    Raises
    ------
    TypeError
        For what is not a DataFrame.

    Notes
    -----
    The counts travel in ``DataFrame.attrs``. Selecting rows and columns keeps it; where other
    means have left rows out in between, :func:`load_cohort` says how many. What makes a table
    anew, such as a merge or a file, begins the flow anew.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.datasets import exclude_screenshots, exclusion_flow
    >>> table = pd.DataFrame({"image": ["a.png", "b_screen.png", "c.png"]})
    >>> exclusion_flow(exclude_screenshots(table, "*_screen.png"))["excluded_images"].tolist()
    [0, 1]
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"frame must be a DataFrame, got {type(frame).__name__}")
    return as_table(steps_of(frame, "patient_id"))


def without_rows(frame, excluded, step, reason, patient):
    """Return the rows of a frame that are not excluded, which know how many there were."""
    valid = patient is None or is_column_name(patient)
    check_parameter("patient", patient, valid, "the name of a column, or None")
    steps = steps_of(frame, patient)
    kept = frame[~np.asarray(excluded)]
    counts = len(kept), count_patients(kept, patient)
    kept.attrs = frame.attrs | {FLOW: [*steps, next_step(steps[-1], step, reason, *counts)]}
    return kept


def with_step(frame, step, reason):
    """Note a step that leaves nothing out in a frame."""
    steps = steps_of(frame, "patient_id")
    last = steps[-1]
    note = next_step(last, step, reason, last["n_images"], last["n_patients"])
    frame.attrs = frame.attrs | {FLOW: [*steps, note]}


def steps_of(frame, patient):
    """Return the steps that a frame knows, made complete where rows have gone or come since."""
    n_images, n_patients = len(frame), count_patients(frame, patient)
    steps = list(frame.attrs.get(FLOW, ()))
    if not steps or steps[-1]["n_images"] < n_images:
        reason = "rows of the table, with rows that came later" if steps else "rows of the table"
        return [first_step("table", reason, n_images, n_patients)]
    if steps[-1]["n_images"] > n_images:
        reason = "left out by other means, for a reason that was not given"
        steps.append(next_step(steps[-1], "unknown", reason, n_images, n_patients))
    return steps


def first_step(step, reason, n_images, n_patients):
    """Return the step that all others start from."""
    return {"step": step, "reason": reason} | dict(
        zip(_COUNTS, (n_images, n_patients, 0, 0, 0), strict=True)
    )


def next_step(last, step, reason, n_images, n_patients, n_records=0):
    """Return a step after which so many images and patients are left."""
    before = last["n_patients"]
    gone = None if None in (before, n_patients) else before - n_patients
    counts = n_images, n_patients, last["n_images"] - n_images, gone, n_records
    return {"step": step, "reason": reason} | dict(zip(_COUNTS, counts, strict=True))


def as_table(steps):
    """Return steps as the DataFrame that users see."""
    table = pd.DataFrame(steps, columns=["step", "reason", *_COUNTS])
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))


def describe_flow(flow):
    """Return the flow in words, a line for each step, for `DESCR`."""
    lines = []
    for row in flow.itertuples(index=False):
        parts = [
            f"{count} {noun}{'' if count == 1 else 's'}"
            for count, noun in (
                (row.excluded_images, "image"),
                (row.excluded_patients, "patient"),
                (row.excluded_records, "record"),
            )
            if not pd.isna(count) and count
        ]
        patients = "" if pd.isna(row.n_patients) else f" of {row.n_patients} patients"
        out = f"; left out: {', '.join(parts)}" if parts else ""
        lines.append(f"- {row.reason}: {row.n_images} images{patients}{out}")
    return "\n".join(["Flow:", *lines])


def count_patients(frame, column):
    """Return the number of record numbers in a column; None where there is none such."""
    if column is None or column not in frame.columns:
        return None
    cells = frame[column].unique()
    return len({whole_text(cell) for cell in cells if not is_missing(cell)})
