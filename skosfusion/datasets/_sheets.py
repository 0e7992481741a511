"""Sheets of workbooks read as tables of text; the only module that needs python-calamine."""

import datetime
import re
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import python_calamine

from .._utils.validation import did_you_mean, shown
from ._archive import Archive
from ._csv import check_rows, decimal_words, without_left_over
from ._decimals import decimal_of
from ._header import check_header
from ._sheet_scan import MAX_AREA, MAX_TEXT, cell_name, scan_ods, scan_xlsx

_WORKBOOK = "xl/workbook.xml"
_SHARED = "xl/sharedstrings.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_WORKSHEET = "/worksheet"
_TABLE = re.compile(rb"<table:table(\s[^>]*?)?(?:/>|>(.*?)</table:table>)", re.DOTALL)
_NAME = re.compile(rb'table:name="([^"]*)"')
_STYLE = re.compile(rb'table:style-name="([^"]*)"')
_HIDDEN_STYLE = re.compile(
    rb'<style:style\s[^>]*?style:name="([^"]*)"[^>]*>\s*<style:table-properties\s[^>]*?'
    rb'table:display="false"'
)
_MOST_DIGITS = 1e15  # from here on a spreadsheet has lost digits


@dataclass
class _Sheet:
    """A sheet of a workbook, before it is read."""

    name: str
    is_hidden: bool
    scan: object


def read_sheet(path, sheet=None, decimal=None):
    """Return the cells of a sheet, and what is said of it: a dict of fields of `Reading`."""
    archive = Archive(path)
    is_ods = "content.xml" in archive.parts
    sheets, n_others = _ods_sheets(archive) if is_ods else _xlsx_sheets(archive)
    chosen = _chosen(sheets, sheet, path, n_others)
    where = f"sheet {chosen.name!r}"
    _check_size(chosen.scan, where)
    _check_scan(chosen.scan, where)
    rows = _rows(archive, chosen)
    cells, decimals, date_columns = _as_table(rows, path, chosen, decimal)
    commas = [name for name, sign in decimals.items() if sign == "," and decimal is None]
    words = [where, *_words(chosen.scan, archive.has_macros)]
    skipped = [one.name for one in sheets if one.is_hidden and one.scan.is_filled and one != chosen]
    words += [f"hidden {shown(skipped, 'sheet', repr)} not read"] if skipped else []
    notes = [f"{path.name}, {where}: {note}" for note in _notes(chosen.scan)]
    several = sum(one.scan.is_filled for one in sheets) > 1
    return cells, {
        "name": f"{path.name}, {where}" if several else path.name,
        "said": ", ".join(words) + decimal_words(decimal, commas),
        "decimals": decimals,
        "has_signs": True,
        "date_columns": tuple(date_columns),
        "notes": tuple(notes),
    }


def filled_sheets(path):
    """Return the names of the visible sheets that hold a value."""
    archive = Archive(path)
    sheets = _ods_sheets(archive) if "content.xml" in archive.parts else _xlsx_sheets(archive)
    return [one.name for one in sheets[0] if one.scan.is_filled and not one.is_hidden]


def _xlsx_sheets(archive):
    """Return the worksheets of an .xlsx, and how many sheets hold no cells (charts)."""
    names = {name.lower(): name for name in archive.parts}
    try:
        workbook = ElementTree.fromstring(archive.parts[names[_WORKBOOK]])  # noqa: S314 - no grammar
        relations = ElementTree.fromstring(archive.parts[names[_RELATIONS]])  # noqa: S314
    except (KeyError, ElementTree.ParseError) as error:
        binary = "; a binary workbook (.xlsb) must be saved as .xlsx"
        raise ValueError(
            f"it is no Excel workbook, or a damaged one{binary}; save the workbook again as .xlsx"
        ) from error
    shared = archive.parts.get(names.get(_SHARED), b"")
    targets = {one.get("Id"): (one.get("Type", ""), one.get("Target", "")) for one in relations}
    sheets, n_others = [], 0
    for one in workbook.iter():
        if _local(one.tag) != "sheet":
            continue
        relation = next((value for key, value in one.items() if _local(key) == "id"), None)
        kind, target = targets.get(relation, ("", ""))
        target = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        part = names.get(target.replace("\\", "/").lower())
        if not kind.endswith(_WORKSHEET) or part is None:
            n_others += 1
            continue
        is_hidden = one.get("state", "visible") != "visible"
        scan = scan_xlsx(archive.parts[part], shared)
        sheets.append(_Sheet(one.get("name", ""), is_hidden, scan))
    return sheets, n_others


