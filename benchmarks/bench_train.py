"""Measure training beside plain PyTorch, plain skorch and pytorch-widedeep.

Three parts: "full" trains ResNet18 and head on images that are decoded already, and then also as
a whole fit, with reading and building; "frozen" trains on a fixed encoder after the first epoch;
"head" looks at the head's epochs alone.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _bench import fusion, images, limits, options, plain, report, roofline, timing, widedeep

from skosfusion.images import read_image

_PARTS = "full", "frozen", "head"
# Forward, and backward to the weights and to the inputs.
_PASSES = 3
_N_FEATURES = 512
# Of a fit on ready features; the first two do not count.
_N_HEAD_EPOCHS = 12
_N_UNCOUNTED = 2


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_train", __doc__, repeats=5, precision=True, images=True)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    parser.add_argument("--images-count", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32, help="of the full training")
    parser.add_argument("--epochs", type=int, default=2, help="of the whole fit")
    parser.add_argument("--rows", type=int, default=2086, help="of the head's training")
    parser.add_argument("--head-batch-size", type=int, default=256)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.images_count, chosen.image_size, chosen.batch_size = 8, 64, 4
        chosen.rows, chosen.head_batch_size = 64, 16
        chosen.repeats = chosen.epochs = 1
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        paths, kind = images.image_files(chosen.images, chosen.images_count, Path(scratch))
        table = report.Report(
            "How fast is training?",
            quick=chosen.quick,
            parts=" ".join(chosen.parts),
            precision=chosen.precision,
            source=kind,
            images=len(paths),
            image_size=chosen.image_size,
            batch_size=chosen.batch_size,
            epochs=chosen.epochs,
            rows=chosen.rows,
            head_batch_size=chosen.head_batch_size,
            repeats=chosen.repeats,
        )
        pixels = images.read_pixels(paths, chosen.image_size)
        if "full" in chosen.parts:
            _report_full(table, chosen, paths, pixels)
            _report_whole_fit(table, chosen, paths)
        if "frozen" in chosen.parts:
            _report_frozen(table, chosen, paths, pixels)
        if "head" in chosen.parts:
            _report_head(table, chosen, paths)
    table.write(chosen.out)


def _ours(precision):
    return f"FusionClassifier, {precision}"


def _report_full(table, chosen, paths, pixels):
    """Full training, one epoch at a time, without reading and building."""
    X, y = images.make_table(paths)
    formats, size = limits.precisions(chosen.precision), chosen.image_size
    values = X[images.CLINICAL].to_numpy(copy=True)
    inputs = torch.from_numpy(pixels), torch.from_numpy(values), torch.from_numpy(y)
    candidates = {
        _ours(precision): partial(_our_rate, chosen, X, y, precision) for precision in formats
    }
    for precision, channels_last in (("fp32", False), ("fp32", True), ("bf16", True)):
        if precision in formats:
            network = plain.PlainNetwork(channels_last=channels_last)
            train = partial(
                plain.train, network, *inputs, batch_size=chosen.batch_size, precision=precision
            )
            candidates[plain.loop_name(precision, channels_last)] = _rate(len(y), train)
    candidates["plain skorch, fp32"] = partial(
        _skorch_rate, {"image": pixels, "clinical": values}, y, chosen.batch_size
    )
    if widedeep.is_installed():
        rival = widedeep.WideDeepRival(X, pixels, y, batch_size=chosen.batch_size)
        candidates[widedeep.NAME] = _rate(len(y), rival.fit_one_epoch)
    work = _PASSES * limits.RESNET18_GFLOP * (size / 224) ** 2
    limits.add_limits(candidates, formats, work)
    for precision in formats:
        roofline.add_roofline(
            candidates, precision, partial(_one_step, chosen, inputs, precision), chosen.batch_size
        )
    figures = timing.interleave(candidates, chosen.repeats)

    for name, figure in figures.items():
        table.add(
            f"full training: {name}",
            figure,
            "images/s",
            ratio=report.ratio_of(figures, name, widedeep.NAME),
            to=widedeep.NAME,
            at_least={_ours("bf16"): 2.3, _ours("fp32"): 1.3}.get(name),
        )
    if not widedeep.is_installed():
        table.add(f"full training: {widedeep.NAME}", None, "images/s")
    for precision in formats:
        share = report.ratio_of(figures, _ours(precision), limits.limit_name(precision))
        target = 0.8 if precision == formats[0] else None
        table.add(
            f"full training: {_ours(precision)}, share of the limit", share, "", at_least=target
        )
        share = report.ratio_of(figures, _ours(precision), roofline.roofline_name(precision))
        table.add(f"full training: {_ours(precision)}, share of the roofline", share, "")
        best = max(plain.loops_in(figures, precision), key=lambda name: figures[name].median)
        share = report.ratio_of(figures, _ours(precision), best)
        table.add(f"full training: {_ours(precision)}, beside {best}", share, "x", at_least=1.0)
    table.note(
        f"Full training: one epoch on images in memory. The limit: {_PASSES} x "
        f"{limits.RESNET18_GFLOP} GFLOP an image of 224 x 224 at the speed of matrix products; "
        f"{limits.ABOVE_LIMIT} {roofline.NOTE}"
    )


def _one_step(chosen, inputs, precision):
    """Train on one batch, in the loop written by hand."""
    some = [values[: chosen.batch_size] for values in inputs]
    network = plain.PlainNetwork(channels_last=True)
    plain.train(network, *some, batch_size=chosen.batch_size, precision=precision)


def _our_rate(chosen, X, y, precision):
    """Train for one epoch, on images that the warm-up round has decoded."""
    clock = timing.EpochClock()
    classifier = fusion.make_classifier(
        precision=precision,
        image_size=chosen.image_size,
        batch_size=chosen.batch_size,
        max_epochs=1,
        callbacks=[("clock", clock)],
    )
    classifier.fit(X, y)
    return len(y) / sum(clock.epoch_seconds())


def _skorch_rate(X, y, batch_size):
    clock = timing.EpochClock()
    plain.make_skorch(plain.PlainNetwork, batch_size=batch_size, clock=clock).fit(X, y)
    return len(y) / sum(clock.epoch_seconds())


def _rate(n_images, train):
    return lambda: n_images / timing.seconds(train)


def _report_whole_fit(table, chosen, paths):
    """Full training from the call to the result: reading, building, epochs."""
    X, y = images.make_table(paths)
    precision = limits.precisions(chosen.precision)[0]
    ours, by_hand = _ours(precision), plain.loop_name(precision, True)

    def fit():
        fusion.make_classifier(
            precision=precision,
            image_size=chosen.image_size,
            batch_size=chosen.batch_size,
            max_epochs=chosen.epochs,
        ).fit(X, y)

    def measure():
        fusion.forget_everything()
        return timing.seconds(fit)

    train = partial(_train_from_files, chosen, X, y, precision)
    candidates = {ours: measure, by_hand: lambda: timing.seconds(train)}
    figures = timing.interleave(candidates, chosen.repeats)
    for name, figure in figures.items():
        table.add(
            f"whole fit: {name}",
            figure,
            "s",
            ratio=report.ratio_of(figures, name, by_hand),
            to="by hand",
            at_most=1.05 if name == ours else None,
        )
    table.note(
        f"Whole fit: reading with `read_image` in {torch.get_num_threads()} threads, building, "
        f"{chosen.epochs} epochs."
    )


def _train_from_files(chosen, X, y, precision):
    """Do by hand all that a fit does."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        pixels = images.stack(
            pool.map(partial(read_image, image_size=chosen.image_size), X["image"])
        )
    plain.train(
        plain.PlainNetwork(channels_last=True),
        torch.from_numpy(pixels),
        torch.from_numpy(X[images.CLINICAL].to_numpy(copy=True)),
        torch.from_numpy(y),
        batch_size=chosen.batch_size,
        precision=precision,
        n_epochs=chosen.epochs,
    )


