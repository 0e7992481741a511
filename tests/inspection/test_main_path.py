"""The default layer of heatmaps: the last feature map that all features come from."""

import fnmatch

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer

from skosfusion.inspection import _trace
from skosfusion.inspection._layers import find_feature_map
from skosfusion.network import backbone_names, build_encoder
from skosfusion.network._encoders import encoder_without_values

SIZES = (32, 64, 96, 224)
# At 32, 64, 96 and 224 pixels; None where the model does not take images of that size.
DEFAULTS = {
    "alexnet": (None, "features.11", "features", "features"),
    "convnext_*": ("features.6.0", *["features"] * 3),
    "densenet*": ("features.transition3.conv", *["features"] * 3),
    "efficientnet_*": ("features.6.0.block.0", *["features"] * 3),
    "googlenet": ("inception4e", *["inception5b"] * 3),
    "inception_v3": (None, None, "Mixed_6e", "Mixed_7c"),
    "maxvit_t": (None, None, None, "blocks.3"),
    "mnasnet*": ("layers.12.0.layers.2", *["layers"] * 3),
    "mobilenet_v2": ("features.14.conv.0", *["features"] * 3),
    "mobilenet_v3_small": ("features.9.block.0", *["features"] * 3),
    "mobilenet_v3_large": ("features.13.block.0", *["features"] * 3),
    "regnet_*": ("trunk_output.block3", *["trunk_output"] * 3),
    "*resne[tx]*": ("layer3", *["layer4"] * 3),
    "shufflenet_*": ("stage3", *["conv5"] * 3),
    "squeezenet1_0": ("features.10", *["features"] * 3),
    "squeezenet1_1": ("features.7", *["features"] * 3),
    "swin_*": ("features.5", *["permute"] * 3),
    "vgg11": ("features.19", *["features"] * 3),
    "vgg11_bn": ("features.27", *["features"] * 3),
    "vgg13": ("features.23", *["features"] * 3),
    "vgg13_bn": ("features.33", *["features"] * 3),
    "vgg16": ("features.29", *["features"] * 3),
    "vgg16_bn": ("features.42", *["features"] * 3),
    "vgg19": ("features.35", *["features"] * 3),
    "vgg19_bn": ("features.51", *["features"] * 3),
    "vit_b_*": (None, None, None, "encoder.layers.encoder_layer_10"),
    "vit_l_*": (None, None, None, "encoder.layers.encoder_layer_22"),
    "vit_h_*": (None, None, None, "encoder.layers.encoder_layer_30"),
}
# One of each kind at all sizes; a trace takes half a second, so the others take turns.
SMALLEST = {
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3",
    "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "resnet18", "resnet50",
    "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "vgg11",
}  # fmt: skip


# It computes with tensors when it is built, and so needs 2.6 GB and a quarter of a minute.
TOO_LARGE = {"regnet_y_128gf"}


def models_and_sizes():
    """Pair each model with its sizes and the layers expected there."""
    for number, name in enumerate(backbone_names()):
        if name in TOO_LARGE:
            continue
        (layers,) = (row for key, row in DEFAULTS.items() if fnmatch.fnmatchcase(name, key))
        known = [pair for pair in zip(SIZES, layers, strict=True) if pair[1] is not None]
        turn = known if name in SMALLEST else [known[number % len(known)]]
        yield from ((name, *pair) for pair in turn)


@pytest.mark.parametrize(("name", "side", "layer"), list(models_and_sizes()))
def test_the_default_layer_of_every_torchvision_model(name, side, layer):
    feature_map = find_feature_map(encoder_without_values(name).to("meta"), side)
    assert feature_map.name == layer
    height, width = feature_map.size
    assert height == width > 1


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "swin_t"])
def test_without_the_default_layer_nothing_of_the_image_is_left(name):
    encoder = build_encoder(name).eval()
    layer = encoder.get_submodule(find_feature_map(encoder, 32).name)
    layer.register_forward_hook(lambda layer, inputs, output: torch.zeros_like(output))
    with torch.no_grad():
        first, second = encoder(torch.rand(2, 3, 32, 32))
    assert torch.equal(first, second)


class SmallViT(VisionTransformer):
    def __init__(self, n_layers=2):
        super().__init__(
            image_size=32, patch_size=8, num_layers=n_layers, num_heads=2, hidden_dim=16, mlp_dim=32
        )
        self.heads = nn.Identity()


def test_tokens_become_a_map_and_the_class_token_is_dropped():
    feature_map = find_feature_map(SmallViT(), 32)
    assert feature_map.name == "encoder.layers.encoder_layer_0"
    tokens = torch.arange(17.0).view(1, 17, 1).expand(2, 17, 16)
    maps = feature_map.as_channels_first(tokens)
    assert maps.shape == (2, 16, 4, 4)
    assert torch.equal(maps[0, 0], torch.arange(1.0, 17.0).view(4, 4))
    kept = torch.tensor([[True] * 16, [False] * 16])
    left = feature_map.keep_channels(tokens + 1, kept)
    assert torch.equal(left[0], tokens[0] + 1)
    assert left[1, 0].all()
    assert not left[1, 1:].any()


def test_tokens_that_the_class_token_no_longer_reads_are_refused():
    with pytest.raises(ValueError, match=r"encoder_layer_1' comes after the last exchange"):
        find_feature_map(SmallViT(), 32, "encoder.layers.encoder_layer_1")


