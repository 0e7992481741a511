"""An image table out of the names of folders."""

import logging
import os
from collections import Counter

import pandas as pd

from .._utils.files import OUTPUT_MARK
from .._utils.validation import check_parameter, shown
from ._image_files import IMAGE_SUFFIXES
from ._tables import check_unicode

OTHER_FILES = "skosfusion: other files"
"""Where a listed table keeps how many other files there were, by suffix (`DataFrame.attrs`)."""

_logger = logging.getLogger(__name__)
# What systems leave beside images.
_SYSTEM_NAMES = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "thumbs"}
_SYSTEM_NAMES |= {"thumbnails", "system volume information"}
_MOST_IMAGES = 10_000_000


def list_images(folder, levels=("diagnosis", "patient_id")):
    """Make an image table of a folder whose subfolders are labels, patients and the like.

    Parameters
    ----------
    folder : path-like
        The image folder, such as one that holds ``OS/017/ap.jpg`` and ``NOS/018/ap.jpg``.
    levels : sequence of str, default=("diagnosis", "patient_id")
        What the subfolders are, from the outer to the inner: the columns that their names become.
        Each image lies that deep.

    Returns
    -------
    table : DataFrame of shape (n_images, 1 + n_levels)
        "image", the path relative to `folder` with "/" between its parts, and a column for each
        level, as text; sorted by path. ``table.attrs["skosfusion: other files"]`` says how many
        files with other names there were, by suffix.

    Raises
    ------
    ValueError
        For an argument out of its set; a folder without any image, and an image that lies too high
        or too deep; a symbolic link to a folder, or out of the image folder; and a name that is not
        valid Unicode.
    FileNotFoundError
        For a folder that is not there.

    See Also
    --------
    load_cohort : Take the table, with ``image_folder=folder``.

    Notes
    -----
    Images are known by the end of their name: ``.png``, ``.jpg``, ``.jpeg``, ``.tif``, ``.tiff``,
    ``.bmp``, in either case. Hidden files and folders, and what systems leave behind, such as
    ``Thumbs.db`` and ``__MACOSX``, are skipped, and so are folders that the command ``skosfusion``
    has written results to; other files are counted, and said in the log.

    Where patients are numbered anew in each label, ``1`` of one and ``1`` of another would be one
    patient: make one name of both, ``table["diagnosis"] + "/" + table["patient_id"]``.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from skosfusion.datasets import list_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("OS/017/ap.jpg", "OS/017/lateral.jpg", "NOS/018/ap.jpg"):
    ...         path = pathlib.Path(folder, name)
    ...         path.parent.mkdir(parents=True, exist_ok=True)
    ...         path.touch()
    ...     list_images(folder)
                    image diagnosis patient_id
    0      NOS/018/ap.jpg       NOS        018
    1       OS/017/ap.jpg        OS        017
    2  OS/017/lateral.jpg        OS        017
    """
    valid = isinstance(levels, list | tuple) and len(levels) > 0
    valid = valid and all(isinstance(name, str) and name.strip() for name in levels)
    valid = valid and len({*levels, "image"}) == len(levels) + 1
    check_parameter("levels", levels, valid, "different names of columns other than 'image'")
    folder = os.path.abspath(os.fspath(folder))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"the image folder {folder!r} does not exist or is not a folder")
    found, others = [], Counter()
    for parts in _files(folder):
        suffix = os.path.splitext(parts[-1])[1].lower()
        if suffix not in IMAGE_SUFFIXES:
            others[suffix or "without suffix"] += 1
            continue
        name = "/".join(parts)
        check_unicode(name, f"image {name!r} in {folder!r}")
        _check_depth(parts, levels, folder)
        found.append(parts)
        if len(found) > _MOST_IMAGES:
            raise ValueError(f"{folder!r} holds more than {_MOST_IMAGES} images; list a part of it")
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    if not found:
        raise ValueError(
            f"there is no image in {folder!r} ({', '.join(IMAGE_SUFFIXES)}); other files: "
            f"{counts or 'none'}; give the folder that holds those of {levels[0]!r}"
        )
    if counts:
        _logger.info("%d images listed, and other files left out: %s", len(found), counts)
    found.sort()
    rows = [("/".join(parts), *parts[:-1]) for parts in found]
    table = pd.DataFrame(rows, columns=["image", *levels], dtype="str")
    table.attrs[OTHER_FILES] = dict(others)
    return table


def _files(folder):
    """Yield the parts of the path of each file below a folder; no link is followed out of it."""
    real, waiting = os.path.realpath(folder), [()]
    while waiting:
        parents = waiting.pop()
        with os.scandir(os.path.join(folder, *parents)) as entries:
            entries = list(entries)
        if parents and any(entry.name == OUTPUT_MARK for entry in entries):
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_NAMES:
                continue
            parts = (*parents, entry.name)
            if entry.is_symlink():
                _check_link(entry, parts, folder, real)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(parts)
            elif entry.is_file():
                yield parts


def _check_link(entry, parts, folder, real):
    target = os.path.realpath(entry.path)
    is_outside = os.path.commonpath([target, real]) != real
    if is_outside or entry.is_dir():
        what = "out of the image folder" if is_outside else "to a folder, which is not followed"
        raise ValueError(
            f"{'/'.join(parts)!r} in {folder!r} is a symbolic link {what}; put what it leads to in "
            "its place, or take it out"
        )


def _check_depth(parts, levels, folder):
    if len(parts) - 1 == len(levels):
        return
    seen = "/".join(parts)
    wanted = "/".join([*(f"<{name}>" for name in levels), "<image>"])
    deep = len(parts) - 1
    raise ValueError(
        f"image {seen!r} in {folder!r} lies in {shown(parts[:-1], 'folder', repr)}, but "
        f"levels={tuple(levels)!r} are {len(levels)}: it should be {wanted!r}; move it, give "
        f"another folder, or name {deep or 1} level{'s' if deep > 1 else ''}"
    )
