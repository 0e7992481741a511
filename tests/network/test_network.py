import threading

import numpy as np
import pytest
import torch
from torch import nn

from skosfusion.network import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    FusionNetwork,
    backbone_names,
    build_encoder,
    folded_encoder,
)
from skosfusion.network import _encoders as network_module

from .._helpers import tiny


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FusionNetwork(2, 3, backbone=tiny.TinyEncoder, image_size=16, hidden_units=5)


@pytest.fixture
def image():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8, generator=generator)


class MeanEncoder(nn.Module):
    """The mean of each input channel, so that values can be computed by hand."""

    def forward(self, images):
        return images.mean((2, 3))


class TwoOutputs(MeanEncoder):
    """An encoder with a second output for its training, as Inception has one."""

    def forward(self, images):
        return super().forward(images), images


def test_the_first_of_several_outputs_of_an_encoder_counts(image):
    networks = [
        FusionNetwork(0, 2, backbone=kind, image_size=16) for kind in (MeanEncoder, TwoOutputs)
    ]
    one, two = (network.encode(image) for network in networks)
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize(("backbone", "length"), [("resnet18", 512), ("resnet50", 2048)])
def test_resnets_give_the_feature_below_the_average_pool(backbone, length):
    network = FusionNetwork(4, 2, backbone=backbone, image_size=64)
    assert network.n_features == length
    assert network.head[0].in_features == length + 4


def test_the_head_has_two_layers_with_512_hidden_units():
    network = FusionNetwork(4, 2, backbone=None)
    assert [type(layer) for layer in network.head] == [nn.Linear, nn.ReLU, nn.Linear]
    assert network.head[0].out_features == 512
    assert network.head[2].out_features == 2


@pytest.mark.parametrize("width", [0, 1, 4, 9])
def test_the_concat_layer_takes_any_number_of_clinical_values(width, image):
    network = FusionNetwork(width, 2, backbone=tiny.TinyEncoder, image_size=16)
    assert network(clinical=torch.zeros(4, width), image=image).shape == (4, 2)


def test_a_network_without_image_uses_clinical_values_alone():
    network = FusionNetwork(3, 2, backbone=None)
    assert network(clinical=torch.ones(5, 3)).shape == (5, 2)


def test_a_network_without_any_input_is_refused():
    with pytest.raises(ValueError, match="an image or clinical values, and has neither"):
        FusionNetwork(0, 2, backbone=None)


def test_pixels_are_normalized_as_torchvision_does():
    network = FusionNetwork(0, 2, backbone=MeanEncoder, image_size=4)
    gray = torch.full((1, 1, 4, 4), 51, dtype=torch.uint8)
    expected = (51 / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    np.testing.assert_allclose(network.encode(gray)[0], expected, rtol=1e-5)


def test_gray_pixels_and_the_same_pixels_in_three_channels_are_equal(network, image):
    network.eval()
    color = image.expand(-1, 3, -1, -1)
    assert torch.equal(network.encode(image), network.encode(color))


def test_features_take_the_place_of_the_image(network, image):
    network.eval()
    clinical = torch.ones(4, 2)
    features = network.encode(image)
    expected = network(clinical=clinical, image=image)
    assert torch.equal(network(clinical=clinical, features=features), expected)


def test_clinical_values_are_appended_behind_the_features(network, image):
    network.eval()
    features, clinical = network.encode(image), torch.rand(4, 2)
    by_hand = network.head(torch.hstack([features, clinical]))
    assert torch.equal(network(clinical=clinical, image=image), by_hand)


def test_a_frozen_encoder_stays_in_eval_mode_and_has_no_gradients(network, image):
    network.freeze_encoder().train()
    before = network.encoder.norm.running_mean.clone()
    network(clinical=torch.ones(4, 2), image=image).sum().backward()
    assert network.training
    assert network.head.training
    assert not network.encoder.training
    assert torch.equal(network.encoder.norm.running_mean, before)
    assert all(parameter.grad is None for parameter in network.encoder.parameters())
    assert network.head[0].weight.grad is not None


def test_a_freed_encoder_trains_again(network, image):
    network.freeze_encoder().train()
    network.freeze_encoder(frozen=False)
    before = network.encoder.norm.running_mean.clone()
    network(clinical=torch.ones(4, 2), image=image).sum().backward()
    assert not torch.equal(network.encoder.norm.running_mean, before)
    assert network.encoder.conv.weight.grad is not None


def test_freezing_in_eval_mode_and_freeing_keeps_eval_mode(network):
    network.eval().freeze_encoder().freeze_encoder(frozen=False)
    assert not network.encoder.training


def test_bf16_features_are_float32_and_close(image):
    torch.manual_seed(0)
    full = FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=16).eval()
    half = FusionNetwork(
        0,
        2,
        backbone=tiny.TinyEncoder,
        image_size=16,
        encoder_dtype=torch.bfloat16,
        encoder_state=full.encoder.state_dict(),
    ).eval()
    exact, rounded = full.encode(image), half.encode(image)
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    # bf16 keeps 8 bits: a relative error of 2**-8 a product, some of which add up.
    np.testing.assert_allclose(
        rounded.detach(), exact.detach(), atol=0.03 * float(exact.detach().abs().max())
    )


