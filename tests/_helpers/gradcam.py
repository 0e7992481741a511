"""Encoders whose feature maps are laid out in unusual ways, and maps computed by hand."""

import copy

import numpy as np
import torch
from PIL import Image
from torch import nn

from . import tiny

METHODS = ["gradcam", "gradcam++", "hirescam", "ablationcam"]


class ChannelsLast(tiny.TinyEncoder):
    """As Swin transformers keep their channels."""

    def __init__(self):
        super().__init__()
        self.last = nn.Identity()
        self.turn = nn.Flatten(1, 2)

    def forward(self, images):
        maps = self.last(self.conv(images).permute(0, 2, 3, 1))
        return self.turn(maps).mean(1)


class Twice(nn.Module):
    """One layer runs twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.relu = nn.ReLU(inplace=True)
        self.next = nn.Conv2d(4, 4, 1)

    def forward(self, images):
        return self.relu(self.next(self.relu(self.conv(images)))).mean((2, 3))


def maps_by_hand(classifier, table, code):
    """Grad-CAM as the textbook has it, by autograd through the whole network."""
    network = copy.deepcopy(classifier.module_).eval().float()
    network.encoder_dtype = None
    network.requires_grad_(True)
    kept = []

    def keep(layer, inputs, output):
        kept.append(output)
        return output.clone()

    network.encoder.norm.register_forward_hook(keep)
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in table["image"]])
    clinical = torch.tensor(table.drop(columns="image").to_numpy(np.float32))
    logits = network(clinical, torch.from_numpy(pixels))
    (gradients,) = torch.autograd.grad(logits[:, code].sum(), kept[0])
    return (gradients.mean((2, 3), keepdim=True) * kept[0]).sum(1).detach().numpy()


class Joined(nn.Module):
    """A layer's output is joined to another along the channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.next = nn.Conv2d(4, 4, 1)

    def forward(self, images):
        first = self.conv(images)
        return torch.cat([first, self.next(first)], dim=1).mean((2, 3))
