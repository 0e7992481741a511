"""Declaration of the column of ages, or of the dates of birth that they are made of."""

from collections.abc import Hashable
from dataclasses import KW_ONLY, dataclass
from functools import partial

import numpy as np
import pandas as pd

from .._utils.ages import AgeNotation, unit_of_part_years
from .._utils.validation import check_parameter, shown
from ._birth_dates import ages_at, fixed_date, is_fixed_date, read_dates
from ._column import Column, is_column_name, option_for
from ._number_options import NumberOptions


@dataclass(frozen=True, repr=False)
class AgeColumn(NumberOptions, Column):
    """Declare the column of the patients' ages, or of their dates of birth.

    Parameters
    ----------
    column : str, default="age"
        Your name for the column. Its cells are years; with `date` they are dates of birth.
    decimal : {".", ",", None}, default=None
        As in :class:`KitColumn`; with "," the cell "14,5" is read.
    unit : str, list of str or None, default=None
        As in :class:`KitColumn`; with "years" the cell "14 years" is read. Months, weeks and days
        become years: with ``["months", "y"]`` the cell "6 months" is 0.5. Digits alone are years.
    censored : {"error", "limit"}, default="error"
        As in :class:`KitColumn`; with "limit" the cell ">89" is read as 89.
    na_values : list of str or number, or None, default=None
        As in :class:`KitColumn`; ``[99]`` where 99 stands for an unknown age.
    date : str, date or None, default=None
        The column with the dates of the images, in either table, or one date for all: a
        :class:`datetime.date`, or a text such as "2020-12-31". The age is the time from the date
        of birth to there, in years of 365.25 days; it is missing where one of the dates is.
    date_format : str or None, default=None
        How dates are written in text, as for :meth:`datetime.datetime.strptime`: ``"%d.%m.%Y"``.
        With None, "14.03.2009" and "3/14/2009" are read where a day above 12 in the column tells
        which number is the day. Dates that begin with the year are read in any case: "2009-03-14",
        "20090314", "2009年3月14日". Only with `date`.

    Raises
    ------
    ValueError
        For a value out of its set.

    See Also
    --------
    skosfusion.preprocessing.AgeScaler : Normalize ages.

    Examples
    --------
    >>> from skosfusion.datasets import AgeColumn
    >>> AgeColumn("years")
    AgeColumn(column='years')
    >>> AgeColumn("Geburtsdatum", date="Aufnahmedatum", date_format="%d.%m.%Y")
    AgeColumn(column='Geburtsdatum', date='Aufnahmedatum', date_format='%d.%m.%Y')
    """

    column: Hashable = "age"
    _: KW_ONLY
    decimal: str | None = None
    unit: str | tuple | None = None
    censored: str = "error"
    na_values: tuple | None = None
    date: Hashable | None = None
    date_format: str | None = None

    def __post_init__(self):
        super().__post_init__()
        self._check_number_options()
        allowed = "the column of the dates of the images, or one date such as '2020-12-31'"
        valid = self.date is None or (is_column_name(self.date) and self.date != self.column)
        check_parameter("date", self.date, valid, allowed)
        if is_fixed_date(self.date):
            try:
                fixed_date(self.date)
            except ValueError:
                check_parameter("date", self.date, False, allowed)
        valid = self.date_format is None or (
            self.date is not None and isinstance(self.date_format, str) and "%" in self.date_format
        )
        allowed = "None, or with date=... a format such as '%d.%m.%Y'"
        check_parameter("date_format", self.date_format, valid, allowed)
        if self.date_format is not None and "%y" in self.date_format:
            allowed = "years of four digits, %Y: those of two may be of either century"
            check_parameter("date_format", self.date_format, False, allowed)
        for name, default in (("decimal", None), ("unit", None), ("censored", "error")):
            value = getattr(self, name)
            valid = self.date is None or value == default
            check_parameter(name, value, valid, f"{default!r} for dates of birth (date=...)")

    @property
    def _columns(self):
        has_column = self.date is not None and not is_fixed_date(self.date)
        return [self.column, self.date] if has_column else [self.column]

    def _read(self, records, name):
        ages = self._numbers if self.date is None else self._from_dates
        return {name: ages(records, name)}

    def _numbers(self, records, name):
        declared = partial(self._declared, name)
        notation = self._notation(kind=AgeNotation)
        ages = records.numbers(
            self.column,
            option_for(name),
            notation=notation,
            missing=self._missing(),
            declared=declared,
            dates=partial(self._say_birth, name),
        )
        self._refuse_unused_units(records, notation, name)
        self._note_codes(records, ages, self.column, declared=declared)
        return ages

    def _say_birth(self, name, _, text):
        """Return what to do with a column of dates of birth."""
        declared = self._declared(
            name, date="DATE", decimal=None, unit=None, censored="error", na_values=None
        )
        return (
            f"if it is the date of birth, declare {declared}, with the column of the dates of the "
            "images in place of DATE, or with one date for all, such as '2020-12-31'"
        )

    def _refuse_unused_units(self, records, notation, name):
        """Refuse months that no cell has behind its digits: then digits alone may be meant."""
        units = [unit for unit in notation.unit if unit_of_part_years(unit)]
        if not units:
            return
        texts = [
            cell.strip()
            for cell in records.cells(self.column, option_for(name), lambda cells, _: cells)
            if isinstance(cell, str)
        ]
        unused = [unit for unit in units if not any(text.endswith(unit) for text in texts)]
        if len(unused) == len(units):
            raise ValueError(
                f"unit={self.unit!r} is declared, and no cell of column {self.column!r} has "
                f"{unused[0]!r} behind its digits, which are read as years; if they are not, make "
                f"them years, as in table[{self.column!r}] = table[{self.column!r}].astype(float) "
                "/ 12 for months; else leave the unit out"
            )

    def _from_dates(self, records, name):
        """Return the time from birth to the image in years."""
        births = self._days(records, self.column, name)
        if is_fixed_date(self.date):
            images = pd.Series(fixed_date(self.date), index=births.index)
            taken = "given as one date for all"
        else:
            images = self._days(records, self.date, name)
            taken = f"column {self.date!r}"
        undated = births.index[births.notna() & images.isna()]
        if len(undated):
            records.notes.append(
                f"column {self.date!r} has no date of the image in {shown(undated, 'row')}, where "
                f"there is a date of birth; the age is missing there"
            )
        return ages_at(births, images, (self.column, taken)).astype(np.float64)

    def _days(self, records, column, name):
        remedy = f"declare how dates are written, {self._declared(name, date_format='%d.%m.%Y')}"

        def read(cells, missing):
            missing = missing | self._missing()
            return read_dates(cells, column, missing, self.date_format, remedy)

        return records.cells(column, option_for(name), read)
