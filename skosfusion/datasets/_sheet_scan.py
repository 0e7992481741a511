"""What the XML of a sheet says that its values do not: formulas, errors, merged and hidden cells.

It is looked through before the sheet is read, since a reader unfolds the whole rectangle from the
first cell to the last, and takes errors and formulas without a value for empty cells.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

MAX_AREA = 2**24
MAX_TEXT = 2**28

_REF = rb'r="([A-Z]{1,3})(\d{1,7})"'
_ROOT = re.compile(rb"<([\w.-]+:)?worksheet[\s/>]")
_AT = re.compile(rb"\s" + _REF)
_TYPE = re.compile(rb'\st="(\w+)"')


@lru_cache(maxsize=8)
def _patterns(prefix):
    """Return the patterns of a sheet, whose tags have this prefix."""
    prefix = re.escape(prefix)
    texts = {
        "filled": rb"<_c\s(?:[^>]*?\s)?" + _REF + rb"(?:[^>]*[^/>])?>",
        "opened": rb"<_c(?:\s[^>]*)?(?<!/)>",
        "cell": rb"<_c(\s[^>]*)?(?<!/)>(.*?)</_c>",
        "formula": rb"<_f[\s/>]",
        "value": rb"<_v(?:\s[^>]*)?>([^<]+)<|<_is[\s>]",
        "merged": rb'<_mergeCell\s[^>]*?ref="([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})"',
        "hidden_row": rb'<_row\s(?:[^>]*?\s)?hidden="(?:1|true)"[^>]*>',
        "hidden_column": rb'<_col\s(?:[^>]*?\s)?hidden="(?:1|true)"[^>]*>',
        "shared": rb't="s"[^>]*><_v>(\d+)<',
        "row": rb"<_row[\s>]",
    }
    return {
        name: re.compile(text.replace(b"<_", b"<" + prefix).replace(b"</_", b"</" + prefix), re.S)
        for name, text in texts.items()
    }


_SHARED_TEXT = re.compile(rb"<(?:[\w.-]+:)?si[\s>].*?</(?:[\w.-]+:)?si>", re.DOTALL)
_ROW_NUMBER = re.compile(rb'\sr="(\d{1,7})"')
_BOUNDS = re.compile(rb'\s(min|max)="(\d{1,5})"')


@dataclass
class SheetScan:
    """What stands in a sheet; rows and columns count from 0."""

    height: int = 0
    width: int = 0
    n_texts: int = 0  # characters that its texts take
    n_formulas: int = 0
    uncached: list = field(default_factory=list)  # formulas without a value, such as "B5"
    errors: dict = field(default_factory=dict)  # {(row, column): "#REF!"}
    merged: list = field(default_factory=list)  # (first row, first column, last row, last column)
    n_hidden_rows: int = 0
    n_hidden_columns: int = 0

    @property
    def is_filled(self):
        """Return whether there is a cell with a value."""
        return self.height > 0


def scan_xlsx(xml, shared):
    """Return what a sheet of an .xlsx holds; `shared` is the XML of its shared texts."""
    scan = SheetScan()
    root = _ROOT.search(xml)
    prefix = root[1] or b"" if root else b""
    patterns = _patterns(prefix)
    cells = patterns["filled"].findall(xml)
    if cells:
        scan.height = max(map(int, {row for _, row in cells}))
        scan.width = 1 + max(map(_column, {column for column, _ in cells}))
    if xml.count(b"</" + prefix + b"c>") > len(cells):
        # Cells without an address follow each other.
        rows = [len(patterns["opened"].findall(row)) for row in patterns["row"].split(xml)]
        scan.height, scan.width = max(scan.height, len(rows) - 1), max(scan.width, *rows)
    scan.n_texts = xml.count(b't="s"') * len(shared)
    if scan.n_texts > MAX_TEXT:
        lengths = [match.end() - match.start() for match in _SHARED_TEXT.finditer(shared)]
        used = map(int, patterns["shared"].findall(xml))
        scan.n_texts = sum(lengths[place] for place in used if place < len(lengths))
    if b't="e"' in xml or patterns["formula"].search(xml):
        _look_at_cells(xml, scan, patterns)
    for match in patterns["merged"].finditer(xml) if b"mergeCell " in xml else ():
        first, last = _place(match[1], match[2]), _place(match[3], match[4])
        scan.merged.append((*first, *last))
    if b'hidden="' in xml:
        for match in patterns["hidden_row"].finditer(xml):
            number = _ROW_NUMBER.search(match[0])
            scan.n_hidden_rows += number is None or int(number[1]) <= scan.height
        for match in patterns["hidden_column"].finditer(xml):
            bounds = {name: int(number) for name, number in _BOUNDS.findall(match[0])}
            first, last = bounds.get(b"min", 1), min(bounds.get(b"max", 1), scan.width)
            scan.n_hidden_columns += max(0, last - first + 1)
    return scan


def _look_at_cells(xml, scan, patterns):
    """Note formulas and errors."""
    for match in patterns["cell"].finditer(xml):
        attributes, content = match[1] or b"", match[2]
        is_formula = patterns["formula"].search(content)
        kind = _TYPE.search(attributes)
        kind = kind[1] if kind else b"n"
        if not is_formula and kind != b"e":
            continue
        at = _AT.search(attributes)
        value = patterns["value"].search(content)
        scan.n_formulas += bool(is_formula)
        if is_formula and not value and kind != b"str":
            scan.uncached.append((at[1] + at[2]).decode() if at else "without an address")
        elif kind == b"e" and at:
            text = value[1] if value and value[1] else b"#ERROR"
            scan.errors[_place(at[1], at[2])] = text.decode(errors="replace")


def _column(letters):
    """Return the number of a column from its letters."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _place(letters, digits):
    return int(digits) - 1, _column(letters)


