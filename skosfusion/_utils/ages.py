"""What stands in columns of ages and is not an age, and how to make ages of it."""

import datetime
import re

import numpy as np

from .missing_codes import POSITIVE_CODES

_OLDEST = 120
_LAST_EXCEL_DAY = 60_000
_EXCEL = "unit='D', origin='1899-12-30'"


_UNITS = [
    (12, re.compile(r"(m|mo|mos|mon|monate?n?|months?|mths?|mois|mes(es)?|mesi|mm)\.?", re.I)),
    (52.18, re.compile(r"(w|wk|wks|wochen?|weeks?|semaines?|semanas?)\.?", re.I)),
    (365.25, re.compile(r"(d|t|tage?n?|days?|jours?|d[ií]as?|giorni)\.?", re.I)),
]


def age_in_other_unit(number, unit):
    """Return what to do about an age in months, weeks or days; None where it is no such unit."""
    for a_year, pattern in _UNITS:
        if pattern.fullmatch(unit.strip()):
            example = f", {number / a_year:.2g} for this one" if number is not None else ""
            return (
                f"is an age in {unit!r}, and ages are read in years; write it in years (divide by "
                f"{a_year:g}{example})"
            )
    return None


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
