"""Cases 24, 39, 40, 47, 55 to 61, 72 and 73 of the catalogue: samples, training, processes."""

import os
import shutil
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from threadpoolctl import threadpool_info

from skosfusion import FusionClassifier, check_leakage
from skosfusion.cli import _units as units
from skosfusion.exceptions import LeakageWarning

from .._helpers import tiny
from .._helpers.caches import forget
from .refusals import no_epoch_begins

needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")


class Interrupt(Callback):
    """The user presses Ctrl-C in the second epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 2:
            signal.raise_signal(signal.SIGINT)


class InterruptedEncoder(tiny.TinyEncoder):
    """The user presses Ctrl-C while the images are encoded."""

    def forward(self, images):
        signal.raise_signal(signal.SIGINT)
        return super().forward(images)


@pytest.fixture
def ctrl_c():
    """Ctrl-C interrupts here, although a shell lets programs in the background ignore it."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


# 24: the classifier's side


def test_case_24_some_images_missing_in_the_classifier(trained):
    """All images missing: ValueError. Some: ValueError, or declared, features of 0 instead."""
    X = trained.with_image(None)
    trained.refuses(X, ValueError, r"no image in 1 of 48 rows.*row 37.*missing_images='zero'")
    declared = clone(trained.estimator).set_params(missing_images="zero").fit(X, trained.y)
    assert np.isfinite(declared.predict_proba(X)).all()
    with pytest.raises(ValueError, match="no image in any of 48 rows"):
        declared.fit(X.assign(image=None), trained.y)


# 39, 40, 47: patients and weights


def test_case_39_patient_in_both_sets(cohort):
    """A patient in training and test set: LeakageWarning with the record numbers, or ValueError."""
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    with pytest.warns(LeakageWarning, match=r"p0\d\d"):
        found = check_leakage(cohort, cohort["patient_id"], folds)
    assert set(found.patients_in_both["patient"]) <= set(cohort["patient_id"])
    with pytest.raises(ValueError, match=r"p0\d\d"):
        check_leakage(cohort, cohort["patient_id"], folds, on_leak="error")


def test_case_39_split_by_patient(cohort):
    """A split that keeps patients together: no warning."""
    assert not check_leakage(cohort, cohort["patient_id"], StratifiedGroupKFold(4)).leaks


def test_case_40_inner_split_keeps_patients_together(fixed, cohort):
    """An inner validation split with `groups`: every patient stands on one side."""
    sides = {}

    class Sides(Callback):
        def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
            sides["train"], sides["valid"] = dataset_train.indices, dataset_valid.indices

    classifier = clone(fixed.estimator).set_params(
        train_split=ValidSplit(3, stratified=True), callbacks=[Sides()]
    )
    rows = np.random.default_rng(0).permutation(len(cohort))
    patients = cohort["patient_id"].to_numpy()[rows]
    classifier.fit(fixed.X.iloc[rows], fixed.y[rows], groups=patients)
    assert not set(patients[sides["train"]]) & set(patients[sides["valid"]])


def test_case_40_inner_split_that_parts_patients(fixed, cohort):
    """An inner split that would part a patient: ValueError with the record numbers."""
    rows = np.arange(len(cohort))
    classifier = clone(fixed.estimator)
    classifier.set_params(train_split=ValidSplit([(rows[::2], rows[1::2])]))
    with pytest.raises(ValueError, match=r"24 patients are in both parts.*'p000'"):
        classifier.fit(fixed.X, fixed.y, groups=cohort["patient_id"])


def test_case_40_inner_split_of_unknown_patients(fixed):
    """An inner split of images without `groups`: LeakageWarning."""
    classifier = clone(fixed.estimator).set_params(train_split=ValidSplit(3, stratified=True))
    with pytest.warns(LeakageWarning, match="does not know the patients"):
        classifier.fit(fixed.X, fixed.y)


