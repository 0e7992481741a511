"""Image files that a table names: inside their folder, there, and with the declared content."""

import fnmatch
import hashlib
import io
import os
import re
from pathlib import PurePath, PureWindowsPath

import pandas as pd

from .._utils.cells import is_missing, shown_cell
from .._utils.files import write_atomically
from ..exceptions import ImageError
from ..images import check_file, open_image
from ._data_home import get_data_home
from ._tables import check_unicode

# Bump it when a copy made by this version would differ from one made before.
_CROP_VERSION = 1
# What PNG stores as it is.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_SHA256 = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


def check_names(images, missing, missing_images):
    """Return the image column of a table as text, or raise if a cell of it is not a file name."""
    column = images.column_of("image")
    cells = images.column("image")
    cells = cells.mask([is_missing(cell, missing) for cell in cells])
    if missing_images == "error":
        images.refuse_missing("image", cells, "or use missing_images='keep'")
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


def is_screenshot(names, pattern):
    """Tell for each image whether its file name, without folders, matches a shell-style pattern."""
    matches = [
        pattern is not None
        and isinstance(name, str)
        and fnmatch.fnmatchcase(os.path.basename(name), pattern)
        for name in names
    ]
    return pd.Series(matches, index=names.index, dtype=bool)


def find_images(cells, folder, *, column, outside_links):
    """Return the absolute paths of images, NaN where missing, after checking each of them."""
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the image folder {folder!r} does not exist or is no folder")
    real_folder = os.path.realpath(folder)
    paths = cells.copy()
    for row, name in cells[cells.notna()].items():
        path = os.path.normpath(os.path.join(folder, name))
        where = f"column {column!r}, row {row}: image {name!r}"
        if "\0" in name:
            raise ValueError(f"{where} has a NUL in its name; correct the name")
        # A backslash may be part of a name here; yet who writes ..\\ means the folder above.
        kinds = PurePath(name), PureWindowsPath(name)
        leaves = any(kind.is_absolute() or ".." in kind.parts for kind in kinds)
        if leaves or not _is_within(path, folder):
            raise ValueError(
                f"{where} is outside the image folder {folder!r}; write it relative to the folder, "
                "without '..', or give another image_folder"
            )
        if outside_links == "error" and not _is_within(os.path.realpath(path), real_folder):
            raise ValueError(
                f"{where} is a link to a file outside the image folder {folder!r}; if you trust "
                "it, use outside_links='allow'"
            )
        check_file(path, row=row)
        paths[row] = path
    return paths


def check_digests(paths, images, missing):
    """Raise ImageError for the first file that does not have the SHA-256 digest of its row."""
    column = images.column_of("sha256")
    digests = images.column("sha256")
    digests = digests.mask([is_missing(digest, missing) for digest in digests])
    images.refuse_missing("sha256", digests[paths.notna()])
    for row, path in paths[paths.notna()].items():
        digest = digests[row]
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest.strip()):
            raise ValueError(
                f"column {column!r}, row {row}: {shown_cell(digest)} is no SHA-256 digest; give "
                "its 64 hexadecimal digits"
            )
        found = _sha256(path, row).hexdigest()
        if found != digest.strip().lower():
            raise ImageError(
                f"the file has been changed or damaged: its SHA-256 digest is {found}, and not "
                f"{digest.strip()} as in column {column!r}; restore the file, or correct the table",
                path=path,
                row=row,
            )


def _sha256(path, row):
    """Digest of a file, read in parts of constant size."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"the file cannot be read ({reason})", path=path, row=row) from error


def _is_within(path, folder):
    return os.path.commonpath([path, folder]) == folder


def crop_images(paths, box, data_home):
    """Return the paths of PNG copies of images, cropped at one box and made only once."""
    folder = get_data_home(data_home) / "cropped"
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for row, path in paths.items():
        key = _sha256(path, row)
        key.update(repr((_CROP_VERSION, box)).encode())
        copies.append(folder / f"{key.hexdigest()}.png")
        if not copies[-1].exists():
            _write_crop(path, row, box, copies[-1])
    return pd.Series([str(copy) for copy in copies], index=paths.index, dtype="str")


def _write_crop(path, row, box, copy):
    image = open_image(path, row=row)
    if image.mode not in _PNG_MODES:
        raise ImageError(
            f"a screenshot of mode {image.mode} cannot be cropped without loss; export it as 8-bit "
            "grey or RGB",
            path=path,
            row=row,
        )
    right, bottom = box[2:]
    if right > image.width or bottom > image.height:
        raise ValueError(
            f"crop_box={box} reaches outside image {path!r} (row {row}), which is "
            f"{image.width} x {image.height} pixels; correct the box or the screenshot_pattern"
        )
    png = io.BytesIO()
    image.crop(box).save(png, format="PNG")
    write_atomically(copy, png.getvalue())
