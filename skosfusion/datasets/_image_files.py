"""Image files that a table names: inside their folder, there, and of the declared kind."""

import fnmatch
import hashlib
import io
import os
import stat
from pathlib import Path

import pandas as pd

from ..exceptions import ImageError
from ..files import write_atomically
from ..images import open_image
from ..preprocessing._columns import is_missing
from ._data_home import get_data_home

# Bump it when a copy made by this version would differ from one made before.
_CROP_VERSION = 1
# What PNG stores as it is.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


def check_names(images, missing):
    """Return the image column of a table as text, or raise if a cell of it is not a file name."""
    column = images.column_of("image")
    names = images.column("image")
    names = names.mask([is_missing(name, missing) for name in names])
    images.refuse_missing("image", names)
    for row, name in names.items():
        if not isinstance(name, str):
            raise TypeError(
                f"column {column!r}, row {row}: an image must be a path of type str, "
                f"got {name!r} ({type(name).__name__})"
            )
    return names.astype("str")


def is_screenshot(names, pattern):
    """Tell for each image whether its file name, without folders, matches a shell-style pattern."""
    matches = [
        pattern is not None and fnmatch.fnmatchcase(os.path.basename(name), pattern)
        for name in names
    ]
    return pd.Series(matches, index=names.index, dtype=bool)


def find_images(cells, folder, *, column, outside_links):
    """Return the absolute paths of images, after checking every one of them."""
    folder = os.path.abspath(folder)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the image folder {folder!r} does not exist or is no folder")
    real_folder = os.path.realpath(folder)
    paths = []
    for row, name in cells.items():
        path = os.path.normpath(os.path.join(folder, name))
        where = f"column {column!r}, row {row}: image {name!r}"
        if "\0" in name:
            raise ValueError(f"{where} has a NUL in its name; correct the name")
        if os.path.isabs(name) or ".." in Path(name).parts or not _is_within(path, folder):
            raise ValueError(
                f"{where} is outside the image folder {folder!r}; write it relative to the folder, "
                "without '..', or give another image_folder"
            )
        if outside_links == "error" and not _is_within(os.path.realpath(path), real_folder):
            raise ValueError(
                f"{where} is a link to a file outside the image folder {folder!r}; if you trust "
                "it, use outside_links='allow'"
            )
        _check_file(path, where, row)
        paths.append(path)
    return pd.Series(paths, index=cells.index, dtype="str")


def _is_within(path, folder):
    return os.path.commonpath([path, folder]) == folder


def _check_file(path, where, row):
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        if os.path.islink(path):
            raise ImageError("the link points to nothing", path=path, row=row) from error
        raise FileNotFoundError(
            f"{where} is missing: there is no file {path!r}; correct the table or add the file"
        ) from error
    except OSError as error:
        raise ImageError(f"{error.strerror}", path=path, row=row) from error
    if not stat.S_ISREG(mode):
        raise ImageError("not a regular file", path=path, row=row)


def crop_images(paths, box, data_home):
    """Return the paths of PNG copies of images, cropped at one box and made only once."""
    folder = get_data_home(data_home) / "cropped"
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for row, path in paths.items():
        with open(path, "rb") as file:
            key = hashlib.file_digest(file, "sha256")
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
