"""Clinical records joined to images by record number."""

import logging
from dataclasses import dataclass

import pandas as pd

from .._utils.cells import is_missing, shown_cell
from .._utils.validation import shown
from ._tables import Table, missing_column

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Records:
    """Columns of one table, or of two that are joined, with one cell per image.

    `patients` holds the record number of each image, `rows` the row of its clinical record. Columns
    are read before they are repeated, so that errors name the row of the table.
    """

    images: Table
    clinical: Table | None
    missing: frozenset
    patients: pd.Series
    rows: pd.Series | None

    def has(self, name):
        """Tell whether a column is there; one that the user named must be."""
        return name in self.images.names or any(table.has(name) for table in self._tables())

    def numbers(self, name):
        """Return a column as float64."""
        table = self._table_of(name)
        return self._per_image(table, table.numbers(name, self.missing))

    def texts(self, name):
        """Return a column as text."""
        table = self._table_of(name)
        return self._per_image(table, table.texts(name, self.missing))

    def labels(self, name):
        """Return a column without missing cells, as it came."""
        table = self._table_of(name)
        cells = table.column(name)
        table.refuse_missing(name, cells.mask([is_missing(cell, self.missing) for cell in cells]))
        for row, cell in cells.items():
            if not pd.api.types.is_scalar(cell):
                raise TypeError(
                    f"column {table.column_of(name)!r}, row {row}: a label must be text or a "
                    f"number, got {shown_cell(cell)} ({type(cell).__name__})"
                )
        return self._per_image(table, cells)

    def _tables(self):
        return [self.images] if self.clinical is None else [self.images, self.clinical]

    def _table_of(self, name):
        tables = [table for table in self._tables() if table.has(name)]
        if not tables:
            raise missing_column(name, self._tables())
        if len(tables) > 1:
            raise ValueError(
                f"column {self.images.column_of(name)!r} is in {tables[0].title} and in "
                f"{tables[1].title}; take it out of one of them"
            )
        return tables[0]

    def _per_image(self, table, cells):
        if table is self.images:
            return cells
        return cells.loc[self.rows].set_axis(self.rows.index)


def join_tables(images, clinical, missing):
    """Return the Records of images whose record numbers all have one clinical record."""
    patients = images.texts("patient_id", missing)
    images.refuse_missing("patient_id", patients)
    if clinical is None:
        return Records(images, None, missing, patients, None)

    numbers = clinical.texts("patient_id", missing)
    clinical.refuse_missing("patient_id", numbers)
    repeated = numbers[numbers.duplicated(keep=False)]
    if len(repeated):
        first = repeated.iloc[0]
        rows = repeated.index[repeated == first]
        raise ValueError(
            f"{clinical.title} has several records for {shown(repeated.unique(), 'patient')}; "
            f"that of {first!r} is in {shown(rows, 'row')}; keep one record for each"
        )
    unknown = patients[~patients.isin(numbers)]
    if len(unknown):
        raise ValueError(
            f"{clinical.title} has no record for {shown(unknown.unique(), 'patient')}, who have "
            f"images in {shown(unknown.index, 'row')} of {images.title}; add the records, or leave "
            "these images out"
        )
    used = numbers.isin(patients)
    if not used.all():
        _logger.info("%d clinical records have no image and are left out", int((~used).sum()))
    rows = pd.Series(numbers.index, index=numbers).loc[patients].set_axis(patients.index)
    return Records(images, clinical.select(used), missing, patients, rows)
