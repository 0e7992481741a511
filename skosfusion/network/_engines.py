"""Which engine computes the features of a fixed encoder: asked for, possible here, settled."""

import contextlib
import hashlib
import json
import logging
import os
import uuid
import warnings
from pathlib import Path

import torch

from .._utils.files import read_regular_file
from .._utils.private_folders import make_private_folder
from .._utils.working_folder import resolved
from ._compiled import CannotCompileError, compiled, has_compiler
from ._encoder_key import encoder_key
from ._fused import CannotFuseError, can_fuse, fuse
from ._identity import network_identity
from ._inference import encoding_batch_size, folded_encoder, is_plain

ENGINES = ("eager", "fused", "compiled")
"""What computes features; each can take the place of those behind it."""

# From so many images on, compiling costs less time than it saves.
_COMPILED_FROM = 10_000
_MOST_BYTES = 256
_LOGGER = logging.getLogger(__name__)
# Engines that have failed in this process, by what was computed, and what was warned of.
_FAILED, _WARNED = {}, set()


class EngineFailedError(Exception):
    """An engine that was thought possible is not; the next one will be named."""


def engine_in_use(network, identity, shape, *, layer=None, but=()):
    """Return the engine that computes here: the network's own, or else the next one; warns once.

    `shape` is that of one image, `layer` one that will be looked at. Engines in `but` are passed
    over without a word.
    """
    declared = getattr(network, "engine", "eager")
    for engine in reversed(ENGINES[: ENGINES.index(declared) + 1]):
        if engine in but:
            continue
        reason = _why_not(engine, network, identity, shape, layer)
        if reason is None:
            return engine
        if engine == declared:
            _warn_once(declared, reason)
    return "eager"


def _why_not(engine, network, identity, shape, layer=None):
    """Return why an engine cannot compute the features of a network, or None."""
    if engine == "eager":
        return None
    encoder, device = network.encoder, network.pixel_mean.device
    if device.type != "cpu":
        return f"it computes on the processor, and the device is {device.type!r}"
    if not identity.is_known or not is_plain(encoder):
        return (
            f"the encoder {type(encoder).__name__} is not one of torchvision without changes, so "
            "nobody knows what may be computed in another way"
        )
    if engine == "fused" and not can_fuse(network.encoder_dtype):
        return f"this processor or torch has no fused operations in {_number_format(network)}"
    if engine == "compiled" and network.encoder_has_trained:
        return "an encoder that has trained is not compiled, as that takes longer than it saves"
    if engine == "compiled" and not has_compiler():
        return "there is no C++ compiler"
    return _FAILED.get(_attempt(engine, network, identity, shape, layer))


def _attempt(engine, network, identity, shape, layer):
    """Return what tells attempts apart, so that one that failed is not made again.

    To compile takes so long that other weights are no reason for another attempt.
    """
    encoder = str(network.encoder) if engine == "compiled" else identity.digest
    return engine, encoder, network.encoder_dtype, tuple(shape), layer


def _number_format(network):
    return "fp32" if network.encoder_dtype is None else str(network.encoder_dtype)


def _warn_once(declared, reason):
    if (declared, reason) in _WARNED:
        return
    _WARNED.add((declared, reason))
    warnings.warn(
        f"engine={declared!r} cannot be used here: {reason}; another engine takes its place, with "
        "the same features but for the last digits",
        UserWarning,
        stacklevel=2,
    )


# What is made in a caller's inference mode could not be differentiated later.
@torch.inference_mode(False)
def make_encoder(network, engine, shape, identity, *, encoder=None, layer=None, n_images=None):
    """Make a copy of an encoder for an engine, or raise EngineFailedError and remember that.

    `encoder` is a part of the network's own; `layer` is one that will be looked at; `n_images` is
    the size of its batches, if it is not the usual one.
    """
    own = network.encoder if encoder is None else encoder
    dtype, size = network.encoder_dtype, n_images or encoding_batch_size(network)
    folded = folded_encoder(own, dtype)
    try:
        if engine == "compiled":
            key = encoder_key(network, {}, identity, engine)
            return compiled(folded, shape, dtype, batch_size=size, key=key)
        if engine == "fused":
            return fuse(folded, shape, dtype, batch_size=size, layer=layer)
    except (CannotCompileError, CannotFuseError) as error:
        _FAILED[_attempt(engine, network, identity, shape, layer)] = str(error)
        raise EngineFailedError(str(error)) from error
    return folded


def settle_engine(network, declared, *, n_images, image_size, is_fixed, folder):
    """Decide with which engine a network computes features: as declared, or for "auto" the best.

    A cache folder keeps what was decided first for an encoder, so that all that can use it compute
    the same digits.
    """
    if network.encoder is None or not hasattr(network, "engine"):
        return
    if declared != "auto":
        network.engine = declared
        return
    identity = network_identity(network, with_values=False)
    shape = network.pixel_mean.shape[1], image_size, image_size

    def is_possible(engine):
        is_worth_it = is_fixed or engine != "compiled"
        return is_worth_it and _why_not(engine, network, identity, shape) is None

    network.engine = next(filter(is_possible, _wanted(network, n_images)))
    if folder is not None and identity.digest is not None:
        settled = _settled(folder, network, identity)
        if settled != network.engine and is_possible(settled):
            network.engine = settled
    _LOGGER.info("engine='auto' is %r for %d images", network.engine, n_images)


def _wanted(network, n_images):
    """List the engines for "auto", the best first."""
    is_many = n_images >= _COMPILED_FROM and network.encoder_dtype is torch.bfloat16
    return ("compiled", "fused", "eager") if is_many else ("fused", "eager")


def _settled(folder, network, identity):
    """Return the engine that a folder knows for an encoder, after it has been told this one."""
    name = hashlib.sha256(identity.digest + _number_format(network).encode()).hexdigest()
    path = Path(resolved(folder)).absolute() / "engines" / f"{name}.json"
    # What cannot be written or read is told by what keeps features there.
    text = json.dumps({"engine": network.engine})
    with contextlib.suppress(OSError):
        _write_first(path, text)
        found = _read_engine(path)
        if found is not None:
            return found
        # Something else that stayed there would leave the folder undecided for ever.
        path.unlink()
        _write_first(path, text)
    return network.engine


def _read_engine(path):
    """Return the engine that a small file names, or None."""
    with contextlib.suppress(OSError, ValueError):
        content, _ = read_regular_file(path, _MOST_BYTES)
        found = json.loads(content)
        if isinstance(found, dict) and found.get("engine") in ENGINES:
            return found["engine"]
    return None


def _write_first(path, text):
    """Write a small file unless another process has; it appears whole."""
    if path.exists():
        return
    make_private_folder(path.parent)
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.write_text(text, encoding="utf-8")
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
