"""One grid point on one fold at a time, each result on disk as soon as it is there."""

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
from _common.files import sweep, write_atomically
from joblib import Parallel, delayed
from sklearn.metrics import f1_score, make_scorer, precision_score, recall_score
from sklearn.model_selection import GridSearchCV
from tqdm.auto import tqdm

from skosfusion import ablation_param_grid

# A fold in which nothing is called positive has precision 0, by declaration.
SCORING = {
    "accuracy": "accuracy",
    "precision": make_scorer(precision_score, zero_division=0.0),
    "recall": make_scorer(recall_score, zero_division=0.0),
    "f1": make_scorer(f1_score, zero_division=0.0),
}
_HEARTBEAT_SECONDS = 5.0
# Where and how fast it runs.
_NOT_DECIDING = {"out", "jobs", "data_home"}


def run(pipeline, cohort, rows, folds, *, settings, folder, jobs, backend):
    """Run the ablation, in parts that survive an interruption."""
    # It is the grid search over `ablation_param_grid`, cut into one search a grid point and fold;
    # the scores are the same, but a part that is done is read the next time.
    grid = ablation_param_grid(rows)
    folder = Path(folder) / _digest(settings, cohort)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    todo, scores = [], {}
    for row, (name, used) in enumerate(rows.items()):
        for fold in range(len(folds)):
            path = folder / f"{_unit_digest(used, rows, folds[fold])}.json"
            scores[row, fold] = _read(path)
            if scores[row, fold] is None:
                todo.append((row, fold, name, path))
    bar = tqdm(total=len(scores), initial=len(scores) - len(todo), unit="fit", desc="ablation")
    with bar, heartbeat(bar):
        tasks = (
            delayed(_search_one)(
                pipeline, grid[row], cohort.data, cohort.target, folds[fold], row, fold
            )
            for row, fold, _, _ in todo
        )
        paths = {(row, fold): path for row, fold, _, path in todo}
        parallel = Parallel(jobs, backend=backend, return_as="generator_unordered")
        for row, fold, unit in parallel(tasks):
            write_atomically(paths[row, fold], json.dumps(unit).encode())
            scores[row, fold] = unit
            bar.update()
    return _as_cv_results(grid, scores, len(folds))


def _search_one(pipeline, grid, data, target, fold, row, number):
    search = GridSearchCV(
        pipeline, grid or [{}], cv=[fold], scoring=SCORING, refit=False, error_score="raise"
    )
    search.fit(data, target)
    return row, number, {m: float(search.cv_results_[f"split0_test_{m}"][0]) for m in SCORING}


def _as_cv_results(grid, scores, n_folds):
    results = {"params": [{key: values[0] for key, values in point.items()} for point in grid]}
    for metric in SCORING:
        table = np.array(
            [[scores[row, fold][metric] for fold in range(n_folds)] for row in range(len(grid))]
        )
        for fold in range(n_folds):
            results[f"split{fold}_test_{metric}"] = table[:, fold]
        results[f"mean_test_{metric}"] = table.mean(axis=1)
        results[f"std_test_{metric}"] = table.std(axis=1)
    return results


def describe_run(options, settings, cohort):
    """Say what decides the results of a run: options, and a digest of all that they lead to."""
    told = {name: value for name, value in vars(options).items() if name not in _NOT_DECIDING}
    return {"options": told, "digest": _digest(settings, cohort)}


def _digest(settings, cohort):
    """Name a run by all that decides its scores: settings, table, kits, labels, bytes of images."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(repr(sorted(dict(cohort.kits).items())).encode())
    digest.update(cohort.data.to_csv(index=False).encode())
    digest.update(np.asarray(cohort.target, np.int64).tobytes())
    for path in cohort.data["image"]:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def file_digest(path):
    """Digest a weights file, so that another one under the same name starts anew."""
    if path is None or not os.path.isfile(path):
        return None
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _unit_digest(used, rows, fold):
    inputs = sorted({name for row in rows.values() for name in row})
    digest = hashlib.sha256(repr((sorted(used), inputs)).encode())
    for part in fold:
        digest.update(np.asarray(part, np.int64).tobytes() + b"\0")
    return digest.hexdigest()[:16]


def _read(path):
    """Read a finished part; anything unreadable is run again."""
    try:
        unit = json.loads(path.read_text())
        return {metric: float(unit[metric]) for metric in SCORING}
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
