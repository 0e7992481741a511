"""Ages in years from dates of birth and the dates of the images."""

import datetime
import re

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, shown_cell
from .._utils.problems import Problems
from .._utils.validation import shown

_OLDEST = 120
_DAYS_A_YEAR = 365.25
_YEAR_FIRST = re.compile(
    r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日|(\d\d)(\d\d))(?:[T ].*)?",
    re.ASCII,
)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[ ,].*)?", re.ASCII)
_TWO_DIGITS = re.compile(r"\d{1,2}([-/.])\d{1,2}\1\d\d(?:[ ,].*)?", re.ASCII)


def is_fixed_date(what):
    """Return whether this is a date and not the name of a column."""
    if isinstance(what, datetime.date):
        return True
    return isinstance(what, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\d", what))


def fixed_date(what):
    """Return a date given once for all images."""
    text = what.strftime("%Y-%m-%d") if isinstance(what, datetime.date) else what
    return np.datetime64(datetime.datetime.strptime(text, "%Y-%m-%d").date(), "D")


def read_dates(cells, column, missing, date_format, remedy):
    """Return cells as days, NaT where missing; an error names the row and the `remedy`."""
    known = [(row, cell) for row, cell in cells.items() if not is_missing(cell, missing)]
    order = None
    if date_format is None:
        order = _order([cell for _, cell in known if isinstance(cell, str)], column, remedy)
    days = pd.Series(np.datetime64("NaT", "D"), index=cells.index, dtype="datetime64[s]")
    read, bad = {}, {}
    for row, cell in known:
        try:
            read[row] = _day(cell, date_format, order)
        except ValueError as error:
            bad.setdefault(str(error), []).append((row, cell))
    problems = Problems()
    for reason, places in bad.items():
        row, cell = places[0]
        rows = [row for row, _ in places[1:]]
        more = f"; so are {shown(rows, 'more row')}" if rows else ""
        problems.add(
            ValueError(
                f"column {column!r}, row {row}: {shown_cell(cell)} {reason}{more}; correct it, "
                f"leave it empty, or {remedy}"
            )
        )
    problems.raise_any()
    if read:
        days.loc[list(read)] = np.array(list(read.values()), dtype="datetime64[D]")
    return days


def _order(texts, column, remedy):
    """Return whether the day or the month comes first in texts that end in a year."""
    parts = [match for match in map(_YEAR_LAST.fullmatch, map(str.strip, texts)) if match]
    if not parts:
        return None
    first, second = max(int(one[1]) for one in parts), max(int(one[3]) for one in parts)
    if first > 12 and second > 12:
        day = next(one[0] for one in parts if int(one[1]) > 12)
        month = next(one[0] for one in parts if int(one[3]) > 12)
        raise ValueError(
            f"column {column!r} holds {day!r}, where the day comes first, and {month!r}, where the "
            "month does; write all dates in one way"
        )
    if first > 12 or second > 12:
        return "day" if first > 12 else "month"
    raise ValueError(
        f"column {column!r} holds dates such as {parts[0][0]!r}, whose first number may be the day "
        f"or the month, as none is above 12; {remedy}"
    )


def _day(cell, date_format, order):
    """Return one cell as a date, or raise ValueError with what it is instead."""
    if isinstance(cell, datetime.datetime | np.datetime64):
        return pd.Timestamp(cell).date()
    if isinstance(cell, datetime.date):
        return cell
    if not isinstance(cell, str):
        raise ValueError(f"({type(cell).__name__}) is not a date")
    text = cell.strip()
    try:
        if match := _YEAR_FIRST.fullmatch(text):
            year, month, day = (int(match[1]), *(int(part) for part in match.groups()[2:] if part))
            return datetime.date(year, month, day)
        if date_format is not None:
            return datetime.datetime.strptime(text, date_format).date()
        if match := _YEAR_LAST.fullmatch(text):
            day, month = (1, 3) if order == "day" else (3, 1)
            return datetime.date(int(match[4]), int(match[month]), int(match[day]))
    except ValueError as error:
        is_written_otherwise = date_format is not None and not _YEAR_FIRST.fullmatch(text)
        what = f"is not written as {date_format!r}" if is_written_otherwise else "is no day"
        raise ValueError(what) from error
    if _TWO_DIGITS.fullmatch(text):
        raise ValueError("has a year of two digits, which may be of either century")
    raise ValueError("is not a date")


def ages_at(births, images, columns):
    """Return ages in years; one that cannot be is a ValueError with its row."""
    ages = (images - births).dt.total_seconds() / (24 * 3600 * _DAYS_A_YEAR)
    born, taken = columns
    problems = Problems()
    for wrong, what in (
        (ages < 0, "is after the image of"),
        (ages > _OLDEST, f"is more than {_OLDEST} years before the image of"),
    ):
        rows = ages.index[wrong]
        if len(rows):
            more = f"; so are {shown(rows[1:], 'more row')}" if len(rows) > 1 else ""
            problems.add(
                ValueError(
                    f"the date of birth {births[rows[0]]:%Y-%m-%d} of row {rows[0]} (column "
                    f"{born!r}) {what} {images[rows[0]]:%Y-%m-%d} ({taken}){more}; correct one of "
                    "the dates, or leave the date of birth empty"
                )
            )
    problems.raise_any()
    return ages
