"""What an encoder does with an image, operation by operation, found from shapes alone."""

import copy
from typing import NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..network import flatten
from . import _axes

# What takes a tensor for its size and kind alone.
_NEW = "new_", "empty_like", "zeros_like", "ones_like", "full_like", "rand"


# Not every version of torch tags them, in place or not.
_POINTWISE = {"elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "silu"}


class Layer(NamedTuple):
    """What a layer put out the last time it ran; `step` is the operation that made it."""

    kind: type
    shape: tuple
    axes: tuple | None
    step: int | None


class Trace(TorchDispatchMode):
    """Keeps which operation depends on which, and the axes of every tensor.

    Steps are numbered in the order in which they run; step 0 is the image.
    """

    def __init__(self):
        super().__init__()
        self.layers = {}
        self._uses = [[]]
        self._attends, self._contracts, self._loses = [False], [False], [False]
        self._known, self._written, self._kept = {}, {}, []

    def begin(self, image):
        """Take a tensor as the image."""
        self._kept.append(image)
        self._known[_key(image)] = 0, _axes.image_axes(image.shape)
        return image

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        arguments = _axes.arguments_of(func, args, kwargs)
        inputs = [x for x in _axes.tensors_in(arguments.values()) if self._steps(x)]
        if not inputs or name.startswith(_NEW):
            return func(*args, **kwargs)
        keys = {_key(x) for x in inputs}
        sources = {step for x in inputs for step in self._steps(x)}
        known = {id(x): self.axes(x) for x in _axes.tensors_in(arguments.values())}
        result = func(*args, **kwargs)
        outputs = _axes.tensors_in(result if isinstance(result, tuple | list) else [result])
        writes = func._schema.is_mutable
        if not writes:
            outputs = [x for x in outputs if _key(x) not in keys]
        if outputs:
            self._add(func, name, arguments, known, inputs, outputs, sources, writes)
        return result

    def _add(self, func, name, arguments, known, inputs, outputs, sources, writes):
        def axes_of(tensor):
            return known[id(tensor)]

        is_pointwise = _is_tagged(func) or name.rstrip("_") in _POINTWISE
        axes = _axes.follow(name, is_pointwise, arguments, axes_of, inputs, outputs)
        has_grid = any(map(_axes.has_grid, axes))
        attends = has_grid and _axes.attends(name, arguments, axes_of)
        loses = not has_grid and any(_axes.has_grid(axes_of(x)) for x in inputs)
        loses = loses and _axes.loses_places(name, arguments)
        keeps = has_grid and not _axes.mixes_places(name, arguments, axes_of)
        drops = not has_grid and _axes.only_takes_parts(name)
        self._kept += outputs
        for output, own in zip(outputs, axes, strict=True):
            step = len(self._uses)
            self._uses.append([])
            for source in sources:
                self._uses[source].append((step, keeps, drops))
            self._attends.append(attends)
            self._contracts.append(has_grid and _axes.is_contraction(name))
            self._loses.append(loses)
            self._known[_key(output)] = step, own
            if writes:
                self._written[output.untyped_storage()._cdata] = step

    def _steps(self, tensor):
        known = self._known.get(_key(tensor), (None,))[0]
        written = self._written.get(tensor.untyped_storage()._cdata)
        return {step for step in (known, written) if step is not None}

    def axes(self, tensor):
        """Return the axes of a tensor."""
        known = self._known.get(_key(tensor))
        return _axes.unknown(tensor.shape) if known is None else known[1]

    def remember(self, name):
        """Make a hook that keeps what a layer puts out."""

        def hook(layer, inputs, output):
            self.layers.pop(name, None)
            if isinstance(output, torch.Tensor):
                step = max(self._steps(output), default=None)
                self.layers[name] = Layer(type(layer), tuple(output.shape), self.axes(output), step)

        return hook

    def end(self, output):
        """Take a tensor as the features, and find what they depend on."""
        self._reaches = [False] * len(self._uses)
        self._shows = [False] * len(self._uses)
        last = max(self._steps(output), default=0)
        self._reaches[last] = self._shows[last] = True
        for step in range(last, -1, -1):
            for use, keeps, drops in self._uses[step]:
                self._reaches[step] |= self._reaches[use]
                counts = self._shows[use] if keeps else not drops
                self._shows[step] |= self._reaches[use] and counts
        self.is_main, farthest = [False] * len(self._uses), 0
        for step in range(last + 1):
            self.is_main[step] = self._reaches[step] and farthest <= step
            if self._reaches[step]:
                uses = [use for use, *_ in self._uses[step] if self._reaches[use]]
                farthest = max([farthest, *uses])

    def is_on_main_path(self, layer):
        """Return whether all that the features hold of the image passes through the layer."""
        return layer.step is not None and self.is_main[layer.step]

    def shows_places(self, layer):
        """Return whether the features depend on the layer's places, not on other tokens alone."""
        return layer.step is not None and self._shows[layer.step]

    def n_attentions_after(self, layer):
        """Count where places go on to exchange what they hold, after the layer."""
        return self._count(self._attends, layer.step + 1)

    def is_lost_between(self, layer, other):
        """Return whether the places were lost track of after a layer, up to another one."""
        return self._count(self._loses, layer.step + 1, other.step + 1) > 0

    def n_contractions(self, layer):
        """Count the convolutions and matrix products that make places, up to a layer and after."""
        after = layer.step + 1
        return self._count(self._contracts, 0, after), self._count(self._contracts, after)

    def _count(self, marks, *steps):
        steps = range(*slice(*(*steps, None)[:2]).indices(len(marks)))
        return sum(marks[step] and self._reaches[step] for step in steps)


def _is_tagged(func):
    return torch.Tag.pointwise in func.tags


def _key(tensor):
    place = tensor.untyped_storage()._cdata, tensor.storage_offset()
    return *place, tuple(tensor.shape), tensor.stride()


@torch.inference_mode(False)
@torch.no_grad()
def trace(encoder, image_size, n_channels=3):
    """Run a copy of an encoder on two images without values."""
    copied = copy.deepcopy(encoder).eval().requires_grad_(False).to("meta")
    found = Trace()
    for name, layer in copied.named_modules():
        # A user's hooks are not meant for tensors without values.
        layer._forward_hooks.clear()
        layer._forward_pre_hooks.clear()
        if name:
            layer.register_forward_hook(found.remember(name))
    with found:
        image = found.begin(torch.empty(2, n_channels, image_size, image_size, device="meta"))
        found.end(flatten(copied(image), encoder))
    return found
