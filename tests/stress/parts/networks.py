"""Networks and pictures that cost little, in a module that worker processes can import."""

import numpy as np
import pandas as pd
import torch
from PIL import Image
from skorch import NeuralNetClassifier
from torch import nn


class SmallEncoder(nn.Module):
    """Eight features by one convolution with batch normalisation."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, stride=4)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, images):
        """Turn images into features."""
        return self.norm(self.conv(images)).relu().mean((2, 3))


class DropoutEncoder(SmallEncoder):
    """The same, drawing random numbers while it trains."""

    def forward(self, images):
        """Turn images into features."""
        return nn.functional.dropout(super().forward(images), 0.5, self.training)


class SeededNet(NeuralNetClassifier):
    """Plain skorch, with torch's seed set before each fit as its users do."""

    def fit(self, X, y, **fit_params):
        """Set the seed of the process, and train."""
        torch.manual_seed(0)
        return super().fit(X, y, **fit_params)


class PlainMLP(nn.Module):
    """A hidden layer of 64 units and dropout, for two classes."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 2))

    def forward(self, values):
        """Compute the logits."""
        return self.layers(values)


def as_array(frame):
    """Turn a table into the float32 array that plain skorch needs."""
    return frame.to_numpy(np.float32, copy=True)


def make_cohort(folder, *, n_patients, side, seed):
    """Write grey squares whose brightness leans to the label, with clinical columns.

    Parameters
    ----------
    folder : pathlib.Path
        Where to.
    n_patients : int
        Patients, two images each.
    side : int
        Height and width in pixels.
    seed : int
        Seed of all values.

    Returns
    -------
    DataFrame
        One row an image; the label is column "diagnosis".
    """
    random = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        label = patient % 2
        record = {
            "patient_id": f"p{patient:03d}",
            "gender": "FM"[random.integers(2)],
            "age": int(random.integers(5, 80)),
            "alp": float(random.integers(50, 120) + 60 * label),
            "alp_low": 40.0,
            "alp_high": 130.0,
            "ldh": float(random.integers(120, 240) + 20 * label),
            "ldh_low": 120.0,
            "ldh_high": 250.0,
            "diagnosis": label,
        }
        for view in range(2):
            pixels = random.integers(0, 200, (side, side)) + 40 * label
            path = folder / f"{patient:03d}_{view}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            rows.append({"image": str(path), **record})
    return pd.DataFrame(rows)
