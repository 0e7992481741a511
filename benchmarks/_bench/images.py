"""Images and tables to measure with."""

import numpy as np
import pandas as pd
from PIL import Image

from skosfusion.images import read_image

#: Columns of the clinical values.
CLINICAL = ["gender", "age", "alp", "ldh"]
_COARSE_SIDE = 12
_ENDINGS = {".jpg", ".jpeg", ".png"}


def real_images(folder):
    """List the image files of a folder."""
    if not folder.is_dir():
        return []
    return sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)


def draw_images(folder, n_images, *, side=300, noise=0.0, name="picture"):
    """Draw gray JPEGs with soft random shapes."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(n_images):
        coarse = random.integers(0, 256, (_COARSE_SIDE, _COARSE_SIDE), np.uint8)
        picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        if noise:
            grain = random.normal(0, noise, (side, side))
            picture = Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))
        paths.append(str(folder / f"{name}{number:06}.jpg"))
        picture.save(paths[-1], quality=90)
    return paths


def image_files(folder, n_images, scratch):
    """Take real images where there are enough, drawn ones elsewhere."""
    found = real_images(folder)
    if len(found) >= n_images:
        return found[:n_images], "real radiographs"
    return draw_images(scratch, n_images), "drawn"


def make_table(paths, n_rows=None):
    """Make a table of images and random clinical values, and labels."""
    n_rows = len(paths) if n_rows is None else n_rows
    random = np.random.default_rng(0)
    X = pd.DataFrame(random.standard_normal((n_rows, len(CLINICAL)), np.float32), columns=CLINICAL)
    X.insert(0, "image", [paths[row % len(paths)] for row in range(n_rows)])
    return X, random.permutation(np.arange(n_rows) % 2)


def stack(pictures):
    """Put images into one array; gray ones get three channels beside colored ones."""
    pictures = list(pictures)
    n_channels = max(map(len, pictures))
    return np.stack([np.broadcast_to(p, (n_channels, *p.shape[1:])) for p in pictures])


def read_pixels(paths, image_size):
    """Read files one after the other, for the rivals."""
    return stack(read_image(path, image_size=image_size) for path in paths)
