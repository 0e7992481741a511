"""set_params(image_options=, image_size=) after fit changes what a fitted model predicts, and what save() writes. (scikit-learn#17158, #33666)

Exit status 1: the fault is there; 0: it is not.
"""

import os
import sys
import tempfile

os.environ.setdefault("TQDM_DISABLE", "1")
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from skosfusion import FusionClassifier, load_model, save_model

torch.set_num_threads(1)


def verdict(fault, text):
    print(("FAULT: " if fault else "ok: ") + text)
    sys.exit(int(fault))


from PIL import Image


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8)

    def forward(self, x):
        return self.norm(self.conv(x)).relu().mean((2, 3))


def cohort(folder, n=24, views=2, side=32, seed=0):
    rng, rows = np.random.default_rng(seed), []
    for p in range(n):
        y = p % 2
        record = dict(
            patient_id=f"p{p}",
            gender="FM"[p // 2 % 2],
            age=20 + p,
            alp=80.0 + 40 * y,
            alp_low=40.0,
            alp_high=130.0,
            ldh=180.0,
            ldh_low=120.0,
            ldh_high=250.0,
            y=y,
        )
        for v in range(views):
            path = Path(folder, f"{p}_{v}.png")
            pixels = rng.integers(0, 200, (side, side)) + 25 * y
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            rows.append(dict(image=str(path), **record))
    return pd.DataFrame(rows)


SMALL = dict(
    backbone=Tiny,
    weights=None,
    image_size=32,
    max_epochs=3,
    batch_size=16,
    random_state=0,
    verbose=0,
)


with tempfile.TemporaryDirectory() as folder:
    df = cohort(folder)
    X, bad = df[["image"]], False
    for change in (dict(image_options={"contrast": "stretch"}), dict(image_size=64)):
        c = FusionClassifier(
            image_column="image", **(SMALL | dict(backbone="resnet18", frozen_epochs="all"))
        ).fit(X, df.y)
        before = c.predict_proba(X)
        try:
            after = c.set_params(**change).predict_proba(X)
        except ValueError as error:  # refused by name
            print(change, type(error).__name__, str(error)[:100])
            bad |= list(change)[0] not in str(error)
            continue
        save_model(c, Path(folder, "m.safetensors"))
        loaded = load_model(Path(folder, "m.safetensors")).predict_proba(X)
        bad |= not np.array_equal(before, loaded)
        bad |= not np.array_equal(before, after)
        print(
            change,
            "moved probabilities by",
            abs(after - before).max(),
            "; saved and loaded by",
            abs(loaded - before).max(),
        )
verdict(bad, "a fitted model must read as it was trained to, or refuse")
