"""What stands in columns of ages and is not an age, and how to make ages of it."""

import datetime

import numpy as np

from .missing_codes import POSITIVE_CODES
from .notation import Notation

_OLDEST = 120
_LAST_EXCEL_DAY = 60_000
_EXCEL = "unit='D', origin='1899-12-30'"
_IN_A_YEAR = {"months": 12.0, "weeks": 365.25 / 7, "days": 365.25}
_WORDS = {
    "months": "m mo mos mon mth mths month months monat monate monaten mois mes meses mese mesi ay "
    "月 个月 月龄",
    "weeks": "w wk wks week weeks wo woche wochen semaine semaines semana semanas settimana "
    "settimane hafta 周 周龄",
    "days": "d day days tag tage tagen jour jours día días dia dias giorno giorni gün 天 日 日龄",
}
_UNITS = {word: unit for unit, words in _WORDS.items() for word in words.split()}


def unit_of_part_years(unit):
    """Return whether the unit of an age is "months", "weeks" or "days"; None for years."""
    return _UNITS.get(unit.casefold().removesuffix(" old").removesuffix(" alt").strip(" ."))


class AgeNotation(Notation):
    """How ages are written: in years, or with a declared unit that is a part of one."""

    def read(self, text):
        """Return the years that a text holds; None if it has none."""
        number = super().read(text)
        unit = unit_of_part_years(self.unit_of(text.strip()))
        return number / _IN_A_YEAR[unit] if unit and number is not None else number

    def say_unit(self, unit):
        """Return what to say of a unit that is not declared, before how one declares it."""
        part = unit_of_part_years(unit)
        if part is None:
            return super().say_unit(unit)
        return (
            f"is an age in {part}, not in years; write it in years, or, to read {unit!r} behind "
            f"digits as {part} (digits alone stay years)"
        )


def age_of_dates(column, text):
    """Return what to do with a column of dates of birth that are written like this text."""
    options = ""
    for mark in "./-":
        if mark in text and not text[:4].isdecimal():
            last = text.split()[0].rstrip(",").rpartition(mark)[2]
            year = "%y" if len(last) == 2 else "%Y"
            options = f", format='%d{mark}%m{mark}{year}'"
    return _from_dates(column, f"pd.to_datetime(table[{column!r}]{options})")


def _from_dates(column, dates):
    return (
        "if it is the date of birth, the age is the time from there to the image: "
        f"table[{column!r}] = (pd.Timestamp('2020-12-31') - {dates}).dt.days / 365.25, with the "
        "date of the image, or the column of it, in place of the one here"
    )


def hint_for_ages(ages, column):
    """Return what a column with values that are not ages in years seems to hold, and the remedy."""
    known = ages[np.isfinite(ages)]
    median, is_whole = np.median(known), bool((known == np.round(known)).all())
    looks = f"the median of the column is {median:g}, so these look like"
    this_year = datetime.date.today().year
    beyond = known[known > _OLDEST]
    if median > _OLDEST and np.isin(beyond, POSITIVE_CODES).all():
        return (
            f"{beyond[0]:g} is a usual code for a missing value; if it is one here, leave these "
            "cells empty"
        )
    if is_whole and len(beyond) and ((beyond >= 1850) & (beyond <= this_year)).all():
        what = f"{looks} years of birth" if median > _OLDEST else "this looks like a year of birth"
        return (
            f"{what}: the age is the year of the image less the year of birth, as in "
            f"table[{column!r}] = 2020 - table[{column!r}], with the year of the image, or the "
            "column of it, in place of 2020"
        )
    if median <= _OLDEST:
        return None
    if is_whole and _are_dates_as_numbers(known):
        texts = f"table[{column!r}].astype('Int64').astype('str')"
        dates = f"pd.to_datetime({texts}, format='%Y%m%d')"
        return f"{looks} dates written as one number (YYYYMMDD): {_from_dates(column, dates)}"
    if median <= 12 * _OLDEST:
        return f"{looks} ages in months: divide them by 12"
    in_days = f"{looks} ages in days: divide them by 365.25"
    if is_whole and known.min() > 3650 and known.max() < _LAST_EXCEL_DAY:
        dates = _from_dates(column, f"pd.to_datetime(table[{column!r}], {_EXCEL})")
        if known.max() > 365.25 * _OLDEST:
            return f"{looks} dates as Excel counts days: {dates}"
        return f"{in_days}; or like dates as Excel counts days: {dates}"
    return in_days


def _are_dates_as_numbers(values):
    day, month, year = values % 100, values // 100 % 100, values // 10000
    valid = (day >= 1) & (day <= 31) & (month >= 1) & (month <= 12) & (year >= 1850)
    return bool((valid & (year <= datetime.date.today().year)).all())


def declared_for_age(**options):
    """Return what one types to declare how ages are written, where the column is not known."""
    typed = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f"load_cohort(..., columns={{'age': AgeColumn(..., {typed})}})"
