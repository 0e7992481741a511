"""Cases 114 to 116: the scale of weights, sound files, and what small files may cost."""

import errno
import os
import pickle
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile
from sklearn.base import clone
from torch import nn
from torchvision import models

from skosfusion import FusionClassifier, load_model, save_model
from skosfusion.exceptions import ImageError
from skosfusion.images import read_image
from skosfusion.network import (
    EncoderFeatures,
    FeatureCache,
    FusionNetwork,
    load_encoder_state,
    torchvision_weights,
)
from skosfusion.network._weights import EncoderState

from .._helpers.image_files import encoded, png_block
from .._helpers.tiny import TinyEncoder
from .small_images import GRAY, RNG

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE = (0.48235, 0.45882, 0.40784), (1 / 255,) * 3
HALF = (0.5,) * 3, (0.5,) * 3


def scale_of(network):
    return tuple(
        tuple(round(float(value) / 255, 5) for value in constant.flatten())
        for constant in (network.pixel_mean, network.pixel_std)
    )


def rounded(scale):
    return tuple(tuple(round(value, 5) for value in values) for values in scale)


@pytest.fixture
def empty_weights(monkeypatch):
    """Weights of torchvision without a download: whatever is asked for is random."""

    def state(entry, **kwargs):
        name = type(entry).__name__.removesuffix("_Weights").lower()
        return models.get_model(name, weights=None).state_dict()

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", state, raising=False)
    monkeypatch.setattr(models.VGG16_Weights, "get_state_dict", state)


@pytest.mark.parametrize(
    ("weights", "scale"), [("IMAGENET1K_V1", IMAGENET), ("IMAGENET1K_FEATURES", CAFFE)]
)
def test_case_114_scale_of_named_weights(empty_weights, weights, scale, monkeypatch):
    """Weights of torchvision that were trained on another scale: pixels get theirs."""
    state = load_encoder_state("vgg16", weights)
    assert rounded((state.pixel_mean, state.pixel_std)) == rounded(scale)
    network = FusionNetwork(1, 2, backbone="vgg16", encoder_state=state, image_size=32)
    assert scale_of(network) == rounded(scale)


def test_case_114_every_name_has_its_scale(monkeypatch):
    """Every name of torchvision, DEFAULT included: the scale that torchvision says."""
    from skosfusion.network import _weights

    monkeypatch.setattr(_weights, "_torchvision_state", lambda backbone, name: {})
    monkeypatch.setattr(_weights, "encoder_part", lambda state, backbone, source: state)
    n_others = 0
    for backbone in models.list_models(module=models):
        for name in models.get_model_weights(backbone).__members__:
            state = load_encoder_state(backbone, name)
            expected = torchvision_weights(backbone, name).transforms()
            assert state.pixel_mean == tuple(expected.mean)
            assert state.pixel_std == tuple(expected.std)
            n_others += state.pixel_mean != IMAGENET[0]
    assert n_others == 3  # EfficientNet V2 L, also as DEFAULT, and features of VGG16


@pytest.mark.parametrize("name", ["{}.pth", "{} (1).pth", "{}.safetensors"])
def test_case_114_file_placed_by_hand(tmp_path, name, monkeypatch):
    """A file of torchvision's placed by hand, as the remedy says: the scale of its weights."""
    from skosfusion.network import _weights

    monkeypatch.setattr(_weights, "_state_of_file", lambda backbone, path: ({}, None))
    stem = "vgg16_features-amdegroot-88682ab5"
    state = load_encoder_state("vgg16", tmp_path / name.format(stem))
    assert rounded((state.pixel_mean, state.pixel_std)) == rounded(CAFFE)
    state = load_encoder_state("vgg16", tmp_path / "own.pth")
    assert (state.pixel_mean, state.pixel_std) == IMAGENET


class Whole(nn.Module):
    """Gives the pixels as they come."""

    def forward(self, image):
        return image


def seen_by(backbone, **scale):
    """Return what a layer sees of pixels of 51."""
    network = FusionNetwork(0, 2, backbone=backbone, image_size=96, **scale).eval()
    seen = []
    first = next(layer for layer in network.encoder.modules() if isinstance(layer, nn.Conv2d))
    first.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network.encode(torch.full((1, 3, 96, 96), 51, dtype=torch.uint8))
    return seen[0][0, :, 0, 0].numpy()


@pytest.mark.parametrize("backbone", ["resnet18", "googlenet", "inception_v3"])
def test_case_114_declared_scale(backbone):
    """A scale given for local weights: what the first layer sees, of Inception, too."""
    for mean, std in (CAFFE, HALF, IMAGENET):
        expected = (0.2 - np.array(mean)) / std
        found = seen_by(backbone, pixel_mean=mean, pixel_std=std)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_case_114_scale_of_inception_by_default():
    """GoogLeNet and Inception without a scale: 0.5 and 0.5, as their weights were trained."""
    np.testing.assert_allclose(seen_by("googlenet"), (0.2 - 0.5) / 0.5, rtol=1e-4)


