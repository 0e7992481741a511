"""Which record numbers are the same but for how they are written."""

import re
import unicodedata

import pandas as pd

from .cells import shown_cell, whole_text
from .validation import shown

# Blanks and selectors that Unicode counts as letters, marks or symbols.
_BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0\ufe00-\ufe0f]")
# Letters of other scripts that look like these; keyboards are switched, and nobody sees it.
LOOKALIKES = str.maketrans(
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425"
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "ABEKMHOPCTYX" + "aeopcyx" + "ABEZHIKMNOPTYX",
)
_OUTER = " \t\r\n'\"="  # a spreadsheet writes ="007" or '007 for a text of digits
_WHOLE_NUMBER = re.compile(r"([^.,]*\d)[.,]0+")
_SEPARATORS = re.compile(r"[\s_/\\-]+")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def respelled(values):
    """Return the pairs of different values that are the same but for spelling, first come first.

    Ignored are case, leading zeros, a trailing ".0", width and composition of letters, look-alikes
    of other scripts, invisible characters, outer spaces and quotes, and separators within where
    one of the two has none. Each value is in few pairs, however many spellings there are.
    """
    values = pd.Series(values)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return []
    values = values.drop_duplicates().tolist()
    texts = [_plain(value) for value in values]
    pairs, firsts, known = [], [], {}
    for place, text in enumerate(texts):
        spellings = known.setdefault(_LEADING_ZEROS.sub("", text), {})
        other = _twin(text, spellings)
        if other is None:
            firsts.append(place)
            spellings[text] = place
        else:
            pairs.append((other, place))
    pairs += _separated(firsts, texts)
    return [(values[one], values[other]) for one, other in sorted(pairs, key=lambda pair: pair[1])]


def shown_spellings(pairs):
    """Count pairs of record numbers and show the first few, with what cannot be seen as escapes."""

    def text(pair):
        return " and ".join(map(_visible, pair))

    return shown(pairs, "pair", text)


def _visible(value):
    """Return a value as errors show it; a character that looks like another is an escape."""
    return "".join(
        c if c.isascii() or not _is_deceptive(c) else ascii(c)[1:-1] for c in shown_cell(value)
    )


def _is_deceptive(character):
    return (
        unicodedata.combining(character) > 0
        or character.translate(LOOKALIKES) != character
        or _character(unicodedata.normalize("NFKC", character)) != character
    )


def _twin(text, spellings):
    """Return the place of the first spelling with the same text or another length, else None."""
    if text in spellings:
        return spellings[text]
    # Codes of one length, such as "a01b2" and "a1b02", are not padded: they are different codes.
    return next((place for other, place in spellings.items() if len(other) != len(text)), None)


def _separated(places, texts):
    """Return the pairs of places of which one text has no separators and the other has some."""
    whole = {_LEADING_ZEROS.sub("", texts[i]): i for i in places if "-" not in texts[i][1:]}
    pairs = []
    for place in places:
        first, rest = texts[place][:1], texts[place][1:]
        if "-" in rest:
            other = whole.get(_LEADING_ZEROS.sub("", first + rest.replace("-", "")))
            pairs += [] if other is None else [(min(other, place), max(other, place))]
    return pairs


def _plain(value):
    """Return a record number in one case and width, its separators as single hyphens."""
    text = whole_text(value)
    if not text.isascii():
        text = _ascii_like(text)
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable() or c.isspace())
    text = text.strip(_OUTER).casefold()
    whole = _WHOLE_NUMBER.fullmatch(text)
    text = whole[1] if whole else text
    # The sign of a number stays.
    return text[:1] + _SEPARATORS.sub("-", text[1:]).rstrip("-")


def _ascii_like(text):
    text = _BLANK.sub("", _decoded(text)).translate(LOOKALIKES)
    text = unicodedata.normalize("NFKC", text.casefold())
    return "".join(map(_character, text))


def _decoded(text):
    """Undo UTF-8 that was read as Latin-1 or Windows-1252."""
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _character(character):
    if len(character) != 1:
        return character
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind in ("Zs", "Zl", "Zp"):
        return " "
    return "-" if kind == "Pd" or character == "\u2212" else character
