"""set_params(module__x) after fit builds a new random network; the classifier still counts as fitted, predicts, and saves. (skorch#784, #349; scikit-learn#17158)

Exit status 1: the fault is there; 0: it is not.
"""

import os
import sys
import tempfile
import warnings

os.environ.setdefault("TQDM_DISABLE", "1")
from pathlib import Path

import numpy as np
import torch

from skosfusion import FusionClassifier, load_model, save_model

torch.set_num_threads(1)


def verdict(fault, text):
    print(("FAULT: " if fault else "ok: ") + text)
    sys.exit(int(fault))


from sklearn.datasets import make_classification
from sklearn.preprocessing import scale

X, y = make_classification(200, 6, n_informative=4, class_sep=2.0, random_state=0)
X = scale(X).astype(np.float32)
SMALL = dict(max_epochs=15, lr=0.1, batch_size=32, random_state=0, verbose=0)


from sklearn.exceptions import NotFittedError

bad = False
for change in (
    dict(module__hidden_units=32),
    dict(module=type("Net", (__import__("skosfusion.network", fromlist=["x"]).FusionNetwork,), {})),
):
    c = FusionClassifier(**SMALL).fit(X, y)
    before = c.predict_proba(X)
    score = c.score(X, y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        c.set_params(**change)
    try:
        after = c.predict_proba(X)
    except NotFittedError:
        print(list(change), "-> NotFittedError")
        continue
    same = np.array_equal(before, after)
    bad |= not same
    print(
        list(change),
        "accuracy",
        score,
        "->",
        c.score(X, y),
        "epochs in history_",
        len(c.history_),
        "warnings",
        len(caught),
    )
c = FusionClassifier(module__hidden_units=64, **SMALL).fit(X, y).set_params(module__hidden_units=32)
with tempfile.TemporaryDirectory() as folder:
    try:
        save_model(c, Path(folder, "m.safetensors"))
        print("saved and loaded: accuracy", load_model(Path(folder, "m.safetensors")).score(X, y))
    except Exception as error:
        print("save:", type(error).__name__)
verdict(bad, "predictions of random weights from a 'fitted' classifier")