@pytest.mark.parametrize(
    "scale",
    [
        {"pixel_mean": (123.7, 116.3, 103.5), "pixel_std": (58.4, 57.1, 57.4)},
        {"pixel_mean": (0.5, 0.5, 0.5)},
        {"pixel_std": (0.5, 0.5, 0.5)},
        {"pixel_mean": (0.5,), "pixel_std": (0.5,)},
        {"pixel_mean": (0.5, 0.5, 0.5), "pixel_std": (0.5, 0.5, 0)},
        {"pixel_mean": (0.5, 0.5, np.nan), "pixel_std": (0.5, 0.5, 0.5)},
        {"pixel_mean": 0.5, "pixel_std": 0.5},
    ],
)
def test_case_114_scale_that_is_none(cohort, labels, image_options, scale):
    """A scale of 0 to 255, half of one, or none at all: ValueError before training."""
    X = cohort[["image", "alp"]]
    with pytest.raises(ValueError, match=r"pixel_(mean|std)=.*(divide by 255|give both)"):
        FusionClassifier(**image_options, **scale).fit(X, labels)
    with pytest.raises(ValueError, match=r"pixel_(mean|std)="):
        FusionNetwork(1, 2, backbone=TinyEncoder, image_size=32, **scale)


@pytest.mark.parametrize("frozen_epochs", [0, "all"])
def test_case_114_scale_is_kept(cohort, labels, image_options, tmp_path, frozen_epochs):
    """A declared scale: of the fit, kept in the saved model, and in clones."""
    X = cohort[["image", "alp"]]
    mean, std = CAFFE
    classifier = FusionClassifier(
        **image_options, frozen_epochs=frozen_epochs, pixel_mean=mean, pixel_std=std
    ).fit(X, labels)
    assert scale_of(classifier.module_) == rounded(CAFFE)
    assert clone(classifier).pixel_std == std
    expected = classifier.predict_proba(X)
    classifier.set_params(pixel_mean=None, pixel_std=None)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected)
    save_model(classifier, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    assert (loaded.pixel_mean, loaded.pixel_std) == CAFFE
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)


def test_case_114_scale_of_weights_is_kept(cohort, labels, image_options, tmp_path):
    """The scale of the weights: in the saved model, and in weights that go to other processes."""
    classifier = FusionClassifier(**image_options).fit(cohort[["image", "alp"]], labels)
    for constant in (classifier.module_.pixel_mean, classifier.module_.pixel_std):
        constant.fill_(127.5)
    save_model(classifier, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    assert scale_of(loaded.module_) == rounded(HALF)
    state = pickle.loads(pickle.dumps(EncoderState({}, *CAFFE)))
    assert (state.pixel_mean, state.pixel_std) == CAFFE


def test_case_114_features_of_two_scales_are_two(put):
    """Two networks that differ in the scale alone: each gets its own features from one cache."""
    path, cache = put(encoded(GRAY)), FeatureCache()
    torch.manual_seed(0)
    state = FusionNetwork(0, 2, image_size=32).encoder.state_dict()
    features = []
    for scale in ({}, {"pixel_mean": HALF[0], "pixel_std": HALF[1]}):
        network = FusionNetwork(0, 2, image_size=32, encoder_state=state, **scale).eval()
        source = EncoderFeatures(network, {"image_size": 32}, cache=cache)
        features.append(source.for_training([path]))
    assert not np.allclose(*features)


def test_case_114_network_class_that_knows_no_scale(cohort, labels, image_options):
    """An own network class without the parameters: works as long as no scale is declared."""

    class Own(FusionNetwork):
        def __init__(self, n_clinical, n_classes, *, backbone, encoder_state, hidden_units, **rest):
            rest = {name: rest[name] for name in ("image_size", "encoder_dtype")} | (
                {} if len(rest) == 2 else {"refused": True}
            )
            super().__init__(n_clinical, n_classes, backbone=backbone, **rest)

    X = cohort[["image", "alp"]]
    FusionClassifier(Own, **image_options).fit(X, labels)


# 115: sound files that are not called damaged


@pytest.mark.parametrize(
    "code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE, errno.ETIMEDOUT]
)
@pytest.mark.parametrize("when", ["open", "fstat"])
def test_case_115_system_errors(put, monkeypatch, code, when):
    """No descriptors, no memory, a network drive that is gone: that error, with its row."""
    path = put(encoded(GRAY))

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, when, fail)
    with pytest.raises(OSError, match=r"row 3|Errno") as caught:
        read_image(path, row=3)
    monkeypatch.undo()
    assert not isinstance(caught.value, ImageError)
    assert caught.value.errno == code
    assert "row 3" in caught.value.__notes__[0]
    read_image(path)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_case_115_errors_while_decoding(put, monkeypatch, error):
    """Memory or descriptors that run out while a sound image is decoded: that error."""
    path = put(encoded(GRAY))

    def fail(image):
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(type(error)) as caught:
        read_image(path)
    assert caught.value is error


