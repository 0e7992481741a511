"""Training a stage of the encoder and what follows it, on what lies below computed once."""

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.dataset import ValidSplit
from torch import nn

from skosfusion import FusionClassifier, GradCAM, load_model, save_model
from skosfusion.network import shared_feature_cache

from .._helpers import tiny


def make(**params):
    defaults = {
        "image_column": "image",
        "backbone": tiny.StagedEncoder,
        "weights": None,
        "unfreeze": "top.main",
        "hidden_units": 8,
        "image_size": 32,
        "max_epochs": 3,
        "batch_size": 16,
        "random_state": 0,
        "verbose": 0,
    }
    return FusionClassifier(**(defaults | params))


@pytest.fixture(autouse=True)
def fresh_features():
    shared_feature_cache().clear()


@pytest.fixture(scope="module")
def fitted(cohort_table, labels):
    return make().fit(cohort_table, labels)


@pytest.fixture(scope="module")
def cohort_table(cohort):
    return cohort[["image", "age", "alp"]].assign(age=cohort["age"] / 100, alp=cohort["alp"] / 100)


@pytest.fixture(scope="module")
def labels(cohort):
    return cohort["diagnosis"].to_numpy()


class ReadsFiles(tiny.StagedEncoder):
    """Nobody can tell what it will do."""

    def forward(self, images):
        if len(images) > 100_000:
            images = open("somewhere").read()  # noqa: SIM115
        return super().forward(images)


def test_what_cannot_be_told_is_computed_once_a_fit_and_not_kept(frame, target, tmp_path):
    options = {"backbone": ReadsFiles, "frozen_epochs": 1}
    expected = make(frozen_epochs=1).fit(frame, target).predict_proba(frame)
    shared_feature_cache().clear()
    classifier = make(**options, memory=tmp_path).fit(frame, target)
    assert shared_feature_cache().info().misses == len(frame)
    assert np.array_equal(classifier.predict_proba(frame), expected)
    assert shared_feature_cache().info()[1:3] == (2 * len(frame), 0)
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("frozen_epochs", [0, 1])
def test_what_lies_below_stays_whatever_the_optimizer(frame, target, optimizer, frozen_epochs):
    options = {
        "optimizer": optimizer,
        "optimizer__weight_decay": 0.5,
        "frozen_epochs": frozen_epochs,
    }
    states = [
        make(**options, max_epochs=n, lr=lr).fit(frame, target).module_.encoder.state_dict()
        for n, lr in ((1, 1e-30), (3, 0.01))
    ]
    changed = {n for n, v in states[1].items() if not torch.equal(v, states[0][n])}
    assert {name.split(".")[0] for name in changed} == {"top", "last"}
    assert {"top.main.weight", "last.norm.running_mean", "last.conv.weight"} <= changed


def test_frozen_epochs_fix_the_stage_first(frame, target):
    one, two = (make(frozen_epochs=n, max_epochs=1).fit(frame, target) for n in (1, 0))
    of_one, of_two = one.module_.encoder.state_dict(), two.module_.encoder.state_dict()
    assert not torch.equal(of_one["top.main.weight"], of_two["top.main.weight"])
    assert int(of_one["last.norm.num_batches_tracked"]) == 0
    assert int(of_two["last.norm.num_batches_tracked"]) == 3


@pytest.mark.parametrize("frozen_epochs", [0, 2])
def test_equal_to_the_bit_with_and_without_memory(frame, target, tmp_path, frozen_epochs):
    plain = make(frozen_epochs=frozen_epochs).fit(frame, target).predict_proba(frame)
    for _ in range(2):  # the second time from the folder
        shared_feature_cache().clear()
        kept = make(frozen_epochs=frozen_epochs, memory=tmp_path).fit(frame, target)
        assert np.array_equal(kept.predict_proba(frame), plain)
    assert shared_feature_cache().info().misses == 0


