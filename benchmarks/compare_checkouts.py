"""Compare this checkout with another one: results to the bit, and speed in turn.

Each checkout runs the same work in processes of its own: fits in all encoder modes, a small table,
heatmaps, gradients and importances on drawn radiographs, and on real ones where they are at hand.

    git worktree add ../before COMMIT
    python benchmarks/compare_checkouts.py ../before
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parents[1]
_TIMED = "seconds: "


def main(arguments=None):
    """Compare, and end with status 1 if any result differs.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Command line without the program's name; None takes the real one.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each, in turn")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        return work(options.child)
    found, seconds = {}, {"this": [], "other": []}
    checkouts = {"other": options.other.resolve(), "this": HERE}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            for name, checkout in checkouts.items():
                out = Path(folder) / f"{name}{number}.npz"
                environment = os.environ | {
                    "PYTHONPATH": str(checkout),
                    "SKOSFUSION_DATA": str(Path(folder) / "data"),
                    "TQDM_DISABLE": "1",
                }
                command = [sys.executable, __file__, str(options.other), "--child", str(out)]
                subprocess.run(command, env=environment, check=True)  # noqa: S603 - ourselves
                with np.load(out) as arrays:
                    results = dict(arrays)
                times = {n: float(results.pop(n)) for n in list(results) if n.startswith(_TIMED)}
                seconds[name].append(times)
                found[name] = results
    differing = [
        name
        for name in sorted(found["this"].keys() | found["other"].keys())
        if not np.array_equal(found["this"].get(name), found["other"].get(name), equal_nan=True)
    ]
    print(
        f"{len(found['this'])} results, {len(differing)} differ: {', '.join(differing) or 'none'}"
    )
    for name in seconds["this"][0]:
        this, other = (
            sorted(times[name] for times in seconds[checkout]) for checkout in ("this", "other")
        )
        ratios = [a[name] / b[name] for a, b in zip(seconds["this"], seconds["other"], strict=True)]
        print(
            f"{name.removeprefix(_TIMED)}: this {np.median(this):.3f} s, other "
            f"{np.median(other):.3f} s, ratio {np.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )
    return int(bool(differing))


def work(out):
    """Do the work with whatever skosfusion is on the path, and write results and seconds.

    Parameters
    ----------
    out : pathlib.Path
        The file.
    """
    import torch
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

    from skosfusion import (
        FusionClassifier,
        GradCAM,
        ablation_param_grid,
        ablation_table,
        clinical_gradients,
        make_fusion_pipeline,
        modality_importance,
    )
    from skosfusion.datasets import make_osteosarcoma_cohort

    results, started = {}, time.perf_counter()
    cohort = make_osteosarcoma_cohort(n_patients=60)
    X, y = cohort.data, cohort.target
    small = {"weights": None, "image_size": 64, "batch_size": 32, "random_state": 0, "verbose": 0}
    modes = {
        "fixed": {"frozen_epochs": "all", "max_epochs": 10},
        "two stages": {"frozen_epochs": 1, "max_epochs": 2},
        "training, fp32": {"max_epochs": 2, "precision": "fp32"},
        "adam": {"frozen_epochs": "all", "max_epochs": 5, "optimizer": torch.optim.Adam},
        "balanced": {"frozen_epochs": "all", "max_epochs": 5, "class_weight": "balanced"},
        "clahe": {"frozen_epochs": "all", "max_epochs": 2, "image_options": {"contrast": "clahe"}},
    }
    fitted = {}
    for mode, params in modes.items():
        pipeline = make_fusion_pipeline(**(small | params)).fit(X, y)
        results[f"{mode}: probabilities"] = pipeline.predict_proba(X)
        fitted[mode] = pipeline
    numbers = X[["age", "alp", "ldh"]].to_numpy() / 100
    classifier = FusionClassifier(max_epochs=20, random_state=0, verbose=0).fit(numbers, y)
    results["clinical only: probabilities"] = classifier.predict_proba(numbers)
    classifier.partial_fit(numbers, y)
    results["continued: probabilities"] = classifier.predict_proba(numbers)
    for method in ("gradcam", "gradcam++", "hirescam", "ablationcam"):
        explainer = GradCAM(fitted["two stages"], target=1, method=method)
        results[f"heatmaps: {method}"] = explainer.transform(X[:20])
    results["heatmaps: layer3"] = GradCAM(fitted["fixed"], layer="layer3").transform(X[:20])
    results["gradients"] = clinical_gradients(fitted["fixed"], X).importances
    importance = modality_importance(fitted["fixed"], X, y, groups=cohort.groups, random_state=0)
    for name, values in importance.items():
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            results[f"importance: {name}"] = values
    search = GridSearchCV(
        clone(fitted["fixed"]), ablation_param_grid(), cv=StratifiedGroupKFold(3),
        scoring=["accuracy", "f1"], refit=False,
    ).fit(X, y, groups=cohort.groups)  # fmt: skip
    results["table"] = ablation_table(search).drop(columns="inputs").to_numpy(float)
    seconds = {"everything above": time.perf_counter() - started}

    def timed(name, function, repeats):
        function()
        begun = time.perf_counter()
        for _ in range(repeats):
            function()
        seconds[name] = (time.perf_counter() - begun) / repeats

    rows = np.random.default_rng(0).normal(size=(2086, 4)).astype(np.float32)
    labels = np.arange(2086) % 2
    head = FusionClassifier(max_epochs=50, random_state=0, verbose=0)
    timed("head, 50 epochs of 2086 rows", lambda: head.fit(rows, labels), 3)
    timed("head: predict_proba", lambda: head.predict_proba(rows), 20)
    model = fitted["two stages"]
    timed("predict_proba, images known", lambda: model.predict_proba(X), 5)
    timed("heatmaps, 20 images", lambda: GradCAM(model, target=1).transform(X[:20]), 5)
    np.savez(out, **results, **{_TIMED + name: np.array(value) for name, value in seconds.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
