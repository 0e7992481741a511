"""Record numbers whose digits a spreadsheet or a float has lost."""

import re

import numpy as np
import pandas as pd

from .cells import shown_cell
from .validation import shown

_EXPONENT = re.compile(r"[+-]?\d([.,]\d+)?[eE]\+\d+|[+-]?\d[.,]\d+[eE]\d+", re.ASCII)
_DOUBLE_BITS = 53
_EXCEL_DIGITS = 15
_ERROR = re.compile(r"##+|#(N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!|NV|WERT!|BEZUG!|ZAHL!)")
_FEWEST_ROUNDED = 3


def check_digits(cells, where, remedy):
    """Raise ValueError for record numbers that are not what they were; `where` names them."""
    is_small = getattr(cells.dtype, "kind", "O") == "f" and cells.dtype.itemsize < 8
    kept = np.finfo(cells.dtype).nmant + 1 if is_small else _DOUBLE_BITS
    lost = [row for row, cell in cells.items() if _has_lost_digits(cell, kept)]
    if lost:
        raise ValueError(
            f"{where}, row {lost[0]}: the record number {shown_cell(cells[lost[0]])} is a number "
            "too long for a float, which has lost its last digits, so that patients may have "
            f"become one ({shown(lost, 'row')}); {remedy}"
        )
    broken = [row for row, cell in cells.items() if isinstance(cell, str) and _is_error(cell)]
    if broken:
        raise ValueError(
            f"{where}, row {broken[0]}: the record number {shown_cell(cells[broken[0]])} is what a "
            f"spreadsheet shows in place of a value ({shown(broken, 'row')}); {remedy}"
        )
    rounded = _rounded_by_excel(cells)
    if rounded:
        raise ValueError(
            f"{where}: all {shown(rounded, 'record number')} of more than {_EXCEL_DIGITS} digits "
            f"end in zeros after the first {_EXCEL_DIGITS}, all that Excel keeps; {remedy}"
        )


def check_group_digits(values, noun):
    """Raise ValueError for patients, given one a row, whose digits a float has lost."""
    if noun != "patient":
        return
    remedy = (
        "read the table again with this column as text, as in pd.read_csv(path, dtype=str), or "
        "give each patient another name"
    )
    check_digits(pd.Series(values).reset_index(drop=True), "patients", remedy)


def _has_lost_digits(cell, kept):
    if isinstance(cell, float | np.floating):
        return 2.0**kept <= abs(float(cell)) < np.inf
    return isinstance(cell, str) and bool(_EXPONENT.fullmatch(cell.strip()))


def _is_error(text):
    """Return whether a text is "########" or an error of a spreadsheet, such as "#REF!"."""
    return bool(_ERROR.fullmatch(text.strip()))


def _rounded_by_excel(cells):
    texts = {str(cell).strip() for cell in cells if isinstance(cell, str | int | np.integer)}
    long = sorted(text for text in texts if text.isdecimal() and len(text) > _EXCEL_DIGITS)
    is_rounded = all(set(text[_EXCEL_DIGITS:]) == {"0"} for text in long)
    return long if len(long) >= _FEWEST_ROUNDED and is_rounded else []
