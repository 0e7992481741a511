"""One digest of all that features depend on beside the image file."""

import hashlib
from itertools import chain

import numpy as np
import torch
import torchvision

from ..images import decoding_versions
from ._encoders import is_torchvision_model
from ._fusion import FusionNetwork
from ._inference import encoding_batch_size

# Increase this when the same encoder and image would give other features than before.
_FEATURE_FORMAT = 2
# Referenced, so that no later class can be given the same id.
_USER_CLASSES = set()


def has_known_code(network):
    """Return whether all code that computes features is known by its version."""
    return type(network) is FusionNetwork and is_torchvision_model(network.encoder)


def encoder_key(network, image_options):
    """Return a digest of encoder, reading options and software versions."""
    digest = hashlib.sha256()
    if not has_known_code(network):
        # A user's class can be redefined under its name; the object itself tells it apart.
        for user_class in (type(network), type(network.encoder)):
            _USER_CLASSES.add(user_class)
            digest.update(f"{id(user_class)}\0".encode())
    for part in (*_versions(network, image_options), *_description(network, image_options)):
        digest.update(part.encode() + b"\0")
    # Not the state dict: buffers may be left out of it.
    encoder = network.encoder
    scale = (("pixel_mean", network.pixel_mean), ("pixel_std", network.pixel_std))
    for name, tensor in chain(scale, encoder.named_parameters(), encoder.named_buffers()):
        _add_tensor(digest, name, tensor)
    return digest.digest()


def _versions(network, image_options):
    contrast = image_options.get("contrast")
    own, pillow, *others = decoding_versions(contrast)
    format_ = f"{own} {_FEATURE_FORMAT} {encoding_batch_size(network)}"
    capability = torch.backends.cpu.get_cpu_capability()
    # An empty part where there are no others, as in the keys of existing folders.
    others = others or [""]
    return format_, torch.__version__, torchvision.__version__, pillow, *others, capability


def _description(network, image_options):
    encoder_type = type(network.encoder)
    return (
        f"{encoder_type.__module__}.{encoder_type.__qualname__}",
        str(network.encoder),
        str(network.encoder_dtype),
        network.pixel_mean.device.type,
        repr(sorted(image_options.items())),
    )


def _add_tensor(digest, name, tensor):
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
    # The storage order is part of the tensor's identity here, so nothing needs to be copied.
    tensor = tensor.detach().cpu()
    flat = tensor.as_strided((tensor.numel(),), (1,)) if _is_dense(tensor) else tensor.flatten()
    digest.update(f"{tensor.stride()}\0".encode())
    digest.update(flat.numpy().view(np.uint8).data)


def _is_dense(tensor):
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
