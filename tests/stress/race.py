"""Try to get a wrong value out of a cache folder that several processes use at once.

Workers read random subsets of small images through `ImageStore.read(folder=...)`, and features of a
fixed encoder through `EncoderFeatures(folder=...)`, and forget what they hold in memory at
random, so that the folder is really used. One more process deletes, cuts, flips, swaps and empties
cache files, plants pickles among them, and puts other images under the same paths, with the same
length and time. Every value must be that of a content which lay at the path during the call.
"""

import argparse
import json
import pickle
import re
import sys
import tempfile
import warnings
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from skosfusion import FusionClassifier
from skosfusion.images import ImageStore, shared_image_store
from skosfusion.network import EncoderFeatures, FeatureCache

from .._helpers.executed import Executed
from .parts import processes
from .parts.disturber import disturb
from .parts.gallery import FEATURE_OPTIONS, OPTIONS, Gallery
from .parts.report import Progress, Report, make_parser

_N_FILES = 24
_N_VERSIONS = 4
_FEATURE_SHARE = 0.25
_LIMIT_SECONDS = 2400
# What the documentation announces for a folder that is being damaged.
_ANNOUNCED = {
    "kept pixels in": "images passed over",
    "pixels cannot be kept": "images not kept",
    "feature file": "feature files passed over",
    "features cannot be kept": "features not kept",
}


