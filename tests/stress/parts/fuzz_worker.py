"""A process that makes inputs, reads them, and notes what came of it, how long and how large."""

import json
import os
import resource
import time
import traceback
import warnings

import numpy as np

#: Kinds of files, and their shares of the trials in percent.
KINDS = {"images": 60, "csv": 12, "parquet": 8, "models": 20}
#: What can come of a trial; "" is one that has not been made.
OUTCOMES = [
    "", "ok", "fault", "hang", "crash", "ImageError", "ModelFileError", "FileNotFoundError",
    "ValueError", "TypeError",
]  # fmt: skip
_SLOW_SECONDS = 1.0
_ROOM_BYTES = 4 * 2**30
_MAX_FILES = 200


def kind_of(trial, chosen):
    """Return which kind of file a trial reads."""
    if chosen.only is not None:
        return chosen.only
    # A full round of percentages takes 100 trials, mixed so that any stretch holds all kinds.
    place, passed = trial * 37 % 100, 0
    for name, share in KINDS.items():
        passed += share
        if place < passed:
            return name
    raise ValueError(trial)


def _readers(pickle_bytes):
    """Give, for each kind of file, how it is made, and the module that reads it."""
    from . import fuzz_images, fuzz_models, fuzz_tables

    return {
        "images": (fuzz_images.make, fuzz_images),
        "csv": (fuzz_tables.make_csv, fuzz_tables),
        "parquet": (fuzz_tables.make_parquet, fuzz_tables),
        "models": (fuzz_models.Maker(pickle_bytes), fuzz_models),
    }


def work(number, first, step, chosen, shared, scratch, pickle_bytes):
    """Make every `step`-th trial from `first` on."""
    folder = scratch / f"worker{number}"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    # libtiff writes what it thinks of a file to standard error.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    readers = _readers(pickle_bytes)
    readers["csv"][1].make_images(folder)
    limit = _memory("VmSize") + _ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    places = {name: 2 * place for place, name in enumerate(KINDS)}
    with open(scratch / f"faults{number}.jsonl", "a") as faults:
        for trial in range(first, chosen.trials, step):
            shared["current"][number] = trial
            kind = kind_of(trial, chosen)
            make, module = readers[kind]
            name, content = make(np.random.default_rng([chosen.seed, trial]))
            path = folder / name
            path.write_bytes(content)
            shared["begun"][number] = time.monotonic()
            outcome, fault, seconds, growth = _measure(module, str(path), chosen.seed, trial)
            if chosen.break_one and trial == 0:
                outcome, fault = "fault", ("injected", "")
            shared["begun"][number] = 0
            shared["outcomes"][trial] = OUTCOMES.index(outcome)
            place = places[kind]
            for what, value in (("slowest", seconds), ("largest", growth)):
                if value > shared[what][number][place]:
                    shared[what][number][place : place + 2] = [value, trial]
            if fault is not None:
                record = {"trial": trial, "summary": f"{kind}: {fault[0]}", "text": fault[1]}
                print(json.dumps(record), file=faults, flush=True)
                _keep(chosen.failures, f"trial{trial}-{name}", content)


def _keep(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    if len(os.listdir(folder)) < _MAX_FILES:
        (folder / name).write_bytes(content)


def _measure(module, path, seed, trial):
    """Read one file, once more where the machine may have been busy with others."""
    before = _reset_peak()
    seconds = np.inf
    for _ in range(3):
        random = np.random.default_rng([seed, trial, 1])
        started = time.perf_counter()
        outcome, fault = _read(module, path, random)
        seconds = min(seconds, time.perf_counter() - started)
        if seconds <= _SLOW_SECONDS:
            break
    return outcome, fault, seconds, (_memory("VmHWM") - before) / 2**20


def _read(module, path, random):
    fault = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            module.use(path, random)
            outcome = "ok"
        except module.ERRORS as error:
            # Subclasses of documented errors count as what they are called by.
            kinds = [kind.__name__ for kind in type(error).__mro__]
            outcome = next(name for name in kinds if name in OUTCOMES)
        except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
            outcome = "fault"
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(last.filename)}:{last.lineno}"
            fault = f"{type(error).__name__} at {where}", str(error)[:300]
    for warning in caught:
        if not issubclass(warning.category, module.WARNINGS):
            outcome = "fault"
            fault = f"warning {warning.category.__name__}", str(warning.message)[:300]
    return outcome, fault


def _reset_peak():
    """Begin a new peak of the resident memory, and give what is resident now, in bytes."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return _memory("VmHWM")
    return _memory("VmRSS")


def _memory(name):
    """Read a figure of this process, in bytes; 0 where there is no such file."""
    try:
        with open("/proc/self/status") as file:
            lines = [line for line in file if line.startswith(f"{name}:")]
    except OSError:
        return 0
    return int(lines[0].split()[1]) * 1024
