"""Whether an encoder gives an image the same features each time, whatever lies beside it."""

import copy
import logging
import threading
import warnings
import weakref
from collections import OrderedDict

import torch

from .._utils.locks import DRAWING

_LOGGER = logging.getLogger(__name__)
# Rounding in bf16 stays below it; what draws or what normalizes over a batch does not.
_TOLERANCE = 1e-2
_MOST_KEPT = 256
_LOCK = threading.Lock()
# By the module, and for modules built anew in each fold by what tells them from others.
_of_module, _of_digest = weakref.WeakKeyDictionary(), OrderedDict()


def unsteady(network, image_size, digest):
    """Return in what way features of one image vary in evaluation mode, or None; warns if so.

    Found by a trial on random images, once an encoder; `digest` is its identity, None if unknown.
    """
    with _LOCK:
        if network.encoder in _of_module:
            return _of_module[network.encoder]
        is_known, reason = digest in _of_digest, _of_digest.get(digest)
    if not is_known:
        reason = _tried(network, image_size)
        if reason is not None:
            warnings.warn(
                f"the encoder {type(network.encoder).__name__} gives an image other features "
                f"{reason}, in evaluation mode, so that results cannot be repeated, and features "
                "are not kept; let its forward depend on the image alone where self.training is "
                "False",
                stacklevel=2,
            )
    with _LOCK:
        _of_module[network.encoder] = reason
        if digest is not None:
            _of_digest[digest] = reason
            while len(_of_digest) > _MOST_KEPT:
                _of_digest.popitem(last=False)
    return reason


def _tried(network, image_size):
    # Random states are put back, and what a pass counts or remembers stays in the copy.
    devices = [network.pixel_mean.device] if network.pixel_mean.is_cuda else []
    generator = torch.Generator().manual_seed(0)
    shape = 3, network.pixel_mean.shape[1], image_size, image_size
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    images = images.to(network.pixel_mean.device)
    try:
        twin = copy.deepcopy(network).eval()
        with DRAWING, torch.random.fork_rng(devices=devices), torch.inference_mode():
            first, again, other = (twin.encode(images[rows]) for rows in ([0, 1], [0, 1], [2, 1]))
    except Exception as error:  # noqa: BLE001 - the user's code fails again, and better, on images
        _LOGGER.info("a trial of %s failed: %s", type(network.encoder).__name__, error)
        return None
    if _differ(first, again):
        return "from one pass to the next"
    if _differ(first[1], other[1]):
        return "with other images beside it in a batch"
    return None


def _differ(one, other):
    one, other = one.nan_to_num(), other.nan_to_num()
    return bool((one - other).abs().max() > _TOLERANCE * one.abs().max())
