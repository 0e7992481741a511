"""Whether an encoder gives an image the same features each time, whatever lies beside it."""

import copy
import logging
import threading
import warnings
import weakref
from collections import OrderedDict

import torch

from .._utils.locks import DRAWING
from .._utils.random_states import common_states_kept, torch_states_kept

_LOGGER = logging.getLogger(__name__)
# Parts of a feature, and of the largest one: rounding in float32 stays below.
_OF_ITS_SIZE, _OF_THE_LARGEST = 1e-3, 1e-5
_MOST_KEPT = 256
_LOCK = threading.Lock()
# By the module and, for modules built anew in each fold, by what tells them from others.
_of_module, _of_digest = weakref.WeakKeyDictionary(), OrderedDict()


def unsteady(network, image_size, digest):
    """Return in what way features of one image vary in evaluation mode, or None; warns if so.

    Found by a trial on a few images, once an encoder and size; `digest` is its identity, None if
    unknown.
    """
    key = digest, image_size
    with _LOCK:
        if image_size in _of_module.get(network.encoder, ()):
            return _of_module[network.encoder][image_size]
        is_known, reason = digest is not None and key in _of_digest, _of_digest.get(key)
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
        _of_module.setdefault(network.encoder, {})[image_size] = reason
        if digest is not None:
            _of_digest[key] = reason
            while len(_of_digest) > _MOST_KEPT:
                _of_digest.popitem(last=False)
    return reason


def _tried(network, image_size):
    try:
        # What a pass counts or remembers stays in the copy.
        twin = copy.deepcopy(network).eval()
        twin.encoder_dtype = None
        images = _images(network, image_size)
        batches = [0, 1, 2], [0, 1, 2], [3, 0, 4]
        with (
            common_states_kept(),
            DRAWING,
            torch_states_kept(images.device),
            torch.inference_mode(),
        ):
            first, again, other = (twin.encode(images[rows]) for rows in batches)
    except Exception as error:  # noqa: BLE001 - the user's code fails again, and better, on images
        _LOGGER.info("a trial of %s failed: %s", type(network.encoder).__name__, error)
        return None
    sizes = first.abs().nan_to_num().amax(0)
    if _differ(first, again, sizes):
        return "from one pass to the next"
    if _differ(first[0], other[1], sizes):
        return "with other images beside it in a batch"
    return None


def _images(network, image_size):
    """Make images of noise that differ in brightness and contrast, as radiographs do."""
    generator = torch.Generator().manual_seed(0)
    shape = 5, network.pixel_mean.shape[1], image_size, image_size
    noise = torch.rand(shape, generator=generator)
    ramp = torch.linspace(0, 1, image_size)
    darkest = torch.tensor([100.0, 0, 200, 20, 150]).view(-1, 1, 1, 1)
    spread = torch.tensor([60.0, 255, 55, 10, 100]).view(-1, 1, 1, 1)
    pixels = darkest + spread * (noise + ramp) / 2
    return pixels.to(torch.uint8).to(network.pixel_mean.device)


def _differ(one, other, sizes):
    ahead = (one.nan_to_num() - other.nan_to_num()).abs()
    return bool(((ahead > _OF_ITS_SIZE * sizes) & (ahead > _OF_THE_LARGEST * sizes.max())).any())
