"""The sign of decimals in the columns of a table: what tells it, and what it is read by."""

import re
from dataclasses import replace

_CLEAR_COMMA = re.compile(
    r"[+-]?(\d{1,3}(\.\d{3})+,\d*|(0|\d{4,}),\d+|\d{1,3},(\d{1,2}|\d{4,}))", re.ASCII
)
_CLEAR_POINT = re.compile(
    r"[+-]?(\d{1,3}(,\d{3})+\.\d*|(0|\d{4,})?\.\d+|\d{1,3}\.(\d{1,2}|\d{4,}))", re.ASCII
)
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)


def columns_with_commas(cells):
    """Return the columns of text whose numbers clearly have decimal commas."""
    found = []
    for place, column in enumerate(cells.columns):
        texts = cells.iloc[:, place]
        if (
            texts.str.contains(",", regex=False).any()
            and decimal_of(texts.unique().tolist()) == ","
        ):
            found.append(column)
    return found


def decimal_of(texts):
    """Return which sign the numbers of a column have: "," or "." where that is clear.

    None where no text has a decimal or both signs are there, "?" where each text that has one can
    be read in two ways, such as "1.200" and "1,200".
    """
    has_comma = has_point = has_either = False
    for text in texts:
        if not isinstance(text, str) or ("," not in text and "." not in text):
            continue
        text = text.strip()
        if not has_comma and "," in text and _CLEAR_COMMA.fullmatch(text):
            has_comma = True
        elif not has_point and "." in text and _CLEAR_POINT.fullmatch(text):
            has_point = True
        elif not has_either and _EITHER.fullmatch(text):
            has_either = True
        if has_comma and has_point:
            return None
    if has_comma or has_point:
        return "," if has_comma else "."
    return "?" if has_either else None


def notation_for(cells, column, notation, reading, declared):
    """Return the notation that a column is read by: as declared, else as its table is written.

    `declared` returns what one types to declare options of the notation, for the error where the
    numbers of the column can be read in two ways.
    """
    if reading is None or notation.decimal is not None:
        return notation
    if reading.decimal is not None:
        return replace(notation, decimal=reading.decimal)
    if not reading.has_signs:
        return notation
    texts = [cell for cell in cells.unique().tolist() if isinstance(cell, str)]
    if reading.decimals.get(column) == "." and not any("," in text for text in texts):
        return replace(notation, decimal=".")  # "1.200" was a number of the sheet, and no text
    sign = decimal_of(notation.digits(text) for text in texts if "," in text or "." in text)
    if sign == ",":
        return replace(notation, decimal=",")
    if sign == "?" and "," in reading.decimals.values():
        row, text = next(
            (row, cell)
            for row, cell in cells.items()
            if isinstance(cell, str) and _EITHER.fullmatch(notation.digits(cell))
        )
        whole, decimal = re.sub("[.,]", "", text), text.replace(",", ".")
        raise ValueError(
            f"column {column!r}, row {row}: {text!r} may be {whole} or {decimal}: other columns of "
            f"{reading.name!r} have decimal commas, and nothing in this one says which; declare "
            f"{declared(decimal=',' if '.' in text else '.')} for {whole}, or "
            f"{declared(decimal='.' if '.' in text else ',')} for {decimal}"
        )
    return notation
