"""Model files: tensors and a description in JSON under one digest; nothing in them can run."""

import hashlib
import json
import os
import stat
import struct
from pathlib import Path

import safetensors.torch
import torch

from .._utils.files import (
    NotRegularError,
    read_regular_file,
    sweep_temporary_files,
    write_atomically,
)
from ..exceptions import ModelFileError

MAX_FILE_BYTES = 16 * 2**30
# The header of ResNet152 takes 0.1 MB.
_MAX_HEADER_BYTES = 8 * 2**20
_MAX_TENSORS = 10_000
_DESCRIPTION, _DIGEST = "skosfusion", "sha256"


def write_model_file(path, description, tensors):
    """Write a description for JSON and tensors, so that `path` holds the old or all of the new."""
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"the folder {str(path.parent)!r} of the model file does not exist; make it first"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise OSError(f"{str(path)!r} is a pipe or a device; name a file")
    # Copies: entries that share memory would be refused.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    text = json.dumps(description, allow_nan=False)
    metadata = {_DESCRIPTION: text, _DIGEST: _digest(text, tensors)}
    sweep_temporary_files(path.parent, of=path.name)
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    content = safetensors.torch.save(tensors, metadata)
    if len(content) > MAX_FILE_BYTES or len(text) > _MAX_HEADER_BYTES // 2:
        raise ValueError(
            f"the model has {len(content)} bytes, {len(text)} of them to describe it, more than "
            "can be read again"
        )
    write_atomically(path, content, durable=True, mode=mode)


def read_model_file(path):
    """Read description and tensors of an untrusted file, or raise ModelFileError."""
    content = _read(path)
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > _MAX_HEADER_BYTES:
            raise ValueError(f"its header has {length} bytes")
        header = json.loads(content[8 : 8 + length])
        if len(header) > _MAX_TENSORS:
            raise ValueError(f"it holds {len(header)} tensors")
        tensors = safetensors.torch.load(content)
        metadata = header["__metadata__"]
        text = metadata[_DESCRIPTION]
        if metadata[_DIGEST] != _digest(text, tensors):
            raise ValueError("its content does not match its digest")
        description = json.loads(text, parse_constant=_refuse_constant)
        if not isinstance(description, dict):
            raise TypeError("its description is not an object")
    except Exception as error:
        raise ModelFileError(
            f"{os.fspath(path)!r} is damaged, cut off, or not a model file of skosfusion "
            f"({type(error).__name__}: {error!s:.200}); save the model again"
        ) from error
    return description, tensors


def _read(path):
    name = os.fspath(path)
    try:
        content, _ = read_regular_file(name, MAX_FILE_BYTES)
    except FileNotFoundError:
        raise
    except NotRegularError as error:
        raise ModelFileError(f"{name!r} is a folder, pipe or device; name a model file") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"model file {name!r} cannot be read: {error}") from error
    return content


def _digest(text, tensors):
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _refuse_constant(name):
    raise ValueError(f"it holds the number {name}")
