"""Small stand-ins: an encoder that costs nothing, and a cohort with a visible label."""

import numpy as np
import pandas as pd
from PIL import Image
from torch import nn


class TinyEncoder(nn.Module):
    """Eight features by one convolution with batch normalization."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=4)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images):
        return self.norm(self.conv(images)).relu().mean((2, 3))


class DropoutEncoder(TinyEncoder):
    """Draws random numbers in training."""

    def forward(self, images):
        return nn.functional.dropout(super().forward(images), 0.5, self.training)


def make_cohort(folder, *, n_patients=24, images_per_patient=2, side=32, seed=0):
    """Write gray squares whose brightness leans to the label, with clinical columns."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        label = patient % 2
        record = {
            "patient_id": f"p{patient:03d}",
            "gender": "FM"[rng.integers(2)],
            "age": int(rng.integers(5, 80)),
            "alp": float(rng.integers(50, 120) + 60 * label),
            "alp_low": 40.0,
            "alp_high": 130.0,
            "ldh": float(rng.integers(120, 240) + 20 * label),
            "ldh_low": 120.0,
            "ldh_high": 250.0,
            "diagnosis": label,
        }
        for view in range(images_per_patient):
            pixels = rng.integers(0, 200, (side, side)) + 40 * label
            path = folder / f"{patient:03d}_{view}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            rows.append({"image": str(path), **record})
    return pd.DataFrame(rows)
