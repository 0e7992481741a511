"""Screenshots among the images of a frame, told by file name: left out, or cropped."""

import fnmatch
import hashlib
import io
import logging
import os
import stat
import struct
import zlib
from functools import partial

import pandas as pd

from .._utils.files import read_regular_file, write_atomically
from .._utils.private_folders import make_private_folder, warn_of_shared_folder
from .._utils.validation import check_integer, check_parameter
from ..exceptions import ImageError
from ..images import MAX_FILE_BYTES, decode, read_file
from ._data_home import get_data_home
from ._flow import with_step, without_rows
from ._frames import open_frame

_logger = logging.getLogger(__name__)

# Increase this when a copy made by this version would differ from one made before.
_CROP_VERSION = 1
# What PNG stores as it is.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_PNG_END = 12  # bytes of the last block
_DIGEST_NAME = b"skosfusion SHA-256\0"
# What others may do with a copy, at most.
_COPY_MODE = 0o644


def exclude_screenshots(frame, pattern, *, image="image", patient="patient_id"):
    """Leave out the rows whose image is a screenshot of a whole desktop.

    Call it before :func:`load_cohort`, so that nothing else of these rows is read. The other rows
    keep their index, and errors of `load_cohort` name them by it.

    Parameters
    ----------
    frame : DataFrame or path-like
        One row per image. A path is read as :func:`load_cohort` reads it, all cells of CSV as text.
    pattern : str
        Shell-style pattern such as ``"*_screen.png"`` for the names of screenshots, without
        folders; case matters.
    image : str or ImageColumn, default="image"
        Column of the image paths.
    patient : str or None, default="patient_id"
        Column of the record numbers, by which the flow of the cohort counts patients. Without it,
        or where `frame` has no column of this name, patients are not counted.

    Returns
    -------
    kept : DataFrame
        The other rows. How many were left out is logged, and counted for ``cohort.flow``.

    Raises
    ------
    ValueError
        For a pattern that fits all images or is not a text, and for a table that is empty, cannot
        be read or has no such column.
    TypeError
        For a table or an image path of another type.
    FileNotFoundError
        For a table that is not there.

    See Also
    --------
    crop_screenshots : Cut the radiographs out instead.

    Examples
    --------
    >>> import pandas as pd
    >>> from skosfusion.datasets import exclude_screenshots
    >>> table = pd.DataFrame({"image": ["a.png", "b_screen.png", "c.png"]})
    >>> exclude_screenshots(table, "*_screen.png")
       image
    0  a.png
    2  c.png
    """
    opened = open_frame(frame, image)
    shots = _are_screenshots(opened.names, pattern)
    n_excluded = int(shots.sum())
    if n_excluded == len(shots):
        raise ValueError(
            f"pattern={pattern!r} excludes all {n_excluded} images; correct it, or use "
            "crop_screenshots"
        )
    _logger.info("%d screenshots excluded", n_excluded)
    cells = frame if isinstance(frame, pd.DataFrame) else opened.table.cells
    reason = f"screenshots, {pattern!r}"
    return without_rows(cells, shots.to_numpy(), "exclude_screenshots", reason, patient)


def crop_screenshots(
    frame,
    pattern,
    crop_box,
    *,
    image="image",
    image_folder=None,
    data_home=None,
    image_frame=None,
):
    """Replace screenshots of a whole desktop by copies cropped at one fixed box.

    Copies are PNG without loss, named by content, made once, and made anew where their digest shows
    that they have changed. Call it after :func:`load_cohort`, with ``cohort.frame``: the copies lie
    outside the image folder.

    Parameters
    ----------
    frame : DataFrame or path-like
        One row per image.
    pattern : str
        Shell-style pattern such as ``"*_screen.png"`` for the names of screenshots, without
        folders; case matters.
    crop_box : tuple of four int
        Left, top, right and bottom of the radiograph in a screenshot, in pixels from its top left
        corner; right and bottom are the first column and row that are left off.
    image : str or ImageColumn, default="image"
        Column of the image paths.
    image_folder : path-like or None, default=None
        Folder that the image paths are relative to. None takes that of a table given as path, and
        needs absolute paths in a DataFrame, as in ``cohort.frame``.
    data_home : path-like or None, default=None
        The copies are kept in ``cropped`` there. None takes the environment's SKOSFUSION_DATA, else
        ``~/.cache/skosfusion``. Folders are made for their owner alone, and no copy can be read by
        more users than its original.
    image_frame : int or None, default=None
        Which image of a multi-page or animated file to take, counted from 0. None allows single
        images, and photographs whose further images are thumbnails or maps of brightness.

    Returns
    -------
    cropped : DataFrame
        A copy of the table whose image paths are absolute, those of screenshots leading to their
        cropped copies. How many there are is logged, and a line of :func:`exclusion_flow`.

    Raises
    ------
    ValueError
        For an argument out of its set, a box that reaches outside an image, and an image outside
        the folder.
    TypeError
        For a table or an image path of another type.
    FileNotFoundError
        For a table, an image folder or an image that is not there.
    ImageError
        For a screenshot that cannot be decoded, or not be cropped without loss.

    Warns
    -----
    UserWarning
        If other users can write the folder of copies.

    See Also
    --------
    exclude_screenshots : Leave them out instead.
    exclusion_flow : What has been done to a table so far.

    Notes
    -----
    Screenshots are cropped at one fixed box as in the paper, section "Data collection".

    Examples
    --------
    >>> import os, tempfile
    >>> import pandas as pd
    >>> from PIL import Image
    >>> from skosfusion.datasets import crop_screenshots
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (80, 60)).save(os.path.join(folder, "a_screen.png"))
    ...     table = pd.DataFrame({"image": ["a_screen.png"]})
    ...     cropped = crop_screenshots(
    ...         table, "*_screen.png", (10, 5, 70, 55), image_folder=folder, data_home=folder
    ...     )
    ...     with Image.open(cropped["image"][0]) as image:
    ...         image.size
    (60, 50)
    """
    _check_box(crop_box)
    check_integer("image_frame", image_frame, minimum=0, optional=True)
    opened = open_frame(frame, image, image_folder)
    shots = _are_screenshots(opened.names, pattern)
    paths = opened.find()
    if shots.any():
        copies = _crop_images(paths[shots], tuple(crop_box), image_frame, data_home)
        paths = paths.where(~shots, copies)
    _logger.info("%d screenshots cropped", int(shots.sum()))
    cropped = (frame if isinstance(frame, pd.DataFrame) else opened.table.cells).copy()
    cropped[opened.image.column] = paths.set_axis(cropped.index)
    n_shots = int(shots.sum())
    if n_shots:
        reason = f"{n_shots} screenshots cropped at {tuple(crop_box)}, none left out"
        with_step(cropped, "crop_screenshots", reason)
    return cropped


