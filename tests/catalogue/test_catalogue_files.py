"""Cases 60 and 62 to 71 of the catalogue: files, as a user of a classifier meets them."""

import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone

from skosfusion import FusionClassifier, load_model, save_model
from skosfusion.classifier import shared_feature_cache
from skosfusion.exceptions import ModelFileError, WeightsError
from skosfusion.images import ImageStore
from skosfusion.model_selection import _cross_val_scores

from .._helpers import tiny
from .._helpers.caches import forget
from .._helpers.executed import Executed
from .killed import MOMENTS, run_killed
from .refusals import no_epoch_begins

needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
# The fitted estimators count their epochs by a callback of the tests' own.
callbacks_are_left_out = pytest.mark.filterwarnings("ignore:callbacks cannot be saved")


def rewrite(path, change):
    """Change the description in a model file, and make its digest fit again."""
    from skosfusion.persistence._file import read_model_file, write_model_file

    description, tensors = read_model_file(path)
    change(description)
    write_model_file(path, description, tensors)


@needs_no_cuda
@callbacks_are_left_out
def test_case_60_model_of_an_accelerator(trained, tmp_path):
    """A model saved on CUDA: loads on the processor with a warning."""
    path = tmp_path / "model.safetensors"
    save_model(trained.estimator, path)

    def change(description):
        description["device"] = description["parameters"]["device"] = "cuda"

    rewrite(path, change)
    with pytest.warns(UserWarning, match="fitted on 'cuda' and computes on 'cpu' here"):
        loaded = load_model(path, trusted=[tiny.TinyEncoder])
    np.testing.assert_array_equal(loaded.predict_proba(trained.X), trained.probabilities)


# 62 to 71: files

_BENCHMARK = """
import pandas as pd
from tests._helpers import tiny
from skosfusion.cli import _units as units
from sklearn.utils import Bunch
from sklearn.model_selection import StratifiedGroupKFold
from skosfusion import make_fusion_pipeline
table = pd.read_csv(csv)
folds = list(StratifiedGroupKFold(2).split(table, table["diagnosis"], table["patient_id"]))
bunch = Bunch(data=table, target=table["diagnosis"].to_numpy(), groups=table["patient_id"], kits={})
pipeline = make_fusion_pipeline(
    backbone=tiny.TinyEncoder, weights=None, image_size=32, max_epochs=2, batch_size=16,
    random_state=0, verbose=0, frozen_epochs="all", precision="fp32",
)
rows = {"Baseline": (), "All": ("gender", "age", "alp", "ldh")}
def run(folder):
    return units.run_units(
        pipeline, bunch, rows, folds, settings={}, folder=folder, jobs=1, backend="threading"
    )
"""
_KILLED_BENCHMARK = """
replace, done = os.replace, []
def replaced(*paths):
    if len(done) == 2:
        die()
    done.append(paths)
    replace(*paths)
os.replace = replaced
run(folder)
"""


def test_case_62_sigkill_while_fitting_the_benchmark(cohort, tmp_path, monkeypatch):
    """SIGKILL in the benchmark: run again, it resumes and gives the same table."""
    values = {"csv": str(tmp_path / "cohort.csv"), "folder": str(tmp_path / "parts")}
    cohort.to_csv(values["csv"], index=False)
    run_killed(_BENCHMARK + _KILLED_BENCHMARK, "replacing", **values)
    assert len(list(tmp_path.rglob("*.json"))) == 2
    here = dict(values)
    exec(_BENCHMARK, here)  # noqa: S102
    parts, fit = [], _cross_val_scores._fit_one
    monkeypatch.setattr(
        _cross_val_scores, "_fit_one", lambda *part: parts.append(part) or fit(*part)
    )
    resumed = here["run"](values["folder"]).cv_results
    assert len(parts) == 2
    undisturbed = here["run"](tmp_path / "other").cv_results
    assert resumed.keys() == undisturbed.keys()
    for key in resumed:
        np.testing.assert_array_equal(resumed[key], undisturbed[key])


