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


class StagedEncoder(nn.Module):
    """Three stages with batch normalization, one after the other, the last with a detour."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8))
        self.middle = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.top = nn.ModuleDict({"main": nn.Conv2d(8, 8, 1), "norm": nn.BatchNorm2d(8)})
        self.last = _Residual(8)

    def forward(self, images):
        seen = self.middle(self.stem(images).relu_())
        return self.last(self.top["norm"](self.top["main"](seen))).mean((2, 3))


class _Residual(nn.Module):
    def __init__(self, n_channels):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(n_channels, n_channels, 1), nn.BatchNorm2d(n_channels)

    def forward(self, seen):
        return seen.relu_() + self.norm(self.conv(seen))


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
