"""Convolutions that add and clip what they put out themselves: fewer passes over memory.

oneDNN computes a convolution, the addition of a shortcut and the activation in one pass, from
weights that are laid out once; torch's own compiler uses the same operations. No compiler is
needed.
"""

import torch
from torch import nn
from torchvision.models import resnet

from ._inference import gives_same, images_to_compare
from ._split import StageReached


class CannotFuseError(Exception):
    """A fused copy of this encoder cannot be made, or gives other features."""


def can_fuse(dtype):
    """Return whether this processor and this torch have the operations, in a number format."""
    there = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    if not there or not hasattr(torch.ops.mkldnn, "_convolution_pointwise_"):
        return False
    return dtype is None or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fuse(folded, shape, dtype=None, *, batch_size, layer=None):
    """Let a folded copy of an encoder, which is changed, compute with fused convolutions.

    `shape` is that of one image. What runs after `layer`, or is part of it and cannot be told
    apart then, stays as it is, so that it can be looked at and differentiated. CannotFuseError
    says that the copy is of no use: what is exchanged follows torchvision's code, and one random
    image must get the same features but for rounding.
    """
    try:
        with torch.no_grad():
            image = images_to_compare(1, shape)
            order, shapes = [], {}
            expected = _try(folded, image, dtype, order, shapes)
            rewriting = _Rewriting(folded, order, shapes, batch_size, layer)
            rewriting.run()
            found = _try(folded, image, dtype)
    except Exception as error:
        raise CannotFuseError(f"{type(error).__name__}: {error}") from error
    if not gives_same(found, expected, dtype):
        raise CannotFuseError("its features differ from those of the encoder, or are not finite")
    vars(folded)["shows"] = rewriting.shown_layers()
    return folded


def _try(encoder, image, dtype, order=None, shapes=None):
    """Run an encoder on an image; note which layers finish, and what convolutions are given."""
    handles = []
    for name, layer in encoder.named_modules() if order is not None else ():

        def note(layer, inputs, output, name=name):
            order.append(name)
            if isinstance(layer, nn.Conv2d):
                shapes[name] = inputs[0].shape

        handles.append(layer.register_forward_hook(note))
    try:
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            try:
                output = encoder(image.clone(memory_format=torch.preserve_format))
            except StageReached as reached:  # the lower half of a divided encoder
                output = reached.activation
    finally:
        for handle in handles:
            handle.remove()
    return output.float()