_PROGRAM = """
import sys
import numpy as np, pandas as pd
from tests.classifier.test_unfreeze import make
frame = pd.read_csv(sys.argv[1])
target = frame.pop("target").to_numpy()
np.save(sys.argv[2], make().fit(frame, target).predict_proba(frame))
"""


def test_equal_to_the_bit_in_another_process(frame, target, tmp_path):
    frame.assign(target=target).to_csv(tmp_path / "table.csv", index=False)
    frame = frame.assign(age=frame["age"].astype(float))
    arguments = [sys.executable, "-c", _PROGRAM, tmp_path / "table.csv", tmp_path / "out.npy"]
    root = Path(__file__).parents[2]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run(arguments, check=True, cwd=root, env=os.environ | threads)  # noqa: S603
    assert np.array_equal(
        np.load(tmp_path / "out.npy"), make().fit(frame, target).predict_proba(frame)
    )


def test_one_row_and_many(fitted, frame):
    many = fitted.predict_proba(frame)
    for row in (0, 7, len(frame) - 1):
        assert np.array_equal(fitted.predict_proba(frame.iloc[[row]]), many[[row]])


def test_below_is_computed_once_for_training_and_prediction(frame, target):
    classifier = make().fit(frame, target)
    classifier.predict(frame)
    make(random_state=0, lr=0.001).fit(frame, target).predict(frame)
    assert shared_feature_cache().info().misses == len(frame)


def test_saved_and_loaded(fitted, frame, target, tmp_path):
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[tiny.StagedEncoder])
    assert np.array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))
    assert loaded.unfreeze == "top.main"
    before = {n: v.clone() for n, v in loaded.module_.encoder.state_dict().items()}
    with pytest.warns(UserWarning, match="fresh optimizer"):
        loaded.partial_fit(frame, target)
    after = loaded.module_.encoder.state_dict()
    changed = {n.split(".")[0] for n, v in before.items() if not torch.equal(v, after[n])}
    assert changed == {"top", "last"}


def test_continued_fits(frame, target):
    whole = make(max_epochs=4, frozen_epochs=1).fit(frame, target)
    parts = make(max_epochs=2, frozen_epochs=1).fit(frame, target).partial_fit(frame, target)
    warm = make(max_epochs=2, frozen_epochs=1, warm_start=True).fit(frame, target)
    warm.fit(frame, target)
    for other in (parts, warm):
        assert np.array_equal(other.predict_proba(frame), whole.predict_proba(frame))
    with pytest.raises(ValueError, match="unfreeze='last' is for a new fit"):
        parts.set_params(unfreeze="last").partial_fit(frame, target)


def test_clones_and_searches(frame, target, tmp_path):
    assert clone(make()).get_params()["unfreeze"] == "top.main"
    grid = {"unfreeze": [None, "top.main", "last"]}
    scores = [
        GridSearchCV(make(memory=tmp_path), grid, cv=2, n_jobs=n, scoring="neg_log_loss")
        .fit(frame, target)
        .cv_results_["mean_test_score"]
        for n in (1, 2)
    ]
    assert np.isfinite(scores).all()
    assert len(set(scores[0])) == 3
    assert np.allclose(*scores, atol=1e-4)


def test_rows_without_an_image(frame, target, tmp_path):
    frame.loc[frame.index[::5], "image"] = None
    options = {"missing_images": "zero", "frozen_epochs": 1}
    plain, kept = (make(**options, memory=m).fit(frame, target) for m in (None, tmp_path))
    expected = plain.predict_proba(frame)
    assert np.array_equal(kept.predict_proba(frame), expected)
    assert np.array_equal(plain.predict_proba(frame.iloc[:1]), expected[:1])
    # Only images that are there count in batch normalization.
    assert int(plain.module_.encoder.last.norm.num_batches_tracked) == 2 * 3
    without = frame.assign(image=None)
    plain.partial_fit(without, target)
    assert int(plain.module_.encoder.last.norm.num_batches_tracked) == 2 * 3