LIMITED = """
import resource, sys
from skosfusion.images import read_image
for path in sys.argv[1:]:
    read_image(path, image_size=8)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, resource.RLIM_INFINITY))
    try:
        read_image(path, image_size=None)
    except MemoryError:
        print("MemoryError")
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited in another way there")
def test_case_115_no_memory_for_a_large_image(put):
    """Large sound images where memory is short: MemoryError, and read once there is some."""
    image, paths = Image.new("L", (6000, 6000), 77), []
    for kind, options in ("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("TIFF", {}):
        paths.append(put(encoded(image, kind, **options), f"{len(paths)}"))
    command = [sys.executable, "-c", LIMITED, *paths]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert result.stdout.split() == ["MemoryError"] * 4


# 116: small files that would cost much


def hostile(kind):
    if kind == "scans":
        data = encoded(Image.new("L", (4000, 4000), 77), "JPEG", progressive=True)
        last = data[data.rindex(b"\xff\xda") : -2]
        return data[:-2] + 50 * last + data[-2:]
    width, height, depth, color, n_bytes = {
        "16-bit color": (6000, 6000, 16, 6, 8),
        "color": (9400, 9400, 8, 6, 4),
        "rows": (1, 2**26, 8, 0, 1),
        "columns": (2**26, 1, 8, 0, 1),
    }[kind]
    packer, row = zlib.compressobj(9), bytes(1 + n_bytes * width)
    rows = row * max(1, 2**22 // len(row))
    content = b"".join(packer.compress(rows) for _ in range(height * len(row) // len(rows) + 1))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    blocks = (b"IHDR", header), (b"IDAT", content + packer.flush()), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_block(*block) for block in blocks)


@pytest.mark.parametrize("kind", ["scans", "16-bit color", "color", "rows", "columns"])
def test_case_116_small_files_that_cost_much(put, kind):
    """A small file of many scans, pixels or rows: ImageError, before anything is decoded."""
    path = put(hostile(kind))
    assert os.path.getsize(path) < 2**20
    started = time.process_time()
    with pytest.raises(ImageError, match=r"scans|unpack|allowed"):
        read_image(path)
    assert time.process_time() - started < 0.5


def test_case_116_scans_within_a_tiff(put):
    """A TIFF whose JPEG has many scans: ImageError, as for the JPEG alone."""
    jpeg, side = hostile("scans"), 4000
    tags = [(256, side), (257, side), (258, 8), (259, 7), (262, 1), (273, 8), (277, 1)]
    tags += [(278, side), (279, len(jpeg))]
    jpeg += bytes(len(jpeg) % 2)
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = b"II*\0" + struct.pack("<I", 8 + len(jpeg)) + jpeg
    data += struct.pack("<H", len(tags)) + directory + bytes(4)
    with pytest.raises(ImageError, match="scans"):
        read_image(put(data))


def test_case_116_run_length_bmp(put):
    """A BMP of runs, which are expanded slowly: ImageError that says how to save it."""
    header = struct.pack("<IiiHHIIiiII", 40, 4, 4, 1, 8, 1, 0, 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    runs = bytes((4, 9, 0, 0)) * 4 + b"\0\1"
    data = b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + bytes(1024)
    with pytest.raises(ImageError, match="run-length compressed BMP; convert it to PNG"):
        read_image(put(data + runs))


@pytest.mark.parametrize("kind", ["progressive", "blank", "blank progressive", "one bit", "tall"])
def test_case_116_no_false_alarm(put, kind):
    """Large real images, progressive, blank or tall: read."""
    if kind == "progressive":
        noise = RNG.integers(0, 255, (1500, 1500)).astype(np.uint8)
        data = encoded(Image.fromarray(noise).resize((3000, 3000)), "JPEG", progressive=True)
    elif kind == "blank":
        data = encoded(Image.new("L", (6000, 5000)))
    elif kind == "blank progressive":
        data = encoded(Image.new("L", (6000, 6000), 77), "JPEG", progressive=True)
    elif kind == "one bit":
        data = encoded(Image.new("1", (9000, 9000)), "TIFF", compression="group4")
    else:
        data = encoded(Image.new("L", (10, 100_000), 9))
    assert read_image(put(data)).shape == (1, 224, 224)
