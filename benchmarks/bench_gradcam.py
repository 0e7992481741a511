"""Measure how fast heatmaps are made, beside pytorch-grad-cam and Captum.

ResNet18, last feature map. Ours takes image paths and clinical values and gives scaled maps of the
size of the image, the rivals take pixels in memory and the image alone.
"""

import tempfile
from pathlib import Path

import torch
from _bench import explainers, fusion, images, limits, options, report, timing

from skosfusion import GradCAM

_AT_LEAST = {
    "bf16": {explainers.PYTORCH_GRAD_CAM: 7.0, explainers.CAPTUM: 2.0},
    "fp32": {explainers.PYTORCH_GRAD_CAM: 3.5, explainers.CAPTUM: 1.1},
}
_MANY_SECONDS = 60.0


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_gradcam", __doc__, repeats=5, precision=True, images=True)
    parser.add_argument("--images-count", type=int, default=128)
    parser.add_argument("--few", type=int, default=32, help="images of a first and second call")
    parser.add_argument("--many", type=int, default=2608, help="images of the one long run")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=16, help="of the rivals")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.images_count, chosen.image_size, chosen.batch_size = 8, 64, 4
        chosen.repeats, chosen.many, chosen.few = 1, 20, 4
    torch.manual_seed(0)
    formats = limits.precisions(chosen.precision)
    with tempfile.TemporaryDirectory() as scratch:
        paths, kind = images.image_files(chosen.images, chosen.images_count, Path(scratch))
        X, y = images.make_table(paths)
        params = {"image_size": chosen.image_size, "max_epochs": 1, "lr": 1e-4}
        fitted = {
            precision: fusion.fixed_encoder(precision=precision, **params).fit(X, y)
            for precision in formats
        }
        figures = timing.interleave(_candidates(fitted, X, chosen), chosen.repeats)
        few = timing.interleave(_few(fitted, X.iloc[: chosen.few], chosen), chosen.repeats)
        one = timing.interleave(_few(fitted, X.iloc[:1], chosen), chosen.repeats)
        many = _explain_many(fitted[formats[0]], chosen.many, Path(scratch))

    table = report.Report(
        "How fast are heatmaps made?",
        quick=chosen.quick,
        source=kind,
        images=chosen.images_count,
        image_size=chosen.image_size,
        batch_size=chosen.batch_size,
        precision=chosen.precision,
        repeats=chosen.repeats,
    )
    for name, figure in figures.items():
        table.add(name, figure, "images/s")
    for precision in formats:
        for rival, at_least in _AT_LEAST[precision].items():
            ratio = report.ratio_of(figures, _ours(precision), rival)
            table.add(
                _ours(precision), figures[_ours(precision)], "images/s", ratio=ratio, to=rival,
                at_least=at_least,
            )  # fmt: skip
        share = report.ratio_of(figures, _ours(precision), limits.limit_name(precision))
        table.add(f"{_ours(precision)}: share of the limit", share, "")
    _add_calls(table, few, f"{chosen.few} images")
    _add_calls(table, one, "a single image", at_most=1.5)
    table.add(
        f"{_ours(formats[0])}: {chosen.many} files, from reading to maps", many, "s",
        at_most=_MANY_SECONDS,
    )  # fmt: skip
    table.note(
        f"The limit: {limits.RESNET18_GFLOP} GFLOP an image of 224 x 224 at the speed of matrix "
        f"products; {limits.ABOVE_LIMIT} Images are in memory, except in the long run, where "
        "each file is read and decoded once."
    )
    table.write(chosen.out)


def _ours(precision):
    return f"GradCAM, {precision}"


def _candidates(fitted, X, chosen):
    """Images a second of everyone."""
    size = chosen.image_size
    candidates = {
        _ours(precision): _rate(len(X), lambda c=classifier: GradCAM(c, target=1).transform(X))
        for precision, classifier in fitted.items()
    }
    pixels = images.read_pixels(X["image"], size)
    for channels_last in (False, True):
        rivals = explainers.make_rivals(
            pixels, batch_size=chosen.batch_size, channels_last=channels_last
        )
        candidates |= {name: _rate(len(X), explain) for name, explain in rivals.items()}
    work = limits.RESNET18_GFLOP * (size / 224) ** 2
    return limits.add_limits(candidates, fitted, work)


def _few(fitted, X, chosen):
    """Milliseconds of everyone for a few images: nothing at hand but pixels, and once more."""
    candidates = {}
    for precision, classifier in fitted.items():

        def explain(classifier=classifier):
            GradCAM(classifier, target=1).transform(X)

        def first(explain=explain):
            fusion.forget_features()
            return 1e3 * timing.seconds(explain)

        candidates[f"{_ours(precision)}, first call"] = first
        candidates[f"{_ours(precision)}, second call"] = lambda e=explain: 1e3 * timing.seconds(e)
    pixels = images.read_pixels(X["image"], chosen.image_size)
    for channels_last in (False, True):
        rivals = explainers.make_rivals(
            pixels, batch_size=chosen.batch_size, channels_last=channels_last
        )
        candidates |= {name: lambda r=r: 1e3 * timing.seconds(r) for name, r in rivals.items()}
    return candidates


def _add_calls(table, figures, what, at_most=None):
    """Add the calls for a few images, beside pytorch-grad-cam or, for one, the fastest rival."""
    rivals = [name for name in figures if not name.startswith("GradCAM")]
    best = min(rivals, key=lambda name: figures[name].median, default="")
    for name, figure in figures.items():
        if at_most is not None:
            ratio = report.ratio_of(figures, name, best)
            limit = at_most if name.endswith("second call") else None
            table.add(f"{name}: {what}", figure, "ms", ratio=ratio, to=best, at_most=limit)
        else:
            rival = explainers.PYTORCH_GRAD_CAM
            at_least = {"first call": 3.0, "second call": 3.5}.get(name.split(", ")[-1])
            at_least = at_least if "fp32" in name else None
            ratio = report.ratio_of(figures, rival, name)
            table.add(
                f"{name}: {what}, times as fast", figure, "ms", ratio=ratio, to=rival,
                at_least=at_least,
            )  # fmt: skip


def _explain_many(classifier, n_images, scratch):
    """Seconds for many files that nothing is known of."""
    paths = images.draw_images(scratch, n_images, name="many")
    X, _ = images.make_table(paths)
    fusion.forget_everything()
    return timing.seconds(lambda: GradCAM(classifier, target=1).transform(X))


def _rate(n_images, function):
    return lambda: n_images / timing.seconds(function)


if __name__ == "__main__":
    main()
