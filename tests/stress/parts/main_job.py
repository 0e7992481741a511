"""The ablation script, killed at random moments and started again until it is done."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

_SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "ablation.py"
_OPTIONS = [
    "--patients", "24", "--folds", "2", "--epochs", "2", "--batch-size", "16", "--weights", "none",
    "--precision", "fp32", "--rows", "Baseline", "All",
]  # fmt: skip
# What the script prints when a part of the job begins.
_PHASES = {
    "loading": "loading skosfusion",
    "drawing": "drawing the cohort",
    "encoding": "encoding the images",
    "fitting": "features: ",
    "reporting": "4/4 [",
}
_SHARES = {"loading": 0.1, "drawing": 0.3, "encoding": 0.2, "fitting": 0.2, "reporting": 0.2}
_POLL_SECONDS = 0.005
_LIMIT_SECONDS = 300
_AGED_SECONDS = 7200


class Job:
    """One run of the script, in a process group of its own."""

    def __init__(self, folder, n_jobs, tell):
        self._tell = tell
        folder.mkdir(parents=True, exist_ok=True)
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        self._output = folder / "output.txt"
        # What a killed joblib leaves goes with the folder.
        environment = os.environ | {"TMPDIR": str(scratch), "JOBLIB_TEMP_FOLDER": str(scratch)}
        environment |= {"MPLBACKEND": "Agg"}
        environment.pop("TQDM_DISABLE", None)
        command = [sys.executable, str(_SCRIPT), *_OPTIONS, "--jobs", str(n_jobs)]
        command += ["--out", str(folder / "out"), "--data-home", str(folder / "home")]
        self.started = time.monotonic()
        with open(self._output, "wb") as output:
            # The command is this Python with a script of this repository.
            self.process = subprocess.Popen(  # noqa: S603
                command, stdout=output, stderr=output, env=environment, start_new_session=True
            )

    def phase(self):
        """Return which part of the job runs, from what has been printed."""
        printed = self._output.read_text(errors="replace")
        reached = [name for name, text in _PHASES.items() if text in printed]
        return reached[-1] if reached else "starting"

    def is_over(self):
        """Return whether the script has ended."""
        return self.process.poll() is not None

    def wait_for(self, phase):
        """Wait until a part of the job begins, a later one does, or the script ends."""
        order = ["starting", *_PHASES, "over"]
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not self.is_over() and order.index(self.phase()) < order.index(phase):
            self._tell(f"main job: {self.phase()}")
            time.sleep(_POLL_SECONDS)
            if time.monotonic() > deadline:
                break

    def kill(self, *, alone=False):
        """Kill the whole group, or the first process and leave its workers to themselves."""
        if alone:
            self.process.kill()
        else:
            _kill_group(self.process.pid)
        self.process.wait()

    def finish(self):
        """Wait for the end; give the exit status, and the output if that is not 0."""
        self.wait_for("over")
        status = self.process.returncode if self.is_over() else "no end"
        _kill_group(self.process.pid)
        self.process.wait()
        return status, self._output.read_text(errors="replace")[-2000:] if status else ""


def _kill_group(group):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    for left in Path("/dev/shm").glob(f"sem.loky-{group}-*"):  # noqa: S108 - where glibc has them
        left.unlink(missing_ok=True)


def result(folder):
    """Read all that a finished job must give, in a form to compare bit for bit."""
    record = json.loads((folder / "out" / "ablation.json").read_text())
    return {
        "table": (folder / "out" / "ablation.csv").read_bytes(),
        "record": {name: record[name] for name in ("folds", "rows", "leaking_patients", "cohort")},
        "parts": {path.name: path.read_bytes() for path in parts(folder)},
        "images": {
            path.name: path.read_bytes() for path in (folder / "home").rglob("images/*.png")
        },
    }


def parts(folder):
    """List the finished parts of a job."""
    return sorted((folder / "out" / "parts").rglob("*.json"))


def left_behind(folder):
    """List the unfinished files of a job that lie anywhere."""
    found = [
        path
        for ending in (".part", ".tmp")
        for place in ("out", "home")
        for path in (folder / place).rglob(f"*{ending}")
    ]
    return sorted(found)


def run_chain(folder, n_kills, durations, expected, random, *, n_jobs, tell):
    """Kill a job several times, let it end, and compare.

    Return the kills by the part that they hit, what was wrong, and how many unfinished files lay
    there after the last kill and after one more run hours later.
    """
    jobs = []
    try:
        return _run_chain(folder, n_kills, durations, expected, random, n_jobs, tell, jobs)
    finally:
        for job in jobs:
            job.kill()


def _run_chain(folder, n_kills, durations, expected, random, n_jobs, tell, jobs):
    phases, faults = Counter(), []
    names, shares = list(_SHARES), list(_SHARES.values())
    # In the order of the job, as a part that is done does not come again.
    aims = sorted(random.choice(len(names), n_kills, p=shares))
    haste = 1.0
    for _ in range(2 * n_kills):
        if phases.total() == n_kills:
            break
        phase = names[aims[phases.total()]]
        delay = haste * random.uniform(0, 1.1 * durations[phase])
        alone = random.random() < 0.25
        job = Job(folder, n_jobs, tell)
        jobs.append(job)
        job.wait_for(phase)
        time.sleep(delay)
        if job.is_over():
            haste /= 2
            continue
        job.kill(alone=alone)
        phases[job.phase()] += 1
        for path in parts(folder):
            if path.read_bytes() != expected["parts"].get(path.name):
                faults.append(
                    f"after kill {phases.total()}, part {path.name} is not that of the job"
                )
    jobs.append(Job(folder, n_jobs, tell))
    status, output = jobs[-1].finish()
    if status != 0:
        return phases, [*faults, f"the job ended with status {status}: {output}"], 0, 0
    found = result(folder)
    faults += [f"{name} differs" for name in expected if found[name] != expected[name]]
    left = left_behind(folder)
    if not left:
        return phases, faults, 0, 0
    for path in left:
        aged = time.time() - _AGED_SECONDS
        os.utime(path, (aged, aged))
    jobs.append(Job(folder, n_jobs, tell))
    status, output = jobs[-1].finish()
    if status != 0 or result(folder) != expected:
        faults.append(f"one more run differs or ended with status {status}: {output}")
    return phases, faults, len(left), len(left_behind(folder))


def run_undisturbed(folder, tell, n_jobs=1):
    """Run the job without a kill; return its result and the seconds of its parts."""
    job = Job(folder, n_jobs, tell)
    begins = {}
    try:
        for phase in _PHASES:
            job.wait_for(phase)
            begins[phase] = time.monotonic() - job.started
        status, output = job.finish()
    finally:
        job.kill()
    if status != 0:
        raise RuntimeError(f"the job itself ended with status {status}: {output}")
    ends = [*list(begins.values())[1:], time.monotonic() - job.started]
    durations = {
        phase: end - begin for (phase, begin), end in zip(begins.items(), ends, strict=True)
    }
    return result(folder), durations
