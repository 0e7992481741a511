"""Declaration of laboratory values with their normal range."""

from dataclasses import KW_ONLY, dataclass
from functools import partial

import numpy as np

from .._utils.cells import is_number
from .._utils.problems import Problems
from ..preprocessing import check_kit
from ._column import Column, option_for
from ._near_names import nearest_names
from ._number_options import NumberOptions


@dataclass(frozen=True, repr=False)
class KitColumn(NumberOptions, Column):
    """Declare a laboratory value with the normal range of the kit that measured it.

    Parameters
    ----------
    value : str
        Column of the values.
    low : str, float or None
        Lower limit of the normal range, in the unit of the value: a column, or one number for all;
        None where the range has no lower end, as CRP's.
    high : str, float or None
        Upper limit; a column where `low` is one, else a number above `low`, or None where the range
        has no upper end.
    decimal : {".", ",", None}, default=None
        The decimal sign of numbers in text. With "," a point, blank or apostrophe may part
        thousands ("1.200,5"), with "." a comma, blank or apostrophe. None takes a point, and
        refuses what could be meant otherwise.
    unit : str, list of str or None, default=None
        What may stand behind the digits of a cell: a unit, such as "U/l", or a mark. No value is
        converted.
    censored : {"error", "limit"}, default="error"
        What becomes of values beyond the limits of the assay: "<5", ">1200", -inf and inf. With
        "limit" the limit takes their place, 5 and 1200; for -inf and inf the smallest and the
        largest value of the column.
    na_values : list of str or number, or None, default=None
        What else stands for a missing value in this column. None warns of numbers that look like
        codes for one, such as 9999; ``()`` declares that there are none.

    Raises
    ------
    ValueError
        For other than a column with two other columns, or with two numbers in their order.

    See Also
    --------
    skosfusion.preprocessing.KitRangeScaler : Normalize values by the range of their kit.

    Examples
    --------
    >>> from skosfusion.datasets import KitColumn
    >>> KitColumn("CRP", 0, 5)
    KitColumn(value='CRP', low=0, high=5)
    """

    value: str
    low: str | float | None
    high: str | float | None
    _: KW_ONLY
    decimal: str | None = None
    unit: str | tuple | None = None
    censored: str = "error"
    na_values: tuple | None = None

    def __post_init__(self):
        check_kit("KitColumn", self._parts)
        self._check_number_options()

    @property
    def _parts(self):
        return self.value, self.low, self.high

    @property
    def _has_one_end(self):
        return self.low is None or self.high is None

    def _kit(self, name):
        """Return the kit of the loaded table, for `make_clinical_transformer`."""
        if self._has_one_end:
            return (name, self.low, self.high)
        return (name, f"{name}_low", f"{name}_high")

    @property
    def _columns(self):
        return [part for part in self._parts if isinstance(part, str)]

    def _is_there(self, name, tables):
        found = [any(table.has(column) for table in tables) for column in self._columns]
        if found[0] and not all(found):
            free = [column for table in tables for column in table.cells.columns]
            near = [nearest_names(part, free) for part in self._columns[1:]]
            low, high = (
                repr(names[0]) if names else word
                for names, word in zip(near, ("low", "high"), strict=True)
            )
            raise ValueError(
                f"column {self.value!r} is there, but the limits of its normal range are not; "
                f"give them as columns={{{name!r}: ({self.value!r}, {low}, {high})}}, columns or "
                f"numbers, or leave the value out with columns={{{name!r}: None}}"
            )
        return all(found)

    def _read(self, records, name):
        declared = partial(self._declared, name)
        read, problems = {}, Problems()
        limits = self._notation(censored="error", is_limit=True)
        for new, part in zip((name, f"{name}_low", f"{name}_high"), self._parts, strict=True):
            if part is None:
                continue
            if is_number(part):
                read[new] = float(part)
                continue
            is_value = new == name
            with problems.collected():
                read[new] = records.numbers(
                    part,
                    option_for(name),
                    notation=self._notation() if is_value else limits,
                    missing=self._missing(),
                    declared=declared,
                )
        problems.raise_any()
        if self._has_one_end:
            # A range with one end is the same for all rows, and no column.
            read = {name: read[name]}
        low = np.asarray(read.get(f"{name}_low", 0.0))
        low = float(np.nanmin(low)) if np.isfinite(low).any() else 0.0
        self._note_codes(records, read[name], self.value, declared=declared, low=low)
        for new, part in zip((f"{name}_low", f"{name}_high"), self._parts[1:], strict=True):
            if isinstance(part, str) and len(np.unique(read[new])) > 1:
                self._note_codes(records, read[new], part, declared=declared)
        return read
