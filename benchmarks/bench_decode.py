"""Measure how fast large radiographs are read, beside Pillow.

Real JPEGs of about 2000 pixels (drawn ones where there are none) become 224 x 224, on one core
except where threads are named.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from _bench import images, options, report, timing
from PIL import Image, ImageOps

from skosfusion.images import ImageStore, read_image

_SIDES = 1500, 3000
_DRAWN_SIDE = 2000
_DRAWN_NOISE = 6.0


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_decode", __doc__, repeats=5, images=True)
    parser.add_argument("--images-count", type=int, default=40, help="files to read")
    parser.add_argument("--image-size", type=int, default=224)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.images_count, chosen.repeats = 4, 1
    size, n_images = chosen.image_size, chosen.images_count
    with tempfile.TemporaryDirectory() as scratch:
        paths = [path for path in images.real_images(chosen.images) if _is_large_jpeg(path)]
        kind = "real radiographs" if paths else "drawn"
        if not paths:
            paths = images.draw_images(
                Path(scratch), n_images, side=_DRAWN_SIDE, noise=_DRAWN_NOISE
            )
        paths = paths[:n_images]
        candidates = {
            "read_image": _rate(paths, lambda path: read_image(path, image_size=size)),
            "Pillow, RGB": _rate(paths, lambda path: _by_pillow(path, size, "RGB")),
            "Pillow, grey": _rate(paths, lambda path: _by_pillow(path, size, "L")),
            "Pillow, draft": _rate(paths, lambda path: _by_pillow_draft(path, size)),
        }
        for n_threads in (1, 2):
            candidates[f"ImageStore, {n_threads} threads"] = _store_rate(paths, size, n_threads)
        figures = timing.interleave(candidates, chosen.repeats)
        mean, largest = _differences(paths, size)

    table = report.Report(
        "How fast are large radiographs read, beside Pillow?",
        quick=chosen.quick,
        images=len(paths),
        source=kind,
        image_size=size,
        repeats=chosen.repeats,
    )
    pillow = "Pillow, RGB"
    for name, figure in figures.items():
        target = {"at_least": 2.2} if name == "read_image" else {}
        ratio = report.ratio_of(figures, name, pillow)
        table.add(name, figure, "images/s", ratio=ratio, to=pillow, **target)
    table.add("pixels, mean difference from the full decoding", mean, "of 255")
    table.add("pixels, largest difference from the full decoding", largest, "of 255")
    table.write(chosen.out)


def _is_large_jpeg(path):
    with Image.open(path) as picture:
        return picture.format == "JPEG" and _SIDES[0] <= max(picture.size) <= _SIDES[1]


def _by_pillow(path, size, mode):
    with Image.open(path) as picture:
        return np.array(picture.convert(mode).resize((size, size), Image.Resampling.BILINEAR))


def _by_pillow_draft(path, size):
    with Image.open(path) as picture:
        picture.draft("L" if picture.mode == "L" else "RGB", (size, size))
        return np.array(picture.resize((size, size), Image.Resampling.BILINEAR))


def _rate(paths, read):
    def measure():
        return len(paths) / timing.seconds(lambda: [read(path) for path in paths])

    return measure


def _store_rate(paths, size, n_threads):
    def measure():
        store = ImageStore()
        read = partial(store.read, paths, image_size=size, n_threads=n_threads)
        return len(paths) / timing.seconds(read)

    return measure


def _differences(paths, size):
    """Compare with the image decoded at its full size, channel by channel."""
    means, largest = [], 0
    for path in paths:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        full = np.array(upright.resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
        ours = read_image(path, image_size=size)
        difference = np.abs(ours.astype(int) - full[: len(ours)])
        means.append(float(difference.mean()))
        largest = max(largest, int(difference.max()))
    return sum(means) / len(means), largest


if __name__ == "__main__":
    main()
