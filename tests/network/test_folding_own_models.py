"""Models of torchvision that a user has changed: folded rightly, or not at all."""

import functools

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm
from torchvision import models

from skosfusion.network import FusionNetwork, folded_encoder
from skosfusion.network._encoders import build_encoder
from skosfusion.network._state_parts import tensor_dicts

from .._helpers.tiny import TinyEncoder


def resnet(change=lambda encoder: None):
    torch.manual_seed(0)
    encoder = models.resnet18(weights=None)
    encoder.fc = nn.Identity()
    change(encoder)
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return encoder.eval()


def share_a_layer(encoder):
    encoder.layer1[1].conv2 = encoder.layer1[1].conv1


def share_a_norm(encoder):
    encoder.layer1[1].bn2 = encoder.layer1[1].bn1


def share_a_tensor(encoder):
    encoder.layer1[1].conv2.weight = encoder.layer1[1].conv1.weight


def parametrize(encoder):
    weight_norm(encoder.conv1)


def read_gray(encoder):
    encoder.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)


def forget_statistics(encoder):
    encoder.layer1[0].bn1 = nn.BatchNorm2d(64, track_running_stats=False)


@pytest.mark.parametrize(
    "change",
    [
        share_a_layer,
        share_a_norm,
        share_a_tensor,
        parametrize,
        read_gray,
        forget_statistics,
        lambda e: None,
    ],
)
def test_a_changed_model_gives_its_own_features(change):
    plain = resnet()
    folded_encoder(plain)  # what is known of one must not be used for another
    encoder = resnet(change)
    images = torch.rand(2, encoder.conv1.in_channels, 64, 64)
    with torch.no_grad():
        expected = encoder(images)
        torch.testing.assert_close(folded_encoder(encoder)(images), expected, rtol=1e-3, atol=1e-3)
        # ... nor the other way round.
        three = torch.rand(2, 3, 64, 64)
        torch.testing.assert_close(folded_encoder(plain)(three), plain(three), rtol=1e-3, atol=1e-3)


def test_an_image_size_of_its_own_is_no_obstacle():
    encoder = functools.partial(models.vit_b_16, weights=None, image_size=32)()
    assert folded_encoder(encoder.eval())(torch.rand(1, 3, 32, 32)).shape == (1, 1000)


BODY = TinyEncoder()


class OnSharedBody(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = BODY

    def forward(self, images):
        return self.body(images)


def test_a_class_that_builds_on_a_module_of_the_process_gets_a_copy():
    before = BODY.conv.weight.detach().clone()
    encoder = build_encoder(OnSharedBody)
    assert encoder.body is not BODY
    network = FusionNetwork(0, 2, backbone=OnSharedBody, image_size=32)
    with torch.no_grad():
        network.encoder.body.conv.weight.zero_()
    assert torch.equal(BODY.conv.weight, before)


def test_long_names_and_many_entries_cost_nothing():
    content = {"n" * 10**5: {str(number): {} for number in range(2000)}}
    assert tensor_dicts(content) == [("", {})]
    plain = {str(number): 0 for number in range(300_000)}
    tensors = {"w": torch.zeros(2)}
    found = tensor_dicts({"plain": plain, "state_dict": tensors})
    assert [key for key, _ in found] == ["", "state_dict"]
    assert torch.equal(found[1][1]["w"], tensors["w"])
