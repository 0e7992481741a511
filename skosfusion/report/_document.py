"""What a report is made of, before it is HTML, Markdown or LaTeX; and numbers in words."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Table(NamedTuple):
    """A table of texts; `name` is that of its file."""

    name: str
    caption: str
    columns: list
    rows: list


class Picture(NamedTuple):
    """An image as a data URI."""

    caption: str
    uri: str


@dataclass
class Section:
    """A part of the report; `given` says whether there was anything to fill it with."""

    key: str
    title: str
    given: bool = True
    paragraphs: list = field(default_factory=list)
    points: list = field(default_factory=list)
    tables: list = field(default_factory=list)
    pictures: list = field(default_factory=list)


class Document(NamedTuple):
    """A whole report; `answers` are question and sentences of the first screen."""

    title: str
    banners: list
    answers: list
    sections: list

    @property
    def tables(self):
        """All tables in order."""
        return [table for section in self.sections for table in section.tables]


def number(value, digits=3):
    """Return a number as text; "not defined" where it is missing or infinite."""
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(float(value), digits) + 0:.{digits}f}" if np.isfinite(value) else "not defined"


def span(low, high, digits=3):
    """Return an interval as text, "no interval" where an end is missing."""
    if not np.isfinite([low, high]).all():
        return "no interval"
    return f"[{number(low, digits)}, {number(high, digits)}]"


def figure(value, low, high):
    """Return a value with its interval."""
    return f"{number(value)} {span(low, high)}" if np.isfinite(value) else "not defined"


def signed(value):
    """Return a difference as text, with its sign."""
    return f"{round(float(value), 3) + 0:+.3f}" if np.isfinite(value) else "not defined"


def count(n, noun):
    """Return a number of things, such as "3 patients"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