def _are_screenshots(names, pattern):
    """Return for each image whether its file name, without folders, matches the pattern."""
    allowed = "a shell-style pattern such as '*_screen.png'"
    check_parameter("pattern", pattern, isinstance(pattern, str), allowed)
    matches = [
        isinstance(name, str) and fnmatch.fnmatchcase(os.path.basename(name), pattern)
        for name in names
    ]
    return pd.Series(matches, index=names.index, dtype=bool)


def _check_box(box):
    valid = (
        isinstance(box, tuple | list)
        and len(box) == 4
        and all(type(edge) is int for edge in box)
        and 0 <= box[0] < box[2]
        and 0 <= box[1] < box[3]
    )
    allowed = "(left, top, right, bottom) in pixels with left < right and top < bottom"
    check_parameter("crop_box", box, valid, allowed)


def _crop_images(paths, box, frame, data_home):
    """Return the paths of PNG copies of images, cropped at one box and made only once."""
    folder = get_data_home(data_home) / "cropped"
    make_private_folder(folder)
    warn_of_shared_folder(folder, parameter="data_home")
    copies = []
    for row, path in paths.items():
        data, status = read_file(path, row=row)
        key = hashlib.sha256(data)
        key.update(repr((_CROP_VERSION, box, *([] if frame is None else [frame]))).encode())
        copies.append(folder / f"{key.hexdigest()}.png")
        _keep_copy(copies[-1], status, partial(_crop, data, path, row, box, frame))
    return pd.Series([str(copy) for copy in copies], index=paths.index, dtype="str")


def _keep_copy(copy, status, make):
    """Make a copy where there is none that is whole, and let no more users read it than before."""
    readable = stat.S_IMODE(status.st_mode) & _COPY_MODE | stat.S_IRUSR | stat.S_IWUSR
    try:
        content, found = read_regular_file(copy, MAX_FILE_BYTES)
    except OSError:
        content = None
    if content is None or not _has_digest(content, copy.stem):
        write_atomically(copy, _with_digest(make(), copy.stem), mode=readable)
    elif found.st_mode & 0o077 & ~readable:
        copy.chmod(stat.S_IMODE(found.st_mode) & readable)


def _crop(data, path, row, box, frame):
    """Return the part of an image in a box, as the bytes of a PNG."""
    try:
        image, *_, deep = decode(data, path=path, row=row, frame=frame)
    except ImageError as error:
        # The parameter has another name here.
        message = error.message.replace("frame=", "image_frame=")
        raise ImageError(message, path=path, row=row) from error.__cause__
    if image.mode not in _PNG_MODES or deep is not None:
        kind = "16-bit color" if deep is not None else f"mode {image.mode}"
        raise ImageError(
            f"a screenshot of {kind} cannot be cropped without loss; export it as 8-bit "
            "gray or RGB",
            path=path,
            row=row,
        )
    right, bottom = box[2:]
    if right > image.width or bottom > image.height:
        raise ValueError(
            f"crop_box={box} reaches outside image {path!r} (row {row}), which is "
            f"{image.width} x {image.height} pixels; correct the box or the pattern"
        )
    png = io.BytesIO()
    image.crop(box).save(png, format="PNG")
    return png.getvalue()


def _with_digest(png, key):
    """Return a PNG with a text block, before its last one: the digest of the rest and its key."""
    digest = hashlib.sha256(key.encode() + png).hexdigest().encode()
    body = b"tEXt" + _DIGEST_NAME + digest
    block = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:-_PNG_END] + block + png[-_PNG_END:]


def _has_digest(content, key):
    """Return whether a PNG is what `_with_digest` made."""
    n_bytes = len(_with_digest(b"", key)) + _PNG_END
    return _with_digest(content[:-n_bytes] + content[-_PNG_END:], key) == content
