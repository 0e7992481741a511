"""Values of any depth, color and transparency become gray or RGB of 8 bits."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops

from ..exceptions import UnusableError

_BLOCK_ROWS = 256
# Alpha of at most an eighth leaves next to nothing to see: it was never meant to hide the image.
_VOID_ALPHA = 32
# An image is called narrow where so many of its pixels, aside from those of the smallest and the
# largest value, share so few of the 256 gray levels.
_NARROW_SHARE, _NARROW_LEVELS = 0.98, 32


class Narrow(NamedTuple):
    """How many gray levels are left to most pixels, and percentiles that leave them all levels."""

    n_levels: int
    percentiles: tuple[float, float] | None


def without_void_alpha(image):
    """Return an image without its alpha where that hides every pixel."""
    if not image.has_transparency_data:
        return image
    if image.mode == "La":
        image = image.convert("LA")  # the one mode that Pillow converts it to
    is_channel = image.mode.endswith(("A", "a"))
    if not is_channel and all(low == high for low, high in _extrema(image)):
        return image  # of one color, which is declared to be the background
    alpha = image.getchannel("A") if "A" in image.getbands() else image.convert("RGBA").split()[3]
    return image if alpha.getextrema()[1] > _VOID_ALPHA else image.convert("RGBA").convert("RGB")


def eight_bits(image, percentiles, deep=None):
    """Grayscale or RGB image of 8 bits, stretched between percentiles if any, and how narrow."""
    if deep is not None:
        return _scaled_color(deep, percentiles)
    if image.mode.startswith(("I", "F")):
        scaled, narrow = _scaled_values(np.asarray(image), None, percentiles)
        return Image.fromarray(255 - scaled if image.info.get("white_is_zero") else scaled), narrow
    image = _grayscale_or_rgb(image)
    return image if percentiles is None else _stretched(image, percentiles), None


def _stretched(image, percentiles):
    if all(low == high for low, high in _extrema(image)):
        return image  # a blank image has nothing to stretch
    # The smallest values that reach these shares of the pixels.
    n_pixels_up_to = np.cumsum(image.convert("L").histogram())
    shares = np.maximum(np.multiply(percentiles, n_pixels_up_to[-1]) / 100, 1)
    low, high = np.searchsorted(n_pixels_up_to, shares)
    table = _scaled(np.arange(256), low, high).tolist()
    return image.point(table * len(image.getbands()))


def _extrema(image):
    extrema = image.getextrema()
    return extrema if isinstance(extrema[0], tuple) else (extrema,)


def _scaled_color(deep, percentiles):
    """Color of 16 bits, scaled as gray of 16 bits is, and laid on black where it is transparent."""
    color, alpha = deep
    luminance = None
    if color.shape[-1] == 3 and percentiles is not None:
        luminance = (color @ np.array([299, 587, 114], np.uint32) // 1000).astype(np.uint16)
    visible = None if alpha is None or not alpha.any() else alpha > 0
    scaled, narrow = _scaled_values(color, visible, percentiles, luminance)
    if alpha is not None:
        scaled = np.rint(scaled * (alpha[..., None] / 65535)).astype(np.uint8)
    return Image.fromarray(scaled[..., 0] if scaled.shape[-1] == 1 else scaled), narrow


def _scaled_values(values, visible, percentiles, luminance=None):
    """Deep values from their smallest to their largest, or between percentiles, as 0 to 255.

    Only what is `visible` counts; percentiles are those of the `luminance`, if it is given.
    """
    seen = values if visible is None else values[visible]
    low, high = float(seen.min()), float(seen.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnusableError("it has pixels that are NaN or infinite; replace them")
    if percentiles is not None and low < high:
        counted = seen
        if luminance is not None:
            counted = luminance if visible is None else luminance[visible]
        low, high = map(float, np.percentile(counted, percentiles, method="inverted_cdf"))
    scaled = np.empty(values.shape, np.uint8)
    # In blocks: an image at the limit of size would take gigabytes as float64.
    for start in range(0, len(values), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        scaled[block] = _scaled(values[block], low, high)
    return scaled, _narrowness(seen, scaled if visible is None else scaled[visible], low, high)


def _scaled(values, low, high):
    """Map low to 0 and high to 255; where they are equal, larger integers become 255."""
    span = (high - low) or 1.0
    return np.rint(255 * np.clip((values.astype(np.float64) - low) / span, 0, 1)).astype(np.uint8)


def _narrowness(values, scaled, low, high):
    """Return how narrow an image has become because of few pixels or of padding, else None."""
    counts = np.array(Image.fromarray(scaled.reshape(len(scaled), -1)).histogram())
    n_below, n_above = np.count_nonzero(values <= low), np.count_nonzero(values >= high)
    counts[0] -= n_below
    counts[255] -= n_above
    n_counted = counts.sum()
    if low >= high or n_counted == 0:
        return None
    up_to = np.concatenate([[0], np.cumsum(counts)])
    # For each first level the number of levels that hold enough pixels.
    ends = np.searchsorted(up_to, up_to[:-1] + np.ceil(_NARROW_SHARE * n_counted))
    widths = ends - np.arange(256)
    widths[ends > 256] = 257
    first = int(widths.argmin())
    if widths[first] > _NARROW_LEVELS or _is_blank(values, low, high):
        return None
    share_below = 100 * (n_below + up_to[first]) / values.size
    share_above = 100 * (n_above + n_counted - up_to[first + widths[first]]) / values.size
    # Rounded to tenths, away from what they cut off.
    lower = max(1.0, np.floor(10 * share_below + 1) / 10)
    upper = min(99.0, np.ceil(1000 - 10 * share_above - 1) / 10)
    return Narrow(int(widths[first]), (float(lower), float(upper)) if lower < upper else None)


def _is_blank(values, low, high):
    """Return whether what lies between the limits has one value, so that nothing is lost."""
    between = values[(values > low) & (values < high)]
    return between.min() == between.max()


def _grayscale_or_rgb(image):
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    if image.mode in ("1", "L"):
        return image.convert("L")
    image = image.convert("RGB")
    red, *others = image.split()
    is_grayscale = all(ImageChops.difference(red, other).getbbox() is None for other in others)
    return red if is_grayscale else image