def _report_frozen(table, chosen, paths, pixels):
    """Training on a fixed encoder, after the first epoch."""
    X, y = images.make_table(paths, chosen.rows)
    ours = "FusionClassifier"
    fit = partial(_epochs_on_features, chosen, X, y)
    candidates = {ours: lambda: chosen.rows / fit()}
    if widedeep.is_installed():
        # Its epochs last as long as there are images, so fewer of them show its speed as well.
        n_rows = min(2 * chosen.head_batch_size, chosen.rows)
        some, labels = X.iloc[:n_rows], y[:n_rows]
        repeated = pixels[np.arange(n_rows) % len(pixels)]
        # The same batches as ours first; in smaller ones its encoder may be faster.
        small = f"{widedeep.NAME}, batches of {chosen.batch_size}"
        for name, size in (
            (widedeep.NAME, chosen.head_batch_size),
            (small, chosen.batch_size),
        ):
            rival = widedeep.WideDeepRival(some, repeated, labels, batch_size=size, frozen=True)
            candidates[name] = _rate(n_rows, rival.fit_one_epoch)
        table.note(f"Encoder fixed: {widedeep.NAME} on {n_rows} of the {chosen.rows} rows.")
    figures = timing.interleave(candidates, chosen.repeats)
    for name, figure in figures.items():
        table.add(
            f"encoder fixed, after the first epoch: {name}",
            figure,
            "images/s",
            ratio=report.ratio_of(figures, name, widedeep.NAME),
            to=widedeep.NAME,
            at_least=800 if name == ours else None,
        )
    if not widedeep.is_installed():
        table.add(f"encoder fixed, after the first epoch: {widedeep.NAME}", None, "images/s")