def test_training_leaves_the_given_weights_alone(image):
    state = tiny.TinyEncoder().state_dict()
    before = {name: value.clone() for name, value in state.items()}
    network = FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=16, encoder_state=state)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network(clinical=torch.zeros(4, 0), image=image).square().sum().backward()
    optimizer.step()
    assert not torch.equal(network.encoder.conv.weight, before["conv.weight"])
    assert all(torch.equal(state[name], before[name]) for name in state)


@pytest.mark.parametrize(
    "name",
    [
        "alexnet",
        "convnext_tiny",
        "densenet121",
        "efficientnet_b0",
        "googlenet",
        "inception_v3",
        "mobilenet_v3_small",
        "regnet_x_400mf",
        "squeezenet1_1",
        "swin_t",
        "vgg11",
        "vit_b_32",
    ],
)
def test_every_family_of_torchvision_loses_its_head(name):
    with torch.device("meta"):
        try:
            encoder = build_encoder(name)
        except NotImplementedError:
            encoder = None
    encoder = encoder or build_encoder(name).to("meta")
    images = torch.empty(2, 3, 224, 224, device="meta")
    output = encoder.eval()(images)
    assert output.shape[0] == 2
    assert output.flatten(1).shape[1] != 1000


def test_an_unknown_backbone_is_named_with_its_nearest_neighbour():
    with pytest.raises(ValueError, match=r"backbone='resnet19'.*did you mean 'resnet1"):
        build_encoder("resnet19")


def test_an_instance_as_backbone_is_refused():
    with pytest.raises(TypeError, match="not an instance, so that no fold"):
        build_encoder(tiny.TinyEncoder())


def test_only_classification_models_are_backbones():
    names = backbone_names()
    assert {"resnet18", "resnet50"} <= set(names)
    assert not any("fcn" in name or "raft" in name or "r3d" in name for name in names)


FAMILIES = (
    "alexnet",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "swin_t",
    "vgg11_bn",
)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_folded_encoder_gives_the_features_of_the_encoder(backbone):
    torch.manual_seed(0)
    encoder = build_encoder(backbone).eval()
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
            nn.init.normal_(layer.bias, 0, 0.1)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    images = torch.randn(2, 3, 64, 64)
    folded = folded_encoder(encoder)
    with torch.inference_mode():
        expected, features = encoder(images), folded(images)
    torch.testing.assert_close(features, expected, rtol=0, atol=2e-5 * expected.abs().max().item())
    assert folded is not encoder
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert all(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("backbone", ["resnet18", "swin_t"])
def test_converted_weights_give_what_mixed_precision_gives(backbone):
    torch.manual_seed(0)
    encoder = build_encoder(backbone).eval()
    images = torch.randn(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = folded_encoder(encoder)(images)
        features = folded_encoder(encoder, torch.bfloat16)(images)
    torch.testing.assert_close(features, expected, rtol=0, atol=0)
    assert all(value.dtype == torch.float32 for value in encoder.parameters())


def test_other_threads_compute_while_one_folds():
    encoder, head = build_encoder("resnet18"), nn.Linear(3, 2)
    done, failures = threading.Event(), []

    def compute():
        while not done.is_set():
            try:
                head(torch.ones(1, 3))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported
                failures.append(error)

    thread = threading.Thread(target=compute)
    thread.start()
    for _ in range(3):
        folded_encoder(encoder)
    done.set()
    thread.join()
    assert failures == []


def test_the_same_seed_gives_the_same_network_whatever_was_built_before():
    network_module.feature_length.cache_clear()
    heads = []
    for _ in range(2):
        torch.manual_seed(0)
        heads.append(FusionNetwork(0, 2, backbone="regnet_y_400mf", image_size=32).head[0].weight)
    torch.testing.assert_close(heads[0], heads[1], rtol=0, atol=0)


def test_folding_leaves_a_training_encoder_in_training():
    encoder = build_encoder("resnet18").train()
    folded = folded_encoder(encoder)
    assert all(layer.training for layer in encoder.modules())
    assert not any(layer.training for layer in folded.modules())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())


def test_a_users_encoder_is_not_folded(network):
    assert folded_encoder(network.encoder) is network.encoder


def test_the_length_of_features_is_that_of_each_size_and_backbone():
    sizes = [FusionNetwork(0, 2, backbone="alexnet", image_size=s).n_features for s in (64, 224)]
    assert sizes == [9216, 9216]
    lengths = [FusionNetwork(0, 2, backbone=b).n_features for b in ("resnet18", "resnet50")]
    assert lengths == [512, 2048]
