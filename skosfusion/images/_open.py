"""An untrusted file becomes a checked Pillow image."""

import errno
import io
import os
import struct
import zlib
from contextlib import contextmanager
from typing import NamedTuple

from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from .._utils.files import (
    FileTooLargeError,
    NotRegularError,
    check_regular,
    read_regular_file,
)
from .._utils.validation import check_integer
from ..exceptions import ImageError, UnusableError
from ._verify import reduce_container

MAX_FILE_BYTES = 512 * 2**20
"""Largest file that is read, in bytes."""

MAX_PIXELS = 2**30 // 4 // 3
"""Largest image that is decoded, in pixels; Pillow warns from this size on."""

# Errors that Pillow and zlib have been seen to raise on damaged files, and similar ones. `Warning`
# counts where warnings are errors.
_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    Image.DecompressionBombError,
    struct.error,
    zlib.error,
)


class Decoded(NamedTuple):
    """A loaded image, its size in the file, and the part of the image to use, if not all."""

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float] | None = None


def open_image(path, *, row=None, frame=None, max_pixels=MAX_PIXELS):
    """Open one image file, check it to its end and decode it.

    The content decides on the format, not the name: PNG, JPEG, TIFF and BMP (not run-length
    compressed) are read, nothing else. The file is read once, into memory. Checksums, end markers
    and extents are verified by walking the container, pixels by decoding them; texts, color
    profiles and thumbnails are never parsed. No warning is raised and no setting of Pillow is
    changed. Only PNG has checksums: in the other formats a changed pixel may go unnoticed, unless
    a manifest tells (see `skosfusion.datasets.load_cohort`). ``LOAD_TRUNCATED_IMAGES`` of
    ``PIL.ImageFile``, if you set it, lets Pillow fill in what a decoder cannot make out.

    Parameters
    ----------
    path : str or os.PathLike
        The file. At most 512 MiB are read.
    row : int or None, default=None
        Position of the file in the table that named it, counted from 0; for the error messages.
    frame : int or None, default=None
        Which image of an animated or multi-page file to take, counted from 0. ``None`` allows
        single images only.
    max_pixels : int, default=89478485
        Largest width times height that is decoded. Pillow's own limit
        (``PIL.Image.MAX_IMAGE_PIXELS``, equal by default) holds too where it is lower.

    Returns
    -------
    image : PIL.Image.Image
        Fully loaded, turned upright as its EXIF orientation says, in the mode of the file. Where
        ``image.info["white_is_zero"]`` is true, 16-bit and float values grow from white to black.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImageError
        The file exists but cannot be used: a folder, a pipe, a socket, a device, a link to nowhere,
        an empty, damaged, cut or too large file, another format, several images without `frame`.
    TypeError
        `path` is not a str or os.PathLike (a missing path, for example).
    ValueError
        `path` holds a NUL character, or another parameter is out of its range.

    Examples
    --------
    >>> import os, tempfile
    >>> from PIL import Image
    >>> from skosfusion.images import open_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "knee.png")
    ...     Image.new("L", (30, 20)).save(path)
    ...     open_image(path).size
    (30, 20)
    """
    check_integer("frame", frame, minimum=0, optional=True)
    check_integer("max_pixels", max_pixels, minimum=1)
    data, _ = read_file(path, row=row)
    return decode(data, path=path, row=row, frame=frame, max_pixels=max_pixels).image


def read_file(path, *, row=None):
    """Read a regular file: its bytes, and its status from before it was read."""
    with _file_errors(path, row) as text:
        data, status = read_regular_file(text, MAX_FILE_BYTES)
    if not data:
        raise ImageError("the file is empty; export it again", path=path, row=row)
    return data, status


def check_file(path, *, row=None):
    """Refuse what is not there or not a regular file; its content is for whoever reads it."""
    with _file_errors(path, row) as text:
        check_regular(text)


@contextmanager
def _file_errors(path, row):
    """Yield a path as text, and turn what the system raises into errors that name the row."""
    text = path_text(path, row)
    try:
        yield text
    except NotRegularError as error:
        message = f"{error.strerror}; correct the path or drop the row"
        raise ImageError(message, path=path, row=row) from error
    except FileTooLargeError as error:
        message = f"{error.strerror}; export a smaller image"
        raise ImageError(message, path=path, row=row) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_found(text, path, row) from error
    except ValueError as error:
        raise ValueError(f"image path {text!r}{_in_row(row)} is not valid: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"the file cannot be read ({reason})", path=path, row=row) from error


def file_status(path, *, row=None):
    """Status of a file that a reader might know already, or None where only reading can tell."""
    try:
        return os.stat(path_text(path, row))
    except (OSError, ValueError):
        return None


def _in_row(row):
    return "" if row is None else f" (row {row})"


def path_text(path, row):
    """Text of a path; another type is a TypeError."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(
            f"an image path must be a str or os.PathLike, got {type(text).__name__}{_in_row(row)}; "
            "give the path as text, and declare missing images before reading"
        )
    return text


def _not_found(text, path, row):
    if os.path.islink(text):
        return ImageError("the link leads to no file; restore its target", path=path, row=row)
    message = f"no such image file{_in_row(row)}; correct the path or drop the row"
    return FileNotFoundError(errno.ENOENT, message, text)


@contextmanager
def decoder_errors(path, row):
    """Turn whatever a decoder raises on a damaged file into ImageError."""
    try:
        yield
    except ImageError:
        raise
    except UnusableError as error:
        raise ImageError(f"the file cannot be used: {error}", path=path, row=row) from error
    except _DECODER_ERRORS as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, struct.error):
            reason = "its structure leads past its end"
        raise ImageError(
            f"the file is damaged or cut off ({reason}); export it again",
            path=path,
            row=row,
        ) from error


def decode(data, *, path, row=None, frame=None, max_pixels=MAX_PIXELS, draft=None):
    """Decode the bytes of a file; with `draft`, a JPEG at a fraction of its size, no side below."""
    with decoder_errors(path, row):
        container = reduce_container(data, frame)
        # Not Image.open: that one warns about large images before anybody can look at the size.
        image = container.reader(io.BytesIO(container.data))
        _check_pixels(image.size, max_pixels, path, row)
        if image.width * image.height > container.capacity:
            raise ValueError(f"{len(data)} bytes cannot hold {image.width} x {image.height} pixels")
        if container.seek is not None:
            image.seek(container.seek)
        box = None
        if draft and container.orientation == 1 and isinstance(image, JpegImageFile):
            size, (_, box) = image.size, image.draft(None, (draft, draft))
            image.load()
            return Decoded(image, size, box)
        image.load()
        if container.white_is_zero:
            image.info["white_is_zero"] = True
        if container.orientation != 1:
            image.getexif()[ExifTags.Base.Orientation] = container.orientation
            image = ImageOps.exif_transpose(image)
        return Decoded(image, image.size)


def _check_pixels(size, max_pixels, path, row):
    limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    if size[0] * size[1] > limit:
        raise ImageError(
            f"the image has {size[0]} x {size[1]} pixels, more than the {limit} allowed; "
            "export a smaller image",
            path=path,
            row=row,
        )
