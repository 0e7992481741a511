"""Workbooks made for tests: of Excel with openpyxl, of OpenDocument by hand."""

import zipfile

_NAMES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)
_TYPE = "application/vnd.oasis.opendocument.spreadsheet"


def write_xlsx(path, rows, title="Tabelle1", **sheets):
    """Write rows into the first sheet of a workbook, and others into sheets of their own."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = title
    for name, its_rows in {title: rows, **sheets}.items():
        sheet = book.active if name == title else book.create_sheet(name)
        for row in its_rows:
            sheet.append(row)
    book.save(path)
    return path


def change_part(path, part, change):
    """Write a workbook again with a part changed, or another one added; `change` takes bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts.get(part, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def ods_cell(value="", more=""):
    """Return the XML of a cell: text, a number, a boolean or none."""
    if value == "":
        return f"<table:table-cell {more}/>"
    if isinstance(value, bool):
        kind = f'office:value-type="boolean" office:boolean-value="{str(value).lower()}"'
    elif isinstance(value, int | float):
        kind = f'office:value-type="float" office:value="{value}"'
    elif value[:4].isdecimal() and value[4:5] == "-":
        kind = f'office:value-type="date" office:date-value="{value}"'
    else:
        kind = 'office:value-type="string"'
    return f"<table:table-cell {kind} {more}><text:p>{value}</text:p></table:table-cell>"


def ods_row(*cells, more=""):
    """Return the XML of a row, of values or of cells in XML; empty cells follow, as usual."""
    made = [c if isinstance(c, str) and c.startswith("<") else ods_cell(c) for c in cells]
    rest = ods_cell(more='table:number-columns-repeated="16370"')
    return f"<table:table-row {more}>{''.join(made)}{rest}</table:table-row>"


def write_ods(path, *rows, tables=(), styles=""):
    """Write rows, in XML, into the first sheet of an OpenDocument workbook."""
    bodies = [("Tabelle1", "".join(rows), ""), *tables]
    body = "".join(
        f'<table:table table:name="{name}" {more}>{its}</table:table>' for name, its, more in bodies
    )
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_NAMES}>'
        f"<office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>{body}</office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{_TYPE}"/>'
        "</manifest:manifest>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", _TYPE, zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", manifest)
        archive.writestr("content.xml", content)
    return path
