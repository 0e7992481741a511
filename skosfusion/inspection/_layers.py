"""The layers of an encoder that a heatmap can be made of."""

import copy
from typing import NamedTuple

import torch
from torch import nn
from torchvision.models import SwinTransformer

from .._utils.validation import did_you_mean
from ..network import is_torchvision_model

# What only passes on, or pools, what another layer has made.
_NOT_A_DEFAULT = (
    nn.Identity,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Softmax,
)


# Output shapes of torchvision models by their printed form and the size of the images.
_KNOWN_SHAPES = {}


class FeatureMap(NamedTuple):
    """A layer whose output has spatial extent, and where its output keeps the channels."""

    name: str
    channels_first: bool

    def as_channels_first(self, values):
        """Bring values of the layer to (n_samples, n_channels, height, width)."""
        return values if self.channels_first else values.permute(0, 3, 1, 2)


def find_feature_map(encoder, image_size, name=None):
    """Find a layer by name, or the one that makes the encoder's last feature map."""
    if is_torchvision_model(encoder):
        key = str(encoder), image_size
        shapes = _KNOWN_SHAPES.get(key)
        if shapes is None:
            shapes = _KNOWN_SHAPES[key] = _output_shapes(encoder, image_size)
    else:
        shapes = _output_shapes(encoder, image_size)
    maps = [layer for layer, (_, shape) in shapes.items() if _has_extent(shape)]
    if name is None:
        defaults = [layer for layer in maps if not issubclass(shapes[layer][0], _NOT_A_DEFAULT)]
        if not defaults:
            raise ValueError(
                f"no layer of the encoder {type(encoder).__name__} makes a feature map (n_samples, "
                f"n_channels, height, width) from images of {image_size} pixels, so there is "
                "nothing to draw a heatmap of"
            )
        name = defaults[-1]
    if not isinstance(name, str) or name not in maps:
        known = dict(encoder.named_modules())
        if isinstance(name, str) and name in shapes:
            problem = f"gives values of shape {shapes[name][1]}, without spatial extent"
        elif isinstance(name, str) and name in known:
            problem = "gives no tensor, or does not run when the encoder predicts"
        else:
            nearest = did_you_mean(name, maps)
            problem = "is not a layer of the encoder" + (f"; {nearest}" if nearest else "")
        raise ValueError(f"layer={name!r} {problem}. Layers with a feature map: {', '.join(maps)}")
    shape = shapes[name][1]
    is_ambiguous = shape[1] == shape[2] == shape[3]
    if is_ambiguous and isinstance(encoder, SwinTransformer):
        # Its last layers alone, from "permute" on, have channels first.
        return FeatureMap(name, not name.startswith(("features", "norm")))
    return FeatureMap(name, _is_channels_first(shape))


def _output_shapes(encoder, image_size):
    """List the layers with their type and output shape, in the order in which they finish."""
    shapes_only = copy.deepcopy(encoder).eval().to("meta")
    shapes = {}

    def remember(name):
        def hook(layer, inputs, output):
            shapes.pop(name, None)
            if isinstance(output, torch.Tensor):
                shapes[name] = type(layer), tuple(output.shape)

        return hook

    for name, layer in shapes_only.named_modules():
        # A user's hooks are not meant for tensors without values.
        layer._forward_hooks.clear()
        layer._forward_pre_hooks.clear()
        if name:
            layer.register_forward_hook(remember(name))
    with torch.no_grad():
        shapes_only(torch.empty(1, 3, image_size, image_size, device="meta"))
    return shapes


def _has_extent(shape):
    if len(shape) != 4:
        return False
    height, width = shape[2:] if _is_channels_first(shape) else shape[1:3]
    return height * width > 1


def _is_channels_first(shape):
    # Images are square, and so are maps of them: in Swin transformers (n, height, width, channels).
    return shape[2] == shape[3] or shape[1] != shape[2]
