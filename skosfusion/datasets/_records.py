"""Clinical records joined to images by record number."""

import logging
from dataclasses import dataclass, field

import pandas as pd

from .._utils.cells import shown_cell
from .._utils.identity import respelled, shown_spellings
from .._utils.validation import shown
from ._column import option_for
from ._tables import Table, missing_column

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Records:
    """Columns of one table, or of several that are joined, with one cell per image."""

    images: Table
    clinical: tuple  # of tables with a record for each patient
    patients: pd.Series | None  # record number of each image; None where they cannot be read
    rows: tuple  # of each clinical table the rows of the images; None where it cannot be joined
    numbers_as_written: pd.Series  # record numbers in all tables
    notes: list = field(default_factory=list)  # warnings, for the end
    n_without_image: int = 0  # clinical records that are left out

    def numbers(self, column, option, **how):
        """Return a column as float64."""
        table = self._table_of(column, option)
        return self._per_image(table, table.numbers(column, option, **how))

    def texts(self, column, option):
        """Return a column as text."""
        table = self._table_of(column, option)
        return self._per_image(table, table.texts(column, option))

    def cells(self, column, option, read):
        """Return a column as `read` makes it of the cells and of what is missing in the table."""
        table = self._table_of(column, option)
        return self._per_image(table, read(table.column(column, option), table.missing))

    def together(self, columns, option, read):
        """Return what `read` makes of several columns of one table, and of what is missing in it.

        `option` is how one names others.
        """
        tables = [self._table_of(column, option) for column in columns]
        for column, table in zip(columns, tables, strict=True):
            if table is not tables[0]:
                raise ValueError(
                    f"column {columns[0]!r} is in {tables[0].title} and column {column!r} in "
                    f"{table.title}; {option} takes columns of one table"
                )
        return self._per_image(tables[0], read(tables[0].cells[list(columns)], tables[0].missing))

    def labels(self, column, option, problems):
        """Return the labels as they came; that some are missing is added to `problems`."""
        table = self._table_of(column, option)
        known = table.known(column, option)
        with problems.collected():
            table.refuse_missing(column, known)
        is_known = self._per_image(table, known.notna())
        cells = table.column(column, option)
        for row, cell in cells.items():
            if not pd.api.types.is_scalar(cell):
                raise TypeError(
                    f"column {column!r}, row {row}: a label must be text or a "
                    f"number, got {shown_cell(cell)} ({type(cell).__name__})"
                )
        return self._per_image(table, cells)[is_known]

    def _table_of(self, column, option):
        """Return the one table that has a column."""
        given = [self.images, *self.clinical]
        tables = [table for table in given if table.has(column)]
        if not tables:
            raise missing_column(column, option, given)
        if len(tables) > 1:
            raise ValueError(
                f"column {column!r} is in {tables[0].title} and in "
                f"{tables[1].title}; take it out of one of them, or rename it in one"
            )
        return tables[0]

    def _per_image(self, table, cells):
        # Only now, after they were read: errors name the row of the table.
        rows = None
        if table is not self.images:
            place = next(i for i, one in enumerate(self.clinical) if one is table)
            rows = self.rows[place]
        return cells if rows is None else cells.loc[rows].set_axis(rows.index)


def join_tables(images, clinical, patient, problems):
    """Return the Records of images; each problem of the join is added to `problems`."""
    if clinical:
        patient._refuse_join([images.title, *(table.title for table in clinical)])
    numbers = [_numbers(table, patient, problems) for table in (images, *clinical)]
    patients = numbers[0]
    joined = [
        _joined(images, table, patients, its_numbers, problems)
        for table, its_numbers in zip(clinical, numbers[1:], strict=True)
    ]
    n_left_out = sum(n_unused for _, _, n_unused in joined)
    if n_left_out:
        _logger.info("%d clinical records have no image and are left out", n_left_out)
    tables, rows = (tuple(one[place] for one in joined) for place in (0, 1))
    written = _as_written(*numbers)
    return Records(images, tables, patients, rows, written, n_without_image=n_left_out)


def _numbers(table, patient, problems):
    """Return the record number of each row; None where they cannot be read."""
    with problems.collected():
        if patient.column is not None:
            table.refuse_dates(patient.column, option_for("patient_id"))
        return patient._numbers(table)
    return None


def _joined(images, clinical, patients, numbers, problems):
    """Return a clinical table, its rows for the images, and how many records have no image."""
    if patients is None or numbers is None:
        return clinical, None, 0
    n_problems = len(problems.errors)
    for check in (_refuse_repeated, _refuse_unknown):
        with problems.collected():
            check(patients, numbers, images, clinical)
    rows = None
    if len(problems.errors) == n_problems:
        rows = pd.Series(numbers.index, index=numbers).loc[patients].set_axis(patients.index)
    used = numbers.isin(patients)
    return clinical.select(used), rows, int((~used).sum())


def _as_written(*columns):
    """Return the record numbers of all tables, as far as they can be read."""
    readable = [column for column in columns if column is not None]
    return pd.concat(readable) if readable else pd.Series(dtype="str")


def _refuse_repeated(_, numbers, __, clinical):
    repeated = numbers[numbers.duplicated(keep=False)]
    if len(repeated):
        first = repeated.iloc[0]
        rows = repeated.index[repeated == first]
        raise ValueError(
            f"{clinical.title} has several records for {shown(repeated.unique(), 'patient')}; "
            f"that of {first!r} is in {shown(rows, 'row')}; keep one record for each"
        )


def _refuse_unknown(patients, numbers, images, clinical):
    unknown = patients[~patients.isin(numbers)]
    if len(unknown):
        raise ValueError(
            f"{clinical.title} has no record for {shown(unknown.unique(), 'patient')}, who have "
            f"images in {shown(unknown.index, 'row')} of {images.title}; add the records, or leave "
            f"these images out{_near_spellings(unknown, numbers)}"
        )


def _near_spellings(unknown, numbers):
    """Say which record numbers of the two tables are the same but for spelling, if any are."""
    missing = set(unknown)
    pairs = [pair for pair in respelled(pd.concat([unknown, numbers])) if missing & set(pair)]
    if not pairs:
        return ""
    return f"; the same but for spelling are {shown_spellings(pairs)}: write them in one way"
