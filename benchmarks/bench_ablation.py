"""Measure the paper's ablation with a fixed encoder: eight rows, five folds, 50 epochs.

One `GridSearchCV` in fresh processes: with nothing at hand, then with the features of that run
(``memory=``); with one fit at a time and with more, in threads and in processes. As in the ablation
script, one epoch on all images comes first, so that all cores encode together. Beside it a plain
PyTorch loop that runs the encoder in every epoch, measured for a few batches and extrapolated.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from functools import partial

import joblib
import numpy as np
import torch
from _bench import children, images, limits, options, plain, report, timing
from sklearn.base import clone
from sklearn.metrics import f1_score, make_scorer, precision_score, recall_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from skosfusion import ABLATION_ROWS, ablation_param_grid, make_fusion_pipeline
from skosfusion.datasets import make_osteosarcoma_cohort

_SCORING = {
    "accuracy": "accuracy",
    "precision": make_scorer(precision_score, zero_division=0.0),
    "recall": make_scorer(recall_score, zero_division=0.0),
    "f1": make_scorer(f1_score, zero_division=0.0),
}
_COLD, _AT_HAND, _FORGETFUL = "cold", "features at hand", "without memory="
_MOST_SECONDS = {_COLD: 150, _AT_HAND: 110}


def main(arguments=None):
    """Run the benchmark, or one of its searches."""
    parser = options.make_parser("bench_ablation", __doc__, repeats=1, precision=True)
    parser.add_argument("--patients", type=int, default=848)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, beside 1")
    parser.add_argument("--loop-batches", type=int, default=2, help="batches of the plain loop")
    parser.add_argument("--weights", metavar="FILE", help="of the encoder; default: random ones")
    parser.add_argument("--data-home", metavar="DIR", help="where drawn images are kept")
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(_search(**json.loads(chosen.child))))
        return
    rows = list(ABLATION_ROWS)
    if chosen.quick:
        chosen.patients, chosen.folds, chosen.epochs, chosen.batch_size = 24, 2, 2, 16
        chosen.image_size, chosen.loop_batches, rows = 64, 1, rows[:2]
        chosen.jobs = 1
    ways = [(1, "threading")]
    if chosen.jobs > 1:
        ways += [(chosen.jobs, "threading"), (chosen.jobs, "loky")]
    print("drawing the cohort", file=sys.stderr, flush=True)
    cohort = _load(chosen.patients, chosen.data_home)
    names = ("patients", "folds", "epochs", "batch_size", "image_size", "weights", "precision")
    settings = {name: getattr(chosen, name) for name in (*names, "data_home")} | {"rows": rows}
    figures, scores = _run_searches(settings, ways, chosen.repeats, quick=chosen.quick)
    hours = _extrapolate(cohort, chosen, len(rows))

    shown = {name: settings[name] for name in names}
    shown["weights"] = "random" if chosen.weights is None else "from a file"
    table = report.Report(
        "How long does the ablation with a fixed encoder take?",
        quick=chosen.quick,
        rows=len(rows),
        images=len(cohort.target),
        repeats=chosen.repeats,
        **shown,
    )
    for state in _MOST_SECONDS:
        alone = _name(state, *ways[0])
        table.add(f"search, {alone}", figures[alone], "s", at_most=_MOST_SECONDS[state])
        for way in ways[1:]:
            name = _name(state, *way)
            ratio = report.ratio_of(figures, name, alone)
            target = 1 if way[1] == "threading" else None
            table.add(
                f"search, {name}", figures[name], "s", ratio=ratio, to="1 job", at_most=target
            )
    if not chosen.quick:
        forgetful = _name(_FORGETFUL, *ways[0])
        table.add(f"search, {forgetful}", figures[forgetful], "s")
    cold = _name(_COLD, *ways[0])
    for name, estimate in hours.items():
        ratio = 3600 * estimate.median / figures[cold].median
        table.add(f"{name}, extrapolated", estimate, "hours", ratio=ratio, to=f"search, {cold}")
    table.add(
        "largest difference of a mean test score between the searches",
        _largest_difference(scores),
        "",
        at_most=0.0,
    )
    table.note(
        "A search is a fresh process from its start to its end, without the time for loading the "
        "table. The files may lie in the system's cache. Of the plain loop, "
        f"{chosen.loop_batches} batches were measured."
    )
    table.write(chosen.out)


def _name(state, jobs, backend):
    if jobs == 1:
        return f"{state}, 1 job"
    return f"{state}, {jobs} jobs in {'threads' if backend == 'threading' else 'processes'}"


def _load(n_patients, data_home):
    return make_osteosarcoma_cohort(
        n_patients=n_patients, data_home=data_home, n_jobs=os.cpu_count()
    )


def _run_searches(settings, ways, repeats, *, quick):
    """Time the searches, and collect the scores of each."""
    scores, n_done = [], Counter()
    with tempfile.TemporaryDirectory() as scratch:

        def search(state, *way):
            number = n_done[state, *way]
            n_done[state, *way] += 1
            # Features at hand are those of the cold search of the same round.
            name = "-".join(map(str, (*way, number)))
            memory = None if state == _FORGETFUL else os.path.join(scratch, name)
            child = settings | {"jobs": way[0], "backend": way[1], "memory": memory}
            result, elapsed = children.run_child(__file__, child)
            scores.append(result["scores"])
            return elapsed - result["loading"]

        parts = [(state, *way) for way in ways for state in _MOST_SECONDS]
        if not quick:
            parts.append((_FORGETFUL, *ways[0]))
        candidates = {_name(*part): partial(search, *part) for part in parts}
        # Each search is a fresh process: nothing to warm up.
        return timing.interleave(candidates, repeats, warm_up=False), scores


def _search(
    *,
    patients,
    data_home,
    rows,
    folds,
    epochs,
    batch_size,
    image_size,
    weights,
    precision,
    jobs,
    backend,
    memory,
):
    """Run the search in this process; it gives the mean test scores and the time of loading."""
    started = time.perf_counter()
    cohort = _load(patients, data_home)
    loading = time.perf_counter() - started
    pipeline = make_fusion_pipeline(
        weights=weights,
        frozen_epochs="all",
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=epochs,
        batch_size=batch_size,
        image_size=image_size,
        precision=precision,
        memory=memory,
        device="cpu",
        random_state=0,
        verbose=0,
    )
    clone(pipeline).set_params(classifier__max_epochs=1).fit(cohort.data, cohort.target)
    grid = ablation_param_grid(ABLATION_ROWS)
    search = GridSearchCV(
        pipeline,
        [point for name, point in zip(ABLATION_ROWS, grid, strict=True) if name in rows],
        cv=StratifiedGroupKFold(folds, shuffle=True, random_state=0),
        scoring=_SCORING,
        refit=False,
        n_jobs=jobs,
        error_score="raise",
    )
    with joblib.parallel_config(backend=backend):
        search.fit(cohort.data, cohort.target, groups=cohort.groups)
    means = [search.cv_results_[f"mean_test_{metric}"].tolist() for metric in _SCORING]
    return {"loading": loading, "scores": means}


def _largest_difference(scores):
    first, *others = map(np.array, scores)
    return max(float(np.abs(first - other).max()) for other in others)


def _extrapolate(cohort, chosen, n_rows):
    """Hours of a loop that runs the fixed encoder on every batch of every epoch."""
    n_images = len(cohort.target)
    n_trained, n_tested = n_images * (1 - 1 / chosen.folds), n_images / chosen.folds
    n_passes = n_rows * chosen.folds * (chosen.epochs * n_trained + n_tested)
    paths = cohort.data["image"][: chosen.batch_size]
    pixels = torch.from_numpy(images.read_pixels(paths, chosen.image_size))
    codes = torch.from_numpy(cohort.target[: chosen.batch_size])
    clinical = torch.randn(len(codes), len(images.CLINICAL))
    candidates = {}
    for precision in limits.precisions(chosen.precision):
        for channels_last in (False, True) if precision == "fp32" else (True,):
            network = plain.PlainNetwork(channels_last=channels_last)
            measure = partial(_seconds_per_image, network, pixels, clinical, codes, precision)
            candidates[plain.loop_name(precision, channels_last)] = lambda measure=measure: (
                measure(chosen.loop_batches) * n_passes / 3600
            )
    return timing.interleave(candidates, 2)


def _seconds_per_image(network, pixels, clinical, codes, precision, n_batches):
    network.train()
    network.encoder.eval()
    optimizer = torch.optim.Adam(network.head.parameters(), lr=0.01)

    def run():
        for _ in range(n_batches):
            with torch.no_grad(), plain.autocast(precision):
                features = network.encode(pixels).float()
            plain.step(network.head(torch.cat([features, clinical], dim=1)), codes, optimizer)

    return timing.seconds(run) / (n_batches * len(codes))


if __name__ == "__main__":
    main()