@pytest.mark.parametrize("moment", MOMENTS)
def test_case_63_sigkill_while_saving(moment, tmp_path):
    """SIGKILL while a model is saved: the last good file loads."""
    path = tmp_path / "model.safetensors"
    classifier = FusionClassifier(max_epochs=1, random_state=0, verbose=0)
    save_model(classifier.fit([[0.0], [1.0]], [0, 1]), path)
    expected = classifier.predict_proba([[0.5]])
    code = """
from skosfusion import FusionClassifier, save_model
other = FusionClassifier(max_epochs=1, random_state=1, verbose=0).fit([[0.0], [1.0]], [0, 1])
KILL
save_model(other, path)
"""
    run_killed(code, moment, path=str(path))
    assert len(os.listdir(tmp_path)) == 2
    np.testing.assert_array_equal(load_model(path).predict_proba([[0.5]]), expected)
    save_model(classifier, path)


@pytest.mark.parametrize("moment", MOMENTS)
def test_case_64_sigkill_while_writing_the_cache(moment, cohort, tmp_path):
    """SIGKILL while the cache is written: what is missing is computed, orphans are swept."""
    paths = cohort["image"].tolist()[:4]
    code = """
from skosfusion.images import ImageStore
ImageStore().read(paths[:2], image_size=32, folder=folder)
KILL
ImageStore().read(paths, image_size=32, folder=folder)
"""
    run_killed(code, moment, paths=paths, folder=str(tmp_path))
    (orphan,) = tmp_path.rglob(".*.tmp")
    os.utime(orphan, (0, 0))
    store = ImageStore()
    images = store.read(paths, image_size=32, folder=tmp_path)
    np.testing.assert_array_equal(images, ImageStore().read(paths, image_size=32))
    assert store.info()[:2] == (0, 2)
    assert not orphan.exists()


def _read_many_times(paths, folder, seed):
    rng, total = np.random.default_rng(seed), 0
    for _ in range(20):
        chosen = rng.permutation(paths).tolist()
        for path, image in zip(
            chosen, ImageStore().read(chosen, image_size=32, folder=folder), strict=True
        ):
            expected = ImageStore().read([path], image_size=32)[0]
            total += not np.array_equal(image, expected)
    return total


def test_case_65_several_processes_on_one_cache(cohort, tmp_path):
    """Several processes on one cache: right values, no errors."""
    paths = cohort["image"].tolist()[:6]
    tasks = (joblib.delayed(_read_many_times)(paths, tmp_path, seed) for seed in range(4))
    assert sum(joblib.Parallel(2, backend="loky")(tasks)) == 0


def test_case_66_full_or_unwritable_cache_folder(classifier, fixed, tmp_path, monkeypatch):
    """A cache folder that is full or cannot be written: a warning, and the right result."""

    def full(*paths):
        raise OSError(28, "No space left on device")

    forget()
    classifier.set_params(memory=tmp_path)
    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match=r"cannot be kept .*No space left"):
        classifier.fit(fixed.X, fixed.y)
    np.testing.assert_array_equal(classifier.predict_proba(fixed.X), fixed.probabilities)


def test_case_66_impossible_cache_folder(classifier, fixed, tmp_path):
    """A file in the place of the cache folder: ValueError that names it."""
    (tmp_path / "file").touch()
    forget()
    classifier.set_params(memory=tmp_path / "file")
    with pytest.raises(ValueError, match=r"file' is not a folder; name a folder"):
        classifier.fit(fixed.X, fixed.y)


def test_case_67_replaced_image(fixed, cohort, tmp_path):
    """An image that is replaced under its path: never a stale value."""
    first, last = (Path(cohort["image"].iloc[i]).read_bytes() for i in (0, -1))
    path = tmp_path / "knee.png"
    path.write_bytes(first)
    before = fixed.sees(str(path))
    path.write_bytes(last)
    assert fixed.sees(str(path)) == fixed.sees(cohort["image"].iloc[-1]) != before


def test_case_67_other_weights_or_version(fixed, classifier, tmp_path, monkeypatch):
    """Other weights or another version of the software: never a stale feature."""
    classifier.set_params(backbone="resnet18", memory=tmp_path, max_epochs=1)

    def misses_of_a_fit(**params):
        forget()
        clone(classifier).set_params(**params).fit(fixed.X, fixed.y)
        return shared_feature_cache().info().misses

    assert misses_of_a_fit() == 48
    assert misses_of_a_fit() == 0
    assert misses_of_a_fit(random_state=1) == 48
    monkeypatch.setattr("skosfusion.images._pixel_files.__version__", "0.0.0")
    assert misses_of_a_fit() == 48


