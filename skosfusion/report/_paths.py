"""Paths in titles and settings: base names alone, since folders may name a person."""

import os
import re

#: Characters that are looked at; what follows is not shown.
LONGEST = 4000
_DRIVE = r"(?:[A-Za-z]:|~)?"
_SEPARATOR = r"[\\/]"
# A folder may have spaces where another separator follows it.
_FOLDERS = r"(?:[^\\/'\"\n,;:=(){}\[\]<>]+[\\/])*"
_LAST = r"[^\\/'\"\s,;(){}\[\]<>]*"
_ENDING = r"\.[A-Za-z][A-Za-z0-9]{0,7}\b"
_PATHS = [
    # In quotation marks, as in the repr of a dict or a Path.
    re.compile(rf"(?<=['\"])[^'\"]*{_SEPARATOR}[^'\"]*(?=['\"])"),
    # From the root, the home or the folder of the script on.
    re.compile(rf"(?<![\w./\\])(?:{_DRIVE}|\.{{1,2}}){_SEPARATOR}{_FOLDERS}{_LAST}"),
    # To a file with an ending, and through several folders.
    re.compile(rf"[^\s\\/'\",;:=(){{}}\[\]<>]+{_SEPARATOR}{_FOLDERS}{_LAST}{_ENDING}"),
    re.compile(rf"(?<!\S)[^\s\\/'\",;]*[^\W\d][^\s\\/'\",;]*(?:{_SEPARATOR}[^\s\\/'\",;]+){{2,}}"),
]
_UNIT = re.compile(r".{1,12}/(?:[dmµu]?[lL]|kg|m2|day|d|h|min|s|a|ULN)")
_PROSE = re.compile(r"[,;:.]\s|\s[\\/]\s|['\"(\[{]")


def base_names(value):
    """Return a title or a setting as a text in which paths have lost their folders.

    A text that is nothing but one path, be it relative or with spaces, is its base name.
    """
    if isinstance(value, os.PathLike):
        value = os.fsdecode(value)
        return _base_name(value) if re.search(_SEPARATOR, value) else value
    text = str(value)[:LONGEST]
    if not re.search(_SEPARATOR, text):
        return text
    if isinstance(value, str) and not (_UNIT.fullmatch(text) or _PROSE.search(text)):
        is_one_path = not re.search(r"\s", text) or _PATHS[1].match(text)
        if is_one_path or re.search(rf"{_ENDING}$", text):
            return _base_name(text)
    for path in _PATHS:
        text = path.sub(lambda match: _base_name(match[0]), text)
    return text


def _base_name(path):
    return ".../" + re.split(_SEPARATOR, path.rstrip("\\/"))[-1]
