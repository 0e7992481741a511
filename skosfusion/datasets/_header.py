"""Whether the first row of a file names its columns, and whether another one does so, too."""

import re

from .._utils.cells import MISSING

_NUMBER = re.compile(r"[<>]?=?\s*[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?")
_ROWS_LOOKED_AT = 50
_FEWEST_ROWS = 3
_FEWEST_COLUMNS = 2


def check_header(header, rows, remedy):
    """Raise ValueError where lines of a title, or a second row of names, stand at the top.

    `remedy` is what reads the table without some lines: of how many above, and of which row.
    """
    rows = [[cell.strip() for cell in row] for row in rows[:_ROWS_LOOKED_AT]]
    unnamed = [
        place
        for place, name in enumerate(header)
        if not name.strip() and any(row[place] for row in rows if len(row) > place)
    ]
    if len(unnamed) >= _FEWEST_COLUMNS:
        raise ValueError(
            f"{len(unnamed)} columns hold values and have no name (the first is column "
            f"{unnamed[0] + 1}); if lines of a title stand above the names of the columns, or the "
            f"names take two rows, leave one row of names: {remedy(1, None)}"
        )
    if rows and _is_second_header(rows[0], rows[1:]):
        raise ValueError(
            f"its first row of values holds names or units, too ({_shown(rows[0])}), above columns "
            f"of numbers; leave one row of names: {remedy(0, 1)}"
        )


def _is_second_header(first, others):
    """Return whether a row holds text above columns of numbers, and no value of its own."""
    if any(_NUMBER.fullmatch(cell) for cell in first):
        return False
    n_above_numbers = 0
    for place, cell in enumerate(first):
        below = [row[place] for row in others if len(row) > place]
        below = [text for text in below if text.casefold() not in MISSING]
        if cell.casefold() in MISSING or len(below) < _FEWEST_ROWS:
            continue
        if cell in below:
            return False
        is_word = any(character.isalpha() or character in "%°" for character in cell)
        n_above_numbers += is_word and all(_NUMBER.fullmatch(text) for text in below)
    return n_above_numbers >= _FEWEST_COLUMNS


def _shown(cells):
    return ", ".join(repr(cell) for cell in cells if cell)[:80]
