"""What a text is written in: its encoding, and what separates its cells.

Where two readings are possible, an error names both and the parameter that decides.
"""

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from .._utils.validation import refused

HEAD = 2**16
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}
BOMS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8 with a mark", "utf-16": "UTF-16"}
_NAMES |= {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32"}
_NAMES |= {"cp1252": "cp1252 (that of Windows in Western Europe)"}

# Windows-1252 as it is written in Western Europe; other bytes speak for another encoding.
_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýßœÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝŒ"
_SYMBOLS = "°µ±²³§€–—‘’“”„…«»·×÷½¼¾®©ªº¿¡‰†\xa0"  # noqa: RUF001
_IN_WORDS = "°µ–—‘’·×ªº\xa0"  # noqa: RUF001
_ODD = re.compile(rf"[^\W\d_][{''.join(c for c in _SYMBOLS if c not in _IN_WORDS)}][^\W\d_]")
_FOREIGN = re.compile(r"[^\x00-\x7f]{3}")
_HIGH_WORD = re.compile(rb'[^\s,;|"\t]*[\x80-\xff][^\s,;|"\t]*')
_MOST_WORDS = 20_000
_OTHERS = ("cp850", "mac_roman", "cp1250", "cp1251", "gb18030", "shift_jis")


@dataclass(frozen=True)
class Form:
    """How a text is written."""

    encoding: str
    separator: str
    n_skipped: int  # lines before the names of the columns ("sep=;")

    @property
    def words(self):
        """Return it in words."""
        return f"separated by {self.separator!r}, {_NAMES.get(self.encoding, self.encoding)}"


def sniff(path, separator=None, encoding=None):
    """Return the Form of a text file; what is given is taken as it is."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    encoding = encoding_of(path, head) if encoding is None else _declared(encoding, head)
    text = decoded_head(head, encoding)
    first = text.lstrip("\r\n").partition("\n")[0].strip().strip('"')
    n_skipped = int(first.lower().startswith("sep="))
    if n_skipped:
        text = text.lstrip("\r\n").partition("\n")[2]
        separator = separator or first[4:5] or None
    return Form(encoding, separator or separator_of(text, len(head) == HEAD), n_skipped)


def _declared(encoding, head):
    """Return a declared encoding, which skips a mark where there is one."""
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)
    except (LookupError, TypeError) as error:
        allowed = "the name of an encoding that Python knows, such as 'utf-8' or 'cp1252'"
        raise refused("encoding", encoding, allowed) from error
    return "utf-8-sig" if name == "utf-8" and head.startswith(b"\xef\xbb\xbf") else name


def encoding_of(path, head):
    """Return the encoding of a text file that begins with these bytes."""
    for mark, encoding in BOMS.items():
        if head.startswith(mark):
            return encoding
    if len(head) > 3 and head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if len(head) > 3 and head[::2].count(0) > len(head) // 4:
        return "utf-16-be"
    try:
        with open(path, encoding="utf-8") as file:
            while file.read(2**20):
                pass
    except UnicodeDecodeError as error:
        _check_windows(path, error)
        return "cp1252"
    return "utf-8"


def _check_windows(path, error):
    """Raise ValueError if a text that is not UTF-8 does not read well as Windows-1252, either."""
    words = {}
    with open(path, "rb") as file:
        for n_line, line in enumerate(iter(lambda: file.readline(2**20), b""), 1):
            if not line.isascii():
                words |= dict.fromkeys(_HIGH_WORD.findall(line), n_line)
                if len(words) > _MOST_WORDS:
                    break
    for word, n_line in words.items():
        if not _reads_well(word):
            readings = [(name, _as(word, name)) for name in ("cp1252", *_OTHERS)]
            seen = [f"{text!r} in {name}" for name, text in readings if text]
            raise ValueError(
                f"its encoding cannot be told: it is not utf-8 ({error.reason}), and a word of "
                f"line {n_line} would be {' or '.join(seen[:4]) or repr(word)}; name the encoding, "
                f"as in read_table(path, encoding={_OTHERS[0]!r})"
            ) from error


def _as(word, encoding):
    """Return bytes as a word of this encoding; None where they are none."""
    try:
        text = word.decode(encoding)
    except UnicodeDecodeError:
        return None
    is_word = encoding == "cp1252" or all(c.isascii() or c.isalpha() for c in text)
    return text[:40] if is_word else None


def _reads_well(word):
    """Return whether bytes, as Windows-1252, make a word or a sign of Western Europe."""
    try:
        text = word.decode("cp1252")
    except UnicodeDecodeError:
        return False
    high = [c for c in text if not c.isascii()]
    if not all(c in _LETTERS or c in _SYMBOLS for c in high) or _FOREIGN.search(text):
        return False
    letters = [c for c in text if c.isalpha()]
    if len(high) > 1 and letters and not any(c.isascii() for c in letters):
        return False
    return not _ODD.search(text)


def decoded_head(head, encoding):
    """Return the beginning of a text, without a last line that may be cut."""
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="ignore")
    return text if len(head) < HEAD else text.rpartition("\n")[0]


def separator_of(text, is_cut=False):
    """Return the separator of a text, by its first lines."""
    lengths = {mark: _lengths(text, mark, is_cut) for mark in SEPARATORS}
    fitting = [mark for mark, n in lengths.items() if n and n[0] > 1 and len(set(n)) == 1]
    if len(fitting) > 1:
        readings = [f"by {mark!r} into {lengths[mark][0]} columns" for mark in fitting]
        raise ValueError(
            f"it may be separated {' or '.join(readings)}; say which, as in read_table(path, "
            f"separator={fitting[0]!r})"
        )
    if fitting:
        return fitting[0]
    header = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").partition("\n")[0])
    best = max(SEPARATORS, key=header.count)
    if header.count(best):
        return best if header.count(best) > header.count(",") else ","
    # A title stands above: by the lines below it, in which decimal commas come now and then.
    return max(SEPARATORS, key=lambda mark: _steadiness(lengths[mark][1:]))


def _lengths(text, separator, is_cut):
    """Return the number of cells in each of the first rows; none where it cannot be read so."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        return []
    return [len(row) for row in (rows[:-1] if is_cut else rows) if row]


def _steadiness(lengths):
    """Return the share of rows with the most frequent number of cells, which is above 1."""
    counts = Counter(length for length in lengths if length > 1)
    return counts.most_common(1)[0][1] / len(lengths) if counts else 0.0