def test_heatmaps(fitted, frame):
    heatmaps = GradCAM(fitted, target=1).fit_transform(frame)
    assert heatmaps.shape == (len(frame), 32, 32)
    assert heatmaps.max() == 1


def test_validation_scores_and_the_callers_random_state(frame, target):
    state = torch.get_rng_state()
    classifier = make(train_split=ValidSplit(3, stratified=True)).fit(
        frame, target, groups=frame.index.to_numpy() // 2
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert np.isfinite(classifier.history_[:, "valid_loss"]).all()


def test_loaders_with_processes(frame, target):
    expected = make().fit(frame, target).predict_proba(frame)
    found = make(iterator_train__num_workers=1).fit(frame, target).predict_proba(frame)
    assert np.array_equal(found, expected)


def test_resnet18_beside_full_training(frame, target):
    options = {"backbone": "resnet18", "image_size": 64, "max_epochs": 1, "precision": "fp32"}
    classifier = make(**options, unfreeze="layer4").fit(frame.iloc[:16], target[:16])
    names = {n for n, p in classifier.module_.encoder.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in names} == {"layer4"}
    assert int(classifier.module_.encoder.bn1.num_batches_tracked) == 0


def test_the_size_is_announced(frame, target, caplog):
    with caplog.at_level(logging.INFO, logger="skosfusion"):
        make().fit(frame, target)
    classifier = make().fit(frame, target)
    each = 2 * classifier.module_.split.n_values
    (line,) = [r.getMessage() for r in caplog.records if "unfreeze" in r.getMessage()][:1]
    assert f"{each} bytes an image, {each * len(frame) / 1000:.3g} kB for {len(frame)}" in line


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"unfreeze": "topp.main"}, r"unfreeze='topp.main' names no part.*did you mean 'top.main'"),
        ({"unfreeze": "stem"}, "no weights below it"),
        ({"unfreeze": 4}, "unfreeze=4 is not allowed"),
        ({"unfreeze": ""}, "unfreeze='' is not allowed"),
        ({"frozen_epochs": "all"}, "'top.main' and frozen_epochs='all' exclude each other"),
        ({"image_column": None}, "unfreeze='top.main' needs an encoder"),
    ],
)
def test_refused_before_training(frame, target, params, message):
    table = frame.drop(columns="image") if "image_column" in params else frame
    with pytest.raises(ValueError, match=message):
        make(**params).fit(table, target)


def test_activations_that_do_not_fit(frame, target, monkeypatch):
    monkeypatch.setattr("skosfusion.network._activations.free_memory", lambda: 1000)
    for frozen_epochs in (0, 2):
        classifier = make(frozen_epochs=frozen_epochs)
        with pytest.raises(
            ValueError, match=r"'top.main': the stage's input takes .* free in memory"
        ):
            classifier.fit(frame, target)
        assert not classifier.initialized_


def test_a_network_that_cannot_be_divided(frame, target):
    class Own(nn.Module):
        def __init__(self, **_):
            super().__init__()
            self.layer = nn.Linear(2, 2)

    with pytest.raises(TypeError, match=r"unfreeze='top\.main': Own cannot be divided"):
        make(module=Own).fit(frame, target)


@pytest.mark.parametrize("frozen_epochs", [0, 1])
def test_what_lies_in_the_memory_of_an_accelerator_is_the_same(
    frame, target, monkeypatch, frozen_epochs
):
    frame.loc[frame.index[::5], "image"] = None
    options = {"missing_images": "zero", "frozen_epochs": frozen_epochs}
    expected = make(**options).fit(frame, target).predict_proba(frame)
    monkeypatch.setattr(
        "skosfusion.classifier._image_inputs.free_accelerator_bytes", lambda device: 2**30
    )
    found = make(**options).fit(frame, target).predict_proba(frame)
    assert np.array_equal(found, expected)


def test_pickled(fitted, frame):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(frame), fitted.predict_proba(frame))
