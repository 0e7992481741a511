import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.checkpoint import checkpoint

from skosfusion import FusionClassifier, GradCAM
from skosfusion.inspection import _explained
from skosfusion.inspection._layers import find_feature_map
from skosfusion.network import FusionNetwork
from skosfusion.network._encoders import encoder_without_values

from .._helpers import tiny
from .._helpers.gradcam import METHODS, Twice, maps_by_hand


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        ("resnet18", "layer4"), ("resnet50", "layer4"), ("densenet121", "features"),
        ("vgg11", "features"), ("mobilenet_v2", "features"), ("convnext_tiny", "features"),
        ("squeezenet1_1", "features"), ("shufflenet_v2_x0_5", "conv5"), ("swin_t", "permute"),
    ],
)  # fmt: skip
def test_by_default_the_last_feature_map_is_explained(backbone, layer):
    assert find_feature_map(encoder_without_values(backbone).to("meta"), 224).name == layer


def test_the_last_map_is_that_of_the_layer_that_finishes_last():
    assert find_feature_map(Twice(), 32).name == "relu"


def test_layers_are_found_as_in_prediction():
    # In training mode batch normalization refuses a single value a channel.
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 2), nn.BatchNorm2d(4)).train()
    assert find_feature_map(encoder, 4).name == "0"
    assert encoder.training


def test_an_encoder_without_a_feature_map_is_refused():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    with pytest.raises(ValueError, match=r"no layer of the encoder Sequential .* 2 pixels"):
        find_feature_map(encoder, 2)


class Alias(FusionNetwork):
    """A user's network that knows a layer of its encoder by a name of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stem = self.encoder.conv

    def encode(self, image, encoder=None):
        pixels = (image.float().expand(-1, 3, -1, -1) - self.pixel_mean) / self.pixel_std
        return self.encoder.norm(self.stem(pixels)).relu().mean((2, 3))


class SkipsNorm(FusionNetwork):
    """A user's network that uses a torchvision encoder in its own way."""

    def encode(self, image, encoder=None):
        pixels = (image.float().expand(-1, 3, -1, -1) - self.pixel_mean) / self.pixel_std
        return self.encoder.conv1(pixels).relu().mean((2, 3)).repeat(1, 8)


def test_layers_of_a_users_network_may_have_two_names(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"precision": "fp32"}
    classifier = FusionClassifier(module=Alias, **options).fit(table, cohort.diagnosis)
    raw = GradCAM(classifier, target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, maps_by_hand(classifier, table, 1), rtol=1e-4, atol=1e-6)
    assert GradCAM(classifier, layer="conv", target=1, raw=True).transform(table).any()


def test_a_users_network_is_not_folded(image_options, cohort):
    table = cohort[["image"]].iloc[:4]
    options = image_options | {"backbone": "resnet18", "precision": "fp32", "hidden_units": 8}
    classifier = FusionClassifier(module=SkipsNorm, **options)
    classifier.fit(table, cohort.diagnosis.iloc[:4])
    network = classifier.module_
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in table["image"]])
    normalized = (torch.from_numpy(pixels).float() - network.pixel_mean) / network.pixel_std
    with torch.no_grad():
        maps = network.encoder.conv1(normalized.expand(-1, 3, -1, -1))
    maps.requires_grad_()
    score = network.head(maps.relu().mean((2, 3)).repeat(1, 8))[:, 1].sum()
    (gradients,) = torch.autograd.grad(score, maps)
    expected = torch.einsum("nc,nchw->nhw", gradients.mean((2, 3)), maps).detach()
    raw = GradCAM(classifier, layer="conv1", target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, expected.numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_a_users_network_does_not_run_is_refused(image_options, cohort, method):
    table = cohort[["image"]].iloc[:4]
    options = image_options | {"backbone": "resnet18", "hidden_units": 8}
    classifier = FusionClassifier(module=SkipsNorm, **options)
    classifier.fit(table, cohort.diagnosis.iloc[:4])
    with pytest.raises(ValueError, match=r"'layer3' does not run: SkipsNorm.*layer="):
        GradCAM(classifier, method=method).transform(table)
    assert GradCAM(classifier, layer="conv1", method=method).transform(table).shape == (4, 32, 32)


class Checkpoints(tiny.TinyEncoder):
    """Computes again what it needs, to save memory."""

    def forward(self, images):
        return checkpoint(super().forward, images, use_reentrant=False)


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_with_checkpoints_gives_the_same_maps(image_options, cohort, method):
    table, maps = cohort[["image"]].iloc[:6], []
    for backbone in (tiny.TinyEncoder, Checkpoints):
        options = image_options | {"backbone": backbone, "frozen_epochs": "all"}
        classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[:6])
        maps.append(GradCAM(classifier, target=1, raw=True, method=method).transform(table))
    np.testing.assert_array_equal(*maps)


