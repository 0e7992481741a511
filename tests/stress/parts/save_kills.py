"""A process that saves one version of a model after the other, killed while it does."""

import time

import numpy as np
import pandas as pd
import torch

from skosfusion import (
    FusionClassifier,
    load_model,
    make_clinical_transformer,
    make_fusion_pipeline,
    save_model,
)

from . import processes

_N_HIDDEN = 200_000
_LIMIT_SECONDS = 120
#: After the first save, so long at most until the kill.
_LONGEST_SECONDS = 0.5


def make_table():
    """Make the clinical table that the models are fitted on and predict from."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "gender": random.choice(["F", "M"], 40),
            "age": random.integers(5, 80, 40),
            "alp": random.uniform(50, 200, 40),
            "alp_low": 40.0,
            "alp_high": 130.0,
        }
    )


def make_model(kind):
    """Fit a model of some megabytes."""
    table = make_table()
    options = {"hidden_units": _N_HIDDEN, "max_epochs": 1, "random_state": 0, "verbose": 0}
    target = np.arange(len(table)) % 2
    if kind == "classifier":
        return FusionClassifier(**options).fit(inputs(kind, table), target)
    clinical = make_clinical_transformer(image=None, kits={"alp": ("alp", "alp_low", "alp_high")})
    return make_fusion_pipeline(image=None, clinical=clinical, **options).fit(table, target)


def inputs(kind, table):
    """Give what a model predicts from."""
    return table if kind == "pipeline" else table[["age", "alp"]].to_numpy(np.float32) / 100


def save(kind, model, path):
    """Save a model."""
    save_model(model, path)


def load(kind, path):
    """Load a model."""
    return load_model(path)


class Versions:
    """A model whose every weight differs from version to version."""

    def __init__(self, kind):
        self.kind = kind
        self.model = make_model(kind)
        self._table = inputs(kind, make_table())
        classifier = self.model if kind == "classifier" else self.model.named_steps["classifier"]
        self._parameters = list(classifier.module_.parameters())
        self._first = [parameter.detach().clone() for parameter in self._parameters]
        self._known = {}

    def become(self, version):
        """Turn the model into a version."""
        with torch.no_grad():
            for parameter, first in zip(self._parameters, self._first, strict=True):
                parameter.copy_(first * (1 + version / 64))

    def predictions(self, version):
        """Give the probabilities of a version."""
        if version not in self._known:
            self.become(version)
            self._known[version] = self.model.predict_proba(self._table)
        return self._known[version]

    def of(self, model):
        """Give the probabilities of a loaded model."""
        return model.predict_proba(self._table)


def _save_for_ever(kind, path, counters):
    versions = Versions(kind)
    version = 0
    while True:
        version += 1
        versions.become(version)
        counters[0] = version
        save(kind, versions.model, path)
        counters[1] = version


def kill_one(context, versions, folder, random):
    """Kill a process that saves, and load the file.

    Return whether a save was under way, what was wrong, and the number of unfinished files.
    """
    folder.mkdir()
    path = folder / "model.skosfusion"
    counters = context.RawArray("Q", 2)
    child = processes.start(context, _save_for_ever, versions.kind, path, counters)
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not counters[1] and child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(random.uniform(0, _LONGEST_SECONDS))
    processes.stop([child])
    begun, done = counters
    if not done:
        return False, ["the child did not save once"], 0
    n_left = sum(1 for other in folder.iterdir() if other != path)
    try:
        found = versions.of(load(versions.kind, path))
    except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
        return begun > done, [f"{versions.kind}: {type(error).__name__}: {error}"], n_left
    allowed = {done, begun}
    if any(np.array_equal(found, versions.predictions(version)) for version in allowed):
        return begun > done, [], n_left
    return begun > done, [f"{versions.kind}: the file is none of versions {allowed}"], n_left
