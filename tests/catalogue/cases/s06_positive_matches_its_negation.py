"""load_cohort(positive=) matches anywhere: 'non-osteosarcoma' and 'no tumour' become 1. (the paper's own classes are 'non-tumor' and 'osteosarcoma')

Exit status 1: the fault is there; 0: it is not.
"""
import os, sys, tempfile, warnings
os.environ.setdefault("TQDM_DISABLE", "1")
import numpy as np, pandas as pd, torch
from pathlib import Path
from torch import nn
from sklearn.base import clone
from skosfusion import FusionClassifier, make_fusion_pipeline
torch.set_num_threads(1)


def verdict(fault, text):
    print(("FAULT: " if fault else "ok: ") + text)
    sys.exit(int(fault))

from PIL import Image


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 5, stride=4), nn.BatchNorm2d(8)

    def forward(self, x):
        return self.norm(self.conv(x)).relu().mean((2, 3))


def cohort(folder, n=24, views=2, side=32, seed=0):
    rng, rows = np.random.default_rng(seed), []
    for p in range(n):
        y = p % 2
        record = dict(patient_id=f"p{p}", gender="FM"[p // 2 % 2], age=20 + p, alp=80.0 + 40 * y, alp_low=40.0,
                      alp_high=130.0, ldh=180.0, ldh_low=120.0, ldh_high=250.0, y=y)
        for v in range(views):
            path = Path(folder, f"{p}_{v}.png")
            pixels = rng.integers(0, 200, (side, side)) + 25 * y
            Image.fromarray(pixels.astype(np.uint8)).save(path)
            rows.append(dict(image=str(path), **record))
    return pd.DataFrame(rows)


SMALL = dict(backbone=Tiny, weights=None, image_size=32, max_epochs=3, batch_size=16, random_state=0, verbose=0)


from skosfusion.datasets import TargetColumn, load_cohort

with tempfile.TemporaryDirectory() as folder:
    for name in "abcd":
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(Path(folder, f"{name}.png"))

    def load(labels, positive):
        table = pd.DataFrame(dict(image=[f"{n}.png" for n in "abcd"], patient_id=list("1234"), diagnosis=labels))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                c = load_cohort(table, image_folder=folder, columns={"alp": None, "ldh": None, "target": TargetColumn(positive=positive)})
            except ValueError as error:
                return str(error)[:80]
        return c.target.tolist(), c.target_names, [str(w.message)[:60] for w in caught]

    a = load(["non-osteosarcoma", "osteosarcoma", "bruise", "osteosarcoma"], "osteosarcoma")
    b = load(["no tumour", "tumour", "no tumour", "tumour"], "tumour")
    c = load(["benign", "Benign ", "malignant", "BENIGN"], None)
    print(a, b, c, sep="\n")
verdict(a[0] == [1, 1, 0, 1] or b[0] == [1, 1, 1, 1], "negated labels are positive; all-positive is accepted; 'benign' and 'Benign' are two classes; no warning")