@pytest.fixture
def kept(fixed, classifier, tmp_path):
    """A classifier whose features and images lie in a folder."""
    classifier.set_params(backbone="resnet18", memory=tmp_path, max_epochs=1)
    forget()
    return classifier.fit(fixed.X, fixed.y)


def test_case_68_flipped_bit_in_the_cache(kept, fixed, tmp_path):
    """A flipped bit in the cache: noticed with a warning, and computed again."""
    expected = kept.predict_proba(fixed.X)
    files = list(tmp_path.rglob("*.safetensors"))
    assert {file.relative_to(tmp_path).parts[0] for file in files} == {"features", "images"}
    for file in files:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    forget()
    with pytest.warns(UserWarning, match="passed over") as caught:
        again = clone(kept).fit(fixed.X, fixed.y)
    assert {"feature" in str(w.message) for w in caught} == {True, False}
    np.testing.assert_array_equal(again.predict_proba(fixed.X), expected)


def test_case_69_planted_pickle_in_the_cache(kept, fixed, tmp_path):
    """A pickle planted in the cache: never executed."""
    expected, trace = kept.predict_proba(fixed.X), tmp_path / "trace"
    for file in list(tmp_path.rglob("*.safetensors")):
        file.write_bytes(pickle.dumps(Executed(trace)))
        file.with_suffix(".pkl").write_bytes(pickle.dumps(Executed(trace)))
    forget()
    with pytest.warns(UserWarning, match="passed over"):
        again = clone(kept).fit(fixed.X, fixed.y)
    np.testing.assert_array_equal(again.predict_proba(fixed.X), expected)
    assert not trace.exists()


@callbacks_are_left_out
@pytest.mark.parametrize("kind", ["empty", "truncated", "pickle", "torch", "description"])
def test_case_70_malicious_or_damaged_model(kind, fitted_pipeline, tmp_path, monkeypatch):
    """A malicious, truncated, empty or foreign model file: ModelFileError, nothing is executed."""
    path, trace = tmp_path / "model.safetensors", tmp_path / "trace"
    save_model(fitted_pipeline.estimator["classifier"], path)
    content = path.read_bytes()
    if kind == "torch":
        torch.save(Executed(trace), path)
    elif kind == "description":
        (tmp_path / "planted.py").write_text(f"import os; os.mkdir({str(trace)!r}); Network = dict")
        monkeypatch.syspath_prepend(tmp_path)
        rewrite(path, lambda d: d["parameters"].update(module={"class": "planted.Network"}))
    else:
        contents = {
            "empty": b"",
            "truncated": content[:-9],
            "pickle": pickle.dumps(Executed(trace)),
        }
        path.write_bytes(contents[kind])
    with pytest.raises(ModelFileError, match=r"model\.safetensors"):
        load_model(path, trusted=[tiny.TinyEncoder])
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", ["empty", "truncated", "pickle", "torch"])
def test_case_70_malicious_or_damaged_weights(kind, suffix, fixed, classifier, tmp_path):
    """Malicious, truncated or empty initial weights: WeightsError, nothing is executed."""
    path, trace = tmp_path / f"weights{suffix}", tmp_path / "trace"
    torch.save(tiny.TinyEncoder().state_dict(), path)
    contents = {
        "empty": b"",
        "truncated": path.read_bytes()[:-9],
        "pickle": pickle.dumps(Executed(trace)),
    }
    if kind == "torch":
        torch.save(Executed(trace), path)
    else:
        path.write_bytes(contents[kind])
    classifier.set_params(weights=path)
    with pytest.raises(WeightsError, match="weights"), no_epoch_begins():
        classifier.fit(fixed.X, fixed.y)
    assert not trace.exists()


@callbacks_are_left_out
def test_case_71_model_of_another_version(fitted_pipeline, tmp_path):
    """A model of another version: loads with a warning that names both versions."""
    path = tmp_path / "pipeline.safetensors"
    save_model(fitted_pipeline.estimator, path)
    rewrite(path, lambda d: d["versions"].update(skosfusion="0.0.1"))
    with pytest.warns(UserWarning, match=r"skosfusion 0\.0\.1 \(here \d"):
        loaded = load_model(path, trusted=[tiny.TinyEncoder])
    np.testing.assert_array_equal(
        loaded.predict_proba(fitted_pipeline.X), fitted_pipeline.probabilities
    )
