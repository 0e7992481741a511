"""Agreement with pytorch-grad-cam and Captum, which take the image branch alone."""

import contextlib
import copy
import warnings

import numpy as np
import pytest
import torch
from torchvision import models

from skosfusion import FusionClassifier, GradCAM
from skosfusion.images import shared_image_store

from .._helpers import tiny

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pytorch_grad_cam
    from captum.attr import LayerGradCam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

SIDE = 96


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def twins(request, tmp_path_factory):
    """Our classifier, and the same weights as one plain network on pixels."""
    cohort = tiny.make_cohort(tmp_path_factory.mktemp("images"), n_patients=3, side=SIDE)
    table = cohort[["image"]]
    classifier = FusionClassifier(
        image_column="image", backbone=request.param, weights=None, image_size=SIDE,
        precision="fp32", frozen_epochs="all", max_epochs=1, lr=1e-6, random_state=0, verbose=0,
    ).fit(table, cohort.diagnosis)  # fmt: skip
    network = classifier.module_
    # As after training: at first, batch normalization does next to nothing.
    generator = torch.Generator().manual_seed(0)
    for layer in network.encoder.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values in (layer.running_var, layer.weight.data):
                values.uniform_(0.5, 1.5, generator=generator)
            for values in (layer.running_mean, layer.bias.data):
                values.normal_(0, 0.1, generator=generator)
    # In float64, since float32 alone makes peers differ by 1e-4 where activations are large.
    plain = models.get_model(request.param, weights=None)
    plain.fc = copy.deepcopy(network.head)
    plain.load_state_dict(network.encoder.state_dict(), strict=False)
    plain.double().eval()
    pixels = shared_image_store().read_batch(table["image"].tolist(), image_size=SIDE)
    pixels = torch.from_numpy(pixels).double().expand(-1, 3, -1, -1)
    return classifier, table, plain, (pixels - network.pixel_mean) / network.pixel_std


@contextlib.contextmanager
def changed(twins, change):
    """Change the last layer of both networks for a while."""
    classifier, _, plain, _ = twins
    layers = [classifier.module_.head[2], plain.fc[2]]
    states = [copy.deepcopy(layer.state_dict()) for layer in layers]
    try:
        with torch.no_grad():
            for layer in layers:
                change(layer)
        yield
    finally:
        for layer, state in zip(layers, states, strict=True):
            layer.load_state_dict(state)


def by_pytorch_grad_cam(name, plain, layer, pixels, code):
    with getattr(pytorch_grad_cam, name)(plain, [layer]) as explain:
        return explain(pixels, [ClassifierOutputTarget(code)] * len(pixels))


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("layer", ["layer4", "layer3", "layer4.1.conv2"])
def test_raw_maps_agree_with_captum(twins, layer, code):
    classifier, table, plain, pixels = twins
    raw = GradCAM(classifier, layer=layer, target=code, raw=True).transform(table)
    expected = LayerGradCam(plain, plain.get_submodule(layer)).attribute(pixels, target=code)
    np.testing.assert_allclose(raw, expected[:, 0].detach().numpy(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize(
    ("method", "name", "layer"),
    [
        ("gradcam", "GradCAM", "layer4"),
        ("gradcam", "GradCAM", "layer3"),
        ("hirescam", "HiResCAM", "layer4"),
        ("hirescam", "HiResCAM", "layer3"),
    ],
)
def test_heatmaps_agree_with_pytorch_grad_cam(twins, method, name, layer, code):
    classifier, table, plain, pixels = twins
    heatmaps = GradCAM(classifier, layer=layer, target=code, method=method).transform(table)
    expected = by_pytorch_grad_cam(name, plain, getattr(plain, layer), pixels, code)
    assert expected.max() > 0.99
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)


def test_gradcam_plus_plus_agrees_where_the_peers_constant_is_small(twins):
    # pytorch-grad-cam adds 1e-6 to a denominator of about twice the squared gradient, which is less
    # than that here; with logits 1e5 times as large it is not.
    classifier, table, plain, pixels = twins
    with changed(twins, lambda layer: layer.weight.mul_(1e5)):
        heatmaps = GradCAM(classifier, target=1, method="gradcam++").transform(table)
        expected = by_pytorch_grad_cam("GradCAMPlusPlus", plain, plain.layer4, pixels, 1)
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)


@pytest.mark.parametrize("twins", ["resnet18"], indirect=True)
def test_ablationcam_agrees_where_the_score_is_positive(twins):
    # pytorch-grad-cam divides by the score.
    classifier, table, plain, pixels = twins
    with changed(twins, lambda layer: layer.bias.add_(10)):
        explain = GradCAM(classifier, target=1, method="ablationcam", layer="layer1")
        heatmaps = explain.transform(table[:1])
        # Of the fewest channels: the peer takes a whole pass for each.
        with pytorch_grad_cam.AblationCAM(plain, [plain.layer1]) as explain:
            explain.batch_size = 64
            expected = explain(pixels[:1], [ClassifierOutputTarget(1)])
    np.testing.assert_allclose(heatmaps, expected, atol=1e-4)
