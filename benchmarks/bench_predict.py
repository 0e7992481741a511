"""Measure how fast new images are classified.

ResNet18, images decoded already, features not at hand: the encoder runs in every repeat.
"""

import json
import resource
import tempfile
from pathlib import Path

import numpy as np
import torch
from _bench import children, fusion, images, limits, options, plain, report, timing, widedeep

# Images that are classified before those that count: too many for a small batch.
_N_OTHERS = 5


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_predict", __doc__, repeats=5, precision=True, images=True)
    parser.add_argument("--images-count", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32, help="of the rivals")
    parser.add_argument(
        "--engines",
        default="eager,fused",
        help="engines side by side; 'compiled' takes a minute at first (default: %(default)s)",
    )
    parser.add_argument("--weights", metavar="FILE", help="of the encoder; default: random ones")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.images_count, chosen.image_size, chosen.batch_size = 8, 64, 4
        chosen.repeats = 1
    if chosen.child:
        _print_peak_memory(**json.loads(chosen.child))
        return
    torch.manual_seed(0)
    formats = limits.precisions(chosen.precision)
    with tempfile.TemporaryDirectory() as scratch:
        paths, kind = images.image_files(
            chosen.images, chosen.images_count + _N_OTHERS, Path(scratch)
        )
        X, y = images.make_table(paths)
        fitted = _fit_alike(X, y, formats, image_size=chosen.image_size, weights=chosen.weights)
        figures = timing.interleave(_candidates(fitted, X, y, chosen), chosen.repeats)
        settled = {precision: c.module_.engine for precision, c in fitted.items()}
        engines = timing.interleave(_engines(fitted, X, chosen), chosen.repeats)
        for precision, classifier in fitted.items():
            classifier.module_.engine = settled[precision]
        single = timing.interleave(_single_images(fitted, X, chosen), chosen.repeats)
        probabilities = [classifier.predict_proba(X) for classifier in fitted.values()]

    table = report.Report(
        "How fast are new images classified?",
        quick=chosen.quick,
        source=kind,
        images=chosen.images_count,
        image_size=chosen.image_size,
        batch_size=chosen.batch_size,
        precision=chosen.precision,
        weights="random" if chosen.weights is None else "from a file",
        repeats=chosen.repeats,
    )
    for name, figure in figures.items():
        table.add(
            name,
            figure,
            "images/s",
            ratio=report.ratio_of(figures, name, widedeep.NAME),
            to=widedeep.NAME,
            at_least=2.3 if name == _ours("bf16") else None,
        )
    if not widedeep.is_installed():
        table.add(widedeep.NAME, None, "images/s")
    for precision in formats:
        share = report.ratio_of(figures, _ours(precision), limits.limit_name(precision))
        target = 0.8 if precision == formats[0] else None
        table.add(f"{_ours(precision)}: share of the limit", share, "", at_least=target)
    for name, figure in engines.items():
        first = f"{name.partition(', engine')[0]}, engine eager"
        ratio = report.ratio_of(engines, name, first)
        table.add(name, figure, "images/s", ratio=ratio, to="eager")
    for name, figure in single.items():
        rival, ratio = _best_loop(single, name)
        at_most = 1.5 if name in map(_ours, formats) else None
        table.add(
            f"{name}: a single image", figure, "ms", ratio=ratio, to=rival, at_most=at_most
        )  # fmt: skip
    for engine, ratio in _peak_memory(chosen).items():
        at_most = None if engine == "eager" else 1.1
        table.add(f"peak memory, engine {engine}", ratio, "x eager", at_most=at_most)
    if len(probabilities) == 2:
        difference = float(np.abs(probabilities[0] - probabilities[1]).max())
        table.add("largest difference of a probability, bf16 and fp32", difference, "")
    table.note(
        f"The limit: {limits.RESNET18_GFLOP} GFLOP an image of 224 x 224 at the speed of matrix "
        f"products; {limits.ABOVE_LIMIT} The classifier has classified another image before. The "
        "rivals read pixels from memory."
    )
    table.write(chosen.out)


def _ours(precision):
    return f"predict_proba, {precision}"


def _fit_alike(X, y, formats, **params):
    """Fit one classifier for each number format, all with the weights of the first."""
    # A small step only: probabilities next to 0 or 1 would hide the difference of the formats.
    params |= {"max_epochs": 1, "lr": 1e-4}
    fitted = {
        precision: fusion.fixed_encoder(precision=precision, **params).fit(X, y)
        for precision in formats
    }
    first = fitted[formats[0]]
    for classifier in fitted.values():
        classifier.module_.load_state_dict(first.module_.state_dict())
    return fitted


