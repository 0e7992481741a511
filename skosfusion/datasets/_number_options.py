"""How the numbers of a declared column are written: options of ages and laboratory values."""

import numbers

import numpy as np

from .._utils.cells import spelling
from .._utils.missing_codes import missing_codes, shown_codes
from .._utils.notation import Notation
from .._utils.validation import check_choice, check_parameter

ALLOWED_NA_VALUES = "a list of texts or numbers"


def are_values(na_values):
    """Return whether this is a list or the like of texts and numbers."""
    return (
        np.iterable(na_values)
        and not isinstance(na_values, str | bytes | dict)
        and all(isinstance(value, str | numbers.Real) for value in na_values)
    )


class NumberOptions:
    """The fields `decimal`, `unit`, `censored` and `na_values` of a frozen declaration."""

    def _check_number_options(self):
        valid = self.decimal in (None, ".", ",")
        check_parameter("decimal", self.decimal, valid, "'.', ',' or None")
        units = (self.unit,) if isinstance(self.unit, str) else self.unit
        valid = isinstance(units, list | tuple) or units is None
        valid = valid and all(isinstance(one, str) and one.strip() for one in units or ())
        check_parameter("unit", self.unit, valid, "a text, a list of texts, or None")
        check_choice("censored", self.censored, ("error", "limit"))
        valid = self.na_values is None or are_values(self.na_values)
        check_parameter("na_values", self.na_values, valid, f"{ALLOWED_NA_VALUES}, or None")
        # Declarations are hashable.
        for name in ("unit", "na_values"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))

    def _notation(self, kind=Notation, **changes):
        units = (self.unit,) if isinstance(self.unit, str) else self.unit or ()
        options = {"decimal": self.decimal, "unit": tuple(units), "censored": self.censored}
        return kind(**(options | changes))

    def _missing(self):
        """Return what else is missing in this column, as `spelling` writes it."""
        return frozenset(spelling(value) for value in self.na_values or ())

    def _note_codes(self, records, values, column, *, declared, low=0.0):
        """Note numbers that look like codes for a missing value, unless they are declared."""
        if self.na_values is not None:
            return
        codes = missing_codes(np.asarray(values), may_be_negative=low < 0, low=low)
        if codes:
            given = tuple(int(code) if code.is_integer() else code for code in codes)
            records.notes.append(
                f"column {column!r} holds {shown_codes(codes, len(values))}, far from the others: "
                "a usual code for a missing value; if it is one, declare "
                f"{declared(na_values=given)}, and if it was measured, {declared(na_values=())}"
            )
