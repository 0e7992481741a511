"""What the tests of engines share."""

import torch
from torch import nn

from skosfusion.network import FusionNetwork


def make_network(engine, backbone="resnet18", **options):
    """Make a network whose batch normalization does something."""
    torch.manual_seed(0)
    network = FusionNetwork(0, 2, backbone=backbone, image_size=32, **options).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 2)
    network.engine = engine
    return network
