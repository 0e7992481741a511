"""Cases 83, 92 and 93 of the catalogue: worker processes, forks, and parents that are killed."""

import os
import signal
import subprocess
import sys
import threading
import time
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


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("encoder", ["fixed", "trained with random layers"])
def test_case_92_fork_beside_a_fit_in_a_thread(encoder, cohort, labels):
    """A process that is forked beside a fit in a thread fits and predicts, and does not hang."""
    options = {"frozen_epochs": "all"} if encoder == "fixed" else {"backbone": tiny.DropoutEncoder}
    classifier = FusionClassifier(image_column="image", **OPTIONS | options)
    X, n_threads = cohort[["image"]], torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = clone(classifier).fit(X, labels)
        probabilities = expected.predict_proba(X)
        stop = threading.Event()

        def fit_on():
            while not stop.is_set():
                clone(classifier).fit(X, labels)

        thread = threading.Thread(target=fit_on)
        thread.start()
        try:
            codes = [_exit_code(expected, X, labels, probabilities, i) for i in range(6)]
        finally:
            stop.set()
            thread.join()
    finally:
        torch.set_num_threads(n_threads)
    assert codes == [0] * 6


def _exit_code(fitted, X, y, probabilities, number):
    """Fit or predict in a forked child, and return 0 if that gives what it gave in the parent."""
    time.sleep(0.01 * number)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            here = clone(fitted).fit(X, y) if number % 2 else fitted
            is_near = np.allclose(here.predict_proba(X), probabilities, atol=1e-4)
            code = 0 if is_near else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


_KILLED = """
import os, sys, threading, time
sys.path.insert(0, root)
from sklearn.model_selection import cross_val_score
import pandas as pd
from skosfusion import FusionClassifier
from tests._helpers import tiny
if __name__ == "__main__":
    table = pd.read_csv(csv)
    classifier = FusionClassifier(
        image_column="image", backbone=tiny.TinyEncoder, weights=None, image_size=32,
        max_epochs=10**6, batch_size=16, random_state=0, verbose=0, **options,
    )
    if n_jobs == 1:
        classifier.fit(table[["image"]], table["diagnosis"])
    cross_val_score(classifier, table[["image"]], table["diagnosis"], cv=2, n_jobs=n_jobs)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["nothing", "loaders", "loky"])
def test_case_93_parent_that_is_killed(kind, cohort, tmp_path):
    """No worker process outlives a parent that was killed; the package itself starts none."""
    cohort.to_csv(tmp_path / "cohort.csv", index=False)
    options = {"iterator_train__num_workers": 2} if kind == "loaders" else {}
    values = {
        "root": str(_ROOT),
        "csv": str(tmp_path / "cohort.csv"),
        "options": options,
        "n_jobs": 2 if kind == "loky" else 1,
    }
    program = tmp_path / "program.py"
    program.write_text("".join(f"{k} = {v!r}\n" for k, v in values.items()) + _KILLED)
    with subprocess.Popen([sys.executable, program], start_new_session=True) as parent:  # noqa: S603
        wanted = {"nothing": 0, "loaders": 2, "loky": 2}[kind]
        _wait(lambda: _seconds_of_work(parent.pid) > 0 and len(_in_session(parent.pid)) > wanted)
        time.sleep(2)
        if kind == "nothing":
            assert _in_session(parent.pid) == [parent.pid]
        parent.kill()
    try:
        assert _wait(lambda: not _in_session(parent.pid))
    finally:
        for process in _in_session(parent.pid):
            os.kill(process, signal.SIGKILL)


def _wait(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def _in_session(session):
    """List the processes of a session that are not dead."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of_session) == session and state not in "ZX":
            found.append(int(entry.parent.name))
    return found


def _seconds_of_work(process):
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11]) / 100
    except OSError:
        return 0
