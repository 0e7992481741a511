"""Plain skorch, in a module that worker processes can import."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn


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
