"""One grid point on one fold at a time, each result on disk as soon as it is there."""

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
from joblib import parallel_config
from tqdm.auto import tqdm

from ..model_selection import cross_val_scores
from ..network import digest_of_weights
from ._options import NOT_DECIDING

METRICS = "accuracy", "precision", "recall", "f1"
_HEARTBEAT_SECONDS = 5.0


def run_units(pipeline, cohort, rows, folds, *, settings, folder, jobs, backend, allow_leaks=False):
    """Run the ablation, in parts that survive an interruption; return scores and metrics."""
    # `cross_val_scores` makes what is missing for the owner alone, and results are for others, too.
    Path(folder).mkdir(parents=True, exist_ok=True)
    n_parts = len(rows) * len(folds)
    bar = tqdm(total=n_parts, unit="fit", desc="ablation")

    def progress(n_done, n_units):
        bar.n = n_done
        bar.refresh()

    with bar, heartbeat(bar), parallel_config(backend):
        result = cross_val_scores(
            pipeline,
            cohort.data,
            cohort.target,
            rows,
            groups=np.asarray(cohort.groups),
            cv=folds,
            allow_leaks=allow_leaks,
            n_jobs=jobs,
            progress=progress,
            folder=Path(folder) / _digest(settings, cohort),
            random_state=0,
        )
        progress(n_parts, n_parts)
    return result


def describe_run(options, settings, cohort):
    """Say what decides the results of a run: options, and a digest of all that they lead to."""
    told = {name: value for name, value in vars(options).items() if name not in NOT_DECIDING}
    return {"options": told, "digest": _digest(settings, cohort)}


def _digest(settings, cohort):
    """Name a run by all that decides its scores: settings, table, kits, labels, bytes of images."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(repr(sorted(dict(cohort.kits).items())).encode())
    digest.update(cohort.data.to_csv(index=False).encode())
    digest.update(np.asarray(cohort.target, np.int64).tobytes())
    for path in cohort.data["image"].dropna():
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def weights_digest(path):
    """Digest a weights file, so that another one under the same name starts anew."""
    return digest_of_weights(path) if path is not None and os.path.isfile(path) else None


@contextlib.contextmanager
def heartbeat(bar):
    """Redraw a bar every few seconds while the work behind it is silent."""
    stop = threading.Event()

    def beat():
        while not stop.wait(_HEARTBEAT_SECONDS):
            bar.refresh()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