class Views(tiny.TinyEncoder):
    """An encoder that reads the number of images, and so would go wrong if they became more."""

    def forward(self, images):
        maps = self.norm(self.conv(images)).relu()
        return maps.reshape(-1, 8, 49)[: len(images)].mean(2)


def test_ablation_trusts_no_users_encoder_to_go_on_with_more_images(image_options, cohort):
    table = cohort[["image"]].iloc[:4]
    raw = []
    for backbone in (Views, tiny.TinyEncoder):
        options = image_options | {"backbone": backbone, "precision": "fp32"}
        classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[:4])
        explain = GradCAM(classifier, target=1, method="ablationcam", raw=True)
        raw.append(explain.transform(table))
    assert np.abs(raw[1]).max() > 1e-4
    np.testing.assert_allclose(raw[0], raw[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("layer", ["layer3", "layer2.0.downsample.0"])
def test_ablation_with_and_without_more_rows_at_the_layer_is_the_same(
    image_options, cohort, monkeypatch, layer
):
    table = cohort[["image"]].iloc[1:3]
    options = image_options | {"backbone": "resnet18", "precision": "fp32", "image_size": 32}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[1:3])
    explain = GradCAM(classifier, layer=layer, target=1, method="ablationcam", raw=True)
    raw = explain.transform(table)
    monkeypatch.setattr(
        _explained.ExplainedNetwork, "_accepts_more_rows", lambda self, *args: False
    )
    monkeypatch.setattr(_explained.ExplainedNetwork, "_one_image_suffices", False, raising=False)
    np.testing.assert_allclose(raw, explain.transform(table), rtol=1e-2, atol=1e-5)


class DrawsAlways(tiny.TinyEncoder):
    """Draws random numbers in prediction, too."""

    def forward(self, images):
        return nn.functional.dropout(super().forward(images), 0.5, True)


@pytest.mark.filterwarnings("ignore:the encoder DrawsAlways gives:UserWarning")
def test_an_encoder_that_draws_random_numbers_leaves_the_callers_alone(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"backbone": DrawsAlways}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis)
    before = torch.get_rng_state()
    first, second = (GradCAM(classifier).transform(table) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, second)


def test_a_users_hooks_meet_no_tensors_without_values(fitted):
    classifier, table = fitted
    seen = []
    classifier.module_.encoder.conv.register_forward_hook(
        lambda layer, inputs, output: seen.append(output.float().detach().numpy())
    )
    expected = GradCAM(classifier).transform(table)
    assert expected.any()


class Tiles(tiny.TinyEncoder):
    """Cuts each image in two, and treats the halves as images."""

    def forward(self, images):
        halves = torch.stack([images[..., :16, :], images[..., 16:, :]], 1).flatten(0, 1)
        return self.conv(halves).relu().mean((2, 3)).view(len(images), 2, 8).mean(1)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_mixes_images_is_refused(image_options, cohort, method):
    table = cohort[["image"]]
    classifier = FusionClassifier(**(image_options | {"backbone": Tiles}))
    classifier.fit(table, cohort.diagnosis)
    with pytest.raises(ValueError, match=r"layer='conv' outputs 32 maps for 16 images"):
        GradCAM(classifier, method=method).transform(table)


@pytest.mark.parametrize(("side", "n_maps"), [(224, 56), (384, 96)])
def test_swin_transformers_keep_channels_last_whatever_the_size(side, n_maps):
    encoder = encoder_without_values("swin_t").to("meta")
    feature_map = find_feature_map(encoder, side, "features.1")
    values = torch.empty(1, n_maps, n_maps, 96, device="meta")
    assert feature_map.as_channels_first(values).shape == (1, 96, n_maps, n_maps)
    assert not feature_map.channels_first
    assert find_feature_map(encoder, side).channels_first


def test_none_explains_the_predicted_class_even_if_one_is_called_predicted(image_options, cohort):
    table = cohort[["image"]]
    labels = np.where(cohort.diagnosis == 1, "predicted", "other")
    classifier = FusionClassifier(**image_options).fit(table, labels)
    with torch.no_grad():
        classifier.module_.head[2].bias += torch.tensor([100.0, 0.0])
    explained = GradCAM(classifier, raw=True).transform(table)
    expected = GradCAM(classifier, target="other", raw=True).transform(table)
    np.testing.assert_array_equal(explained, expected)


def test_it_can_be_shown_whatever_it_is_given():
    assert "GradCAM" in GradCAM(LogisticRegression())._repr_html_()


def test_what_is_remembered_of_an_encoder_is_that_of_its_kind_and_size():
    for _ in range(2):
        small = encoder_without_values("resnet18").to("meta")
        large = encoder_without_values("resnet50").to("meta")
        assert find_feature_map(small, 32).name == "layer3"
        assert find_feature_map(small, 64).name == "layer4"
        with pytest.raises(ValueError, match=r"'layer1.0.conv3' is not a layer"):
            find_feature_map(small, 64, "layer1.0.conv3")
        assert find_feature_map(large, 64, "layer1.0.conv3").name == "layer1.0.conv3"
