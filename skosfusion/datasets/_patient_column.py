"""Declaration of the patients: by their record numbers, or by rows that agree."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._utils.identity import respelled, shown_spellings
from .._utils.record_numbers import check_digits
from .._utils.validation import check_choice, check_parameter
from ._column import Column, option_for
from ._same_patients import check_columns, groups_of

_COLUMN = "patient_id"


@dataclass(frozen=True, repr=False)
class PatientColumn(Column):
    """Declare the column of the patients' record numbers, which join images and clinical values.

    Parameters
    ----------
    column : str or None, default="patient_id"
        Your name for the column, the same in both tables. None where there is none: each image is
        then a patient of its own, with a `LeakageWarning`, or patients are told by `same_in`.
    lost_digits : {"error", "allow"}, default="error"
        What becomes of record numbers that cannot be what they were: floats of 2^53 and more, texts
        such as "1.2E+15", numbers of more than 15 digits that all end in zeros, and errors of a
        spreadsheet, such as "########". The remedy is
        to read the table again as text, ``pd.read_csv(path, dtype=str)``, from a file that no
        spreadsheet has written.
    spellings : {"warn", "keep"}, default="warn"
        Whether record numbers that are the same but for spelling, such as "P-007" and "p7", are a
        `LeakageWarning`. They are different patients in either case; nothing is merged.
    same_in : list of str or None, default=None
        For a table that names no patient: neighboring rows that agree in all these columns are one
        patient, see :func:`same_patients`. The record numbers are then "0", "1" and so on.

    Raises
    ------
    ValueError
        For a value out of its set, and for `column` together with `same_in`.

    See Also
    --------
    same_patients : What `same_in` does.

    Examples
    --------
    >>> from skosfusion.datasets import PatientColumn
    >>> PatientColumn("record", spellings="keep")
    PatientColumn(column='record', spellings='keep')
    >>> PatientColumn(same_in=["age", "gender", "center"])
    PatientColumn(column=None, same_in=('age', 'gender', 'center'))
    """

    column: Hashable | None = _COLUMN
    lost_digits: str = "error"
    spellings: str = "warn"
    same_in: tuple | None = None

    def __post_init__(self):
        if self.same_in is not None:
            valid = self.column in (None, _COLUMN)
            allowed = "None with same_in=..., which is for a table that names no patient"
            check_parameter("column", self.column, valid, allowed)
            check_columns("same_in", self.same_in)
            object.__setattr__(self, "column", None)
            # Declarations are hashable.
            object.__setattr__(self, "same_in", tuple(self.same_in))
        if self.column is not None:
            super().__post_init__()
        check_choice("lost_digits", self.lost_digits, ("error", "allow"))
        check_choice("spellings", self.spellings, ("warn", "keep"))

    @property
    def _columns(self):
        return list(self.same_in or ()) if self.column is None else [self.column]

    def _numbers(self, table):
        """Return the record number of each row as text; none may be missing."""
        if self.column is None:
            return self._own_numbers(table)
        numbers = table.texts(self.column, option_for("patient_id"))
        if self.lost_digits == "error":
            cells = table.column(self.column, option_for("patient_id"))
            remedy = (
                "read the table again with this column as text, as in pd.read_csv(path, "
                "dtype=str), from a file that holds all digits; or, if these are the record "
                f"numbers, declare {self._declared('patient_id', lost_digits='allow')}"
            )
            check_digits(cells, f"column {self.column!r} of {table.title}", remedy)
        table.refuse_missing(self.column, numbers)
        return numbers

    def _own_numbers(self, table):
        """Return a record number for each patient of a table that names none."""
        if self.same_in is None:
            groups = pd.Series(np.arange(len(table.cells)), index=table.cells.index)
        else:
            option = option_for("patient_id", PatientColumn(same_in=("...",)))
            groups = groups_of(table, self.same_in, neighbors=True, option=option)
        return groups.astype(str).astype("str")

    def _refuse_join(self, titles):
        """Raise ValueError where tables are to be joined by record numbers that are not there."""
        if self.column is None:
            raise ValueError(
                f"{' and '.join(titles)} are joined by record number, and {self!r} names no "
                f"column; declare the column that both have, {option_for('patient_id')}, or give "
                "one table"
            )

    def _describe(self):
        """Return how patients were told, for `DESCR`; None where a column names them."""
        if self.column is not None:
            return None
        if self.same_in is None:
            return "each image is a patient of its own; no column names patients"
        names = ", ".join(map(str, self.same_in))
        return f"neighboring rows that agree in {names}; no column names patients"

    def _leak_text(self, numbers):
        """Return what to say of images that may be of one patient; None for nothing."""
        if self.column is None and self.same_in is None:
            return (
                "each image counts as a patient of its own (columns={'patient_id': None}): where a "
                "patient has several images, they may come into both the training and the test "
                "set (folds leak), and results look better than they are; name the column of the "
                "patients, columns={'patient_id': ...}, or declare how rows of one patient are "
                "told, columns={'patient_id': PatientColumn(same_in=['age', 'gender', ...])}"
            )
        pairs = [] if self.column is None or self.spellings == "keep" else respelled(numbers)
        if not pairs:
            return None
        allowing = self._declared("patient_id", spellings="keep")
        return (
            f"record numbers in column {self.column!r} are the same but for spelling, and count as "
            f"different patients: {shown_spellings(pairs)}; where they are one patient, images of "
            "this patient may come into both the training and the test set: write the record "
            f"number in one way in all rows; where they are different patients, use {allowing}"
        )
