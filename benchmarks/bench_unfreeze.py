"""Measure training of a stage of the encoder beside full training and a fixed encoder.

ResNet18 with head; images a second in the epochs after the first, which computes what lies below
the stage once an image. With a folder, what lies below is read from it again in every epoch.
"""

import tempfile
from functools import partial
from pathlib import Path

from _bench import fusion, images, limits, options, report, timing

_FULL, _FIXED = "full training", "encoder fixed"


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_unfreeze", __doc__, repeats=3, precision=True, images=True)
    parser.add_argument("--stages", nargs="+", default=["layer4", "layer3"])
    parser.add_argument("--images-count", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3, help="the first one does not count")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.images_count, chosen.image_size, chosen.batch_size = 8, 64, 4
        chosen.repeats, chosen.epochs, chosen.stages = 1, 2, ["layer4"]
    with tempfile.TemporaryDirectory() as scratch:
        paths, kind = images.image_files(chosen.images, chosen.images_count, Path(scratch))
        table = report.Report(
            "How fast is training of a stage?",
            quick=chosen.quick,
            precision=chosen.precision,
            source=kind,
            images=len(paths),
            image_size=chosen.image_size,
            batch_size=chosen.batch_size,
            epochs=chosen.epochs,
            repeats=chosen.repeats,
        )
        for precision in limits.precisions(chosen.precision):
            _report(table, chosen, paths, precision, Path(scratch))
    table.note("Images a second in the epochs after the first; ratios are of one run.")
    table.write(chosen.out)


def _report(table, chosen, paths, precision, scratch):
    X, y = images.make_table(paths)
    measure = partial(_rate, chosen, X, y, precision=precision)
    candidates = {_FULL: measure}
    for stage in chosen.stages:
        candidates[_name(stage)] = partial(measure, unfreeze=stage)
    first = chosen.stages[0]
    candidates[f"{_name(first)}, memory="] = partial(measure, unfreeze=first, memory=scratch)
    candidates[_FIXED] = partial(measure, frozen_epochs="all")
    figures = timing.interleave(candidates, chosen.repeats)
    for name, figure in figures.items():
        table.add(
            f"{precision}: {name}",
            figure,
            "images/s",
            ratio=report.ratio_of(figures, name, _FULL),
            to=_FULL,
            at_least=3.0 if name.startswith(_name(first)) else None,
        )


def _name(stage):
    return f'unfreeze="{stage}"'


def _rate(chosen, X, y, **params):
    """Train, and give the images a second of the median epoch after the first."""
    clock = timing.EpochClock()
    classifier = fusion.make_classifier(
        image_size=chosen.image_size,
        batch_size=chosen.batch_size,
        max_epochs=chosen.epochs,
        callbacks=[("clock", clock)],
        **params,
    )
    classifier.fit(X, y)
    return len(y) / timing.spread(clock.epoch_seconds()[1:]).median


if __name__ == "__main__":
    main()
