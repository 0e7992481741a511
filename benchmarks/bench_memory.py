"""Measure whether the memory needed grows with the number of images.

Peak resident memory of fresh processes that fit one epoch and predict, on n images and on ten
times as many. So it is for `skosfusion predict`, whose probabilities must be those of Python.
"""

import contextlib
import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _bench import children, images, limits, options, plain, report, timing

from skosfusion import FusionClassifier, load_model
from skosfusion.cli import main as skosfusion

_FIXED = "encoder fixed"
_PIXELS = "training from pixels"
_KINDS = {
    f"{_FIXED}, memory=": {"fixed": True, "keep": True},
    "skosfusion predict": {"command": True},
    "plain skorch, all pixels in an array": {"skorch": True},
    f"{_PIXELS}, memory=": {"fixed": False, "keep": True},
    f"{_FIXED}, without memory=": {"fixed": True},
    f"{_PIXELS}, without memory=": {"fixed": False},
}
_N_FITTED = 32
_QUICK_KINDS = 2
_TARGET = 1.3


def main(arguments=None):
    """Run the benchmark, or one of its parts."""
    parser = options.make_parser("bench_memory", __doc__, repeats=1, precision=True)
    parser.add_argument("--images-count", type=int, default=2000, help="n; files are 10 times n")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument(
        "--jobs", type=int, default=1, help="processes at a time; peaks do not depend on it"
    )
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(_measure(**json.loads(chosen.child))))
        return
    kinds = _KINDS
    if chosen.quick:
        chosen.images_count, chosen.image_size, chosen.jobs = 40, 64, 2
        kinds = dict(list(_KINDS.items())[:_QUICK_KINDS])
    precision = limits.precisions(chosen.precision)[0]
    counts = chosen.images_count, 10 * chosen.images_count
    with tempfile.TemporaryDirectory() as scratch:
        print(f"drawing {counts[1]} images", file=sys.stderr, flush=True)
        images.draw_images(Path(scratch), counts[1])

        def peak(kind, n_images):
            print(f"{kind}, {n_images} images", file=sys.stderr, flush=True)
            settings = {
                **kinds[kind],
                "folder": scratch,
                "n_images": n_images,
                "image_size": chosen.image_size,
                "precision": precision,
            }
            result, _ = children.run_child(__file__, settings)
            return result["peak"]

        parts = [(kind, n) for _ in range(chosen.repeats) for kind in kinds for n in counts]
        with ThreadPoolExecutor(chosen.jobs) as pool:
            peaks = list(pool.map(lambda part: peak(*part), parts))
    figures = {
        part: timing.spread([p for other, p in zip(parts, peaks, strict=True) if other == part])
        for part in dict.fromkeys(parts)
    }

    table = report.Report(
        "Does the memory needed grow with the number of images?",
        quick=chosen.quick,
        images=counts[0],
        image_size=chosen.image_size,
        precision=precision,
        repeats=chosen.repeats,
    )
    for kind in kinds:
        few, many = ((kind, n) for n in counts)
        table.add(f"{kind}: {counts[0]} images", figures[few], "MiB")
        table.add(
            f"{kind}: {counts[1]} images",
            figures[many],
            "MiB",
            ratio=report.ratio_of(figures, many, few),
            to=f"that of {counts[0]}",
            at_most=_TARGET if {"keep", "command"} & kinds[kind].keys() else None,
        )
        growth = figures[many].median - figures[few].median
        table.add(f"{kind}: 1000 images more", 1000 * growth / (counts[1] - counts[0]), "MiB")
    table.note("Peak resident memory of a fresh process; training from pixels has a tiny encoder.")
    table.write(chosen.out)


def _measure(*, folder, n_images, image_size, precision, command=False, **settings):
    """Fit and predict in this process, and return its peak in MiB."""
    paths = images.real_images(Path(folder))[:n_images]
    if command:
        return _measure_command(paths, image_size, precision)
    return _measure_in_python(paths, image_size, precision, **settings)


def _measure_command(paths, image_size, precision):
    """Fit on few images and predict all by the command, and compare with Python afterwards."""
    X, y = images.make_table(paths)
    markers = [f"marker_{number}" for number in range(len(images.CLINICAL))]
    X = X.set_axis(["image", *markers], axis=1).assign(patient_id=[f"p{n}" for n in range(len(X))])
    numbers = [part for name in markers for part in ("--number", f"{name}={name}")]
    with tempfile.TemporaryDirectory() as scratch:
        fitted, new, model, out = (
            str(Path(scratch, name)) for name in ("t.csv", "new.csv", "m.safetensors", "p.csv")
        )
        table = X.assign(image=[Path(path).name for path in paths])
        table.assign(diagnosis=y).head(_N_FITTED).to_csv(fitted, index=False)
        table.to_csv(new, index=False)
        tables = ["--image-folder", str(Path(paths[0]).parent), *numbers, "--data-home", scratch]
        few = ["--weights", "none", "--image-size", str(image_size), "--epochs", "1"]
        few += ["--precision", precision, "--device", "cpu", "--batch-size", "16"]
        with contextlib.redirect_stdout(sys.stderr):
            codes = [
                skosfusion(["fit", fitted, *tables, *few, "--model", model]),
                skosfusion(["predict", model, new, *tables, "--out", out]),
            ]
        peak = _peak()
        if any(codes):
            raise RuntimeError(f"skosfusion fit and predict ended with {codes}")
        found = pd.read_csv(out, dtype={"probability": "str"})["probability"]
        expected = load_model(model).predict_proba(X)[:, 1]
        if not np.array_equal(found.to_numpy(np.float32), expected):
            raise RuntimeError("skosfusion predict gives other probabilities than Python")
    return {"peak": peak}


def _measure_in_python(paths, image_size, precision, *, fixed=False, keep=False, skorch=False):
    X, y = images.make_table(paths)
    if skorch:
        classifier = plain.make_skorch(
            plain.PlainNetwork, module__tiny=True, batch_size=256, clock=timing.EpochClock()
        )
        X = {
            "image": images.read_pixels(paths, image_size),
            "clinical": X[images.CLINICAL].to_numpy(copy=True),
        }
        classifier.fit(X, y).predict_proba(X)
        return {"peak": _peak()}
    with tempfile.TemporaryDirectory() as memory:
        classifier = FusionClassifier(
            image_column="image",
            backbone="resnet18" if fixed else plain.TinyEncoder,
            weights=None,
            frozen_epochs="all" if fixed else 0,
            optimizer=torch.optim.Adam,
            max_epochs=1,
            image_size=image_size,
            precision=precision,
            memory=memory if keep else None,
            device="cpu",
            random_state=0,
            verbose=0,
        )
        classifier.fit(X, y).predict_proba(X)
    return {"peak": _peak()}


def _peak():
    """Peak resident memory in MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        import resource  # not on Windows

        # In bytes on macOS. Linux counts in KiB, and the parent's peak as well.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return next(int(line.split()[1]) / 2**10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