def _candidates(fitted, X, y, chosen):
    """Images a second of everyone, on all images but the last ones."""
    new, other = X.iloc[:-_N_OTHERS], X.iloc[-_N_OTHERS:]
    size = chosen.image_size
    pixels = images.read_pixels(new["image"], size)
    candidates = {
        _ours(precision): _rate(len(new), *_classify(classifier, new, other))
        for precision, classifier in fitted.items()
    }
    for name, predict in _loops(fitted, pixels, new, chosen.batch_size).items():
        candidates[name] = _rate(len(new), predict)
    if widedeep.is_installed():
        rival = widedeep.WideDeepRival(new, pixels, y[:-_N_OTHERS], batch_size=chosen.batch_size)
        candidates[widedeep.NAME] = _rate(len(new), rival.predict_proba)
    work = limits.RESNET18_GFLOP * (size / 224) ** 2
    return limits.add_limits(candidates, fitted, work)


def _single_images(fitted, X, chosen):
    """Milliseconds of everyone, on the first image."""
    new, other = X.iloc[:1], X.iloc[-1:]
    pixels = images.read_pixels(new["image"], chosen.image_size)
    candidates = {}
    for precision, classifier in fitted.items():
        classify, prepare = _classify(classifier, new, other)
        candidates[_ours(precision)] = _milliseconds(classify, prepare)
        candidates[f"{_ours(precision)}, first call"] = _milliseconds(
            classify, fusion.forget_features
        )
    for name, predict in _loops(fitted, pixels, new, 1).items():
        candidates[name] = _milliseconds(predict)
    return candidates


def _engines(fitted, X, chosen):
    """Images a second of each engine, on all images but the last ones."""
    new, other = X.iloc[:-_N_OTHERS], X.iloc[-_N_OTHERS:]
    candidates = {}
    for precision, classifier in fitted.items():
        for engine in chosen.engines.split(","):
            classify, prepare = _classify(classifier, new, other)

            def prepare_with(classifier=classifier, engine=engine, prepare=prepare):
                classifier.module_.engine = engine
                prepare()

            name = f"{_ours(precision)}, engine {engine}"
            candidates[name] = _rate(len(new), classify, prepare_with)
    return candidates


def _best_loop(single, name):
    """Return the fastest loop written by hand in the same number format, and how it compares."""
    precision = name.split(", ")[1]
    loops = plain.loops_in(single, precision)
    if not loops:
        return "", None
    best = min(loops, key=lambda loop: single[loop].median)
    return best, report.ratio_of(single, name, best)


def _peak_memory(chosen):
    """Peak memory of a process that fits and predicts, by engine, in shares of the first one."""
    settings = {"n_images": chosen.images_count, "image_size": chosen.image_size}
    peaks = {
        engine: children.run_child(__file__, settings | {"engine": engine})[0]
        for engine in chosen.engines.split(",")
    }
    return {engine: peak / next(iter(peaks.values())) for engine, peak in peaks.items()}


def _print_peak_memory(engine, n_images, image_size):
    """Fit and predict in this process, and print its peak memory in KiB."""
    with tempfile.TemporaryDirectory() as scratch:
        X, y = images.make_table(images.draw_images(Path(scratch), n_images))
        classifier = fusion.fixed_encoder(engine=engine, image_size=image_size, max_epochs=1)
        classifier.fit(X, y)
        fusion.forget_features()
        classifier.predict_proba(X)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _classify(classifier, new, other):
    """Classify new images; what prepares that is not measured."""

    def prepare():
        fusion.forget_features()
        classifier.predict_proba(other)

    return lambda: classifier.predict_proba(new), prepare


def _loops(formats, pixels, X, batch_size):
    """Loops written by hand, by name."""
    inputs = torch.from_numpy(pixels), torch.tensor(X[images.CLINICAL].to_numpy(copy=True))
    loops = {}
    for precision, channels_last in (("fp32", False), ("fp32", True), ("bf16", True)):
        if precision in formats:
            network = plain.PlainNetwork(channels_last=channels_last)
            loops[plain.loop_name(precision, channels_last)] = (
                lambda network=network, precision=precision: plain.predict_proba(
                    network, *inputs, batch_size=batch_size, precision=precision
                )
            )
    return loops


def _rate(n_images, function, prepare=None):
    milliseconds = _milliseconds(function, prepare)
    return lambda: 1e3 * n_images / milliseconds()


def _milliseconds(function, prepare=None):
    def measure():
        if prepare is not None:
            prepare()
        return 1e3 * timing.seconds(function)

    return measure


if __name__ == "__main__":
    main()
