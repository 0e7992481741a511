"""Read damaged and hostile files: images, tables, models.

Sound files are changed at random (bits, cuts, splices, lengths, zeroes) and by people who know the
format (sizes, tags, checksums that are right again, other types, deep nesting, planted pickles).
Reading one must succeed or raise an error that is documented, within a second, in bounded memory,
and execute nothing. Inputs that do otherwise are written to a folder, named by their number.
"""

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .._helpers.executed import Executed
from .parts import processes
from .parts.fuzz_worker import KINDS, OUTCOMES, kind_of, work
from .parts.report import Progress, Report, make_parser

_HANG_SECONDS = 20.0
_LIMIT_SECONDS = 3600
_MAX_GROWTH_MB = 1536
_N_WORKERS = 2


def main(arguments=None):
    """Run the trials."""
    parser = make_parser("fuzz", __doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--only", choices=list(KINDS), help="one kind of file")
    parser.add_argument(
        "--failures", type=Path, default=Path("stress-results") / "fuzz-failures", metavar="FOLDER"
    )
    parser.add_argument("--break-one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.trials = min(chosen.trials, 2000)
    report = Report("Untrusted files: a result or a documented error", chosen)
    with tempfile.TemporaryDirectory() as scratch:
        _run(report, chosen, Path(scratch))
    return report.finish(chosen.out)


def _run(report, chosen, scratch):
    context, progress = processes.make_context(), Progress()
    marker = scratch / "executed"
    shared = {
        "outcomes": context.RawArray("B", chosen.trials),
        # For each worker: the trial under way, and when it began.
        "current": context.RawArray("q", _N_WORKERS),
        "begun": context.RawArray("d", _N_WORKERS),
        # For each kind of file: the slowest trial and the largest growth in MB, with numbers.
        "slowest": [context.RawArray("d", 2 * len(KINDS)) for _ in range(_N_WORKERS)],
        "largest": [context.RawArray("d", 2 * len(KINDS)) for _ in range(_N_WORKERS)],
    }
    workers = [None] * _N_WORKERS
    following = list(range(_N_WORKERS))
    n_killed = Counter()
    deadline = time.monotonic() + _LIMIT_SECONDS
    try:
        while True:
            for number, worker in enumerate(workers):
                if worker is not None and worker.is_alive():
                    began = shared["begun"][number]
                    if not began or time.monotonic() - began < _HANG_SECONDS:
                        continue
                    worker.kill()
                    worker.join()
                    reason = "hang"
                elif worker is not None and worker.exitcode == 0:
                    following[number] = chosen.trials
                    continue
                else:
                    reason = "crash"
                if worker is not None:
                    trial = shared["current"][number]
                    n_killed[reason] += 1
                    report.fail(f"trial {trial} ({kind_of(trial, chosen)}): {reason}")
                    shared["outcomes"][trial] = OUTCOMES.index(reason)
                    following[number] = trial + _N_WORKERS
                shared["begun"][number] = 0
                workers[number] = processes.start(
                    context, work, number, following[number], _N_WORKERS, chosen, shared,
                    scratch, pickle.dumps(Executed(marker)),
                )  # fmt: skip
            n_done = sum(map(bool, shared["outcomes"])) if chosen.trials < 10_000 else None
            trials = max(shared["current"])
            progress.show(f"{trials if n_done is None else n_done} of {chosen.trials} trials")
            if all(place >= chosen.trials for place in following):
                break
            if time.monotonic() > deadline or sum(n_killed.values()) > 50:
                report.fail("too many hangs and crashes, or out of time")
                break
            time.sleep(0.2)
    finally:
        processes.stop([worker for worker in workers if worker is not None])
    _tell(report, chosen, shared, scratch, marker)


def _tell(report, chosen, shared, scratch, marker):
    names = list(KINDS)
    outcomes = {name: Counter() for name in names}
    for trial, code in enumerate(shared["outcomes"]):
        outcomes[kind_of(trial, chosen)][OUTCOMES[code]] += 1
    bad = {"", "fault", "hang", "crash"}
    for name, counts in outcomes.items():
        if not counts:
            continue
        right = sum(number for outcome, number in counts.items() if outcome not in bad)
        report.count(f"{name}: a result or a documented error", right, counts.total())
        report.figure(f"{name}: outcomes", dict(counts.most_common()))
    total = sum(counts.total() for counts in outcomes.values())
    right = total - sum(counts[outcome] for counts in outcomes.values() for outcome in bad)
    report.count("all trials: a result or a documented error", right, total)
    for what, unit in (("slowest", "s"), ("largest", "MB")):
        found = {}
        for place, name in enumerate(names):
            value, trial = max(tuple(array[2 * place : 2 * place + 2]) for array in shared[what])
            found[name] = f"{value:.3g} {unit} (trial {trial:.0f})"
            if value > {"slowest": 1.0, "largest": _MAX_GROWTH_MB}[what]:
                report.fail(f"{name}: {what} trial {trial:.0f} took {value:.3g} {unit}")
        title = {"slowest": "slowest trial", "largest": "largest growth of the process's peak"}[
            what
        ]
        report.figure(title, found)
    faults = Counter()
    for file in sorted(scratch.glob("faults*.jsonl")):
        for line in file.read_text().splitlines():
            fault = json.loads(line)
            faults[fault["summary"]] += 1
            if faults[fault["summary"]] <= 2:
                report.fail(f"trial {fault['trial']}: {fault['summary']}: {fault['text']}")
    report.figure("faults by kind", dict(faults.most_common(20)))
    report.count(
        "trials after which no planted pickle had been executed",
        0 if marker.exists() else total,
        total,
    )


if __name__ == "__main__":
    processes.end_in_order()
    sys.exit(main())
