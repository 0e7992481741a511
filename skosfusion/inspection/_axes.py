"""Which axes of the image each dimension of a tensor holds, followed through torch's operations.

The axes of a tensor are one tuple of atoms a dimension; atoms stand in the order of the memory, and
sizes of 1 are left out. Nothing is guessed from sizes: what is not known is "x".
"""

import math
from typing import NamedTuple

import torch

_SPATIAL = "h", "w"
# What keeps each dimension in its place, beside what works point by point.
_KEEPS = frozenset({
    "_fused_rms_norm", "_log_softmax", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_prelu_kernel", "_reshape_copy", "_safe_softmax",
    "_softmax", "_to_copy", "alias", "as_strided_", "batch_norm_inference", "bernoulli",
    "bernoulli_", "clone", "contiguous", "copy", "copy_", "cudnn_batch_norm", "cumsum", "detach",
    "dropout", "fill_", "hardswish", "hardswish_", "lift_fresh", "log_sigmoid_forward", "mish_",
    "native_batch_norm", "native_dropout", "native_group_norm", "native_layer_norm", "prelu",
    "roll", "rrelu_with_noise", "threshold_", "type_as", "zero_",
})  # fmt: skip
_RESHAPES = frozenset({
    "_reshape_alias", "_unsafe_view", "flatten", "reshape", "squeeze", "squeeze_", "unflatten",
    "unsqueeze", "unsqueeze_", "view",
})  # fmt: skip
_CONVOLUTIONS = frozenset({
    "_convolution", "convolution", "convolution_overrideable", "cudnn_convolution",
    "mkldnn_convolution",
})  # fmt: skip
_RESIZES = frozenset({
    "_adaptive_avg_pool2d", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa",
    "adaptive_max_pool2d", "avg_pool2d", "constant_pad_nd", "fractional_max_pool2d",
    "max_pool2d_with_indices", "pixel_shuffle", "pixel_unshuffle", "reflection_pad2d",
    "replication_pad2d", "upsample_bicubic2d", "upsample_bilinear2d", "upsample_nearest2d",
})  # fmt: skip
# Position of the two matrices among the arguments.
_PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1, "addbmm": 1}
_PARTS = frozenset({"select", "slice", "split", "split_with_sizes", "unbind"})


class Atom(NamedTuple):
    """A part of an axis: `size` places that lie `step` places of the axis apart."""

    axis: str
    size: int
    step: int = 1
    #: Of tokens with others beside them: how many stand before, and the atoms of those of the grid.
    before: int = 0
    grid: tuple = ()


def image_axes(shape):
    """Return the axes of a batch of images."""
    return tuple(_atoms(axis, size) for axis, size in zip("nxhw", shape, strict=True))


def has_grid(axes):
    """Return whether some dimension holds places of the image."""
    return any(_is_spatial(atom) for atoms in axes for atom in atoms)


def is_contraction(name):
    """Return whether an operation has weights, or sums products over an axis."""
    return name in _CONVOLUTIONS or name in _PRODUCTS or _is_attention(name)


def mixes_places(name, arguments, axes_of):
    """Return whether what an operation makes of a place depends on others."""
    if name in _PRODUCTS:
        first, second = list(arguments.values())[_PRODUCTS[name] :][:2]
        first, second = axes_of(first), axes_of(second)
        return has_grid(first[-1:]) or has_grid(second[-2:-1])
    return name in _CONVOLUTIONS or name in _RESIZES or _is_attention(name)


def attends(name, arguments, axes_of):
    """Return whether an operation sums over places without being a convolution or pooling."""
    is_sum = name in _PRODUCTS or _is_attention(name)
    return is_sum and mixes_places(name, arguments, axes_of)


def loses_places(name, arguments):
    """Return whether places that are not in the output of an operation were lost track of."""
    is_known = name in _PARTS or name in _PRODUCTS or _is_attention(name)
    return not is_known and "keepdim" not in arguments


def only_takes_parts(name):
    """Return whether an operation returns some of the values that it was given."""
    return name in _PARTS