def _local(tag):
    return tag.rpartition("}")[2]


def _ods_sheets(archive):
    """Return the tables of an .ods, which are all read together."""
    content = archive.parts["content.xml"]
    hidden = set(_HIDDEN_STYLE.findall(content))
    sheets = []
    for match in _TABLE.finditer(content):
        attributes = match[1] or b""
        name, style = _NAME.search(attributes), _STYLE.search(attributes)
        text = ElementTree.fromstring(b'<a b="' + (name[1] if name else b"") + b'"/>').get("b")  # noqa: S314
        scan = scan_ods(match[2] or b"")
        sheets.append(_Sheet(text, bool(style) and style[1] in hidden, scan))
        _check_size(scan, f"sheet {text!r}")
    if sum(one.scan.height * one.scan.width for one in sheets) > MAX_AREA:
        raise ValueError(f"its sheets span more than {MAX_AREA} cells; save them as CSV")
    return sheets, 0


def _chosen(sheets, name, path, n_others):
    """Return the sheet that is named, or the only one with values."""
    if name is not None:
        found = [one for one in sheets if one.name == name]
        if not found:
            names = [one.name for one in sheets]
            hint = did_you_mean(name, names)
            raise ValueError(
                f"it has no sheet {name!r}; its sheets are {names}{hint and '; '}{hint}"
            )
        if not found[0].scan.is_filled:
            raise ValueError(f"its sheet {name!r} is empty; name another")
        return found[0]
    filled = [one for one in sheets if one.scan.is_filled]
    visible = [one for one in filled if not one.is_hidden]
    if len(visible) == 1:
        return visible[0]
    typed = f"read_table({path.name!r}, sheet={(filled[0].name if filled else 'NAME')!r})"
    if not filled:
        charts = f"; {n_others} of its sheets are charts or the like" if n_others else ""
        raise ValueError(f"none of its {len(sheets)} sheets holds a value{charts}")
    if not visible:
        raise ValueError(
            f"{shown([one.name for one in filled], 'hidden sheet', repr)}; "
            f"no other sheet holds a value; to read it, use {typed}"
        )
    raise ValueError(
        f"{shown([one.name for one in visible], 'sheet', repr)} hold values; say which to read, "
        f"as in {typed}, or give a list of several to load_cohort"
    )


def _check_size(scan, where):
    """Raise ValueError for a sheet that would fill the memory."""
    if scan.height * scan.width > MAX_AREA:
        last = cell_name(scan.height - 1, min(scan.width, 16384) - 1)
        raise ValueError(
            f"{where} spans {scan.height} rows and {scan.width} columns (to {last}), more than "
            f"{MAX_AREA} cells; delete the cells that lie far from the table, or save it as CSV"
        )
    if scan.n_texts > MAX_TEXT:
        raise ValueError(
            f"the texts of {where} take more than {MAX_TEXT} characters; save it as CSV"
        )


def _check_scan(scan, where):
    """Raise ValueError for what would be read as something else than it is."""
    if scan.uncached:
        raise ValueError(
            f"{where} has formulas without a value ({shown(scan.uncached, 'cell')}); open the "
            "workbook in a spreadsheet, and save it, so that it holds their values"
        )
    merged = [
        f"{cell_name(top, left)}:{cell_name(bottom, right)}"
        for top, left, bottom, right in scan.merged
        if top < scan.height and left < scan.width
    ]
    if merged:
        raise ValueError(
            f"{where} has merged cells ({shown(merged, 'range')}), of which only the first holds "
            "the value; unmerge them, write the value into each, and leave one row of names above "
            "the values"
        )


