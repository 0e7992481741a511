"""Image files that a table names: their names, and where they are."""

import errno
import os
from pathlib import PurePath, PureWindowsPath

import numpy as np
import pandas as pd

from .._utils.cells import shown_cell
from .._utils.problems import Problems
from .._utils.validation import shown
from ..images import check_file
from ._tables import check_unicode

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""How names of image files end, in either case."""

_OTHER_SUFFIXES = (".dcm", ".gif", ".webp", ".jp2", ".jfif", ".nii", ".pdf", ".txt")
_LONGEST_SUFFIX = 10


def check_names(cells, column):
    """Return cells as text, or raise if one of them is neither a file name nor missing."""
    names, problems = [], Problems()
    for row, cell, is_missing in zip(cells.index, cells, cells.isna(), strict=True):
        name = os.fspath(cell) if isinstance(cell, os.PathLike) else cell
        with problems.collected():
            names.append(np.nan if is_missing else _checked(name, f"column {column!r}, row {row}"))
    problems.raise_any()
    return pd.Series(names, index=cells.index, name=cells.name, dtype="str")


def _checked(name, where):
    if not isinstance(name, str):
        raise TypeError(
            f"{where}: an image must be a path of type str or os.PathLike, "
            f"got {shown_cell(name)} ({type(name).__name__}); give the path of the file"
        )
    check_unicode(name, where)
    return name


def is_suffix(what):
    """Return whether this is the end of a file name, such as ".png"."""
    valid = isinstance(what, str) and what.startswith(".") and len(what) <= _LONGEST_SUFFIX
    return valid and what[1:].isalnum() and what.isascii()


def with_suffix(name, suffix):
    """Return a file name with a suffix behind it, unless it ends as an image file does."""
    ends = (*IMAGE_SUFFIXES, *_OTHER_SUFFIXES, suffix.lower())
    return name if name.lower().endswith(ends) else name + suffix


def find_images(names, folder, *, column, link_remedy, suffix=None, declared=None):
    """Return the absolute paths of images, each checked.

    `link_remedy=None` trusts any link, and `declared` returns what one types to declare options.
    """
    real = None
    if folder is not None:
        folder = os.path.abspath(folder)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"the image folder {folder!r} does not exist or is not a folder"
            )
        real = None if link_remedy is None else os.path.realpath(folder)
    # Each name once, and never into a column of pandas, which is copied with each cell.
    found, paths, problems = {}, [], Problems()
    nearly = _NearlyThere(column, suffix, declared)
    for row, name, is_missing in zip(names.index, names, names.isna(), strict=True):
        if is_missing:
            paths.append(np.nan)
            continue
        with problems.collected():
            if name not in found:
                where = f"column {column!r}, row {row}: image {name!r}"
                written = name if suffix is None else with_suffix(name, suffix)
                path = _path_of(written, where, folder)
                if real is not None:
                    _refuse_outside_link(path, folder, real, where, link_remedy)
                try:
                    check_file(path, row=row)
                except FileNotFoundError:
                    if not nearly.add(row, name, path):
                        raise
                    continue
                found[name] = path
            paths.append(found[name])
    nearly.add_to(problems)
    problems.raise_any()
    return pd.Series(paths, index=names.index, name=names.name, dtype="str")


class _NearlyThere:
    """Names of images that are not there, while a file with another end is."""

    def __init__(self, column, suffix, declared):
        self.column, self.suffix, self.declared = column, suffix, declared
        self.rows, self.suffixes, self.first = [], {}, None

    def add(self, row, name, path):
        """Note a file that is not there; return whether one with another end is."""
        stem = path if self.suffix is None else path.removesuffix(self.suffix)
        for end in IMAGE_SUFFIXES:
            for suffix in (end, end.upper()):
                if self.declared and suffix != self.suffix and os.path.isfile(stem + suffix):
                    self.rows.append(row)
                    self.suffixes[suffix] = self.suffixes.get(suffix, 0) + 1
                    self.first = self.first or (name, os.path.basename(stem + suffix))
                    return True
        return False

    def add_to(self, problems):
        """Add one error for all of them, with the suffix to declare."""
        if not self.rows:
            return
        name, file = self.first
        more = f"; so are {shown(self.rows[1:], 'more row')}" if len(self.rows) > 1 else ""
        remedy = f"declare {self.declared(suffix=next(iter(self.suffixes)))}"
        if len(self.suffixes) > 1:
            ends = " and ".join(f"{end!r} ({n} files)" for end, n in self.suffixes.items())
            remedy = f"the files end in {ends}: write the whole name of each file into the column"
        problems.add(
            FileNotFoundError(
                errno.ENOENT,
                f"column {self.column!r}, row {self.rows[0]}: image {name!r} is not there, but "
                f"{file!r} is{more}; {remedy}",
            )
        )


def _path_of(name, where, folder):
    if "\0" in name:
        raise ValueError(f"{where} has a NUL in its name; correct the name")
    return _absolute(name, where) if folder is None else _inside(name, folder, where)


def _absolute(name, where):
    if not os.path.isabs(name):
        raise ValueError(f"{where} is relative; give image_folder, the folder that it lies in")
    return name


def _inside(name, folder, where):
    """Return the path of a name that must stay inside a folder."""
    path = os.path.normpath(os.path.join(folder, name))
    # A backslash may be part of a name here; yet who writes ..\\ means the folder above.
    kinds = PurePath(name), PureWindowsPath(name)
    leaves = any(kind.is_absolute() or ".." in kind.parts for kind in kinds)
    if leaves or not _is_within(path, folder):
        raise ValueError(
            f"{where} is outside the image folder {folder!r}; write it relative to the folder, "
            "without '..', or give another image_folder"
        )
    return path


def _refuse_outside_link(path, folder, real, where, remedy):
    if not _is_within(os.path.realpath(path), real):
        raise ValueError(
            f"{where} is a link to a file outside the image folder {folder!r}; if you trust it, "
            f"{remedy}"
        )


def _is_within(path, folder):
    return os.path.commonpath([path, folder]) == folder
