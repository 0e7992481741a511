"""Columns of a table whose names are nearly ours, and are not read."""

import difflib
import re
import unicodedata

from .._utils.identity import LOOKALIKES

# What hospitals call what we call so.
_SYNONYMS = {
    "gender": {"sex", "geschlecht", "geschl", "sexe", "sexo", "genre"},
    "age": {"alter", "edad", "âge"},
    "alp": {"alkalinephosphatase", "alkphos", "alkp", "ap"},
    "ldh": {"lactatedehydrogenase", "laktatdehydrogenase", "ld"},
    "low": {"lower", "min", "lln", "von", "from", "unten", "ll"},
    "high": {"upper", "max", "uln", "bis", "to", "oben", "ul"},
}
# What stands beside the name itself.
_BESIDE = {"at", "in", "of", "the", "bei", "exam", "examination", "diagnosis", "scan", "study"}
_BESIDE |= {"admission", "patient", "patients", "pat", "pt", "years", "year", "yrs", "y", "jahre"}
_BESIDE |= {"jahren", "dx", "s", "p", "plasma", "blood"}
_BESIDE |= {"serum", "value", "val", "result", "level", "limit", "range", "ref", "u", "l"}
_WORDS = ["VALUE", "LOW", "HIGH"]
_CLOSE = 0.8
_LONG_ENOUGH = 5


def name_key(name):
    """Return what is equal for names that differ in spelling only, without a unit in brackets."""
    text = unicodedata.normalize("NFKC", str(name)).translate(LOOKALIKES).casefold()
    text = re.sub(r"[(\[].*?[)\]]", "", text)
    return "".join(character for character in text if character.isalnum())


def _parts(name):
    """Return the words of a name that say what it is, in our own words where we know them."""
    text = unicodedata.normalize("NFKC", str(name))
    text = re.sub(r"[(\[].*?[)\]]", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).casefold()
    words = [word for word in re.findall(r"[^\W_]+", text) if word not in _BESIDE]
    return [next((our for our, s in _SYNONYMS.items() if word in s), word) for word in words]


def near_names(absent, tables, used):
    """Return the unread columns that are nearly one of ours: {our name: for each of its parts}."""
    taken = {name for column in used for name in column._columns}
    free = [
        column
        for table in tables
        for column in table.cells.columns
        if isinstance(column, str) and column not in taken
    ]
    found = {}
    for name, declaration in absent.items():
        near = {part: nearest_names(part, free) for part in declaration._columns}
        if near[declaration._columns[0]]:
            found[name] = list(near.values())
    return found


def nearest_names(name, columns):
    """Return the columns that are nearly of this name."""
    key = name_key(name)
    return [
        column
        for column in columns
        if column == name
        or name_key(column) == key
        or name_key(column) in _SYNONYMS.get(name, ())
        or _parts(column) == _parts(name)
        or _is_close(name_key(column), key)
    ]


def _is_close(one, other):
    if min(len(one), len(other)) < _LONG_ENOUGH or one[-1:].isdigit():
        return False
    return difflib.SequenceMatcher(None, one, other).ratio() >= _CLOSE


def note_near_names(near):
    """Return a warning for each input that is left out although a column may hold it."""
    return [_note(name, parts) for name, parts in near.items()]


def _note(name, parts):
    seen = [column for found in parts for column in found]
    words = [repr(found[0]) if found else word for found, word in zip(parts, _WORDS, strict=False)]
    typed = words[0] if len(parts) == 1 else f"({', '.join(words)})"
    replaced = [word for word in words if word in _WORDS]
    hint = f" (with a column or a number as {' and '.join(replaced)})" if replaced else ""
    return (
        f"the input {name!r} is left out: no column has its name, but {len(seen)} nearly "
        f"{'has' if len(seen) == 1 else 'have'} it ({', '.join(map(repr, seen))}); declare "
        f"columns={{{name!r}: {typed}}}{hint} to read it, or columns={{{name!r}: None}} to leave "
        "it out"
    )
