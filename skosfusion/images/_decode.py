"""The bytes of an untrusted file become a loaded Pillow image, or an error that says why not."""

import errno
import io
import struct
import zlib
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from ..exceptions import ImageError, UnusableError
from ._deep_color import DeepColor, deep_raw_mode, read_deep_color
from ._verify import reduce_container

MAX_PIXELS = 2**30 // 4 // 3
"""Largest image that is decoded, in pixels; Pillow warns from this size on."""

MAX_SIDE = 2**20
"""Largest width or height that is decoded: each row costs time and memory whatever its width."""

# A file may ask for this many bytes of pixels, and this many pixels of all scans together, and for
# more in proportion to its size. Of 255 radiographs none asks for a tenth of what its size allows.
_FREE_BYTES, _BYTES_FOR_A_BYTE = 2**28, 64
_FREE_PASSES, _PASSES_FOR_A_BYTE = 2**28, 512

# What Pillow and zlib are seen to raise on damaged files, and the kin of these. `Warning` counts
# where warnings are errors.
_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
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
    deep: DeepColor | None = None


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
        if isinstance(error, OSError) and _is_of_the_system(error):
            raise
        reason = str(error) or type(error).__name__
        if isinstance(error, struct.error):
            reason = "its structure leads past its end"
        raise ImageError(
            f"the file is damaged or cut off ({reason}); export it again",
            path=path,
            row=row,
        ) from error


def _is_of_the_system(error):
    """Return whether an error tells of memory, descriptors or drives, and not of a file."""
    return error.errno is not None and error.errno not in (errno.EINVAL, errno.ENOENT)


def decode(data, *, path, row=None, frame=None, max_pixels=MAX_PIXELS, draft=None):
    """Decode the bytes of a file; with `draft`, a JPEG at a fraction of its size, no side below."""
    with decoder_errors(path, row):
        container = reduce_container(data, frame)
        image = _open(container)
        _check_pixels(image.size, max_pixels, path, row)
        _check_cost(image, container, len(data))
        size, box = image.size, None
        is_jpeg = isinstance(image, JpegImageFile)
        draft = draft if is_jpeg and container.orientation == 1 else None
        with _memory_for(image):
            raw_mode = deep_raw_mode(image)
            if draft:
                _, box = image.draft(None, (draft, draft))
            image.load()
            if container.with_noise is not None:
                _check_scans(image, container, draft)
            deep = raw_mode and read_deep_color(image, raw_mode, partial(_open, container))
        if container.white_is_zero:
            image.info["white_is_zero"] = True
        if container.orientation != 1:
            image.getexif()[ExifTags.Base.Orientation] = container.orientation
            image = ImageOps.exif_transpose(image)
            size = image.size
            deep = deep and deep.turned(container.orientation)
        return Decoded(image, size, box, deep)


def _open(container, data=None):
    """Open a container; not by Image.open, which warns of large images before one can look."""
    try:
        image = container.reader(io.BytesIO(container.data if data is None else data))
    except SyntaxError as error:
        if "unknown pixel mode" not in str(error):
            raise
        raise UnusableError(
            "its values are of a kind that is not read; save it as 8-bit or 16-bit gray or RGB"
        ) from error
    if container.seek is not None:
        image.seek(container.seek)
    return image


def _check_pixels(size, max_pixels, path, row):
    limit = min(max_pixels, Image.MAX_IMAGE_PIXELS or max_pixels)
    if size[0] * size[1] > limit or max(size) > MAX_SIDE:
        allowed = limit if size[0] * size[1] > limit else f"{MAX_SIDE} a side"
        raise ImageError(
            f"the image has {size[0]} x {size[1]} pixels, more than the {allowed} allowed; "
            "export a smaller image",
            path=path,
            row=row,
        )


def _check_cost(image, container, n_bytes):
    """Refuse a small file that would take seconds or gigabytes."""
    n_pixels = image.width * image.height
    if n_pixels > container.capacity:
        raise ValueError(f"{n_bytes} bytes cannot hold {image.width} x {image.height} pixels")
    if n_pixels * _bytes_a_pixel(image) > _FREE_BYTES + _BYTES_FOR_A_BYTE * n_bytes:
        raise UnusableError(
            f"{n_bytes} bytes unpack to {image.width} x {image.height} pixels, which no radiograph "
            "does; export a smaller image, or save it uncompressed"
        )
    n_passes = container.n_passes
    if n_passes > 1 and n_pixels * n_passes > _FREE_PASSES + _PASSES_FOR_A_BYTE * n_bytes:
        raise UnusableError(
            f"its {n_passes} scans of {image.width} x {image.height} pixels are more than its "
            f"{n_bytes} bytes can be about; save it as a JPEG that is not progressive"
        )


def _bytes_a_pixel(image):
    """Bytes that a pixel takes once it is loaded and, where it is 16-bit color, combined."""
    n_bytes = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}.get(image.mode, 4)
    return 4 * n_bytes if deep_raw_mode(image) else n_bytes


@contextmanager
def _memory_for(image):
    """Turn a decoder's error into MemoryError where the memory that it needs is not there."""
    try:
        yield
    except OSError as error:
        if "out of memory" in str(error):
            raise MemoryError(f"{error} of {image.width} x {image.height} pixels") from error
        # Coefficients of a progressive JPEG take two bytes a channel, and the image is there, too.
        np.empty(16 * image.width * image.height, np.uint8)
        raise


# Cut scans of JPEG ----------------------------------------------------------------------------

_MISSING = 128  # where a scan ends early, libjpeg leaves what follows gray
_TOLERANCE = 6  # of color bleeding in from the left, and of rounding


def _check_scans(image, container, draft):
    """Refuse a JPEG whose scan ends early although an end marker follows.

    The decoder says nothing and leaves the rest gray. So noise is put behind each scan: a decoder
    that has all of its blocks never looks at it, and the pixels are the same.
    """
    if not container.must_compare and abs(_last_gray_value(image) - _MISSING) > _TOLERANCE:
        return
    again = _open(container, container.with_noise)
    if draft:
        again.draft(None, (draft, draft))
    again.load()
    if again.tobytes() != image.tobytes():
        raise ValueError("its pixels end early, before its end marker")


def _last_gray_value(image):
    """Gray value of the pixel that is decoded last."""
    x, y = image.width - 1, image.height - 1
    return image.crop((x, y, x + 1, y + 1)).convert("L").getpixel((0, 0))