@pytest.mark.parametrize("weights", [np.zeros(48), -np.ones(48), np.full(48, np.nan)])
def test_case_47_unusable_weights(fixed, weights):
    """All weights zero, negative or missing: ValueError."""
    attempt = fixed.copy()
    with pytest.raises(ValueError, match=r"[Ww]eight"), no_epoch_begins():
        attempt.fit(fixed.X, fixed.y, sample_weight=weights)
    fixed.check_whole_or_gone(attempt)


def test_case_47_class_weights_of_zero(fixed):
    """Class weights that are all zero: ValueError."""
    classifier = clone(fixed.estimator).set_params(class_weight={0: 0, 1: 0})
    with pytest.raises(ValueError, match=r"class_weight=.*not all zero"):
        classifier.fit(fixed.X, fixed.y)


# 55 to 61: training


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"lr": 1e30, "max_epochs": 5}, "the loss is no longer finite after 1 epochs"),
        ({"lr": 1e38, "max_epochs": 1, "batch_size": -1}, "the network is no longer finite"),
    ],
)
def test_case_55_diverging_training(trained, options, what):
    """Diverging loss or parameters that are not finite: FloatingPointError, and not fitted."""
    classifier = clone(trained.estimator).set_params(**options)
    with pytest.raises(FloatingPointError, match=f"{what}.*lower lr"):
        classifier.fit(trained.X.assign(alp=1000 * trained.X["alp"]), trained.y)
    with pytest.raises(NotFittedError):
        classifier.predict(trained.X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_epochs", 0),
        ("max_epochs", 2.5),
        ("batch_size", 0),
        ("lr", 0),
        ("lr", np.inf),
        ("hidden_units", -1),
        ("frozen_epochs", "some"),
        ("lr_milestones", (0,)),
        ("image_size", 0),
        ("precision", "fp8"),
        ("missing_images", "mean"),
        ("class_weight", "heavy"),
        ("memory", 7),
        ("train_split", 5),
        ("optimizer", "adam"),
        ("criterion", "hinge"),
        ("module", None),
        ("backbone", "resnet19"),
        ("random_state", "today"),
    ],
)
def test_case_56_parameter_out_of_range(fixed, name, value):
    """A parameter out of its range: ValueError or TypeError with name, value and those allowed."""
    attempt = fixed.copy().set_params(**{name: value})
    with pytest.raises((ValueError, TypeError), match=name), no_epoch_begins():
        attempt.fit(fixed.X, fixed.y)
    fixed.check_whole_or_gone(attempt)


def test_case_57_last_batch_of_one_row(trained):
    """A last batch of one row: joined to the batch before."""
    sizes = []

    class Sizes(Callback):
        def on_batch_end(self, net, batch=None, training=False, **kwargs):
            sizes.append(len(batch[1]))

    classifier = clone(trained.estimator).set_params(callbacks=[Sizes()], max_epochs=1)
    classifier.fit(trained.X[:33], trained.y[:33])
    assert sizes == [16, 17]


def test_case_58_part_of_a_grid_fails(fitted_pipeline, cohort, labels, tmp_path):
    """A fit of the benchmark's grid fails: it stops with the cause, and keeps finished parts."""
    bunch = Bunch(data=cohort.assign(alp=-1.0), target=labels, groups=cohort["patient_id"], kits={})
    folds = list(StratifiedGroupKFold(2).split(cohort, labels, cohort["patient_id"]))
    rows = {"Baseline": (), "ALP": ("alp",)}
    with pytest.raises(ValueError, match=r"^Negative values in data: -1 in column 'alp'"):
        units.run_units(
            clone(fitted_pipeline.estimator), bunch, rows, folds,
            settings={}, folder=tmp_path, jobs=1, backend="threading",
        )  # fmt: skip
    assert len(list(tmp_path.rglob("*.json"))) == 2


@needs_no_cuda
def test_case_59_cuda_without_cuda(fixed):
    """`device="cuda"` without CUDA: ValueError that names `device`; "auto" may choose."""
    classifier = clone(fixed.estimator).set_params(device="cuda")
    with pytest.raises(ValueError, match="device='cuda' cannot be used on this machine"):
        classifier.fit(fixed.X, fixed.y)


