"""What kind of file a table is, by its content; of formats that are not read here, what reads them.

Those are refused, with the line of pandas in the error.
"""

import bz2
import contextlib
import csv
import io
import json
import lzma
import re
import zipfile
import zlib

from ._sniff import BOMS, HEAD, decoded_head, separator_of

_OLE = b"\xd0\xcf\x11\xe0"
_PARTS = ("[content_types].xml", "content.xml")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*", re.ASCII)
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd"}
_MARKS = {
    b"ARROW1": ("an Arrow (Feather) file", "pd.read_feather({path})"),
    _OLE: (
        "an Excel workbook of the old kind (.xls; save it as .xlsx, or read it yourself)",
        "pd.read_excel({path}, dtype=str, engine='calamine')",
    ),
    b"$FL2": ("an SPSS file (reading it needs the package pyreadstat)", "pd.read_spss({path})"),
    b"$FL3": ("an SPSS file (reading it needs the package pyreadstat)", "pd.read_spss({path})"),
    b"<stata_dta>": ("a Stata file", "pd.read_stata({path})"),
    **{
        bytes([release, order, 1, 0]): ("a Stata file", "pd.read_stata({path})")
        for release in b"lnqrs"  # versions 8 to 12
        for order in (1, 2)
    },
    b"\x89HDF": ("an HDF5 file (reading it needs the package tables)", "pd.read_hdf({path})"),
    b"SQLite format 3": (
        "an SQLite database",
        "pd.read_sql('SELECT * FROM a_table', sqlite3.connect({path}))",
    ),
}
_SAS = b"\x00" * 12 + b"\xc2\xea\x81\x60"


def kind_of(path, texts):
    """Return "text", "workbook" or "parquet" for what is read here; raise ValueError for others.

    `texts` are the columns that must stay text, for the line of pandas in the error.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(_OLE) and _is_encrypted(path):
        raise ValueError(
            "it is a workbook under a password; open it in a spreadsheet, remove the password (in "
            "Excel: File, Info, Protect Workbook, Encrypt with Password), and save it"
        )
    other = _refusal_of(path, head, texts)
    if other:
        raise ValueError(other)
    return "workbook" if head.startswith(b"PK\x03\x04") else "text"


def _is_encrypted(path):
    """Return whether a container of Microsoft holds an encrypted package."""
    name, last = "EncryptedPackage".encode("utf-16-le"), b""
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            if name in last + chunk:
                return True
            last = chunk[-len(name) :]
    return False


def _refusal_of(path, head, texts):
    """Return what a file is that is not read here, and how it is read; else None."""
    for mark, (what, line) in _MARKS.items():
        if head.startswith(mark):
            return _refusal(what, line.format(path=repr(str(path))))
    if head.startswith(b"PK\x03\x04"):
        return _archive(path, head, texts)
    if head.startswith(_SAS):
        return _refusal("a SAS file", f"pd.read_sas({str(path)!r}, encoding='latin-1')")
    for mark, kind in _COMPRESSED.items():
        if head.startswith(mark):
            inner = _decompressed(head, kind)
            return _refusal(f"compressed with {kind}", _csv_line(path, inner, texts, kind))
    return _text(path, head)


def _refusal(what, line):
    return f"it is {what}; read it first, and give the DataFrame: table = {line}"


def _archive(path, head, texts):
    """Return what a zip archive is that is no workbook; None where it may be one."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")].lower()
    if not name.endswith((b".csv", b".txt", b".tsv", b"/")) or _has_part(path, _PARTS):
        return None
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        n_files = len(archive.namelist())
        # pandas reads an archive of one file alone, without a folder beside it.
        if n_files > 1:
            return f"it is a zip archive of {n_files} files; unpack it, and give the table in it"
    return _refusal("a zip archive", _csv_line(path, _decompressed(head, "zip"), texts, "zip"))


def _decompressed(head, kind):
    """Return the beginning of what is compressed, as far as it can be told; b"" where not."""
    if kind == "zip":
        # One file of an archive: a header, with the lengths of the name and of what follows it.
        lengths = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
        is_plain, head = head[8:10] == b"\0\0", head[30 + sum(lengths) :]
        if is_plain:
            return head
    makers = {
        "zip": lambda: zlib.decompressobj(wbits=-15),
        "gzip": lambda: zlib.decompressobj(wbits=31),
        "bz2": bz2.BZ2Decompressor,
        "xz": lzma.LZMADecompressor,
    }
    try:
        return makers[kind]().decompress(head, HEAD) if kind in makers else b""
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""


def _has_part(path, names):
    """Return whether a zip archive holds a part of one of these names."""
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        return any(name.lower() in names for name in archive.namelist())
    return False


def _text(path, head):
    """Return what a text is that is no table; None where it may be one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<table", b"<meta")):
        # Its default takes decimal commas for marks between thousands.
        line = f"pd.read_html({str(path)!r}, thousands=None)[0]"
        return _refusal("a web page (reading it needs the package lxml)", line)
    if start.startswith((b"[{", b'{"')):
        lines = ", lines=True" if start.startswith(b'{"') and _is_json_line(head) else ""
        return _refusal("JSON", f"pd.read_json({str(path)!r}, dtype=False{lines})")
    if start.startswith(b"<?xml"):
        return "it is XML, perhaps a workbook of Excel 2003; save it as .xlsx or CSV"
    return None


def _is_json_line(head):
    """Return whether the first line of a text is a whole JSON object, and another one follows."""
    first, _, rest = head.partition(b"\n")
    try:
        return isinstance(json.loads(first), dict) and rest.lstrip().startswith(b"{")
    except ValueError:
        return False


def _csv_line(path, head, texts, compression):
    """Return the line of pandas that reads a text: as text, but for numbers with decimal commas."""
    encoding = next((kind for mark, kind in BOMS.items() if head.startswith(mark)), None)
    encoding = encoding or ("utf-8" if _is_utf8(head) else "cp1252")
    text = decoded_head(head, encoding)
    skipped = int(text.lower().lstrip('"\r\n').startswith("sep="))
    separator = separator_of(text.partition("\n")[2] if skipped else text, is_cut=True)
    options = [] if separator == "," else [f"sep={separator!r}"]
    options += ["skiprows=1"] * skipped
    options += [] if encoding == "utf-8" else [f"encoding={encoding!r}"]
    options.append(f"compression={compression!r}")
    if texts and separator != "," and _has_decimal_commas(text, separator):
        options.append("decimal=','")
        # With dtype=str all cells would stay text, decimal commas and all.
        options.append("dtype={" + ", ".join(f"{name!r}: str" for name in texts) + "}")
    else:
        options.append("dtype=str")
    return f"pd.read_csv({str(path)!r}, {', '.join(options)})"


def _is_utf8(head):
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3
    return True


def _has_decimal_commas(text, separator):
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error:
        return False
    return any(_DECIMAL_COMMA.fullmatch(cell) for row in rows[1:] for cell in row)