def follow(name, is_pointwise, arguments, axes_of, inputs, outputs):
    """Return the axes of each output of an operation."""
    if is_pointwise or name in _KEEPS:
        return [_aligned([(axes_of(x), x.shape) for x in inputs], y.shape) for y in outputs]
    source = inputs[0]
    axes = axes_of(source)
    if name in _RESHAPES:
        return [_regrouped(axes, y.shape) for y in outputs]
    if name in _PRODUCTS:
        return [_product(name, arguments, axes_of, y.shape) for y in outputs]
    if name in _CONVOLUTIONS or name in _RESIZES:
        return [_resized(name, source, axes, y.shape) for y in outputs]
    if _is_attention(name):
        axes = axes_of(arguments["query"])
        return [
            _checked((*axes[:-1], _atoms("x", y.shape[-1])), y.shape)
            if y.ndim == len(axes)
            else unknown(y.shape)
            for y in outputs
        ]
    if name in {"permute", "transpose", "transpose_", "t"}:
        order = _order(name, arguments, source.ndim)
        return [tuple(axes[dim] for dim in order)] * len(outputs)
    if name in {"expand", "repeat"}:
        return [_aligned([(axes, source.shape)], y.shape) for y in outputs]
    if name in _PARTS:
        return _parts(name, arguments, axes, source, outputs)
    if name == "cat":
        return [_joined(arguments, axes_of, y.shape) for y in outputs]
    if name == "stack":
        dim = arguments.get("dim", 0) % outputs[0].ndim
        inner = _aligned([(axes_of(x), x.shape) for x in inputs], source.shape)
        return [(*inner[:dim], _atoms("x", outputs[0].shape[dim]), *inner[dim:])]
    if "keepdim" in arguments:
        return [_reduced(arguments, axes, y.shape) for y in outputs]
    return [unknown(y.shape) for y in outputs]


def _is_attention(name):
    return name.startswith("_scaled_dot_product") or name == "scaled_dot_product_attention"


def _is_spatial(atom):
    return atom.axis in _SPATIAL or bool(atom.grid)


def _atoms(axis, size):
    return (Atom(axis, size),) if size > 1 else ()


def unknown(shape):
    """Return axes of which nothing is known but the sizes."""
    return tuple(_atoms("x", size) for size in shape)


def _checked(axes, shape):
    """Return axes as they are where they have these sizes, else unknown ones."""
    sizes = [math.prod(atom.size for atom in atoms) for atoms in axes]
    return tuple(axes) if sizes == list(shape) else unknown(shape)


def _aligned(inputs, shape):
    """Bring what is known of several tensors together, as broadcasting does."""
    result = []
    for back in range(len(shape), 0, -1):
        size = shape[-back]
        known = {
            axes[-back]
            for axes, own in inputs
            if len(own) >= back and own[-back] == size and axes[-back]
        }
        spatial = {atoms for atoms in known if has_grid([atoms])}
        named = {atoms for atoms in known if any(atom.axis != "x" for atom in atoms)}
        best = spatial or named
        result.append(best.pop() if len(best) == 1 else _atoms("x", size))
    return tuple(result)


def _regrouped(axes, shape):
    """Divide the atoms among the dimensions of a new shape."""
    atoms = [atom for dim in axes for atom in dim][::-1]
    result = []
    for size in shape:
        taken, left = [], size
        while left > 1:
            atom = atoms.pop() if atoms else Atom("x", 1)
            if atom.size > 1 and left % atom.size == 0:
                taken.append(atom)
                left //= atom.size
            elif atom.size > left and atom.size % left == 0:
                rest = atom.size // left
                axis = "x" if atom.grid else atom.axis
                taken.append(Atom(axis, left, atom.step * rest))
                atoms.append(Atom(axis, rest, atom.step))
                left = 1
            else:
                return unknown(shape)
        result.append(_merged(taken))
    return tuple(result)


def _merged(atoms):
    """Put parts of one axis together again where they stand side by side."""
    result = []
    for atom in atoms:
        last = result[-1] if result else None
        fits = last is not None and last.axis == atom.axis and not (last.grid or atom.grid)
        if fits and (atom.axis == "x" or last.step == atom.size * atom.step):
            result[-1] = Atom(atom.axis, last.size * atom.size, atom.step)
        else:
            result.append(atom)
    return tuple(result)


def _product(name, arguments, axes_of, shape):
    first, second = list(arguments.values())[_PRODUCTS[name] :][:2]
    rows, columns = axes_of(first), axes_of(second)
    if name == "addbmm":
        return unknown(shape)
    batch = [_aligned([(rows, first.shape), (columns, second.shape)], first.shape)[0]]
    return _checked((*batch[: len(shape) - 2], rows[-2], columns[-1]), shape)


