"""Kill the main job, saves and cache writes at random moments, and look at what is there then.

The main job (`benchmarks/ablation.py`, small) is killed several times, started again each time, and
must end with the table, the scores, the parts and the images of a run that nobody disturbed. A
process that saves one version of a model after the other must leave the last version or the one
that it was saving. A process that fills a cache folder must leave nothing that another one trips
over. SIGKILL throughout.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from .parts import cache_kills, main_job, processes
from .parts.report import Progress, Report, make_parser

_KILLS_IN_A_CHAIN = 5


def main(arguments=None):
    """Kill, and look."""
    parser = make_parser("kill", __doc__)
    parser.add_argument("--job", type=int, default=65, help="kills of the main job")
    parser.add_argument("--caches", type=int, default=65, help="kills of cache writes")
    parser.add_argument("--saves", type=int, default=70, help="kills of saves")
    parser.add_argument("--break-one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.job, chosen.caches, chosen.saves = (
            min(number, usual)
            for number, usual in ((chosen.job, 2), (chosen.caches, 3), (chosen.saves, 3))
        )
    report, progress = Report("Killed, and no worse for it", chosen), Progress()
    n_right = n_kills = 0
    kills = {"job": _kill_job, "caches": _kill_caches, "saves": _kill_saves}
    for number, (name, part) in enumerate(kills.items()):
        if getattr(chosen, name) == 0:
            continue
        random = np.random.default_rng([chosen.seed, number])
        with tempfile.TemporaryDirectory() as scratch:
            right, total = part(report, progress, chosen, Path(scratch), random)
        n_right, n_kills = n_right + right, n_kills + total
    report.count("all kills that did no harm", n_right, n_kills)
    return report.finish(chosen.out)


def _kill_job(report, progress, chosen, scratch, random):
    progress.show("main job: undisturbed", always=True)
    expected, durations = main_job.run_undisturbed(scratch / "undisturbed", progress.show)
    if chosen.break_one:
        expected["table"] += b" "
    report.figure("main job, seconds of its parts", _rounded(durations))
    phases, n_right, n_left, n_unswept, chain = Counter(), 0, 0, 0, 0
    while phases.total() < chosen.job:
        n_kills = min(_KILLS_IN_A_CHAIN, chosen.job - phases.total())
        folder = scratch / f"chain{chain}"
        n_jobs = 2 if chain % 3 == 2 else 1
        hit, faults, left, unswept = main_job.run_chain(
            folder, n_kills, durations, expected, random, n_jobs=n_jobs, tell=progress.show
        )
        for fault in faults:
            report.fail(f"main job, chain {chain}, --jobs {n_jobs}: {fault}")
        phases += hit
        n_right += 0 if faults else hit.total()
        n_left, n_unswept, chain = n_left + left, n_unswept + unswept, chain + 1
        shutil.rmtree(folder, ignore_errors=True)
        progress.show(f"main job: {phases.total()} of {chosen.job} kills", always=True)
        if chain > chosen.job:
            report.fail("main job: most chains end before they are killed")
            break
    report.count("main job, same result after kills", n_right, phases.total())
    report.figure("main job, kills by the part that they hit", dict(phases))
    report.figure("main job, chains of kills", chain)
    report.count(
        "main job, unfinished files that a run hours later removes", n_left - n_unswept, n_left,
        must_be_all=n_left > 0,
    )  # fmt: skip
    return n_right, phases.total()


def _kill_caches(report, progress, chosen, scratch, random):
    context = processes.make_context()
    images = scratch / "drawn"
    images.mkdir()
    paths = cache_kills.write_images(images, chosen.seed)
    kinds = list(cache_kills.WORK)
    known = {}
    for kind in kinds:
        progress.show(f"cache writes, {kind}: undisturbed", always=True)
        (scratch / kind).mkdir()
        known[kind] = cache_kills.undisturbed(context, kind, paths, scratch / kind)
    if chosen.break_one:
        known["images"][0][0] ^= 1
    report.figure(
        "cache writes, seconds to fill a folder", _rounded({k: s for k, (_, s) in known.items()})
    )
    counts, number = Counter(), 0
    # A kill that comes too late is one of no write.
    while counts["hit"] < chosen.caches and number < 4 * chosen.caches:
        kind, folder = kinds[number % len(kinds)], scratch / f"kill{number}"
        hit, faults, kept, left, unswept = cache_kills.kill_one(
            context, kind, paths, folder, *known[kind], random
        )
        for fault in faults:
            report.fail(f"cache writes, kill {number}: {fault}")
        counts.update(
            right=hit and not faults,
            hit=hit,
            partly=hit and kept > left,
            left=left,
            unswept=unswept,
        )
        shutil.rmtree(folder, ignore_errors=True)
        number += 1
        progress.show(f"cache writes: {counts['hit']} of {chosen.caches} kills")
    report.count(
        "cache writes, right values after a kill in their midst", counts["right"], counts["hit"]
    )
    report.figure("cache writes, kills that came too late and do not count", number - counts["hit"])
    report.figure("cache writes, kills that left some cache files", counts["partly"])
    report.count(
        "cache writes, unfinished files that a write hours later removes",
        counts["left"] - counts["unswept"], counts["left"], must_be_all=counts["left"] > 0,
    )  # fmt: skip
    return counts["right"], counts["hit"]


def _kill_saves(report, progress, chosen, scratch, random):
    import torch

    from .parts import save_kills

    # As in the children, or the same fit would end in other last digits.
    torch.set_num_threads(1)
    context = processes.make_context()
    kinds = "classifier", "pipeline"
    progress.show("saves: fitting the models", always=True)
    versions = {kind: save_kills.Versions(kind) for kind in kinds}
    counts = Counter()
    for number in range(chosen.saves):
        kind, folder = kinds[number % len(kinds)], scratch / f"kill{number}"
        hit, faults, left = save_kills.kill_one(context, versions[kind], folder, random)
        for fault in faults:
            report.fail(f"saves, kill {number}: {fault}")
        counts.update(right=not faults, hit=hit, left=left)
        shutil.rmtree(folder, ignore_errors=True)
        progress.show(f"saves: {number + 1} of {chosen.saves} kills")
    report.count("saves, a whole version after the kill", counts["right"], chosen.saves)
    report.figure("saves, kills during a save", counts["hit"])
    report.figure("saves, kills that left an unfinished file", counts["left"])
    return counts["right"], chosen.saves


def _rounded(seconds):
    return {name: round(value, 2) for name, value in seconds.items()}


if __name__ == "__main__":
    processes.end_in_order()
    sys.exit(main())