class _Rewriting:
    """Exchanges layers of an encoder for fused ones."""

    def __init__(self, encoder, order, shapes, batch_size, layer):
        self._encoder, self._shapes, self._batch_size = encoder, shapes, batch_size
        self._finished = {name: place for place, name in enumerate(order)}
        self._layer, self._changed = layer, set()

    def run(self):
        """Exchange the known blocks, then the pairs in sequences, then what is left."""
        if type(self._encoder) is resnet.ResNet:
            self._fuse_pair("conv1", ["bn1"], "relu")
        for name, block in list(self._encoder.named_modules()):
            if type(block) in _BLOCKS:
                self._fuse_block(name, block)
            elif type(block).forward is nn.Sequential.forward:
                self._fuse_sequence(name, block)
        for name, layer in list(self._encoder.named_modules()):
            if _is_plain_convolution(layer) and self._may_change(name):
                self._set(name, self._fused(name))

    def shown_layers(self):
        """List the layers that give what they did, with nothing exchanged after them."""
        last = max((self._finished[name] for name in self._changed), default=-1)
        return frozenset(name for name, place in self._finished.items() if place > last)

    def _may_change(self, *names):
        """Return whether layers run before the layer that is looked at, and are none of it."""
        if not all(name in self._finished for name in names):
            return False
        if self._layer is None:
            return True
        last = self._finished[self._layer]
        return all(
            self._finished[name] < last and not f"{self._layer}.".startswith(f"{name}.")
            for name in names
        )

    def _set(self, name, layer):
        self._changed.add(name)
        self._encoder.set_submodule(name, layer)

    def _fused(self, name, activation=None):
        _, *shape = self._shapes[name]
        size = self._batch_size, *shape
        return FusedConvolution(self._encoder.get_submodule(name), size, activation)

    def _fuse_pair(self, name, norms, activation):
        """Let a convolution do what the activation after it does."""
        convolution, follower = map(self._encoder.get_submodule, (name, activation))
        are_folded = all(type(self._encoder.get_submodule(n)) is nn.Identity for n in norms)
        if not (_is_plain_convolution(convolution) and are_folded and _attribute(follower)):
            return
        if self._may_change(name, *norms, activation):
            self._set(name, self._fused(name, follower))
            self._set(activation, nn.Identity())

    def _fuse_sequence(self, name, layers):
        """Look for convolutions with an activation behind them in a plain sequence of layers."""
        prefix, before, norms = f"{name}." if name else "", None, []
        for child, layer in list(layers.named_children()):
            if before is not None and type(layer) is nn.Identity:
                norms.append(prefix + child)
                continue
            if before is not None and _attribute(layer):
                self._fuse_pair(before, norms, prefix + child)
            is_start = _is_plain_convolution(layer)
            before, norms = (prefix + child if is_start else None), []

    def _fuse_block(self, name, block):
        """Exchange a residual block for one whose last convolution adds the shortcut."""
        numbers = range(1, _BLOCKS[type(block)] + 1)
        convolutions = [f"{name}.conv{number}" for number in numbers]
        plain = all(map(_is_plain_convolution, map(self._encoder.get_submodule, convolutions)))
        folded = all(type(getattr(block, f"bn{number}")) is nn.Identity for number in numbers)
        if plain and folded and type(block.relu) is nn.ReLU and self._may_change(name):
            fused = [self._fused(convolution, block.relu) for convolution in convolutions]
            self._set(name, _ResidualBlock(fused, block.downsample))


# Residual blocks of torchvision, and the number of their convolutions.
_BLOCKS = {resnet.BasicBlock: 2, resnet.Bottleneck: 3}


class _ResidualBlock(nn.Module):
    def __init__(self, convolutions, downsample):
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.downsample = downsample

    def forward(self, values):
        """Add what the convolutions make of the values to the values themselves."""
        # Nobody reads the block's input again, so it may be overwritten.
        shortcut = values if self.downsample is None else self.downsample(values)
        *first, last = self.convolutions
        for convolution in first:
            values = convolution(values)
        return last.added_to(shortcut, values)


class FusedConvolution(nn.Module):
    """A convolution and the activation behind it, for inference."""

    def __init__(self, convolution, input_size, activation=None):
        super().__init__()
        self._geometry = (
            convolution.padding,
            convolution.stride,
            convolution.dilation,
            convolution.groups,
        )
        self._dtype = convolution.weight.dtype
        self._activation = "none", [], None
        if activation is not None:
            self._activation = _attribute(activation)
        self._bias = convolution.bias
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(
            convolution.weight.detach().to_mkldnn(), *self._geometry, input_size
        )

    def forward(self, values):
        """Convolve, and apply the activation."""
        return torch.ops.mkldnn._convolution_pointwise(
            values.to(self._dtype), self._weight, self._bias, *self._geometry, *self._activation
        )

    def added_to(self, shortcut, values):
        """Convolve, add that to the shortcut, in its place, and apply the activation."""
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut.to(self._dtype), values.to(self._dtype), self._weight, self._bias,
            *self._geometry, "add", 1.0, *self._activation,
        )  # fmt: skip


def _is_plain_convolution(layer):
    return (
        type(layer) is nn.Conv2d
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def _attribute(activation):
    """Return what oneDNN calls an activation, its numbers and its algorithm; None if it cannot."""
    kind = type(activation)
    if kind is nn.ReLU:
        return "relu", [], None
    if kind in (nn.ReLU6, nn.Hardtanh):
        return "hardtanh", [activation.min_val, activation.max_val], None
    if kind is nn.Hardswish:
        return "hardswish", [], None
    if kind is nn.SiLU:
        return "swish", [], None
    return None
