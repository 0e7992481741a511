"""Where the encoder's initial weights come from: ImageNet, or separate synthetic images."""

import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _common.files import write_atomically
from PIL import Image
from safetensors.torch import save
from torchvision.models import get_model_weights

from skosfusion import FusionClassifier
from skosfusion.datasets import get_data_home, make_osteosarcoma_cohort

IMAGENET = "IMAGENET1K_V1"
_CONNECT_SECONDS = 4.0
# Another seed than any cohort of the ablation, so that no image is shared with it.
_SEED = 20_000_003
_N_PATIENTS = 400
_EPOCHS = 4
# Training sees squares around the lesion or around the bone ends, at the scale of a whole image
# of 224 pixels: a quarter of the arithmetic, and none of it spent on empty background.
_CROP_SIZE = 112
_WHOLE_SIZE = 224
# Goes into the file's name; to be raised with any change to the recipe.
_RECIPE = 1


def choose_weights(options):
    """Find the weights that the options ask for, and tell the user which."""
    if options.weights == "none":
        return None, "random weights"
    if options.weights != "auto":
        return options.weights, f"weights {options.weights}"
    print("looking for ImageNet weights", flush=True)
    reason = _why_no_imagenet(options.backbone)
    if reason is None:
        return IMAGENET, "ImageNet weights"
    print(
        f"ImageNet weights for {options.backbone} are not available here ({reason}).\n"
        "The encoder starts from training on a separate synthetic set instead; pass --weights FILE "
        "to use your own.",
        flush=True,
    )
    path = _trained_encoder(options)
    return str(path), "weights from a separate synthetic set"


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


def _trained_encoder(options):
    """Train the encoder once; later runs find its file."""
    folder = get_data_home(options.data_home) / "encoders"
    path = folder / f"{options.backbone}-synthetic-{_RECIPE}.safetensors"
    if path.exists():
        print(f"found the encoder trained before: {path}", flush=True)
        return path
    print("drawing the separate synthetic set", flush=True)
    cohort = make_osteosarcoma_cohort(
        n_patients=_N_PATIENTS,
        random_state=_SEED,
        data_home=options.data_home,
        n_jobs=os.cpu_count(),
    )
    print(f"training {options.backbone} on its {len(cohort.target)} images", flush=True)
    classifier = FusionClassifier(
        image_column="image",
        backbone=options.backbone,
        weights=None,
        image_size=_CROP_SIZE,
        max_epochs=_EPOCHS,
        batch_size=32,
        optimizer=torch.optim.AdamW,
        lr=0.001,
        lr_milestones=(2, 3),
        precision=options.precision,
        device=options.device,
        random_state=0,
    )
    with tempfile.TemporaryDirectory() as crops:
        classifier.fit(_crop(cohort, Path(crops)), cohort.target)
    folder.mkdir(parents=True, exist_ok=True)
    state = classifier.module_.encoder.state_dict()
    write_atomically(path, save({name: value.contiguous().cpu() for name, value in state.items()}))
    return path


def _crop(cohort, folder):
    """Cut a square out of each image: the tumor, or a bone end where there is none."""
    rng = np.random.default_rng(_SEED)
    files = []
    for number, (path, box) in enumerate(
        zip(cohort.data["image"], cohort.tumor_boxes, strict=True)
    ):
        with Image.open(path) as picture:
            whole = picture.width
            side = round(_CROP_SIZE * whole / _WHOLE_SIZE)
            if np.isnan(box).any():
                center = whole * np.array([rng.normal(0.5, 0.08), rng.choice([0.27, 0.7])])
            else:
                center = np.array([box[0] + box[2], box[1] + box[3]]) / 2
            corner = center - side / 2 + whole * rng.normal(0, 0.04, 2)
            left, top = np.clip(corner, 0, whole - side).astype(int).tolist()
            files.append(folder / f"{number}.png")
            picture.crop((left, top, left + side, top + side)).save(files[-1])
    return pd.DataFrame({"image": [str(file) for file in files]})
