"""Try to get another result from worker processes or threads than from one process.

The same 40 fits (the eight rows of the ablation, five folds) run serially, in two processes (loky)
and in two threads, for several kinds of model. Scores, and a digest of all predicted probabilities
that the search computes where it fits, must be equal to the last bit; so must the probabilities of
models that workers hand back. Where there is a network of images, the parent is given as many
threads as its workers, one; what happens otherwise is measured, as is plain skorch, and decides
nothing.
"""

import argparse
import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skosfusion import (
    ABLATIONS,
    ablation_param_grid,
    make_clinical_transformer,
    make_fusion_pipeline,
)
from skosfusion.classifier import shared_feature_cache
from skosfusion.images import shared_image_store

from .._helpers import tiny
from .parts import networks, processes
from .parts.report import Progress, Report, make_parser

_BACKENDS = "loky", "threading"
_N_JOBS = 2
_N_FOLDS = 5
_SIDE = 32
_DIGEST_NUMBERS = 3
_USUAL = {"rows": ABLATIONS, "n_threads": None, "must_be_all": True}


def main(arguments=None):
    """Run the comparison."""
    parser = make_parser("backends", __doc__)
    parser.add_argument("--patients", type=int, default=40, help="two images each")
    parser.add_argument("--only", metavar="TEXT", help="lines that contain this text")
    parser.add_argument("--break-one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.patients = 10
    # Workers have bars of their own otherwise.
    os.environ.setdefault("TQDM_DISABLE", "1")
    report = Report("The same fits, serially, in processes and in threads", chosen)
    with tempfile.TemporaryDirectory() as scratch:
        cohort = tiny.make_cohort(
            Path(scratch), n_patients=chosen.patients, side=_SIDE, seed=chosen.seed
        )
        for name, line in _lines(chosen).items():
            if chosen.only is None or chosen.only in name:
                _compare(report, chosen, cohort, name, **(_USUAL | line))
    get_reusable_executor().shutdown(wait=True)
    return report.finish(chosen.out)


def _lines(chosen):
    """List what is compared: pipeline, rows, threads of the parent, whether all must be equal."""
    common = {
        "weights": None,
        "image_size": _SIDE,
        "max_epochs": 2 if chosen.quick else 5,
        "batch_size": 16,
        "hidden_units": 64,
        "random_state": chosen.seed,
        "verbose": 0,
    }
    without_images = make_fusion_pipeline(image=None, **common)
    fixed = common | {"frozen_epochs": "all"}
    fixed_resnet = make_fusion_pipeline(**(fixed | {"hidden_units": 512}))
    fixed_resnet_small_head = make_fusion_pipeline(**(fixed | {"batch_size": 8}))
    small = make_fusion_pipeline(backbone=tiny.TinyEncoder, **common)
    dropout = make_fusion_pipeline(backbone=tiny.DropoutEncoder, **common)
    resnet = make_fusion_pipeline(**(common | {"max_epochs": 1}))
    # A network needs some input.
    clinical_rows = {"Age & ALP": ("age", "alp")} | ABLATIONS
    del clinical_rows["Baseline"]
    skorch = _skorch_pipeline(common["max_epochs"])
    free = {"n_threads": None, "must_be_all": False}
    lines = {
        "clinical values only": {"pipeline": without_images, "rows": clinical_rows},
        "fixed ResNet18": {"pipeline": fixed_resnet, "n_threads": 1},
        "fixed ResNet18, head of 64 units": {"pipeline": fixed_resnet_small_head, "n_threads": 1},
        "small encoder that trains": {"pipeline": small, "n_threads": 1},
        "the same with dropout": {"pipeline": dropout, "n_threads": 1},
        "ResNet18 that trains": {"pipeline": resnet, "n_threads": 1},
        "fixed ResNet18, parent with all threads": {"pipeline": fixed_resnet} | free,
        "fixed ResNet18, head of 64 units, parent with all threads": {
            "pipeline": fixed_resnet_small_head
        }
        | free,
        "small encoder that trains, parent with all threads": {"pipeline": small} | free,
        "ResNet18 that trains, parent with all threads": {"pipeline": resnet} | free,
        "plain skorch, seeded": {"pipeline": skorch, "rows": clinical_rows} | free,
    }
    if chosen.quick:
        wanted = "fixed ResNet18", "the same with dropout", "plain skorch, seeded"
        return {name: lines[name] for name in wanted}
    return lines


def _skorch_pipeline(n_epochs):
    """Build a head on clinical values in plain skorch."""
    net = networks.SeededNet(
        networks.PlainMLP,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=n_epochs,
        batch_size=16,
        train_split=None,
        verbose=0,
    )
    clinical = make_clinical_transformer(image=None)
    as_array = FunctionTransformer(networks.as_array)
    return Pipeline([("clinical", clinical), ("array", as_array), ("classifier", net)])


def _compare(report, chosen, cohort, name, *, pipeline, rows, n_threads, must_be_all):
    progress = Progress()
    n_folds = _N_FOLDS
    if chosen.quick:
        rows = dict([*rows.items()][-2:])
        n_folds = 2
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=chosen.seed)
    folds = list(splitter.split(cohort, cohort["diagnosis"], cohort["patient_id"]))
    grid = ablation_param_grid(rows, inputs=ABLATIONS["All"])
    with _threads(n_threads):
        progress.show(f"{name}: serial", always=True)
        expected = _fit_all(pipeline, grid, cohort, folds)
    for backend in _BACKENDS:
        progress.show(f"{name}: {backend}", always=True)
        with _threads(n_threads), _workers(backend, n_threads):
            found = _fit_all(pipeline, grid, cohort, folds)
        if chosen.break_one:
            found[0][0, 0] = np.nextafter(found[0][0, 0], np.inf)
        for what, mine, others in zip(("fits", "models"), expected, found, strict=True):
            equal = count_equal(mine, others)
            report.count(
                f"{name}, {backend}: equal {what}", equal, len(mine), must_be_all=must_be_all
            )
            progress.show(f"{name}, {backend}: equal {equal} of {len(mine)} {what}", always=True)


