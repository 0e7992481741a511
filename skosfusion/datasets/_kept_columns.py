"""Declaration of columns that are kept beside the inputs: sites, projections, dates, offsets."""

import datetime
import re
from collections.abc import Hashable
from dataclasses import KW_ONLY, dataclass
from functools import partial

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, shown_cell, whole_text
from .._utils.problems import Problems
from .._utils.validation import check_choice, check_parameter
from ._column import Column, option_for
from ._number_options import NumberOptions

_KINDS = ("text", "number", "date")
_ISO = re.compile(r"\d{4}-\d\d")


@dataclass(frozen=True, repr=False)
class KeptColumn(NumberOptions, Column):
    """Declare a column that is kept beside the inputs, and is not an input of the model.

    Sites, projections, scanners, dates and offsets are needed to check a model, and must not feed
    it. They go to ``cohort.kept`` and ``cohort.frame``, never to ``cohort.data``. A declared column
    that is not there is an error.

    Parameters
    ----------
    column : str
        Your name for the column, in either table.
    kind : {"text", "number", "date"}, default="text"
        What its cells are: text as it came, without surrounding white space; numbers as float64;
        or dates as datetime64, where a date and time with a time zone is turned to UTC.
    date_format : str or None, default=None
        How dates are written in text, as for :meth:`datetime.datetime.strptime`: ``"%d.%m.%Y"``.
        None reads ISO 8601, "2020-03-31" or "2020-03-31 10:15". Only for dates.
    decimal : {".", ",", None}, default=None
        As in :class:`KitColumn`; for numbers.
    unit : str, list of str or None, default=None
        As in :class:`KitColumn`; for numbers.
    censored : {"error", "limit"}, default="error"
        As in :class:`KitColumn`; for numbers.
    na_values : list of str or number, or None, default=None
        What else stands for a missing value in this column. Of numbers that look like codes for
        one, such as 9999, None warns, and ``()`` declares that there are none.

    Raises
    ------
    ValueError
        For a value out of its set, and for an option that another kind has.

    See Also
    --------
    load_cohort : Read the columns.

    Examples
    --------
    >>> from skosfusion.datasets import KeptColumn
    >>> KeptColumn("acquired", kind="date", date_format="%d.%m.%Y")
    KeptColumn(column='acquired', kind='date', date_format='%d.%m.%Y')
    """

    column: Hashable
    kind: str = "text"
    _: KW_ONLY
    date_format: str | None = None
    decimal: str | None = None
    unit: str | tuple | None = None
    censored: str = "error"
    na_values: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        check_choice("kind", self.kind, _KINDS)
        self._check_number_options()
        valid = self.date_format is None or (
            self.kind == "date" and isinstance(self.date_format, str) and "%" in self.date_format
        )
        allowed = "None, or with kind='date' a format such as '%d.%m.%Y'"
        check_parameter("date_format", self.date_format, valid, allowed)
        for name, default in (("decimal", None), ("unit", None), ("censored", "error")):
            value = getattr(self, name)
            valid = self.kind == "number" or value == default
            check_parameter(name, value, valid, f"{default!r}, or another with kind='number'")

    def _read(self, records, name):
        declared = partial(self._declared, name)
        option = option_for(name)
        if self.kind == "number":
            numbers = records.numbers(
                self.column,
                option,
                notation=self._notation(),
                missing=self._missing(),
                declared=declared,
            )
            self._note_codes(records, numbers, self.column, declared=declared, low=-np.inf)
            return {name: numbers}
        cells = records.texts if self.kind == "text" else self._dates_of(records)
        read = cells(self.column, option)
        if self.kind == "text" and self.na_values:
            read = read.mask([is_missing(cell, self._missing()) for cell in read])
        return {name: read}

    def _dates_of(self, records):
        return partial(records.cells, read=self._dates)

    def _dates(self, cells, missing):
        """Return cells as dates, NaT where missing; an error names the row."""
        missing = missing | self._missing()
        dates, problems = [], Problems()
        for row, cell in cells.items():
            date = pd.NaT
            with problems.collected():
                if not is_missing(cell, missing):
                    date = self._date(cell, row)
            dates.append(date)
        problems.raise_any()
        return pd.Series(dates, index=cells.index, dtype="datetime64[us]")

    def _date(self, cell, row):
        try:
            date = self._parsed(cell)
            date = date.tz_convert("UTC").tz_localize(None) if date.tz is not None else date
            return date.as_unit("us")
        except (ValueError, TypeError, OverflowError) as error:
            wanted = "an ISO 8601 date such as '2020-03-31'"
            if self.date_format is not None:
                wanted = f"a date written as {self.date_format!r}"
            raise ValueError(
                f"column {self.column!r}, row {row}: {shown_cell(cell)} is not {wanted}; correct "
                "the cell, leave it empty, or declare how dates are written, as in "
                f"KeptColumn({self.column!r}, kind='date', date_format='%d.%m.%Y')"
            ) from error

    def _parsed(self, cell):
        """Return a cell as a timestamp; a number is one only where a format says how."""
        if isinstance(cell, datetime.date | np.datetime64):
            return pd.Timestamp(cell)
        text = whole_text(cell)
        # pandas reads words, too ("now"), and an empty text as no date.
        if self.date_format is None and not _ISO.match(text):
            raise ValueError("it does not begin with a year and a month")
        date = pd.to_datetime(text, format=self.date_format or "ISO8601")
        if date is pd.NaT:
            raise ValueError("it is no date")
        return date
