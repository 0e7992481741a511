"""The same network and training as careful users write them, in PyTorch and in skorch."""

import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_N_HIDDEN = 512


class TinyEncoder(nn.Module):
    """An encoder that costs next to nothing, where only the way of the pixels matters."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, pixels):
        """Turn pixels into features."""
        return self.layers(pixels)


def make_head(n_inputs):
    """Build the two-layer head."""
    return nn.Sequential(nn.Linear(n_inputs, _N_HIDDEN), nn.ReLU(), nn.Linear(_N_HIDDEN, 2))


class PlainNetwork(nn.Module):
    """Late fusion by hand: encoder, clinical values appended, head."""

    def __init__(self, n_clinical=4, *, channels_last=False, tiny=False):
        super().__init__()
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        if tiny:
            self.encoder, n_features = TinyEncoder(), 8
        else:
            self.encoder, n_features = models.resnet18(), 512
            self.encoder.fc = nn.Identity()
        self.head = make_head(n_features + n_clinical)
        self.register_buffer("mean", 255 * torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(_STD).view(1, 3, 1, 1))
        self.to(memory_format=self.format)

    def encode(self, image):
        """Turn uint8 pixels, gray or colored, into features."""
        pixels = (image.float().expand(-1, 3, -1, -1) - self.mean) / self.std
        return self.encoder(pixels.contiguous(memory_format=self.format))

    def forward(self, image, clinical):
        """Compute the logits."""
        return self.head(torch.cat([self.encode(image), clinical], dim=1))


def autocast(precision):
    """Let torch choose bf16 where it is safe, or not."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def step(logits, codes, optimizer):
    """Do what follows the forward pass."""
    loss = functional.cross_entropy(logits.float(), codes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def train(network, pixels, clinical, codes, *, batch_size, precision, n_epochs=1):
    """Train everything, in a loop written by hand."""
    loader = DataLoader(TensorDataset(pixels, clinical, codes), batch_size, shuffle=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    network.train()
    for _ in range(n_epochs):
        for image, values, target in loader:
            with autocast(precision):
                logits = network(image, values)
            step(logits, target, optimizer)


def predict_proba(network, pixels, clinical, *, batch_size, precision):
    """Predict probabilities, in a loop written by hand."""
    network.eval()
    with torch.inference_mode(), autocast(precision):
        parts = [
            network(image, values).float().softmax(dim=1)
            for image, values in DataLoader(TensorDataset(pixels, clinical), batch_size)
        ]
    return torch.cat(parts).numpy()


def make_skorch(module, *, batch_size, clock, n_epochs=1, optimizer=torch.optim.SGD, **params):
    """Make skorch's classifier, silent and without a validation split."""
    if optimizer is torch.optim.SGD:
        params["optimizer__momentum"] = 0.9
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=optimizer,
        lr=0.01,
        max_epochs=n_epochs,
        batch_size=batch_size,
        train_split=None,
        iterator_train__shuffle=True,
        callbacks=[("clock", clock)],
        verbose=0,
        **params,
    )


def loop_name(precision, channels_last):
    """Name a loop in reports."""
    layout = "channels_last" if channels_last else "contiguous"
    return f"plain PyTorch, {precision}, {layout}"


def loops_in(figures, precision):
    """List the loops in a number format among what was measured."""
    return [name for name in figures if name.startswith(f"plain PyTorch, {precision}")]
