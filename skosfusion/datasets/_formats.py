"""Tables of other formats: recognized by their content, each with the line of pandas that reads it.

What is recognized is refused: which separator, decimal sign or encoding is meant is for the user to
say, and the line that says it is in the error.
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

_HEAD = 2**16
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*", re.ASCII)
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"(\xb5/\xfd": "zstd"}
_MARKS = {
    b"PAR1": ("Parquet under another name", "pd.read_parquet({path})"),
    b"ARROW1": ("an Arrow (Feather) file", "pd.read_feather({path})"),
    b"\xd0\xcf\x11\xe0": (
        "an Excel workbook of the old kind (.xls; reading it needs the package xlrd)",
        "pd.read_excel({path}, dtype=str)",
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
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def recognize_table(path, texts):
    """Return what a file is that is not comma-separated text, and how it is read; else None.

    `texts` are the columns that must stay text.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD)
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
    return _text(path, head, texts)


def _refusal(what, line):
    return f"it is {what}; read it first, and give the DataFrame: table = {line}"


def _archive(path, head, texts):
    if b"opendocument.spreadsheet" in head[:200]:
        what = "an OpenDocument table (.ods; reading it needs the package odfpy)"
        return _refusal(what, f"pd.read_excel({str(path)!r}, dtype=str, engine='odf')")
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")].lower()
    if not name.endswith((b".csv", b".txt", b".tsv", b"/")):
        what = "an Excel workbook (.xlsx; reading it needs the package openpyxl)"
        return _refusal(what, f"pd.read_excel({str(path)!r}, dtype=str)")
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
        return makers[kind]().decompress(head, _HEAD) if kind in makers else b""
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""


def _text(path, head, texts):
    """Return what a text is that is not comma-separated UTF-8; None where it may be."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<table", b"<meta")):
        # Its default takes decimal commas for marks between thousands.
        line = f"pd.read_html({str(path)!r}, thousands=None)[0]"
        return _refusal("a web page (reading it needs the package lxml)", line)
    if start.startswith((b"[{", b'{"')):
        lines = ", lines=True" if start.startswith(b'{"') and _is_json_line(head) else ""
        return _refusal("JSON", f"pd.read_json({str(path)!r}, dtype=False{lines})")
    encoding = _encoding(path, head)
    separator, skipped = _form(_decoded(head, encoding))
    if encoding == "utf-8" and separator == "," and not skipped:
        return None
    found = []
    if encoding != "utf-8":
        found.append(f"in {encoding}, not in utf-8" + _GUESS.get(encoding, ""))
    if separator != ",":
        found.append(f"separated by {_SEPARATORS[separator]}, not by commas")
    if skipped:
        found.append("begun by a line 'sep=...', which only Excel knows")
    return _refusal("text " + " and ".join(found), _csv_line(path, head, texts, None, encoding))


def _is_json_line(head):
    """Return whether the first line of a text is a whole JSON object, and another one follows."""
    first, _, rest = head.partition(b"\n")
    try:
        return isinstance(json.loads(first), dict) and rest.lstrip().startswith(b"{")
    except ValueError:
        return False


_GUESS = {"cp1252": " (that of Windows in Western Europe; name another if letters look wrong)"}


def _encoding(path, head):
    """Return the encoding of a text."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    if len(head) > 3 and head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if len(head) > 3 and head[::2].count(0) > len(head) // 4:
        return "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        try:
            with open(path, encoding=encoding) as file:
                while file.read(_HEAD):
                    pass
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _decoded(head, encoding):
    """Return the beginning of a text, without a last line that may be cut."""
    encoding = "utf-8-sig" if encoding == "utf-8" else encoding
    text = head.decode(encoding, errors="ignore")
    return text if len(head) < _HEAD else text.rpartition("\n")[0]


def _form(text):
    """Return the separator of a text, and how many lines stand before the names of columns."""
    lines = text.lstrip("\r\n").splitlines()
    first = lines[0] if lines else ""
    skipped = int(first.lower().replace('"', "").startswith("sep="))
    header = re.sub(r'"[^"]*"', "", lines[skipped] if len(lines) > skipped else "")
    best = max(_SEPARATORS, key=header.count)
    return (best if header.count(best) > header.count(",") else ","), skipped


def _csv_line(path, head, texts, compression=None, encoding=None):
    """Return the line of pandas that reads a text: as text, but for numbers with decimal commas."""
    if encoding is None:
        encoding = next((kind for mark, kind in _BOMS.items() if head.startswith(mark)), None)
        encoding = encoding or ("utf-8" if _is_utf8(head) else "cp1252")
    text = _decoded(head, encoding)
    separator, skipped = _form(text)
    options = [] if separator == "," else [f"sep={separator!r}"]
    options += ["skiprows=1"] * skipped
    options += [] if encoding == "utf-8" else [f"encoding={encoding!r}"]
    options += [] if compression is None else [f"compression={compression!r}"]
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