def _epochs_on_features(chosen, X, y):
    """Fit a head on features at hand, and give the median seconds of an epoch."""
    clock = timing.EpochClock()
    classifier = fusion.fixed_encoder(
        precision=chosen.precision,
        image_size=chosen.image_size,
        batch_size=chosen.head_batch_size,
        max_epochs=_N_HEAD_EPOCHS,
        callbacks=[("clock", clock)],
    )
    classifier.fit(X, y)
    return _counted(clock.epoch_seconds())


def _counted(epochs):
    return timing.spread(epochs[_N_UNCOUNTED:]).median


def _report_head(table, chosen, paths):
    """Epochs of the head alone, 516 inputs."""
    n_inputs = _N_FEATURES + len(images.CLINICAL)
    random = np.random.default_rng(0)
    X = random.standard_normal((chosen.rows, n_inputs), np.float32)
    with_images, y = images.make_table(paths, chosen.rows)
    raw = "raw PyTorch loop"
    measures = {
        "FusionClassifier, no images": partial(_our_head, chosen, X, y),
        "FusionClassifier, features at hand": partial(_epochs_on_features, chosen, with_images, y),
        raw: partial(_raw_head, chosen, X, y),
        f"{raw}, fused Adam": partial(_raw_head, chosen, X, y, fused=True),
        "plain skorch": partial(_skorch_head, chosen, X, y),
    }
    candidates = {name: lambda m=measure: 1e3 * m() for name, measure in measures.items()}
    figures = timing.interleave(candidates, chosen.repeats)
    for name, figure in figures.items():
        table.add(
            f"epoch of the head: {name}",
            figure,
            "ms",
            ratio=report.ratio_of(figures, name, raw),
            to=raw,
            at_most=1.15 if name.startswith("Fusion") else None,
        )
    table.note(f"Head: {chosen.rows} rows, {n_inputs} inputs, 512 hidden units, Adam.")


def _our_head(chosen, X, y):
    clock = timing.EpochClock()
    classifier = fusion.fixed_encoder(
        image_column=None,
        batch_size=chosen.head_batch_size,
        max_epochs=_N_HEAD_EPOCHS,
        callbacks=[("clock", clock)],
    )
    classifier.fit(X, y)
    return _counted(clock.epoch_seconds())


def _skorch_head(chosen, X, y):
    clock = timing.EpochClock()
    net = plain.make_skorch(
        plain.make_head,
        module__n_inputs=X.shape[1],
        optimizer=torch.optim.Adam,
        batch_size=chosen.head_batch_size,
        n_epochs=_N_HEAD_EPOCHS,
        clock=clock,
    )
    net.fit(X, y)
    return _counted(clock.epoch_seconds())


def _raw_head(chosen, X, y, *, fused=None):
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    head = plain.make_head(X.shape[1])
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01, fused=fused)

    def epoch():
        for rows in torch.randperm(len(y)).split(chosen.head_batch_size):
            plain.step(head(X[rows]), y[rows], optimizer)

    return _counted([timing.seconds(epoch) for _ in range(_N_HEAD_EPOCHS)])


if __name__ == "__main__":
    main()
