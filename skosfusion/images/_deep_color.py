"""Color of 16 bits, and gray of 16 bits with alpha: no mode of Pillow holds their low bytes."""

import sys
from typing import NamedTuple

import numpy as np

from ..exceptions import UnusableError

# Read once more as if its bytes were swapped, an image gives its low bytes. N is native order.
_SWAPPED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_WHITE = 65535
# As for alpha of 8 bits.
_VOID_ALPHA = 32 * 257


class DeepColor(NamedTuple):
    """Values of 16 bits: (height, width, 1 or 3), and alpha of (height, width), if any."""

    color: np.ndarray
    alpha: np.ndarray | None

    def cropped(self, box):
        """Return a part of the image."""
        left, top, right, bottom = box
        return self._with(lambda values: values[top:bottom, left:right])

    def turned(self, orientation):
        """Return the image upright, from its EXIF orientation."""
        return self._with(_TURNS[orientation])

    def without_void_alpha(self):
        """Return the image opaque where its alpha hides every pixel, or none."""
        is_void = self.alpha is not None and self.alpha.max() <= _VOID_ALPHA
        is_opaque = self.alpha is not None and self.alpha.min() == _WHITE
        return DeepColor(self.color, None) if is_void or is_opaque else self

    def _with(self, change):
        return DeepColor(change(self.color), None if self.alpha is None else change(self.alpha))


_TURNS = {
    1: lambda values: values,
    2: lambda values: values[:, ::-1],
    3: lambda values: values[::-1, ::-1],
    4: lambda values: values[::-1],
    5: lambda values: values.swapaxes(0, 1),
    6: lambda values: np.rot90(values, -1),
    7: lambda values: values.swapaxes(0, 1)[::-1, ::-1],
    8: lambda values: np.rot90(values),
}


def deep_raw_mode(image):
    """Return how a decoder packs 16-bit color, None for every other image that is not loaded."""
    args = image.tile[0].args if image.tile else None
    mode = args[0] if isinstance(args, tuple) else args
    is_deep = isinstance(mode, str) and mode[-4:-1] == ";16" and mode[-1] in _SWAPPED
    return mode if is_deep and not mode.startswith("I") else None


def read_deep_color(image, raw_mode, reopen):
    """Read all bits of an image that was loaded with 8; `reopen` opens it again."""
    if reopen().tell():
        raise UnusableError("it is an animation of 16-bit color; save one image of it as a PNG")
    channels, order = raw_mode[:-4], raw_mode[-1]
    if channels == "LA":
        # As many bits as 8-bit color with alpha, and read as that.
        values = _reread(reopen, "RGBA")
        values = values[..., ::2].astype(np.uint16) << 8 | values[..., 1::2]
        color, alpha = values[..., :1], values[..., 1]
    else:
        # Pillow divides premultiplied color by alpha, which the two halves cannot bear.
        plain = channels.replace("a", "A") + ";16"
        values = _reread(reopen, plain + order).astype(np.uint16) << 8
        values |= _reread(reopen, plain + _SWAPPED[order])
        color, alpha = values[..., :3], values[..., 3] if channels[-1] in "Aa" else None
        if channels == "CMYK":
            black = _WHITE - values[..., 3:].astype(np.uint32)
            color = ((_WHITE - color) * black // _WHITE).astype(np.uint16)
        elif channels[-1] == "a":
            whole = color.astype(np.uint32) * _WHITE // np.maximum(alpha, 1)[..., None]
            color = np.minimum(whole, _WHITE).astype(np.uint16)
        transparent = image.info.get("transparency")
        if isinstance(transparent, tuple):
            alpha = np.where((color == transparent).all(axis=-1), 0, _WHITE).astype(np.uint16)
    if (color == color[..., :1]).all():
        color = color[..., :1]
    return DeepColor(color, alpha)


def _reread(reopen, raw_mode):
    """Decode an image again with another raw mode of Pillow."""
    image = reopen()
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    return np.asarray(image)
