"""Measure which changed copies of radiographs `check_leakage` finds, and what the search costs.

Each radiograph is changed in several ways; a copy is found if it is a pair with its original, as
if of another patient. False pairs are pairs of different radiographs of different patients, by
tables of patients. Beside it stand the perceptual hashes of the library imagehash, if it is there.
"""

import io
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _bench import options, report
from PIL import Image, ImageOps

from skosfusion.datasets import make_osteosarcoma_cohort
from skosfusion.images import read_image
from skosfusion.model_selection import _near_images

try:
    import imagehash
except ImportError:
    imagehash = None

_SIDE = 600
_N_IMAGES = (2500, 5000, 10_000, 20_000)
_RADII = (4, 8, 12, 16)


def _crop(image, left, top, right, bottom):
    width, height = image.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return image.crop([round(end) for end in box])


def _jpeg(image, quality=50):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


CHANGES = {
    "resized to half": (lambda image: ImageOps.scale(image, 0.5), 99),
    "resized to 224 x 224": (lambda image: image.resize((224, 224)), 99),
    "JPEG, quality 30": (lambda image: _jpeg(image, 30), 99),
    "mirrored": (ImageOps.mirror, 95),
    "inverted": (ImageOps.invert, 95),
    "mirrored, inverted, resized, JPEG": (
        lambda image: _jpeg(ImageOps.mirror(ImageOps.invert(image)).resize((224, 224))),
        95,
    ),
    "cropped by 3 % at all sides": (lambda image: _crop(image, 0.03, 0.03, 0.03, 0.03), 90),
    "cropped by 3 % at the left": (lambda image: _crop(image, 0.03, 0, 0, 0), 90),
    "cropped by 3 % at the bottom": (lambda image: _crop(image, 0, 0, 0, 0.03), 90),
    "cropped by 3 % at two sides": (lambda image: _crop(image, 0.03, 0.03, 0, 0), 90),
    "cropped by 1 to 3 %, JPEG": (lambda image: _jpeg(_crop(image, 0.01, 0.02, 0.03, 0.02)), 90),
    "gamma 0.7": (lambda image: image.point(lambda v: round(255 * (v / 255) ** 0.7)), None),
    "cropped by 5 % at all sides": (lambda image: _crop(image, 0.05, 0.05, 0.05, 0.05), None),
}


def main(arguments=None):
    """Run the benchmark."""
    parser = options.make_parser("bench_near_images", __doc__, repeats=1, images=False)
    parser.add_argument(
        "--table",
        nargs=4,
        action="append",
        metavar=("FOLDER", "CSV", "PATIENT", "IMAGE"),
        default=[],
        help="image folder, its table, columns of patients and files; more than once for several",
    )
    chosen = parser.parse_args(arguments)
    if not chosen.table and not chosen.quick:
        parser.error("--table is needed; only --quick runs without it, on synthetic images")
    images, patients, stems = ([], [], []) if chosen.table else _synthetic()
    for number, (folder, csv, patient, file) in enumerate(chosen.table):
        table = pd.read_csv(csv, dtype=str).head(20 if chosen.quick else None)
        for name, of in zip(table[file], table[patient], strict=True):
            images.append(_gray(_found(Path(folder), name)))
            patients.append((number, of))
            stems.append(Path(name).stem)
    owners = pd.factorize(pd.Series(patients))[0]
    n_images = len(images)
    thumbnails = [_thumbnail(image) for image in images]

    table = report.Report(
        "Which changed copies of radiographs are found?", quick=chosen.quick, images=n_images
    )
    pairs = _near_images.near_pairs(thumbnails, owners)
    pairs = list(zip(pairs.first, pairs.second, strict=True))
    false = [pair for pair in pairs if stems[pair[0]] != stems[pair[1]]]
    table.add("images of one name in two tables that are found", len(pairs) - len(false), "pairs")
    rate = 1000 * len(false) / n_images
    table.add("other pairs of different patients", rate, "/1000 images", at_most=1)
    for name, (change, wanted) in CHANGES.items():
        copies = [change(image) for image in images]
        both = [*thumbnails, *map(_thumbnail, copies)]
        found = _near_images.near_pairs(both, np.arange(2 * n_images))
        share = 100 * np.mean(
            np.isin(np.arange(n_images), found.first[found.second - found.first == n_images])
        )
        table.add(f"found: {name}", float(share), "%", **({"at_least": wanted} if wanted else {}))
    if imagehash is not None:
        _add_imagehash(table, images, owners)
    _add_growth(table, thumbnails, _N_IMAGES[:2] if chosen.quick else _N_IMAGES)
    table.write(chosen.out)


def _synthetic():
    """Return images, patients and names of a few synthetic radiographs, to see that all runs."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_osteosarcoma_cohort(n_patients=8, image_size=64, data_home=folder).data
        images = [_gray(path) for path in data["image"]]
        return images, data["patient_id"].tolist(), [Path(path).stem for path in data["image"]]


def _found(folder, name):
    """Return the path of a file that a table may name without its ending."""
    path = folder / name
    return path if path.exists() else next(folder.glob(f"{name}.*"))


def _gray(path):
    pixels = read_image(path, image_size=None)
    image = Image.fromarray(np.rint(pixels.mean(axis=0)).astype(np.uint8))
    image.thumbnail((_SIDE, _SIDE))
    return image


def _thumbnail(image):
    return _near_images.thumbnail(np.asarray(image)[None])


def _add_imagehash(table, images, owners):
    """Add what hashes of 64 bits find of the crops at all sides, and how many others they pair."""
    is_other = np.triu(owners[:, None] != owners, 1)
    for kind in ("phash", "dhash"):
        hashes = _hashes(kind, images)
        crops = _hashes(kind, [CHANGES["cropped by 3 % at all sides"][0](one) for one in images])
        apart = np.bitwise_count(hashes[:, None] ^ hashes)[is_other]
        for radius in _RADII:
            share = 100 * float((np.bitwise_count(hashes ^ crops) <= radius).mean())
            false = 1000 * float((apart <= radius).sum()) / len(images)
            table.add(f"imagehash.{kind}, up to {radius} bits: crops found", share, "%")
            table.add(
                f"imagehash.{kind}, up to {radius} bits: pairs of others", false, "/1000 images"
            )


def _hashes(kind, images):
    return np.array([int(str(getattr(imagehash, kind)(image)), 16) for image in images], np.uint64)


def _add_growth(table, thumbnails, counts):
    """Add the processor time of the search among drawn frequencies with the spread of real ones."""
    known = _near_images._known_frequencies(np.array(thumbnails))
    rng = np.random.default_rng(0)
    mean, spread = known[:, 0].mean(axis=0), np.cov(known[:, 0].T)
    seconds = []
    for count in counts:
        drawn = rng.multivariate_normal(mean, spread, count)[:, None]
        drawn = drawn + (known - known[:, :1])[rng.integers(0, len(known), count)]
        started = time.process_time()
        n_met = sum(map(len, _near_images._hashed_pairs(*_near_images._both_ways(drawn))))
        seconds.append(time.process_time() - started)
        table.add(f"search among {count} images", seconds[-1], "s of processor time")
        table.add(f"pairs that share a hash, among {count} images", n_met / count, "an image")
    growth = np.log(seconds[-1] / seconds[0]) / np.log(counts[-1] / counts[0])
    table.add("growth of the search, as a power of the number of images", float(growth), "")


if __name__ == "__main__":
    main()
