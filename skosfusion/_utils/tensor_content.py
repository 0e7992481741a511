"""A tensor told by its type, its order in memory and its values."""

import hashlib

import torch

# Values from which on it is worth a thread to hash them.
_LARGE = 2**18


class UntellableError(TypeError):
    """Whether this is the same as another object cannot be told."""


def is_large(tensor):
    """Return whether hashing the values of a tensor takes long, and they lie in one block."""
    kinds = torch.Tensor, torch.nn.Parameter
    is_plain = type(tensor) in kinds and tensor.layout is torch.strided and not tensor.is_quantized
    if not is_plain or tensor.device.type != "cpu" or tensor.numel() < _LARGE:
        return False
    return _is_dense(tensor) and not (tensor.is_conj() or tensor.is_neg())


def tensor_parts(tensor, *, with_values, ahead=None):
    """Give a tensor's type, shape, order in memory and values."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter, getattr(torch.nn, "Buffer", None)):
        raise UntellableError(f"a tensor of type {type(tensor).__name__}")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        raise UntellableError(f"a tensor of layout {tensor.layout}, type {tensor.dtype}")
    yield from (tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.device.type)
    if not with_values:
        return
    if tensor.is_meta:
        raise UntellableError("a tensor without values")
    yield hash_of_values(tensor) if ahead is None else ahead


def hash_of_values(tensor):
    """Return the digest of the values of a tensor, in their order in memory where it is dense."""
    # The order in memory is part of the identity, so nothing needs to be copied.
    tensor = tensor.detach().resolve_conj().resolve_neg().cpu()
    flat = tensor.as_strided((tensor.numel(),), (1,)) if _is_dense(tensor) else tensor.flatten()
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).digest()


def _is_dense(tensor):
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
