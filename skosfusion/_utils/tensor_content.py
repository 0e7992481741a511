"""A tensor told by its type, its order in memory and its values."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import torch

from .known_values import KNOWN

# Up to so many values, copying costs less than looking at each tensor.
_SMALL = 2**14


class UntellableError(TypeError):
    """Whether this is the same as another object cannot be told."""


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
    return _hash_of_bits(flat)


def _hash_of_bits(flat):
    return hashlib.sha256(flat.view(torch.uint8).numpy().data).digest()


def hashes_ahead(tensors, n_threads):
    """Return digests by the id of a tensor, for those that are told faster together than alone."""
    plain = list(filter(_is_plain, tensors))
    small = [t for t in plain if t.numel() <= _SMALL and t.is_contiguous()]
    large = [t for t in plain if t.numel() > _SMALL and _is_dense(t)]
    return _hashes_of_small(small) | _hashes_of_large(large, n_threads)


def _hashes_of_small(tensors):
    """Hash small tensors, copied into one block for each of their types."""
    hashes = {}
    for dtype in {tensor.dtype for tensor in tensors}:
        alike = [tensor for tensor in tensors if tensor.dtype == dtype]
        block = torch.cat([tensor.detach().reshape(-1) for tensor in alike])
        content, start = block.view(torch.uint8).numpy().data, 0
        for tensor in alike:
            stop = start + tensor.nbytes
            hashes[id(tensor)] = hashlib.sha256(content[start:stop]).digest()
            start = stop
    return hashes


def _hashes_of_large(tensors, n_threads):
    """Hash large tensors, but for those of which every bit is known."""
    found = {id(tensor): KNOWN.find(tensor) for tensor in tensors}
    new = [tensor for tensor in tensors if found[id(tensor)] is None]
    if not new:
        return found
    new.sort(key=torch.Tensor.numel, reverse=True)
    with ThreadPoolExecutor(n_threads) as threads:
        hashes = list(threads.map(lambda tensor: KNOWN.add(tensor, _hash_of_bits), new))
    return found | dict(zip(map(id, new), hashes, strict=True))


def _is_plain(tensor):
    """Return whether a tensor is one of values as they stand in the processor's memory."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return False
    is_strided = tensor.layout is torch.strided and not tensor.is_quantized
    is_as_written = not (tensor.is_conj() or tensor.is_neg())
    return is_strided and is_as_written and tensor.device.type == "cpu"


def _is_dense(tensor):
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
