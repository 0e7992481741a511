"""Numbers that often stand for a missing value, such as 9999 or -1, found by where they lie."""

import numpy as np

CHECKED = "skosfusion: checked for codes"
"""Where a DataFrame notes, in `attrs`, the columns that were looked through when it was loaded."""

_NEGATIVE = [-32768, -1, -9, -99, -999, -9999, -99999, -8, -88, -888, -8888, -99.9, -999.9]
POSITIVE_CODES = [99, 999, 9999, 99999, 999999, 99.9, 99.99, 999.9, 999.99, 9999.9, 9999.99]
POSITIVE_CODES += [9997, 9998, 32767, 65535, 888, 8888, 777, 7777]
# A code lies apart from all measurements: one cell farther than several, which may not be chance.
_APART = {1: 2.0, 2: 1.25}
_ZERO_APART = 2.0
_FEWEST_OTHERS = {1: 3, 2: 1}


def missing_codes(values, *, may_be_negative=False, low=0.0):
    """Return {code: count} of numbers in a column that look like codes for a missing value.

    `low` is the lower limit of the normal range; 0 far below it is a code where it comes often.
    """
    known = values[np.isfinite(values)]
    codes, negative = {}, known[known < 0]
    if not may_be_negative and len(negative) and np.isin(negative, _NEGATIVE).all():
        codes |= _counted(negative)
    others = known[(known >= 0) & ~np.isin(known, POSITIVE_CODES)]
    for code, count in _counted(known[np.isin(known, POSITIVE_CODES)]).items():
        many = min(count, 2)
        if len(others) >= _FEWEST_OTHERS[many] and code >= _APART[many] * others.max():
            codes[code] = count
    zeros, above = int(np.sum(known == 0)), known[known > 0]
    if zeros > 1 and len(above) >= _FEWEST_OTHERS[1] and 0 < low <= _ZERO_APART * above.min():
        codes[0.0] = zeros
    return codes


def shown_codes(codes, n_rows):
    """Return codes with their counts, for a warning."""
    return " and ".join(f"{code:g} in {count} of {n_rows} rows" for code, count in codes.items())


def _counted(values):
    return {float(value): int(np.sum(values == value)) for value in np.unique(values)}
