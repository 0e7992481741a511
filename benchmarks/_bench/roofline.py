"""The roofline of a computation: what arithmetic and memory traffic allow, operation by operation.

S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model for
multicore architectures", Communications of the ACM 52 (4), 2009.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from . import limits, timing

# Too much for any cache, in bytes.
_COPIED = 2**27
_N_COPIES = 5
#: What the figures mean.
NOTE = (
    "The roofline: each operation takes as long as its arithmetic at the speed of matrix products, "
    "or as reading what it is given and writing what it gives at the speed of copies, whichever is "
    "longer; both speeds are measured in the run."
)


class _Operations(TorchDispatchMode):
    """Notes the FLOP and the bytes of each operation that computes or copies."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        output = operation(*args, **kwargs)
        if not _is_view(operation):
            count = flop_registry.get(operation.overloadpacket)
            flop = 0 if count is None else count(*args, **kwargs, out_val=output)
            tensors = tree_leaves((args, kwargs, output))
            n_bytes = sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))
            self.found.append((flop, n_bytes))
        return output


def _is_view(operation):
    aliases = [argument.alias_info for argument in operation._schema.arguments]
    return any(alias is not None and not alias.is_write for alias in aliases)


def copy_rate():
    """Measure copies that no cache holds, reading and writing: median GB/s of five."""
    source = torch.ones(_COPIED, dtype=torch.uint8)
    target = torch.zeros_like(source)
    seconds = [timing.seconds(lambda: target.copy_(source)) for _ in range(_N_COPIES + 1)]
    return 2e-9 * _COPIED / timing.spread(seconds[1:]).median


def add_roofline(candidates, precision, compute, n_images):
    """Add what memory traffic allows, and traffic and arithmetic together, in images a second."""
    with _Operations() as operations:
        compute()

    def traffic():
        return 1e9 * n_images * copy_rate() / sum(n_bytes for _, n_bytes in operations.found)

    def both():
        flops, bytes_ = 1e9 * limits.product_rate(precision), 1e9 * copy_rate()
        return n_images / sum(max(f / flops, b / bytes_) for f, b in operations.found)

    candidates[f"limit of memory traffic, {precision}"] = traffic
    candidates[roofline_name(precision)] = both
    return candidates


def roofline_name(precision):
    """Name a roofline in reports."""
    return f"roofline, {precision}"
