"""Files of weights: recognized by what they hold, and read without running anything."""

import pickle
import struct
import zipfile

import safetensors
import safetensors.torch

from .._utils.files import NotRegularError, open_regular_file
from .._utils.working_folder import resolved
from ..exceptions import WeightsError
from ._torch_files import load_archive, load_legacy

# ".tar" is for ".pth.tar", which is no archive of tar but one of the others.
FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".tar")
MAX_FILE_BYTES = 16 * 2**30
_ZIP_START = b"PK\x03\x04"
_OTHER_KINDS = (
    (0, b"\x1f\x8b", "compressed by gzip; unpack it, and pass the file in it"),
    (257, b"ustar", "an archive of tar; unpack it, and pass the file in it"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"<", "a web page"),
    (0, b"version https://git-lfs", "a pointer of Git LFS; get the file itself, by git lfs pull"),
)


def read_state_file(path):
    """Read what a file of weights holds without running anything.

    Returns a dict of tensors, or what `torch.save` was given: plain containers of plain values.
    Raises WeightsError for any other file.
    """
    try:
        with open_regular_file(resolved(path), MAX_FILE_BYTES) as (file, status):
            return _read(file, status.st_size, path.suffix.lower())
    except (FileNotFoundError, NotADirectoryError, NotRegularError) as error:
        is_there = isinstance(error, NotRegularError)
        wrong = "is not a file but a folder, pipe or device" if is_there else "does not exist"
        if str(path).startswith("~"):
            wrong += " ('~' is not read as a folder here; pass os.path.expanduser(path))"
        raise WeightsError(
            f"weights file {str(path)!r} {wrong}; place a state dict there "
            f"({', '.join(FILE_SUFFIXES)}), or pass a weights name, or None for random weights"
        ) from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        LookupError,
        AttributeError,
        TypeError,
        AssertionError,
        OverflowError,
        struct.error,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
        zipfile.BadZipFile,
    ) as error:
        raise WeightsError(
            f"weights file {str(path)!r} is not a readable state dict: {reason(error)}. Where it "
            "was made, save the state dict alone, with torch.save(model.state_dict(), path) or "
            "safetensors.torch.save_file(model.state_dict(), path)"
        ) from error


def reason(error):
    """Return why a file cannot be read; torch's advice to run what it holds is left out."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "it holds more than tensors, which could run code"
    return str(error)


def _read(file, n_bytes, suffix):
    """Read a file by what it begins with."""
    start = file.read(512)
    file.seek(0)
    if start.startswith(_ZIP_START):
        return load_archive(file, n_bytes)
    # The length of a header in JSON, and the header.
    if start[8:9] == b"{":
        return safetensors.torch.load(file.read(n_bytes))
    for offset, mark, kind in _OTHER_KINDS:
        if start[offset:].startswith(mark):
            raise ValueError(f"it is {kind}")
    if suffix == ".safetensors":
        raise ValueError("it has no header of safetensors")
    return load_legacy(file.read(n_bytes))