@contextlib.contextmanager
def _threads(n_threads):
    """Give torch so many threads in this process for a while; None changes nothing."""
    before = torch.get_num_threads()
    try:
        if n_threads is not None:
            torch.set_num_threads(n_threads)
        yield
    finally:
        torch.set_num_threads(before)


def _workers(backend, n_threads):
    options = {} if backend == "threading" else {"inner_max_num_threads": n_threads}
    return parallel_config(backend=backend, n_jobs=_N_JOBS, **options)


def _fit_all(pipeline, grid, cohort, folds):
    """Run the search, and cross-validate the row "All"; give arrays, one row for each fit."""
    # What an earlier backend has computed must not serve this one.
    shared_feature_cache().clear()
    shared_image_store().clear()
    y = cohort["diagnosis"].to_numpy()
    options = {"cv": folds, "scoring": _scores, "error_score": "raise"}
    search = GridSearchCV(pipeline, grid, refit=False, **options).fit(cohort, y)
    returned = cross_validate(pipeline, cohort, y, return_estimator=True, **options)
    results = search.cv_results_
    metrics = [key[len("split0_test_") :] for key in results if key.startswith("split0_test_")]
    fits = [
        [results[f"split{fold}_test_{metric}"][row] for metric in metrics]
        for row in range(len(grid))
        for fold in range(len(folds))
    ]
    probabilities = [model.predict_proba(cohort).ravel() for model in returned["estimator"]]
    return np.array(fits), np.array(probabilities)


def _scores(estimator, X, y):
    """Score, and write down all bits of the probabilities as numbers that a search can keep."""
    probabilities = estimator.predict_proba(X)
    labels = probabilities.argmax(axis=1)
    digest = hashlib.sha256(np.ascontiguousarray(probabilities).tobytes()).digest()
    # Six bytes are a whole number that a float holds exactly.
    numbers = {
        f"digest{i}": float(int.from_bytes(digest[6 * i : 6 * i + 6]))
        for i in range(_DIGEST_NUMBERS)
    }
    return numbers | {
        "accuracy": accuracy_score(y, labels),
        "f1": f1_score(y, labels, zero_division=0.0),
    }


def count_equal(expected, found):
    """Count the rows that are equal to the last bit."""
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return 0
    return sum(a.tobytes() == b.tobytes() for a, b in zip(expected, found, strict=True))


if __name__ == "__main__":
    processes.end_in_order()
    sys.exit(main())
