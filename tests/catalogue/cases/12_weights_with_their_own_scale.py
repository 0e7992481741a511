"""Named weights of torchvision that were trained on another scale of pixels: all get ImageNet's mean and deviation. Expected: those of weights.transforms(), or a refusal."""
import os, sys, tempfile, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
HERE = tempfile.mkdtemp()

def done(fault, text):
    print(("FAULT: " if fault else "OK: ") + text)
    sys.exit(1 if fault else 0)

import torch
from torchvision import models
from skosfusion import network as W
from skosfusion.network import FusionNetwork
other = []
for name in models.list_models(module=models):
    for entry in models.get_model_weights(name):
        t = entry.transforms()
        if list(t.mean) != [0.485, 0.456, 0.406] or list(t.std) != [0.229, 0.224, 0.225]:
            other.append((str(entry), t.mean, [round(s, 4) for s in t.std]))
torch.manual_seed(0)
entry = W.torchvision_weights("vgg16", "IMAGENET1K_FEATURES")
model = models.vgg16(weights=None).eval()  # stands in for the file
type(entry).get_state_dict = lambda self, *a, **k: model.state_dict()
net = FusionNetwork(1, 2, backbone="vgg16", encoder_state=W.load_encoder_state("vgg16", "IMAGENET1K_FEATURES"), image_size=64).eval()
image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
t = entry.transforms()
with torch.no_grad():
    pixels = (image.float() / 255 - torch.tensor(t.mean).view(1, 3, 1, 1)) / torch.tensor(t.std).view(1, 3, 1, 1)
    wanted = model.avgpool(model.features(pixels)).flatten(1)
    got = net.encode(image)
ratio = float(wanted.abs().mean() / got.abs().mean())
done(abs(ratio - 1) > 0.01, f"weights of another scale: {other}; features of vgg16 are {ratio:.1f} times too small")