@pytest.mark.usefixtures("ctrl_c")
def test_case_61_ctrl_c_in_training(trained):
    """Ctrl-C in training: KeyboardInterrupt, and not fitted."""
    classifier = clone(trained.estimator).set_params(max_epochs=1).fit(trained.X, trained.y)
    classifier.set_params(callbacks=[Interrupt()], max_epochs=5)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(trained.X, trained.y)
    with pytest.raises(NotFittedError):
        classifier.predict(trained.X)


@pytest.mark.usefixtures("ctrl_c")
def test_case_61_ctrl_c_before_training(fixed):
    """Ctrl-C while images are read or encoded: KeyboardInterrupt, and not fitted."""
    forget()
    attempt = fixed.copy().set_params(backbone=InterruptedEncoder)
    with pytest.raises(KeyboardInterrupt), no_epoch_begins():
        attempt.fit(fixed.X, fixed.y)
    fixed.check_whole_or_gone(attempt)


# 72, 73: processes and names


class ThreadCounter(Callback):
    """Writes down how many threads compute."""

    def __init__(self, folder):
        self.folder = folder

    def on_batch_begin(self, net, **kwargs):
        openmp = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
        (self.folder / f"{os.getpid()}-{max(openmp)}").touch()


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_case_72_workers_times_threads(backend, classifier, fixed, tmp_path):
    """`n_jobs` workers of several threads: no more of them than cores."""
    n_jobs = os.cpu_count()
    classifier.set_params(max_epochs=1, callbacks=[ThreadCounter(tmp_path)])
    with joblib.parallel_config(backend=backend):
        search = GridSearchCV(classifier, {"lr": [0.1, 0.2]}, cv=2, n_jobs=n_jobs, refit=False)
        search.set_params(error_score="raise").fit(fixed.X, fixed.y)
    counts = {int(path.name.split("-")[1]) for path in tmp_path.iterdir()}
    assert counts == {1}


@pytest.mark.parametrize(
    ("name", "nearest"), [("max_epoch", "max_epochs"), ("hiden_units", "hidden_units")]
)
def test_case_73_unknown_parameter(name, nearest, fixed):
    """An unknown parameter: ValueError that names it, and the nearest that there is."""
    options = {"verbose": 0, name: 1}
    with pytest.raises(ValueError, match=f"no parameter '{name}'; did you mean '{nearest}'"):
        FusionClassifier(**options).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=rf"(?s){name}.*{nearest}"):
        fixed.estimator.set_params(**{name: 1})
    np.testing.assert_array_equal(fixed.estimator.predict_proba(fixed.X), fixed.probabilities)


@pytest.mark.parametrize("name", ["optimizr__momentum", "iterator_trian__shuffle"])
def test_case_73_unknown_prefix(name, classifier, fixed):
    """An unknown prefix of a component's parameter: an error that names it."""
    with pytest.raises((ValueError, TypeError), match=name):
        FusionClassifier(**{"verbose": 0, name: 1}).fit([[0.0], [1.0]], [0, 1])


def test_case_125_main_job_resumes_the_same_bytes_only(cohort, labels, tmp_path):
    """The main job goes on with parts of the same bytes of the same images only."""
    images = []
    for number, path in enumerate(cohort["image"]):
        images.append(str(tmp_path / f"{number}.png"))
        shutil.copyfile(path, images[-1])
    bunch = Bunch(
        data=cohort.assign(image=images).drop(columns="diagnosis"),
        target=labels, groups=cohort["patient_id"], kits={},
    )  # fmt: skip
    before, status = units._digest({}, bunch), os.stat(images[5])
    assert units._digest({}, bunch) == before
    content = bytearray(Path(images[5]).read_bytes())
    content[-20] ^= 1
    Path(images[5]).write_bytes(content)
    os.utime(images[5], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert units._digest({}, bunch) != before