def _words(scan, has_macros):
    """Return what is said of a sheet."""
    words = []
    if scan.n_formulas:
        words.append(f"the last values of {scan.n_formulas} formulas")
    if has_macros:
        words.append("macros ignored")
    return words


def _notes(scan):
    """Return what the user is warned of."""
    hidden = []
    if scan.n_hidden_rows:
        hidden.append(f"{scan.n_hidden_rows} hidden rows")
    if scan.n_hidden_columns:
        hidden.append(f"{scan.n_hidden_columns} hidden columns")
    if not hidden:
        return []
    return [
        f"{' and '.join(hidden)} (by a filter, say) are read like the others; delete what is not "
        "to be read, or leave it out with exclude_rows"
    ]


def _rows(archive, chosen):
    """Return the rows of a sheet as they are, with its errors as text."""
    try:
        with python_calamine.CalamineWorkbook.from_filelike(archive.as_file()) as workbook:
            sheet = workbook.get_sheet_by_name(chosen.name)
            left = sheet.start[1] if sheet.start else 0
            rows = [list(row) for row in sheet.iter_rows()]
    except (python_calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        raise ValueError(f"it is damaged ({error}); save the workbook again") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the reader, and no Exception
            raise
        raise ValueError(f"it cannot be read ({error}); save the workbook again") from error
    for (row, column), text in chosen.scan.errors.items():
        if row < len(rows) and 0 <= column - left < len(rows[row]):
            rows[row][column - left] = text
    check_rows(len(rows))
    return rows


def _as_table(rows, path, chosen, decimal):
    """Return rows as a table of text, the decimal sign of its columns, and those with dates."""
    start = next(i for i, row in enumerate(rows) if row.count("") < len(row))
    header = [_text(cell) for cell in rows[start]]
    body = rows[start + 1 :]
    is_empty = [row.count("") == len(row) for row in body]
    body = [row for row, empty in zip(body, is_empty, strict=True) if not empty]
    check_header(
        header,
        [[_text(cell) for cell in row] for row in body[:50]],
        lambda above, row: _remedy(path, chosen.name, start, above, row),
    )
    columns = list(zip(*body, strict=True)) if body else [()] * len(header)
    cells, decimals, dates = [], {}, []
    for name, column in zip(header, columns, strict=True):
        kinds = set(map(type, column))
        sign = decimal or decimal_of(cell for cell in column if type(cell) is str)
        if sign == ",":
            decimals[name] = ","
        elif float in kinds and not any(type(cell) is str and "," in cell for cell in column):
            decimals[name] = "."
        if kinds & {datetime.date, datetime.datetime}:
            dates.append(name)
        texts = [cell if type(cell) is str else _text(cell, sign) for cell in column]
        cells.append(pd.Series(texts, dtype="str"))
    table = pd.concat(cells, axis=1) if cells else pd.DataFrame()
    return without_left_over(table.set_axis(header, axis=1), sum(is_empty)), decimals, dates


def _text(cell, decimal="."):
    """Return the value of a cell as text: what a spreadsheet shows, dates as ISO 8601 has them."""
    kind = type(cell)
    if kind is str:
        return cell
    if kind is float:
        if abs(cell) >= _MOST_DIGITS:
            return np.format_float_scientific(cell, precision=14, trim="-", unique=True)
        if cell.is_integer():
            return str(int(cell))
        text = f"{cell:.15g}"
        return text.replace(".", ",") if decimal == "," else text
    if kind is datetime.datetime:
        return cell.isoformat(sep=" ")
    if kind is datetime.timedelta:
        seconds = round(cell.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return cell.isoformat() if isinstance(cell, datetime.date | datetime.time) else str(cell)


def _remedy(path, name, start, above, row):
    """Return the line of pandas that reads a sheet without some rows."""
    skipped = start + above if row is None else [start + row]
    number = ", with their number in place of 1" if row is None else ""
    return (
        f"table = pd.read_excel({str(path)!r}, sheet_name={name!r}, skiprows={skipped}, "
        f"dtype=str, engine='calamine'){number}"
    )