def test_a_patch_embedding_is_no_default_but_may_be_chosen():
    encoder = SmallViT(1)
    with pytest.raises(ValueError, match=r"'conv_proj'; as 6 of its 7 .* layer=.*: conv_proj, "):
        find_feature_map(encoder, 32)
    assert find_feature_map(encoder, 32, "conv_proj").size == (4, 4)
    chosen = find_feature_map(encoder, 32, "encoder.layers.encoder_layer_0.ln_1")
    assert (chosen.size, chosen.n_before) == ((4, 4), 1)


class Tokens(nn.Module):
    """A transformer that keeps its tokens in an unusual way."""

    def __init__(self, layout):
        super().__init__()
        self.layout = layout
        self.patch = nn.Conv2d(3, 16, 8, stride=8)
        self.first, self.second = (
            nn.TransformerEncoderLayer(16, 2, 32, batch_first=layout != "sequence first")
            for _ in range(2)
        )
        self.token = nn.Parameter(torch.zeros(1, 2, 16))

    def forward(self, images):
        maps = self.patch(images)
        if self.layout == "columns first":
            maps = maps.mT
        tokens = maps.flatten(2).mT
        if self.layout == "registers behind":
            tokens = torch.cat([tokens, self.token.expand(len(tokens), -1, -1)], 1)
        if self.layout == "sequence first":
            return self.second(self.first(tokens.transpose(0, 1))).mean(0)
        return self.second(self.first(tokens)).mean(1)


@pytest.mark.parametrize("layout", ["rows first", "columns first", "registers behind"])
def test_each_token_keeps_its_place(layout):
    encoder = Tokens(layout).eval()
    feature_map = find_feature_map(encoder, 32)
    assert feature_map.name == "second"
    images = torch.zeros(1, 3, 32, 32)
    changed = images.clone()
    changed[..., 8:16, 24:32] = 1.0
    maps = []
    for image in (images, changed):
        with torch.no_grad():
            tokens = encoder.patch(image)
        tokens = (tokens.mT if layout == "columns first" else tokens).flatten(2).mT
        if layout == "registers behind":
            tokens = torch.cat([tokens, encoder.token], 1)
        maps.append(feature_map.as_channels_first(tokens))
    differ = (maps[0] != maps[1]).any(dim=1)[0]
    assert differ.nonzero().tolist() == [[1, 3]]


def test_tokens_before_samples_are_refused():
    with pytest.raises(ValueError, match=r"'patch'; as \d+ of its"):
        find_feature_map(Tokens("sequence first"), 32)


class Laid(nn.Module):
    """A map with as many channels as rows and columns, whichever way it is laid out."""

    def __init__(self, order):
        super().__init__()
        self.order = order
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.out = nn.Sequential(nn.Identity())

    def forward(self, images):
        return self.out(self.conv(images).permute(0, *self.order).contiguous()).flatten(1)


@pytest.mark.parametrize("order", [(1, 2, 3), (2, 3, 1), (3, 2, 1), (2, 1, 3), (1, 3, 2)])
def test_axes_are_followed_where_all_sizes_are_equal(order):
    feature_map = find_feature_map(Laid(order), 32)
    assert feature_map.name == "out"
    values = torch.rand(1, 8, 8, 8)
    laid = values.permute(0, *order)
    assert torch.equal(feature_map.as_channels_first(laid), values)


class Shuffled(nn.Module):
    """What an index takes cannot be followed."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 8, 4, stride=4), nn.ReLU()

    def forward(self, images):
        maps = self.conv(images).flatten(2)
        return self.out(maps[:, :, torch.arange(63, -1, -1)].view(-1, 8, 8, 8)).mean((2, 3))


def test_places_that_cannot_be_followed_are_not_guessed():
    with pytest.raises(ValueError, match=r"cannot be followed to the layer 'out'.*'conv'.*layer="):
        find_feature_map(Shuffled(), 32)
    with pytest.raises(ValueError, match=r"'out' gives values of shape \(1, 8, 8, 8\), and which"):
        find_feature_map(Shuffled(), 32, "out")
    assert find_feature_map(Shuffled(), 32, "conv").channels_first


class TwoStems(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 5, stride=4), nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, images):
        return torch.cat([self.a(images).mean((2, 3)), self.b(images).mean((2, 3))], 1)


def test_parallel_branches_have_no_main_path_but_their_layers_can_be_chosen():
    with pytest.raises(ValueError, match=r"TwoStems.*all of its features.*layer=.*: a, b"):
        find_feature_map(TwoStems(), 32)
    assert find_feature_map(TwoStems(), 32, "b").name == "b"


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("layer", [nn.ReLU6, nn.SiLU, nn.Hardswish, nn.LeakyReLU])
def test_activations_that_a_version_of_torch_does_not_tag_are_followed(monkeypatch, layer, inplace):
    tagged = _trace._is_tagged
    names = {"hardtanh", "silu", "hardswish", "leaky_relu"}
    monkeypatch.setattr(
        _trace,
        "_is_tagged",
        lambda func: tagged(func) and func.overloadpacket.__name__.rstrip("_") not in names,
    )
    encoder = nn.Sequential(
        nn.Conv2d(3, 4, 3), layer(inplace=inplace), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert find_feature_map(encoder, 32).size == (30, 30)
