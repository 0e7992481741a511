"""Cases 83, 92 and 93 of the catalogue: worker processes, forks, and parents that are killed."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score

from skosfusion import FusionClassifier

from .._helpers import tiny
from .conftest import OPTIONS

_ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def test_case_83_relative_paths_in_workers(tmp_path, monkeypatch):
    """Worker processes that are used again read relative paths as the caller does."""
    tables = {}
    for name, seed in (("a", 0), ("b", 1)):
        folder = tmp_path / name
        folder.mkdir()
        table = tiny.make_cohort(folder, n_patients=12, seed=seed)
        tables[name] = table.assign(image=[os.path.basename(path) for path in table["image"]])
        torch.manual_seed(seed)
        save_file(tiny.TinyEncoder().state_dict(), folder / "encoder.safetensors")
    for path in (tmp_path / "b").glob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    options = OPTIONS | {"weights": "encoder.safetensors", "frozen_epochs": "all"}
    classifier = FusionClassifier(image_column="image", **options, memory="kept")

    def scores(name, n_jobs):
        monkeypatch.chdir(tmp_path / name)
        table = tables[name]
        return cross_val_score(
            clone(classifier),
            table[["image"]],
            table["diagnosis"],
            groups=table["patient_id"],
            cv=StratifiedGroupKFold(2),
            n_jobs=n_jobs,
            scoring="neg_log_loss",
            error_score="raise",
        )

    found = [scores("a", 2), scores("b", 2)]
    expected = [scores("a", 1), scores("b", 1)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert {path.parent.name for path in tmp_path.rglob("kept")} == {"a", "b"}
