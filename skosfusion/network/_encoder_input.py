"""How an encoder wants its images: their side, and the scale of their pixels."""

from numbers import Real
from typing import NamedTuple

from .._utils.validation import check_parameter
from ._timm_models import is_timm_name, timm_input

# Mean and standard deviation of the ImageNet images, per channel, in [0, 1]: the input scale that
# most of torchvision's classification weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_USUAL_SIZE = 224


class EncoderInput(NamedTuple):
    """Mean and deviation of pixels from 0 to 1, and the side of images."""

    pixel_mean: tuple = IMAGENET_MEAN
    pixel_std: tuple = IMAGENET_STD
    image_size: int = _USUAL_SIZE


def encoder_input(backbone, entry=None):
    """Return the input that an encoder wants; `entry` is torchvision's for its weights, if any."""
    if is_timm_name(backbone):
        found = timm_input(backbone)
        return EncoderInput() if found is None else EncoderInput(*found)
    transforms = None if entry is None else entry.transforms()
    if transforms is None:
        return EncoderInput()
    return EncoderInput(tuple(transforms.mean), tuple(transforms.std), transforms.crop_size[0])


def as_channels(values):
    """Return the mean or deviation of pixels as a tuple, one number a channel."""
    return values if values is None or isinstance(values, tuple | list) else (values,)


def check_pixel_scale(mean, std):
    """Refuse a mean or deviation of pixels that is not on the scale from 0 to 1."""
    for name, values, is_allowed in (
        ("pixel_mean", mean, lambda value: 0 <= value <= 1),
        ("pixel_std", std, lambda value: 0 < value <= 1),
    ):
        channels = as_channels(values)
        valid = values is None or (
            len(channels) in (1, 3)
            and all(isinstance(v, Real) and not isinstance(v, bool) for v in channels)
            and all(is_allowed(v) for v in channels)
        )
        least = "0" if name == "pixel_mean" else "above 0"
        allowed = (
            f"None, three numbers from {least} to 1, of pixels from 0 to 1, or one for an encoder "
            "that reads one channel; divide by 255"
        )
        check_parameter(name, values, valid, f"{allowed} what is given for pixels from 0 to 255")
    if (mean is None) != (std is None) or (
        mean is not None and len(as_channels(mean)) != len(as_channels(std))
    ):
        raise ValueError(
            f"pixel_mean={mean!r} and pixel_std={std!r}: give both, or neither for the scale of "
            "the weights, and as many numbers for the one as for the other"
        )


def pixel_scale(encoder, mean, std):
    """Return the mean and deviation with which an encoder's layers see the ones given."""
    if not getattr(encoder, "transform_input", False):
        return mean, std
    # Inception and GoogLeNet take pixels on ImageNet's scale, and change it to 0.5 and 0.5.
    factors = [deviation / 0.5 for deviation in IMAGENET_STD]
    offsets = [(average - 0.5) / 0.5 for average in IMAGENET_MEAN]
    shifted = tuple(m + s * offset for m, s, offset in zip(mean, std, offsets, strict=True))
    return shifted, tuple(s * factor for s, factor in zip(std, factors, strict=True))
