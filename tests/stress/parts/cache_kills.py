"""Processes that fill a cache folder, killed while they do, and what others find there then."""

import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from skosfusion import FusionClassifier
from skosfusion.images import ImageStore

from . import processes

_SIDE = 48
_N_IMAGES = 260
_AGED_SECONDS = 7200
_LIMIT_SECONDS = 120
#: Images are read at this size: large enough for a write to take a while.
_READ_SIZE = 224


def write_images(folder, seed):
    """Write small noisy images."""
    random = np.random.default_rng(seed)
    paths = []
    for number in range(_N_IMAGES):
        pixels = random.integers(0, 256, (_SIDE, _SIDE), np.uint8)
        paths.append(str(folder / f"{number:03}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths


def read_images(paths, cache):
    """Read all images through a cache folder."""
    return np.stack(ImageStore().read(paths, folder=cache, image_size=_READ_SIZE))


def fit_with_memory(paths, cache):
    """Fit a head on a fixed encoder with a cache folder, and predict."""
    table = pd.DataFrame({"image": paths, "age": np.linspace(0, 1, len(paths))})
    classifier = FusionClassifier(
        image_column="image",
        backbone="shufflenet_v2_x0_5",
        weights=None,
        frozen_epochs="all",
        precision="fp32",
        image_size=_SIDE,
        max_epochs=2,
        memory=cache,
        random_state=0,
        verbose=0,
    )
    return classifier.fit(table, np.arange(len(paths)) % 2).predict_proba(table)


WORK = {"images": read_images, "fits": fit_with_memory}


def _fill(kind, paths, cache, begun, result):
    """Do the work in a child; say when it begins, and write what it gives at the end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        begun.value = 1
        values = WORK[kind](paths, cache)
    np.savez(result, values=values, warnings=np.array([str(w.message) for w in caught], "U500"))


def undisturbed(context, kind, paths, folder):
    """Do the work without a kill; return what it gives and how long it takes to fill a folder."""
    values, _, _ = _complete(context, kind, paths, None, folder / "alone.npz")
    _, _, seconds = _complete(context, kind, paths, folder / "filled", folder / "filled.npz")
    return values, seconds


def _start(context, kind, paths, cache, result):
    """Start a child, and wait until it begins with the work itself."""
    begun = context.RawValue("b")
    child = processes.start(context, _fill, kind, paths, cache, begun, result)
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not begun.value and child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.001)
    return child


def _complete(context, kind, paths, cache, result):
    child = _start(context, kind, paths, cache, result)
    started = time.monotonic()
    child.join(_LIMIT_SECONDS)
    seconds = time.monotonic() - started
    processes.stop([child])
    if child.exitcode != 0:
        raise RuntimeError(f"the work {kind!r} ended with status {child.exitcode}")
    with np.load(result) as found:
        return found["values"], found["warnings"].tolist(), seconds


def kill_one(context, kind, paths, folder, expected, seconds, random):
    """Kill a process that fills a folder, and do its work again there.

    Return whether the work was under way, what was wrong, and the number of cache files after the
    kill, of unfinished ones among them, and of those that outlast a write hours later.
    """
    folder.mkdir()
    cache, result = folder / "cache", folder / "killed.npz"
    child = _start(context, kind, paths, cache, result)
    time.sleep(random.uniform(0, seconds))
    hit = child.is_alive() and not result.exists()
    processes.stop([child])
    kept = [path for path in cache.rglob("*") if path.is_file()]
    left = [path for path in kept if path.suffix == ".tmp"]

    faults = []
    try:
        values, warned, _ = _complete(context, kind, paths, cache, folder / "again.npz")
    except RuntimeError as error:
        return hit, [str(error)], len(kept), len(left), 0
    if not np.array_equal(values, expected):
        faults.append(f"{kind}: other values after the kill")
    faults += [f"{kind}: a warning after the kill: {text}" for text in warned]
    unswept = _age_and_write(context, kind, cache, left, folder)
    return hit, faults, len(kept), len(left), len(unswept)


def _age_and_write(context, kind, cache, left, folder):
    """Let hours pass for unfinished files, have new images written, and see what stays."""
    left = [path for path in left if path.exists()]
    if not left:
        return []
    for path in left:
        aged = time.time() - _AGED_SECONDS
        os.utime(path, (aged, aged))
    new = folder / "new"
    new.mkdir()
    _complete(context, kind, write_images(new, seed=1)[:4], cache, folder / "new.npz")
    return [path for path in left if Path(path).exists()]
