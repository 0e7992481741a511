"""Image encoders: torchvision's classification models by name, or the user's own classes."""

import copy
import functools
from collections.abc import Mapping
from numbers import Real

import torch
from torch import nn
from torchvision import models

from .._utils.locks import DRAWING
from .._utils.validation import check_parameter, did_you_mean

# Mean and standard deviation of the ImageNet images, per channel, in [0, 1]: the input scale that
# most of torchvision's classification weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Where torchvision's classification models keep the layers behind the flattened feature.
_HEAD_NAMES = ("fc", "classifier", "head", "heads")


def check_pixel_scale(mean, std):
    """Refuse a mean or deviation of pixels that is not on the scale from 0 to 1."""
    for name, values, is_allowed in (
        ("pixel_mean", mean, lambda value: 0 <= value <= 1),
        ("pixel_std", std, lambda value: 0 < value <= 1),
    ):
        valid = values is None or (
            isinstance(values, (tuple, list))
            and len(values) == 3
            and all(isinstance(v, Real) and not isinstance(v, bool) for v in values)
            and all(is_allowed(v) for v in values)
        )
        least = "0" if name == "pixel_mean" else "above 0"
        allowed = f"None, or three numbers from {least} to 1, of pixels from 0 to 1; divide by 255"
        check_parameter(name, values, valid, f"{allowed} what is given for pixels from 0 to 255")
    if (mean is None) != (std is None):
        raise ValueError(
            f"pixel_mean={mean!r} and pixel_std={std!r}: give both, or neither for the scale of "
            "the weights"
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


def backbone_names():
    """List the torchvision classification models that can be an encoder.

    Returns
    -------
    list of str
        Names, sorted.

    See Also
    --------
    build_encoder : Build one of them.

    Examples
    --------
    >>> from skosfusion.network import backbone_names
    >>> "resnet18" in backbone_names()
    True
    """
    # In `torchvision.models` itself lie the classification models; its submodules hold the others.
    return models.list_models(module=models)


def build_encoder(backbone):
    """Build an image encoder without its classification head.

    Parameters
    ----------
    backbone : str or type
        Name of a torchvision classification model, or a class derived from
        ``torch.nn.Module`` that is called without arguments and maps images
        (n_samples, 3, height, width) to features: one tensor (n_samples, ...); of a tuple, the
        first counts.

    Returns
    -------
    torch.nn.Module
        The encoder with random weights; its flattened output is the feature vector.

    Raises
    ------
    ValueError
        If torchvision has no classification model of that name.
    TypeError
        If `backbone` is neither a name nor a module class.

    See Also
    --------
    backbone_names : The names.
    load_encoder_state : Weights for the encoder.

    Examples
    --------
    >>> import torch
    >>> from skosfusion.network import build_encoder
    >>> build_encoder("resnet18").eval()(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 512])
    """
    if isinstance(backbone, type) and issubclass(backbone, nn.Module):
        return backbone()
    if not isinstance(backbone, str):
        raise TypeError(
            f"backbone={backbone!r} is neither the name of a torchvision classification model nor "
            "a torch.nn.Module class; pass the class itself, not an instance, so that no fold "
            "starts from another fold's weights"
        )
    names = backbone_names()
    if backbone not in names:
        hint = did_you_mean(backbone, names, n=3) or f"known: {', '.join(names)}"
        raise ValueError(f"backbone={backbone!r} is not a torchvision classification model; {hint}")
    # These two warn unless told how to draw their weights; True is what they do by default. Their
    # ImageNet weights expect another scale of pixels, to which they can convert themselves.
    is_inception = backbone in ("googlenet", "inception_v3")
    options = {"init_weights": True, "transform_input": True} if is_inception else {}
    encoder = models.get_model(backbone, weights=None, **options)
    head = next(name for name in _HEAD_NAMES if hasattr(encoder, name))
    setattr(encoder, head, nn.Identity())
    return encoder


def build_empty_encoder(backbone):
    """Build an encoder whose weights will be loaded, if possible without storage ("meta")."""
    if not isinstance(backbone, str):
        # A user's class may hold tensors that no state dict restores.
        with DRAWING:
            return build_encoder(backbone)
    try:
        with torch.device("meta"):
            return build_encoder(backbone)
    except NotImplementedError:
        # Some constructors (RegNet's) compute with tensors, which "meta" tensors cannot.
        with DRAWING:
            return build_encoder(backbone)


def is_torchvision_model(encoder):
    """Return whether an encoder's code is torchvision's, and so known by its version."""
    return type(encoder).__module__.startswith("torchvision.models.")


def flatten(output, encoder):
    """Reduce what an encoder returned to one vector a sample."""
    if isinstance(output, tuple | list) and output and isinstance(output[0], torch.Tensor):
        # As of Inception and GoogLeNet in training mode, main output first.
        output = output[0]
    must = "it must return one torch.Tensor (n_samples, n_features) or (n_samples, n_channels, ...)"
    if not isinstance(output, torch.Tensor):
        raise TypeError(
            f"the encoder {type(encoder).__name__} returned {_describe(output)}; {must}. Wrap it "
            "in a class whose forward returns the tensor to use (of a tuple, the first is used)"
        )
    if output.is_complex():
        raise TypeError(
            f"the encoder {type(encoder).__name__} returned values of {output.dtype}; {must} of "
            "real numbers"
        )
    if output.ndim < 2:
        raise ValueError(
            f"the encoder {type(encoder).__name__} returned a tensor of shape "
            f"{tuple(output.shape)}; {must}"
        )
    return output.flatten(1)


def _describe(output):
    """Name what is not a tensor, and what it holds, without its values."""
    name = type(output).__name__
    if output is None:
        return "None (its forward may lack a return)"
    if isinstance(output, Mapping):
        return f"a {name} with the keys {', '.join(map(repr, list(output)[:8]))}"
    if isinstance(output, tuple | list):
        kinds = [type(value).__name__ for value in output[:8]]
        return f"a {name} of {len(output)} ({', '.join(kinds)})"
    return f"a {name}"


def length_of_features(backbone, encoder, image_size):
    """Find the length of the feature vector from shapes alone, without computing."""
    if isinstance(backbone, str):
        return feature_length(backbone, image_size)
    return _length_by_shapes(copy.deepcopy(encoder).to("meta"), image_size)


@functools.cache
def feature_length(backbone, image_size):
    """Find the length of the feature vector of a torchvision model from shapes alone."""
    # Some constructors draw weights, and must not do so in the first network alone.
    with DRAWING, torch.random.fork_rng(devices=[]):
        encoder = build_empty_encoder(backbone)
    return _length_by_shapes(encoder.to("meta"), image_size)


def _length_by_shapes(encoder, image_size):
    # Two, so that a feature and a sample cannot be taken for each other.
    images = torch.empty(2, 3, image_size, image_size, device="meta")
    with torch.no_grad():
        features = flatten(encoder.eval()(images), encoder)
    if len(features) != len(images) or not features.shape[1]:
        raise ValueError(
            f"the encoder {type(encoder).__name__} returned {len(features)} rows of "
            f"{features.shape[1]} features for {len(images)} images of {image_size} pixels; it "
            "must return a tensor (n_samples, n_features): a row for each image, 1 feature or more"
        )
    return features.shape[1]


def initialized_encoder(backbone, state):
    """Build the encoder with the weights given, or random ones."""
    if state is None:
        return build_encoder(backbone).to(memory_format=torch.channels_last)
    encoder = build_empty_encoder(backbone)
    # Cloned: training this network must not change the caller's weights.
    encoder.load_state_dict({name: value.clone() for name, value in state.items()}, assign=True)
    return encoder.to(memory_format=torch.channels_last)
