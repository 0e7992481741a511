"""Declarations of further inputs: numbers without a normal range, and categories in one column."""

from collections.abc import Hashable
from dataclasses import KW_ONLY, dataclass
from functools import partial

import numpy as np

from .._utils.cells import is_missing, shown_cell, spelling
from .._utils.problems import Problems
from .._utils.validation import check_parameter, shown
from ._column import Column, option_for
from ._number_options import ALLOWED_NA_VALUES, NumberOptions, are_values

MOST_CHARACTERS = 1000
"""Longest text that is a category."""


@dataclass(frozen=True, repr=False)
class NumberColumn(NumberOptions, Column):
    """Declare a column of numbers that is an input and has no normal range, such as a body mass.

    Parameters
    ----------
    column : str
        Your name for the column, in either table.
    decimal : {".", ",", None}, default=None
        As in :class:`KitColumn`.
    unit : str, list of str or None, default=None
        As in :class:`KitColumn`.
    censored : {"error", "limit"}, default="error"
        As in :class:`KitColumn`.
    na_values : list of str or number, or None, default=None
        As in :class:`KitColumn`.

    Raises
    ------
    ValueError
        For a value out of its set.

    See Also
    --------
    KitColumn : A laboratory value with a normal range.
    KeptColumn : A column that is no input.

    Examples
    --------
    >>> from skosfusion.datasets import NumberColumn
    >>> NumberColumn("BMI", decimal=",")
    NumberColumn(column='BMI', decimal=',')
    """

    column: Hashable
    _: KW_ONLY
    decimal: str | None = None
    unit: str | tuple | None = None
    censored: str = "error"
    na_values: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        self._check_number_options()

    def _read(self, records, name):
        declared = partial(self._declared, name)
        numbers = records.numbers(
            self.column,
            option_for(name),
            notation=self._notation(),
            missing=self._missing(),
            declared=declared,
        )
        self._note_codes(records, numbers, self.column, declared=declared, low=-np.inf)
        return {name: numbers}


@dataclass(frozen=True, repr=False)
class CategoryColumn(Column):
    """Declare a column of categories that is an input, such as the site or the projection.

    Parameters
    ----------
    column : str
        Your name for the column, in either table. Its cells are text, or numbers that stand for a
        category.
    na_values : list of str or number, or None, default=None
        What else stands for a missing value in this column.

    Raises
    ------
    ValueError
        For a value out of its set.

    See Also
    --------
    OneHotColumn : Columns of 0 and 1 that are one category.
    KeptColumn : A column that is no input.
    skosfusion.preprocessing.CategoryEncoder : Turn categories into numbers.

    Examples
    --------
    >>> from skosfusion.datasets import CategoryColumn
    >>> CategoryColumn("projection", na_values=["unknown"])
    CategoryColumn(column='projection', na_values=('unknown',))
    """

    column: Hashable
    _: KW_ONLY
    na_values: tuple | None = None

    def __post_init__(self):
        super().__post_init__()
        valid = self.na_values is None or are_values(self.na_values)
        check_parameter("na_values", self.na_values, valid, f"{ALLOWED_NA_VALUES}, or None")
        if self.na_values is not None:
            # Declarations are hashable.
            object.__setattr__(self, "na_values", tuple(self.na_values))

    def _read(self, records, name):
        texts = records.texts(self.column, option_for(name))
        own = {spelling(value) for value in self.na_values or ()}
        texts = texts.mask([is_missing(text, own) for text in texts]) if own else texts
        problems = Problems()
        for row, text in texts[texts.str.len() > MOST_CHARACTERS].items():
            problems.add(
                ValueError(
                    f"column {self.column!r}, row {row} holds a text of {len(text)} characters, "
                    f"{shown_cell(text)}; a category has at most {MOST_CHARACTERS}: correct the "
                    f"cell, or do not read the column as {name!r}"
                )
            )
        problems.raise_any()
        words = records.cells(self.column, option_for(name), _words_of_none)
        if words.any() and "none" not in own:
            as_missing = self._declared(name, na_values=(*(self.na_values or ()), "none"))
            records.notes.append(
                f"column {self.column!r} says 'none' in {shown(words.index[words], 'row')}, which "
                "is read as missing; if it is a category, call it otherwise: "
                f"table[{self.column!r}] = table[{self.column!r}].replace('none', 'no'); if it is "
                f"missing, declare {as_missing}"
            )
        return {name: texts}


def _words_of_none(cells, _):
    """Return whether each cell is the word "none"."""
    return cells.map(lambda cell: isinstance(cell, str) and spelling(cell) == "none").astype(bool)
