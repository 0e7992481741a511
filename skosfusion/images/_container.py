"""What is left of an image file once its structure is checked, and the limits of that structure."""

from math import inf
from typing import NamedTuple

from PIL import ImageFile

from ..exceptions import UnusableError

MAX_PARTS = 2**18
"""Blocks, pages or tag values in one file; real files stay far below it."""

MAX_SCANS = 64
"""Scans of a progressive JPEG: each costs the time of a whole image and next to no bytes."""


class Container(NamedTuple):
    """What is left of an image file: a reader of Pillow and the bytes to give it."""

    reader: type[ImageFile.ImageFile]
    data: bytes
    orientation: int = 1
    capacity: float = inf  # pixels that so many bytes can encode, at most
    seek: int | None = None
    white_is_zero: bool = False
    n_passes: int = 1  # over all pixels, to decode them
    # The same with noise behind each scan, and whether only a comparison can tell a cut file.
    with_noise: bytes | None = None
    must_compare: bool = False


def check_frame(frame, n_frames):
    """Refuse several images without a declared one, and an image that is not there."""
    if frame is None and n_frames > 1:
        raise UnusableError(
            f"it holds {n_frames} images; declare which one with frame=0 to {n_frames - 1}"
        )
    if frame is not None and frame >= n_frames:
        raise UnusableError(
            f"it holds {n_frames} image(s); frame must be below that, got frame={frame}"
        )