def main(arguments=None):
    """Run the race."""
    parser = make_parser("race", __doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--break-one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.calls, chosen.workers = 600, 3
    report = Report("Processes that share a cache folder never see a wrong value", chosen)
    with tempfile.TemporaryDirectory() as scratch:
        _run(report, chosen, Path(scratch))
    return report.finish(chosen.out)


def _run(report, chosen, scratch):
    context, progress = processes.make_context(), Progress()
    images, cache, marker = scratch / "images", scratch / "cache", scratch / "executed"
    images.mkdir()
    counters = context.RawArray("Q", _N_FILES)
    gallery = Gallery(images, counters, n_versions=_N_VERSIONS, seed=chosen.seed)
    gallery.write_first()
    progress.show("computing what is right", always=True)
    first = [processes.start(context, _write_expected_features, gallery, scratch)]
    waiting = partial(progress.show, "computing what is right")
    if not processes.wait(first, seconds=_LIMIT_SECONDS, each=waiting):
        report.fail("the right features could not be computed")
        return

    done, stop = context.RawArray("Q", chosen.workers), context.RawValue("b")
    harm = processes.start(
        context, disturb, gallery, cache, pickle.dumps(Executed(marker)), chosen.seed, stop,
        scratch / "harm.json",
    )  # fmt: skip
    share = -(-chosen.calls // chosen.workers)
    workers = [
        processes.start(context, _work, gallery, scratch, number, share, chosen, done)
        for number in range(chosen.workers)
    ]
    try:
        ended = processes.wait(
            workers,
            seconds=_LIMIT_SECONDS,
            each=lambda: progress.show(f"{sum(done)} of {share * chosen.workers} calls"),
        )
        stop.value = 1
        harmed = processes.wait([harm], seconds=30)
    finally:
        processes.stop([*workers, harm])
    if not ended or not harmed:
        report.fail("a process did not end by itself with status 0")
        return
    totals = Counter()
    for number in range(chosen.workers):
        result = json.loads((scratch / f"worker{number}.json").read_text())
        totals.update(result["counts"])
        for text in result["wrong"]:
            report.fail(text)
    _tell(report, totals, json.loads((scratch / "harm.json").read_text()), marker.exists())


def _tell(report, totals, harm, executed):
    kinds = {"pixels": "ImageStore.read", "features": "EncoderFeatures"}
    n_calls = sum(totals[f"calls: {kind}"] for kind in kinds)
    report.count("calls that gave right values", n_calls - totals["wrong calls"], n_calls)
    for kind, name in kinds.items():
        report.count(
            f"values of {name} that were right",
            totals[f"values: {kind}"] - totals[f"wrong: {kind}"],
            totals[f"values: {kind}"],
        )
        of_kind = {what: totals[f"{kind} {what}"] for what in ("hits", "misses", "folder_hits")}
        report.figure(f"{name}: found in memory, computed, found in the folder", of_kind)
    report.figure(
        "values of images that were replaced during the call", totals["replaced meanwhile"]
    )
    report.figure("warnings", {name: totals[name] for name in _ANNOUNCED.values()})
    report.figure("harm done", harm)
    n_planted = harm["replaced by a pickle"] + harm["pickle added"]
    report.count("planted pickles that were not executed", 0 if executed else n_planted, n_planted)


def _make_classifier(path):
    """Build a known encoder, the same one in each process."""
    table = pd.DataFrame({"image": [path, path], "age": [0.1, 0.2]})
    classifier = FusionClassifier(
        image_column="image",
        backbone="shufflenet_v2_x0_5",
        weights=None,
        frozen_epochs="all",
        precision="fp32",
        max_epochs=1,
        random_state=0,
        verbose=0,
        **FEATURE_OPTIONS,
    )
    return classifier.fit(table, [0, 1])


def _write_expected_features(gallery, scratch):
    """Compute the features of each content from a file of its own, alone and without a folder."""
    path = scratch / "still.bmp"
    path.write_bytes(gallery.content(0, 0))
    network = _make_classifier(str(path)).module_.eval()
    found, memory = [], FeatureCache()
    for file in range(len(gallery.paths)):
        for version in range(gallery.n_versions):
            path = scratch / f"still{file}_{version}.bmp"
            path.write_bytes(gallery.content(file, version))
            found.append(
                EncoderFeatures(network, FEATURE_OPTIONS, cache=memory).for_training([str(path)])[0]
            )
    features = np.array(found).reshape(len(gallery.paths), gallery.n_versions, -1)
    np.save(scratch / "features.npy", features)


def _work(gallery, scratch, number, n_calls, chosen, done):
    """Make calls and check each value."""
    random = np.random.default_rng([chosen.seed, 2, number])
    network = _make_classifier(str(scratch / "still.bmp")).module_.eval()
    expected = {name: gallery.expected_pixels(name) for name in OPTIONS}
    features, cache = np.load(scratch / "features.npy"), scratch / "cache"
    store, vectors, counts, wrong = ImageStore(), FeatureCache(), Counter(), []
    for call in range(n_calls):
        files = random.choice(len(gallery.paths), random.integers(1, 9), replace=False)
        paths = [gallery.paths[file] for file in files]
        before = [gallery.counters[file] for file in files]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if random.random() < _FEATURE_SHARE:
                    kind, right = "features", features
                    source = EncoderFeatures(network, FEATURE_OPTIONS, folder=cache, cache=vectors)
                    found = source.for_training(paths)
                else:
                    name = random.choice(list(OPTIONS))
                    kind, right = "pixels", expected[name]
                    n_threads = int(random.integers(1, 3))
                    found = store.read(paths, folder=cache, n_threads=n_threads, **OPTIONS[name])
            except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
                kind, found = "errors", []
                wrong.append(f"worker {number}, call {call}: {type(error).__name__}: {error}")
        after = [gallery.counters[file] for file in files]
        if chosen.break_one and number == call == 0:
            found[0] = found[0] ^ 1 if kind == "pixels" else -found[0]
        faults = ["error"] if kind == "errors" else []
        if kind != "errors":
            windows = [gallery.allowed(*window) for window in zip(before, after, strict=True)]
            counts["replaced meanwhile"] += sum(len(allowed) > 1 for allowed in windows)
            faults = find_faults(files, found, right, windows)
            wrong += [f"worker {number}, call {call}: {kind} of {fault}" for fault in faults]
        counts[f"calls: {kind}"] += 1
        counts["wrong calls"] += bool(faults)
        counts[f"values: {kind}"] += len(found)
        counts[f"wrong: {kind}"] += len(faults)
        _sort_warnings(caught, counts, wrong)
        _forget(random, store, vectors, counts)
        done[number] = call + 1
    _forget(None, store, vectors, counts)
    record = {"counts": counts, "wrong": wrong}
    (scratch / f"worker{number}.json").write_text(json.dumps(record))


def find_faults(files, found, right, windows):
    """Compare values with those that may be there."""
    faults = []
    for file, value, allowed in zip(files, found, windows, strict=True):
        if not any(np.array_equal(value, right[file, version]) for version in allowed):
            is_old = any(np.array_equal(value, other) for other in right[file])
            faults.append(f"file {file} are {'stale' if is_old else 'of no version'}")
    return faults


def _sort_warnings(caught, counts, wrong):
    for warning in caught:
        text = str(warning.message)
        names = [name for start, name in _ANNOUNCED.items() if re.match(start, text)]
        if names:
            counts[names[0]] += 1
        else:
            wrong.append(f"a warning that is not announced: {warning.category.__name__}: {text}")


def _forget(random, store, vectors, counts):
    """Drop what is in memory, each part at random, or all of it at the end; count what it did."""
    for kind, memory, share in (("pixels", store, 0.3), ("features", vectors, 0.4)):
        if random is None or random.random() < share:
            info = memory.info()
            for what in ("hits", "misses", "folder_hits"):
                counts[f"{kind} {what}"] += getattr(info, what)
            memory.clear()
    if random is None or random.random() < 0.2:
        shared_image_store().clear()


if __name__ == "__main__":
    processes.end_in_order()
    sys.exit(main())
