"""Image files that a table names: their names, and where they are."""

import os
from pathlib import PurePath, PureWindowsPath

from .._utils.cells import shown_cell
from ..images import check_file
from ._tables import check_unicode


def check_names(cells, column):
    """Return cells as text, or raise if one of them is neither a file name nor missing."""
    names = cells.astype(object)
    for row, cell in cells[cells.notna()].items():
        where = f"column {column!r}, row {row}"
        name = os.fspath(cell) if isinstance(cell, os.PathLike) else cell
        if not isinstance(name, str):
            raise TypeError(
                f"{where}: an image must be a path of type str or os.PathLike, "
                f"got {shown_cell(name)} ({type(name).__name__}); give the path of the file"
            )
        check_unicode(name, where)
        names[row] = name
    return names.astype("str")


def find_images(names, folder, *, column, link_remedy):
    """Return the absolute paths of images, each checked; `link_remedy=None` trusts any link."""
    if folder is not None:
        folder = os.path.abspath(folder)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"the image folder {folder!r} does not exist or is not a folder"
            )
    paths = names.copy()
    for row, name in names[names.notna()].items():
        where = f"column {column!r}, row {row}: image {name!r}"
        if "\0" in name:
            raise ValueError(f"{where} has a NUL in its name; correct the name")
        path = _absolute(name, where) if folder is None else _inside(name, folder, where)
        if folder is not None and link_remedy is not None:
            _refuse_outside_link(path, folder, where, link_remedy)
        check_file(path, row=row)
        paths[row] = path
    return paths


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


def _refuse_outside_link(path, folder, where, remedy):
    if not _is_within(os.path.realpath(path), os.path.realpath(folder)):
        raise ValueError(
            f"{where} is a link to a file outside the image folder {folder!r}; if you trust it, "
            f"{remedy}"
        )


def _is_within(path, folder):
    return os.path.commonpath([path, folder]) == folder