def _resized(name, source, axes, shape):
    """Follow what keeps the order of the dimensions and may change the sizes of the last two."""
    result = [
        atoms if size == old else _whole(atoms, size)
        for atoms, old, size in zip(axes, source.shape, shape, strict=True)
    ]
    if name in _CONVOLUTIONS:
        result[1] = _atoms("x", shape[1])
    if name != "constant_pad_nd" and len(shape) == 4 and not has_grid(axes):
        # By the kind of the layer.
        result[1:] = _atoms("x", shape[1]), _atoms("h", shape[2]), _atoms("w", shape[3])
    return tuple(result)


def _whole(atoms, size):
    """Give an axis another size; of what is not one axis nothing is known then."""
    is_axis = len(atoms) == 1 and atoms[0].axis in _SPATIAL
    return _atoms(atoms[0].axis if is_axis else "x", size)


def _order(name, arguments, n_dims):
    if name == "permute":
        return [dim % n_dims for dim in arguments["dims"]]
    order = list(range(n_dims))
    first, second = (0, n_dims - 1) if name == "t" else (arguments["dim0"], arguments["dim1"])
    order[first], order[second] = order[second], order[first]
    return order


def _parts(name, arguments, axes, source, outputs):
    dim = arguments.get("dim", 0) % source.ndim
    if name in {"select", "unbind"}:
        return [axes[:dim] + axes[dim + 1 :]] * len(outputs)
    start, result = 0, []
    if name == "slice":
        start = min(
            max(_positive(arguments.get("start") or 0, source.shape[dim]), 0), source.shape[dim]
        )
    for output in outputs:
        size = output.shape[dim]
        part = _part(axes[dim], start, size, arguments.get("step", 1))
        result.append(_checked((*axes[:dim], part, *axes[dim + 1 :]), output.shape))
        start += size
    return result


def _positive(index, size):
    return index + size if index < 0 else index


def _part(atoms, start, size, step):
    """Take a range of a dimension."""
    if math.prod(atom.size for atom in atoms) == size:
        return atoms
    if len(atoms) != 1 or not atoms[0].grid:
        return _whole(atoms, size)
    before, grid = atoms[0].before - start, atoms[0].grid
    n_places = math.prod(atom.size for atom in grid)
    if step != 1 or before < 0 or before + n_places > size:
        return _atoms("x", size)
    return grid if n_places == size else (Atom("tokens", size, 1, before, grid),)


def _joined(arguments, axes_of, shape):
    """Put tensors side by side; where one alone has places, the others are tokens beside them."""
    tensors = [x for x in arguments["tensors"] if x.ndim == len(shape)]
    dim = arguments.get("dim", 0) % len(shape)
    result = list(_aligned([(axes_of(x), x.shape) for x in tensors], tensors[0].shape))
    result[dim] = _atoms("x", shape[dim])
    with_grid = [x for x in tensors if has_grid([axes_of(x)[dim]])]
    if len(with_grid) == 1:
        atoms = axes_of(with_grid[0])[dim]
        before = 0
        for tensor in tensors:
            if tensor is with_grid[0]:
                break
            before += tensor.shape[dim]
        if len(atoms) == 1 and atoms[0].grid:
            before, atoms = before + atoms[0].before, atoms[0].grid
        result[dim] = (Atom("tokens", shape[dim], 1, before, atoms),)
        if math.prod(atom.size for atom in atoms) == shape[dim]:
            result[dim] = atoms
    return _checked(result, shape)


def _reduced(arguments, axes, shape):
    dims = arguments.get("dim")
    if dims is None or dims == []:
        dims = range(len(axes))
    dims = {dim % len(axes) for dim in ([dims] if isinstance(dims, int) else dims)}
    kept = [() if dim in dims else atoms for dim, atoms in enumerate(axes)]
    if not arguments["keepdim"]:
        kept = [atoms for dim, atoms in enumerate(axes) if dim not in dims]
    return _checked(kept, shape) if len(kept) == len(shape) else unknown(shape)


def arguments_of(func, args, kwargs):
    """Return the arguments of an operation by name, with their defaults."""
    named = {}
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            named[argument.name] = args[position]
        elif argument.name in kwargs:
            named[argument.name] = kwargs[argument.name]
        elif argument.has_default_value():
            named[argument.name] = argument.default_value
    return named


def tensors_in(values):
    """List the tensors among arguments, those in lists too."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += tensors_in(value)
    return found
