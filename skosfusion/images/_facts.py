"""What a file says of itself, and how bright its image and the edge of it are."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ._decode import decode, decoder_errors
from ._depth import eight_bits, without_void_alpha
from ._open import read_file

_SIDE = 64  # of the copy that brightness is measured on
_EDGE = 4  # width of its border
_FORMATS = {b"\x89P": "PNG", b"\xff\xd8": "JPEG", b"BM": "BMP", b"II": "TIFF", b"MM": "TIFF"}


class ImageFacts(NamedTuple):
    """Facts of one image file; gray values are 0 to 255, of a copy of 64 x 64 pixels."""

    n_bytes: int
    width: int
    height: int
    mode: str
    format: str
    brightness: float
    contrast: float
    border: float
    border_contrast: float


def read_facts(path, *, row=None):
    """Return the ImageFacts of a file, which is read once and within the bounds of `open_image`."""
    data, _ = read_file(path, row=row)
    decoded = decode(data, path=path, row=row, draft=2 * _SIDE)
    image, deep = decoded.image, decoded.deep
    mode = f"{image.mode}, 16 bits" if deep is not None else image.mode
    with decoder_errors(path, row):
        gray, _ = eight_bits(without_void_alpha(image), None, deep and deep.without_void_alpha())
    gray = gray.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=decoded.box)
    pixels = np.asarray(gray, float)
    is_border = np.ones(pixels.shape, bool)
    is_border[_EDGE:-_EDGE, _EDGE:-_EDGE] = False
    border = pixels[is_border]
    return ImageFacts(
        len(data),
        *decoded.size,
        mode,
        _FORMATS.get(data[:2], "other"),
        pixels.mean(),
        pixels.std(),
        border.mean(),
        border.std(),
    )
