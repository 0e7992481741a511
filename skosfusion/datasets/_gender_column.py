"""Declaration of the column of genders, in whatever words it is written."""

import decimal
import numbers
import shlex
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._utils.cells import is_missing, shown_cell, spelling, whole_text
from .._utils.problems import Problems
from .._utils.validation import check_parameter, shown
from ..preprocessing import WORDS_OF_GENDER, gender_of_words, refuse_two_meanings
from ._column import Column, option_for

_MOST_CHARACTERS = 40


@dataclass(frozen=True, repr=False)
class GenderColumn(Column):
    """Declare the column of the patients' genders.

    Parameters
    ----------
    column : str, default="gender"
        Your name for the column.
    values : dict or None, default=None
        What its cells stand for, as ``{"w": "female", "d": None}``: each cell, in any case, with
        its gender, "female" or "male", or None where it is to be missing. "f", "female", "m",
        "male" and the usual words of :class:`~skosfusion.preprocessing.GenderEncoder` need not be
        listed, and the values go before them. ``cohort.data`` then holds "female" and "male". With
        None it holds the text as it came.

    Raises
    ------
    ValueError
        For a value out of its set.

    See Also
    --------
    skosfusion.preprocessing.GenderEncoder : Turn the text into numbers.

    Examples
    --------
    >>> from skosfusion.datasets import GenderColumn
    >>> GenderColumn("sex", values={"w": "female"})
    GenderColumn(column='sex', values={'w': 'female'})
    """

    column: Hashable = "gender"
    values: dict | tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.values is None:
            return
        # Declarations are hashable, and made again of their fields.
        pairs = tuple(self.values.items()) if isinstance(self.values, dict) else self.values
        valid = isinstance(pairs, tuple) and all(map(_is_pair, pairs)) and len(pairs) > 0
        allowed = (
            "a dict of what stands in a cell to 'female', 'male' or None, as in {'w': 'female'}"
        )
        check_parameter("values", self.values, valid, allowed)
        texts = [spelling(text) for text, _ in pairs]
        twice = [pairs[i][0] for i, text in enumerate(texts) if text in texts[:i]]
        allowed = f"each spelling once; {twice[0]!r} is there twice" if twice else ""
        check_parameter("values", self.values, not twice, allowed)
        object.__setattr__(self, "values", pairs)

    def _shown(self, name):
        value = super()._shown(name)
        return dict(value) if name == "values" and value else value

    def _read(self, records, name):
        if self.values is None:
            return {name: records.texts(self.column, option_for(name))}
        return {name: records.cells(self.column, option_for(name), self._genders)}

    def _genders(self, cells, missing):
        """Return cells as "female", "male" or NaN; an error names the row."""
        own = {spelling(text): gender for text, gender in self.values}
        known = gender_of_words() | own
        male = [text for text, gender in known.items() if gender == "male" and text not in own]
        # A man may be declared by a word that is not known otherwise.
        refuse_two_meanings(cells, self.column, male, self._say_what_m_is)
        genders, unknown, problems = [], {}, Problems()
        for row, cell in cells.items():
            gender = np.nan
            with problems.collected():
                self._check_type(cell, row)
                key = spelling(cell)
                if key in known:
                    gender = known[key] or np.nan
                elif not is_missing(cell, missing):
                    unknown.setdefault(key, (cell, []))[1].append(row)
            genders.append(gender)
        for cell, rows in unknown.values():
            problems.add(self._unknown(cell, rows))
        problems.raise_any()
        return pd.Series(genders, index=cells.index, dtype="str")

    def _check_type(self, cell, row):
        is_one = pd.api.types.is_scalar(cell) and pd.isna(cell)
        if not is_one and not isinstance(cell, str | numbers.Real | decimal.Decimal | np.bool_):
            raise TypeError(
                f"column {self.column!r}, row {row} must hold text or a number, got "
                f"{shown_cell(cell)} ({type(cell).__name__}); give text, such as 'f'"
            )

    def _say_what_m_is(self, man):
        values = {man: "male"} | dict(self.values) | {"m": "female"}
        return (
            f"declare {self._declared('gender', values=values)}, or 'male' for 'm', too (on the "
            "command line: --gender-value m=female)"
        )

    def _unknown(self, cell, rows):
        shown_text = whole_text(cell)[:_MOST_CHARACTERS]
        more = f" (and in {shown(rows[1:], 'more row')})" if len(rows) > 1 else ""
        values = dict(self.values) | {shown_text: "female"}
        return ValueError(
            f"unknown gender {shown_cell(cell)} in column {self.column!r}, row {rows[0]}{more}; "
            f"known are {WORDS_OF_GENDER}, and what is declared; declare "
            f"{self._declared('gender', values=values)}, or 'male' for 'female', or None for a "
            f"missing value (on the command line: --gender-value {shlex.quote(shown_text)}=female)"
        )


def _is_pair(pair):
    """Return whether this is what stands in a cell, with a gender or None."""
    return (
        isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[0], str | numbers.Real)
        and (pair[1] is None or (isinstance(pair[1], str) and pair[1] in ("female", "male")))
    )
