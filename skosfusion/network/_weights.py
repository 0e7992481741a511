"""Initial weights of an encoder: torchvision's by name, or a local file. No pickled code is run."""

import os
import pickle
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import safetensors
import safetensors.torch
import torch
from torchvision import models

from .._utils.files import NotRegularError, open_regular_file
from .._utils.validation import did_you_mean
from ..exceptions import WeightsError
from ._encoders import backbone_names, build_empty_encoder

# Of AlexNet's parameters one in 25 is the encoder's.
_LARGEST_HEAD = 32
_MAX_FILE_BYTES = 16 * 2**30
_FILE_SUFFIXES = (".safetensors", ".pth", ".pt")


def load_encoder_state(backbone, weights):
    """Read the initial weights of an encoder.

    Parameters
    ----------
    backbone : str or type
        The encoder, as in `skosfusion.network.build_encoder`.
    weights : str, os.PathLike or None
        A torchvision weights name such as "IMAGENET1K_V1", downloaded by
        torchvision unless its file is there already; the path of a state dict,
        ``.safetensors``, or ``.pth``/``.pt`` that is read with
        ``weights_only=True``; or None for random weights. The classification
        head of a state dict is left out.

    Returns
    -------
    dict of str to torch.Tensor, or None
        State of the encoder, on the CPU; None for `weights` None.

    Raises
    ------
    ValueError
        If torchvision knows no weights of that name for this backbone.
    WeightsError
        If the weights are not available: no such file, no connection, or a file
        that is damaged, not a state dict, or one of another network. The error
        names the file to place, and where.

    Examples
    --------
    >>> from skosfusion.network import load_encoder_state
    >>> load_encoder_state("resnet18", None) is None
    True
    """
    if weights is None:
        return None
    if isinstance(weights, os.PathLike) or str(weights).endswith(_FILE_SUFFIXES):
        source, state = f"file {os.fspath(weights)!r}", _read_state_file(Path(weights))
    else:
        source, state = f"{weights!r} of torchvision", _torchvision_state(backbone, weights)
    return encoder_part(state, backbone, source)


def torchvision_weights(backbone, name):
    """Look up torchvision's entry for a weights name.

    Parameters
    ----------
    backbone : str
        Name of a torchvision classification model.
    name : str
        Name of its weights, such as "IMAGENET1K_V1".

    Returns
    -------
    torchvision.models.WeightsEnum
        The entry; its ``url`` tells where the file comes from.

    Raises
    ------
    ValueError
        If the backbone is not a torchvision model or has no weights of that name.

    Examples
    --------
    >>> from skosfusion.network import torchvision_weights
    >>> torchvision_weights("resnet18", "IMAGENET1K_V1").url.rsplit("/")[-1]
    'resnet18-f37072fd.pth'
    """
    if not isinstance(backbone, str):
        raise ValueError(
            f"weights={name!r} names weights of a torchvision model, and backbone is the class "
            f"{backbone.__name__}; pass weights=None or the path of a state dict"
        )
    known = models.get_model_weights(backbone).__members__
    if name not in known:
        hint = did_you_mean(name, known)
        hint = f"{hint} " if hint else ""
        raise ValueError(
            f"weights={name!r} is not known for backbone {backbone!r}; {hint}allowed: "
            f"{', '.join(map(repr, known))}, None (random weights), or the path of a "
            f"{', '.join(_FILE_SUFFIXES)} file"
        )
    return known[name]


def _torchvision_state(backbone, name):
    """Let torchvision find or download its weights, and explain where to put them if it cannot."""
    entry = torchvision_weights(backbone, name)
    try:
        return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        file_name = Path(urlparse(entry.url).path).name
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise WeightsError(
            f"weights={name!r} for backbone {backbone!r} are not available: {error}. On a machine "
            f"without a connection, place the file {file_name!r} (from {entry.url}) in the folder "
            f"{str(folder)!r}, or anywhere and pass its path as weights; weights=None starts from "
            "random weights"
        ) from error


def _read_state_file(path):
    """Read a state dict without running anything that it may hold."""
    try:
        with open_regular_file(path, _MAX_FILE_BYTES) as (file, _):
            if path.suffix == ".safetensors":
                return safetensors.torch.load(file.read())
            if not zipfile.is_zipfile(file):
                raise ValueError("not the archive that torch.save writes")
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except (FileNotFoundError, NotADirectoryError, NotRegularError) as error:
        is_there = isinstance(error, NotRegularError)
        wrong = "is not a file but a folder, pipe or device" if is_there else "does not exist"
        raise WeightsError(
            f"weights file {str(path)!r} {wrong}; place a state dict there, or pass a "
            "torchvision weights name, or None for random weights"
        ) from error
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:
        raise WeightsError(
            f"weights file {str(path)!r} is not a readable state dict: {error}. Save it with "
            "safetensors.torch.save_file or torch.save(module.state_dict(), path)"
        ) from error


def encoder_part(state, backbone, source):
    """Keep the encoder's entries of an untrusted state dict, or refuse one that does not fit."""
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(
            f"weights from {source} hold a {type(state).__name__}, not a state dict of tensors"
        )
    expected, misfit = {}, _far_too_few(state, backbone)
    if misfit is None:
        expected = build_empty_encoder(backbone).state_dict()
        misfit = _misfit(state, expected)
    if misfit is not None:
        raise WeightsError(f"weights from {source} do not fit backbone {backbone!r}: {misfit}")
    for name in expected:
        if not torch.isfinite(state[name]).all():
            raise WeightsError(f"weights from {source} hold non-finite numbers in entry {name!r}")
    # Weights may have been saved in half precision.
    return {name: state[name].to(tensor.dtype) for name, tensor in expected.items()}


def _far_too_few(state, backbone):
    """Return why a state cannot be of a network, before one is built to compare, or None."""
    # Some networks of torchvision cannot be built without storage; of others all but a small part
    # is the head.
    if backbone not in backbone_names():
        return None
    n_numbers = sum(tensor.numel() for tensor in state.values())
    n_parameters = models.get_model_weights(backbone).DEFAULT.meta["num_params"]
    if _LARGEST_HEAD * n_numbers >= n_parameters:
        return None
    return (
        f"most entries are missing, they are {n_numbers} numbers, and the network has "
        f"{n_parameters} with its head"
    )


def _misfit(state, expected):
    """Return why a state does not fit the entries expected, or None where it does."""
    missing = [name for name in expected if name not in state]
    if missing:
        return f"{len(missing)} of {len(expected)} entries are missing, such as {missing[0]!r}"
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            shapes = f"{tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
            return f"entry {name!r} has shape {shapes}"
    return None
