"""What the XML of a sheet says that its values do not: formulas, errors, merged and hidden cells.

It is looked through before the sheet is read, since a reader unfolds the whole rectangle from the
first cell to the last, and takes errors and formulas without a value for empty cells.
"""

import re
from dataclasses import dataclass, field

MAX_AREA = 2**24
MAX_TEXT = 2**28

_PREFIX = rb"(?:[\w.-]+:)?"
_REF = rb"([A-Z]{1,3})(\d{1,7})"
_FILLED = re.compile(rb"<" + _PREFIX + rb'c\s(?:[^>]*?\s)?r="' + _REF + rb'"(?:[^>]*[^/>])?>')
_CELL = re.compile(rb"<" + _PREFIX + rb"c(\s[^>]*)?(?<!/)>(.*?)</" + _PREFIX + rb"c>", re.DOTALL)
_OPENED = re.compile(rb"<" + _PREFIX + rb"c(?:\s[^>]*)?(?<!/)>")
_AT = re.compile(rb'\sr="' + _REF + rb'"')
_TYPE = re.compile(rb'\st="(\w+)"')
_FORMULA = re.compile(rb"<" + _PREFIX + rb"f[\s/>]")
_VALUE = re.compile(rb"<" + _PREFIX + rb"v(?:\s[^>]*)?>([^<]+)<|<" + _PREFIX + rb"is[\s>]")
_MERGED = re.compile(rb"<" + _PREFIX + rb'mergeCell\s[^>]*?ref="' + _REF + rb":" + _REF + rb'"')
_HIDDEN_ROW = re.compile(rb"<" + _PREFIX + rb'row\s[^>]*?\s?hidden="(?:1|true)"')
_HIDDEN_COLUMNS = re.compile(rb"<" + _PREFIX + rb'col\s[^>]*?\s?hidden="(?:1|true)"')
_SHARED = re.compile(rb't="s"[^>]*><' + _PREFIX + rb"v>(\d+)<")
_SHARED_TEXT = re.compile(rb"<" + _PREFIX + rb"si[\s>].*?</" + _PREFIX + rb"si>", re.DOTALL)


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
    cells = _FILLED.findall(xml)
    n_opened = sum(1 for _ in _OPENED.finditer(xml))
    if n_opened > len(cells):
        # Cells without an address follow each other.
        rows = [sum(1 for _ in _OPENED.finditer(row)) for row in re.split(rb"<(?:\w+:)?row", xml)]
        scan.height, scan.width = len(rows) - 1, max(rows)
    if cells:
        scan.height = max(scan.height, max(map(int, {row for _, row in cells})))
        scan.width = max(scan.width, 1 + max(map(_column, {column for column, _ in cells})))
    n_shared = xml.count(b't="s"')
    scan.n_texts = n_shared * len(shared)
    if scan.n_texts > MAX_TEXT:
        lengths = [match.end() - match.start() for match in _SHARED_TEXT.finditer(shared)]
        used = map(int, _SHARED.findall(xml))
        scan.n_texts = sum(lengths[place] for place in used if place < len(lengths))
    if b't="e"' in xml or _FORMULA.search(xml):
        _look_at_cells(xml, scan)
    for match in _MERGED.finditer(xml):
        first, last = _place(match[1], match[2]), _place(match[3], match[4])
        scan.merged.append((*first, *last))
    scan.n_hidden_rows = sum(1 for _ in _HIDDEN_ROW.finditer(xml))
    scan.n_hidden_columns = sum(1 for _ in _HIDDEN_COLUMNS.finditer(xml))
    return scan


def _look_at_cells(xml, scan):
    """Note formulas and errors."""
    for match in _CELL.finditer(xml):
        attributes, content = match[1] or b"", match[2]
        is_formula = _FORMULA.search(content)
        kind = _TYPE.search(attributes)
        kind = kind[1] if kind else b"n"
        if not is_formula and kind != b"e":
            continue
        at = _AT.search(attributes)
        value = _VALUE.search(content)
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