def cell_name(row, column):
    """Return the name of a cell, such as "B5"."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return f"{letters}{row + 1}"


_TAG = re.compile(rb"<(/?)table:(table-row|table-cell|covered-table-cell)(?=[\s/>])([^>]*?)(/?)>")
_REPEATED = re.compile(rb'table:number-(?:columns|rows)-repeated="(\d{1,9})"')
_SPANNED = re.compile(rb'table:number-(columns|rows)-spanned="(\d{1,7})"')
_ODS_ERROR = re.compile(rb"<text:p[^>]*>(#[A-Z0/!?]+|Err:\d+)</text:p>")
_ODS_COLUMN = re.compile(rb"<table:table-column(\s[^>]*)?>")
_IS_HIDDEN = re.compile(rb'table:visibility="(?:collapse|filter)"')


def scan_ods(xml):
    """Return what a table of an .ods holds, from its own part of the XML."""
    scan = SheetScan()
    row = column = filled_before = text_from = 0
    n_rows, is_hidden, last = 1, None, None
    for tag in _TAG.finditer(xml):
        closing, name, attributes, alone = tag.groups()
        if name == b"table-row":
            if not closing:
                column, n_rows = 0, _times(attributes)
                is_hidden = _IS_HIDDEN.search(attributes)
                filled_before = scan.height
            if closing or alone:
                row += n_rows
                is_filled = scan.height > filled_before
                scan.n_hidden_rows += n_rows if is_hidden and is_filled else 0
        elif closing:
            if last is not None:
                _note_text(scan, last, xml[text_from : tag.start()])
            last = None
        else:
            times = _times(attributes)
            last = (row, column, attributes, times * n_rows)
            text_from = tag.end()
            if b"office:value-type=" in attributes or not alone:
                scan.height, scan.width = row + n_rows, max(scan.width, column + times)
            _note_cell(scan, row, column, attributes)
            column += times
            last = None if alone else last
    for match in _ODS_COLUMN.finditer(xml):
        if _IS_HIDDEN.search(match[1] or b""):
            scan.n_hidden_columns += _times(match[1])
    scan.n_hidden_columns = min(scan.n_hidden_columns, scan.width)
    return scan


def _times(attributes):
    found = _REPEATED.search(attributes or b"")
    return int(found[1]) if found else 1


def _note_cell(scan, row, column, attributes):
    """Note the formula of a cell, and the cells that it covers."""
    if b"table:formula=" in attributes:
        scan.n_formulas += 1
        if b"office:value-type=" not in attributes:
            scan.uncached.append(cell_name(row, column))
    spans = {kind: int(number) for kind, number in _SPANNED.findall(attributes)}
    down, right = spans.get(b"rows", 1), spans.get(b"columns", 1)
    if down > 1 or right > 1:
        scan.merged.append((row, column, row + down - 1, column + right - 1))


def _note_text(scan, cell, content):
    """Note the text of a cell, which may be an error."""
    row, column, attributes, times = cell
    scan.n_texts += len(content) * times
    is_error = b'calcext:value-type="error"' in attributes
    found = _ODS_ERROR.search(content) if is_error or b"table:formula=" in attributes else None
    if is_error or found:
        scan.errors[row, column] = found[1].decode() if found else "#ERROR"
