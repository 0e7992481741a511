"""Heatmaps of the same network by pytorch-grad-cam and Captum, where they are installed."""

import contextlib
import warnings

import torch
from torch.nn import functional
from torchvision import models

from .plain import make_head

#: Names of the rivals in reports.
PYTORCH_GRAD_CAM, CAPTUM = "pytorch-grad-cam", "Captum LayerGradCam"

with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    from captum.attr import LayerGradCam


def make_rivals(pixels, *, batch_size, channels_last=False):
    """Make functions that explain all images, from pixels in memory to maps of the image's size."""
    network = models.resnet18()
    network.fc = make_head(512)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.eval().to(memory_format=layout)
    grey = torch.from_numpy(pixels).float().expand(-1, 3, -1, -1) / 255
    batches = [part.contiguous(memory_format=layout) for part in grey.split(batch_size)]
    rivals = {}
    if "pytorch_grad_cam" in globals():
        rivals[PYTORCH_GRAD_CAM] = lambda: _by_pytorch_grad_cam(network, batches)
    if "LayerGradCam" in globals():
        rivals[CAPTUM] = lambda: _by_captum(network, batches)
    if channels_last:
        rivals = {f"{name}, channels_last": explain for name, explain in rivals.items()}
    return rivals


def _by_pytorch_grad_cam(network, batches):
    with pytorch_grad_cam.GradCAM(network, [network.layer4]) as explain:
        for batch in batches:
            explain(batch, [ClassifierOutputTarget(1)] * len(batch))


def _by_captum(network, batches):
    explain = LayerGradCam(network, network.layer4)
    for batch in batches:
        maps = explain.attribute(batch, target=1, relu_attributions=True)
        functional.interpolate(maps, size=batch.shape[-2:], mode="bilinear").detach().numpy()
