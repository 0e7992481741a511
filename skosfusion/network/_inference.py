"""An encoder for inference: normalization folded into convolutions, and batches of a fixed size."""

import copy
import logging
from contextlib import suppress

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from .._utils.content import all_code_is_known
from ._encoders import is_torchvision_model
from ._split import StageReached

_LOGGER = logging.getLogger(__name__)
# A height and width that all torchvision models accept.
_ANY_SIDE = 224
# Convolutions and the batch normalizations that follow them, by the printed form of the encoder.
_PAIRS = {}
# Every batch has this many images, the last one padded: convolution kernels are chosen by shape, so
# features would otherwise differ in the last digits with the company that an image was encoded in.
# On a processor more images give at most 5 % more speed, and one image would wait for all of them;
# an accelerator needs many to be busy.
_ENCODE_BATCHES = {"cpu": 16}
_LARGE_ENCODE_BATCH = 128
# So few images, asked for alone, are not padded further than to one of these.
_SMALL_BATCHES = 1, 4
# What features of a copy may differ by, in shares of the largest one.
_ROUNDING = {None: 1e-4, torch.bfloat16: 2**-4}


def encoding_batch_size(network):
    """Return how many images are encoded at a time where the network is."""
    return _ENCODE_BATCHES.get(network.pixel_mean.device.type, _LARGE_ENCODE_BATCH)


def small_batch_size(network, n_images):
    """Return to how many a few images that are asked for alone are padded; None for the usual."""
    if network.pixel_mean.device.type not in _ENCODE_BATCHES:
        return None
    return next((size for size in _SMALL_BATCHES if n_images <= size), None)


def encode_batch(network, encoder, pixels, encode=None, *, size=None):
    """Start to encode a batch, padded to the fixed size or `size`; `encoder`: a folded one or None.

    `encode` takes the place of the network's own method.
    """
    encode = network.encode if encode is None else encode
    n_images = len(pixels)
    pixels = torch.from_numpy(pixels).to(network.pixel_mean.device, non_blocking=True)
    n_missing = (encoding_batch_size(network) if size is None else size) - n_images
    padded = torch.cat([pixels, pixels[:1].expand(n_missing, *pixels.shape[1:])])
    with torch.inference_mode():
        features = encode(padded) if encoder is None else encode(padded, encoder)
        return features[:n_images]


def folded_encoder(encoder, dtype=None):
    """Make a copy of an encoder for inference, its batch normalization folded into convolutions.

    In evaluation mode batch normalization is a scale and an offset for each channel, which the
    weights and the bias of the convolution before it can take over [1]_. The features are those
    of the encoder but for rounding.

    Parameters
    ----------
    encoder : torch.nn.Module
        The encoder. What is not a torchvision model, or has a part or hook of a user's own, is
        returned as it is: folding needs to follow the computation, and nothing is known of these.
    dtype : torch.dtype or None, default=None
        Number format of the mixed precision in which the copy will be used. It would convert the
        weights of convolutions and linear layers for every batch; the copy holds them converted.

    Returns
    -------
    torch.nn.Module
        The copy, in evaluation mode.

    References
    ----------
    .. [1] B. Jacob et al., "Quantization and training of neural networks for efficient
       integer-arithmetic-only inference", CVPR 2018, section 3.2.

    Examples
    --------
    >>> from skosfusion.network import build_encoder, folded_encoder
    >>> folded = folded_encoder(build_encoder("resnet18"))
    >>> any("BatchNorm" in type(layer).__name__ for layer in folded.modules())
    False
    """
    if not is_torchvision_model(encoder) or not all_code_is_known(encoder) or not is_plain(encoder):
        return encoder
    folded = copy.deepcopy(encoder).eval().requires_grad_(False)
    # Folding stands at the start of each prediction and heatmap; what a torchvision model's printed
    # form says decides which layers follow each other.
    pairs = _PAIRS.get(str(encoder))
    if pairs is None:
        try:
            pairs = _convolutions_before_norms(folded)
        except Exception as error:  # noqa: BLE001  of any layer that a user has exchanged
            _LOGGER.info("%s is not folded: %s", type(encoder).__name__, error)
            pairs = []
        _PAIRS[str(encoder)] = pairs
    for convolution, norm in pairs:
        fused = fuse_conv_bn_eval(folded.get_submodule(convolution), folded.get_submodule(norm))
        folded.set_submodule(convolution, fused)
        folded.set_submodule(norm, nn.Identity())
    if dtype is not None:
        for layer in folded.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.to(dtype)
    return folded.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def images_to_compare(n_images, shape):
    """Return random images, always the same, to try a copy of an encoder with."""
    random = torch.Generator().manual_seed(0)
    # Whatever torch's usual number format is.
    images = torch.randn(n_images, *shape, generator=random, dtype=torch.float32)
    return images.contiguous(memory_format=torch.channels_last)


def gives_same(features, expected, dtype):
    """Return whether a copy gives the features of an encoder, but for rounding."""
    if features.shape != expected.shape or not torch.isfinite(expected).all():
        return False
    allowed = _ROUNDING.get(dtype, _ROUNDING[torch.bfloat16]) * float(expected.abs().max())
    return torch.allclose(features, expected, rtol=0, atol=allowed)


def is_plain(encoder):
    """Return whether no layer or tensor is used twice, and none is made of others."""
    layers = [layer for _, layer in encoder.named_modules(remove_duplicate=False)]
    tensors = encoder.state_dict(keep_vars=True).values()
    return (
        len({id(layer) for layer in layers}) == len(layers)
        and len({id(tensor) for tensor in tensors}) == len(tensors)
        and not any(is_parametrized(layer) for layer in layers)
        and all(
            layer.running_mean is not None for layer in layers if isinstance(layer, nn.BatchNorm2d)
        )
        and all(tensor.dtype == torch.float32 for tensor in tensors if tensor.is_floating_point())
    )


def _convolutions_before_norms(encoder):
    """Name each convolution whose very output a batch normalization reads, and that layer.

    Found by computing shapes. torch.fx finds them, too, but while it traces, it exchanges the call
    of modules for the whole process, and what other threads compute fails.
    """
    shapes_only = copy.deepcopy(encoder).to("meta")
    names = {layer: name for name, layer in shapes_only.named_modules()}
    outputs, pairs = [], []

    def remember(layer, inputs, output):
        outputs.append((layer, output))

    def look_up(layer, inputs):
        pairs.extend((names[conv], names[layer]) for conv, out in outputs if out is inputs[0])

    for layer in names:
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(remember)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(look_up)
    first = next((layer for layer in names if isinstance(layer, nn.Conv2d)), None)
    n_channels = 3 if first is None else first.in_channels
    # The lower half of a divided encoder ends where the stage would begin.
    with torch.no_grad(), suppress(StageReached):
        shapes_only(torch.empty(1, n_channels, _ANY_SIDE, _ANY_SIDE, device="meta"))
    return pairs
