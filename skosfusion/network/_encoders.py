"""Image encoders: models of torchvision and timm by name, or what the user's callable makes."""

import copy
import functools
from collections.abc import Mapping
from contextlib import suppress

import torch
from torch import nn
from torchvision import models

from .._utils.locks import DRAWING
from .._utils.validation import did_you_mean
from ._encoder_input import encoder_input
from ._own_encoders import check_backbone, own_encoder
from ._timm_models import (
    build_timm_encoder,
    is_timm_name,
    timm_encoder_without_values,
    timm_names,
)

# Where torchvision's classification models keep the layers behind the flattened feature.
_HEAD_NAMES = ("fc", "classifier", "head", "heads")


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
    backbone : str or callable
        Name of a torchvision classification model; "timm:NAME" for a model of timm; or what makes
        a ``torch.nn.Module`` when called without arguments, such as a class or a
        `functools.partial`. The module maps images (n_samples, channels, height, width) to
        features: one tensor (n_samples, ...); of a tuple, the first counts.

    Returns
    -------
    torch.nn.Module
        The encoder with random weights, or those that the callable gives it; its flattened output
        is the feature vector.

    Raises
    ------
    ValueError
        If neither torchvision nor timm has a model of that name.
    TypeError
        If `backbone` is neither a name nor a callable that makes a module.
    ImportError
        If a model of timm is named, and timm is not installed.

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
    if isinstance(backbone, str):
        return (build_timm_encoder if is_timm_name(backbone) else _torchvision_encoder)(backbone)
    check_backbone(backbone)
    return own_encoder(backbone)


def _torchvision_encoder(backbone):
    names = backbone_names()
    if backbone not in names:
        hint = did_you_mean(backbone.lower(), [*names, *timm_names()], n=3)
        hint = hint or f"known: {', '.join(names)}"
        raise ValueError(
            f"backbone={backbone!r} is not a torchvision classification model, and does not begin "
            f"with 'timm:'; {hint}"
        )
    # These two warn unless told how to draw their weights; True is what they do by default. Their
    # ImageNet weights expect another scale of pixels, to which they can convert themselves.
    is_inception = backbone in ("googlenet", "inception_v3")
    options = {"init_weights": True, "transform_input": True} if is_inception else {}
    encoder = models.get_model(backbone, weights=None, **options)
    head = next(name for name in _HEAD_NAMES if hasattr(encoder, name))
    setattr(encoder, head, nn.Identity())
    return encoder


def encoder_without_values(backbone):
    """Build an encoder to compare shapes with, if possible without storage ("meta")."""
    if is_timm_name(backbone):
        return timm_encoder_without_values(backbone)
    if isinstance(backbone, str):
        # Some constructors compute with tensors, which "meta" tensors cannot.
        with suppress(NotImplementedError, RuntimeError), torch.device("meta"):
            return build_encoder(backbone)
    # A callable of the user's may hold tensors that no state dict restores.
    with DRAWING, torch.random.fork_rng(devices=[]):
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


def length_of_features(backbone, encoder, image_size, n_channels):
    """Find the length of the feature vector, from shapes alone where these suffice."""
    if isinstance(backbone, str):
        return feature_length(backbone, image_size, n_channels)
    return _length_by_shapes(backbone, encoder, image_size, n_channels)


@functools.cache
def feature_length(backbone, image_size, n_channels=3):
    """Find the length of the feature vector of a named model from shapes alone."""
    # Some constructors draw weights, and must not do so in the first network alone.
    with DRAWING, torch.random.fork_rng(devices=[]):
        encoder = encoder_without_values(backbone)
    return _length_by_shapes(backbone, encoder, image_size, n_channels)


def _length_by_shapes(backbone, encoder, image_size, n_channels):
    # Two, so that a feature and a sample cannot be taken for each other.
    shape = 2, n_channels, image_size, image_size
    with torch.no_grad():
        try:
            features = flatten(_on_meta(encoder)(torch.empty(shape, device="meta")), encoder)
        except Exception:  # noqa: BLE001  users' code may do what tensors without values cannot
            features = flatten(_try(backbone, encoder, torch.zeros(shape)), encoder)
    if len(features) != shape[0] or not features.shape[1]:
        raise ValueError(
            f"the encoder {type(encoder).__name__} returned {len(features)} rows of "
            f"{features.shape[1]} features for 2 images of {image_size} pixels; it "
            "must return a tensor (n_samples, n_features): a row for each image, 1 feature or more"
        )
    return features.shape[1]


def _on_meta(encoder):
    return copy.deepcopy(encoder).to("meta").eval()


def _try(backbone, encoder, images):
    """Run an encoder on images of zeros, and say what they were where it cannot take them."""
    is_on_meta = any(tensor.is_meta for tensor in encoder.parameters())
    with DRAWING, torch.random.fork_rng(devices=[]):
        encoder = build_encoder(backbone) if is_on_meta else copy.deepcopy(encoder)
    try:
        return encoder.eval()(images)
    except Exception as error:
        _, n_channels, side, _ = images.shape
        # A class of the user's says nothing of its size.
        own = _usual_size(backbone) if isinstance(backbone, str) else side
        hints = [] if side == own else [f"its own size is {own}: image_size={own}"]
        if "channels" in str(error):
            hints.append(
                "encoders that read one channel need one number in pixel_mean=, and in pixel_std=; "
                "for those that read three, give both three numbers, or neither"
            )
        hint = f" ({'; '.join(hints)})" if hints else ""
        raise ValueError(
            f"backbone={backbone!r:.200} cannot take images of {side} x {side} pixels with "
            f"pixel_mean= of {n_channels} channel(s): {type(error).__name__}: {error}{hint}"
        ) from error


def _usual_size(backbone):
    """Return the side of the images that weights of a named model are trained with."""
    is_timm = is_timm_name(backbone)
    return encoder_input(
        backbone, None if is_timm else models.get_model_weights(backbone).DEFAULT
    ).image_size


def initialized_encoder(backbone, state):
    """Build the encoder with the weights given, or its own initial ones."""
    if state is None:
        return build_encoder(backbone).to(memory_format=torch.channels_last)
    encoder = encoder_without_values(backbone)
    # Cloned: training this network must not change the caller's weights.
    state = {name: value.clone() for name, value in state.items()}
    tied = _tied_parameters(encoder)
    encoder.load_state_dict(state, assign=True)
    for first, *others in tied:
        for name in others:
            _set_parameter(encoder, name, encoder.get_parameter(first))
    return encoder.to(memory_format=torch.channels_last)


def _tied_parameters(encoder):
    """List the names of each parameter that has several."""
    names = {}
    for name, parameter in encoder.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    return [of_one for of_one in names.values() if len(of_one) > 1]


def _set_parameter(encoder, name, parameter):
    module, _, own = name.rpartition(".")
    setattr(encoder.get_submodule(module), own, parameter)
