"""The names that a pickle of tensors may hold, and what stands for what they would make."""

import math
import operator
from collections import Counter, OrderedDict
from typing import NamedTuple

import torch

_MAX_DIMENSIONS = 64
# A tensor may repeat the numbers of its storage, as `expand` does, up to this length.
_MAX_REPEATED = 2**20
_KEY_TYPES = (str, int, float, bool, type(None))
_LARGEST_KEY = 2**63

_DTYPES = {
    f"torch.{name}": getattr(torch, name)
    for name in (
        *("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
        *("qint8", "quint8", "qint32"),
    )
}
_STORAGES = {
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
    "torch.QInt8Storage": torch.qint8,
    "torch.QUInt8Storage": torch.quint8,
    "torch.QInt32Storage": torch.qint32,
    "torch.storage.UntypedStorage": torch.uint8,
}
# Only recognized, so that the entry that holds one can be named.
UNREADABLE = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "meta",
    "torch.serialization._get_layout": "layout",
}
_SCHEMES = {
    f"torch.per_{kind}"
    for kind in ("tensor_affine", "tensor_symmetric", "channel_affine", "channel_symmetric")
}


class Storage(NamedTuple):
    """Numbers that a pickle refers to, and that lie elsewhere in the file."""

    key: str
    dtype: torch.dtype
    n_bytes: int


class Named(NamedTuple):
    """A type or function of torch that a pickle names."""

    name: str


class TensorSeen(NamedTuple):
    """A tensor that would be built; `kind` is that of one that is not a plain one."""

    kind: str | None = None


def checked_key(key):
    """Refuse a key that is slow to compare with others, or deep to look into."""
    if type(key) not in _KEY_TYPES or (type(key) is int and abs(key) >= _LARGEST_KEY):
        raise ValueError(f"its pickle has a {type(key).__name__} as the key of a dict")
    return key


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None):
    dtype = getattr(storage, "dtype", None)
    return _plain_tensor(storage, offset, size, stride, dtype, hooks, metadata)


def _tensor_of_type(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None):
    found = _DTYPES.get(dtype.name) if isinstance(dtype, Named) else None
    return _plain_tensor(storage, offset, size, stride, found, hooks, metadata)


def _plain_tensor(storage, offset, size, stride, dtype, hooks, metadata):
    """Check that a tensor lies within its storage, which torch would enlarge to what it claims."""
    is_plain = isinstance(storage, Storage) and dtype is not None and not hooks and not metadata
    if not is_plain or not all(isinstance(v, (tuple, list)) for v in (size, stride)):
        raise ValueError("its pickle builds a tensor in another way than torch.save")
    if len(size) != len(stride) or len(size) > _MAX_DIMENSIONS:
        raise ValueError(f"it holds a tensor of {len(size)} dimensions and {len(stride)} strides")
    if not all(type(value) is int and value >= 0 for value in (offset, *size, *stride)):
        raise ValueError("it holds a tensor with a negative or unreadable size or stride")
    n_stored = storage.n_bytes // dtype.itemsize
    n_numbers, last = math.prod(size), sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if n_numbers > max(n_stored, _MAX_REPEATED) or (n_numbers and offset + last >= n_stored):
        shape = f"{tuple(size)!s:.100}"
        raise ValueError(
            f"it holds a tensor of shape {shape} where {n_stored} numbers are stored for it"
        )
    return TensorSeen()


def _parameter(tensor, requires_grad, hooks):
    if not isinstance(tensor, TensorSeen) or hooks:
        raise ValueError("its pickle builds a parameter in another way than torch.save")
    return tensor


def _ordered_dict(pairs=()):
    # With pairs as Python 2 wrote it.
    if not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError("its pickle builds a dict in another way than torch.save")
    return OrderedDict((checked_key(key), value) for key, value in pairs)


def _counter(counts):
    if type(counts) is not dict:
        raise ValueError("its pickle counts what is not a dict")
    return Counter(counts)


def _size(size):
    return tuple(operator.index(n) for n in size)


def _device(name, index=0):
    if type(name) is not str or type(index) is not int:
        raise ValueError("its pickle builds a device in another way than torch.save")
    return name


REBUILDS = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered_dict,
    "collections.Counter": _counter,
    "torch.Size": _size,
    "torch.device": _device,
}


def unreadable_tensor(value):
    """Return the name and the kind of a tensor that is not a plain one, or None."""
    pending, seen = [("", value)], set()
    while pending:
        name, value = pending.pop()
        if isinstance(value, TensorSeen) and value.kind is not None:
            return name, value.kind
        if id(value) in seen or not isinstance(value, (dict, list, tuple)):
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            pending += value.items()
        else:
            pending += ((name, inner) for inner in value)
    return None


def storage_dtype(named):
    """Return the type of numbers of a storage class that a pickle names."""
    if not isinstance(named, Named) or named.name not in _STORAGES:
        raise ValueError("its pickle refers to what is not a storage")
    return _STORAGES[named.name]


def is_allowed(name):
    """Return whether a pickle of a state dict may hold a name, whatever torch has been told."""
    return any(name in names for names in (REBUILDS, _STORAGES, _DTYPES, UNREADABLE, _SCHEMES))
