"""Early fusion: clinical values drawn into the image as bars."""

import numpy as np
from PIL import Image

from skosfusion import make_clinical_transformer
from skosfusion.images import read_image

_FULL, _EMPTY, _MISSING = 255, 0, 128


def bar_heights(data_set):
    """Return the height of each input's bar, from 0 to 1, NaN where the value is missing.

    Nothing is fitted: a laboratory value is normalized by the range of its kit and brought to 0 to
    1 by an arc tangent, an age is divided by 100, a gender is 0 or 1.
    """
    transformer = make_clinical_transformer(
        image=None,
        gender="gender" if "gender" in data_set.inputs else None,
        age="age" if "age" in data_set.inputs else None,
        kits={name: kit for name, kit in data_set.kits.items() if name in data_set.inputs},
        missing="indicator",
    )
    table = transformer.fit_transform(data_set.data)
    heights = table[list(data_set.inputs)].astype(float)
    for name in data_set.inputs:
        if name == "gender":
            heights[name] += 0.5
        elif name != "age":
            heights[name] = 0.5 + np.arctan(heights[name] - 0.5) / np.pi
        heights.loc[table[f"{name}_missing"] == 1, name] = np.nan
    return heights.to_numpy()


def draw(data_set, folder, image_size):
    """Write each image with its bars at the foot into a folder, and return the paths."""
    paths = []
    for row, (path, heights) in enumerate(
        zip(data_set.data["image"], bar_heights(data_set), strict=True)
    ):
        pixels = read_image(path, image_size=image_size, row=row).copy()
        add_bars(pixels, heights)
        paths.append(str(folder / f"{row:06d}.png"))
        shown = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
        Image.fromarray(shown).save(paths[-1])
    return paths


def add_bars(pixels, heights):
    """Draw bars over the lowest quarter of an image; a missing value is a gray one."""
    side = pixels.shape[1]
    foot = side // 4
    edges = np.linspace(0, pixels.shape[2], len(heights) + 1).round().astype(int)
    for left, right, height in zip(edges, edges[1:], heights, strict=False):
        bar = pixels[:, side - foot :, left : max(right - 1, left + 1)]
        bar[:] = _MISSING if np.isnan(height) else _EMPTY
        if not np.isnan(height):
            filled = round(float(np.clip(height, 0.0, 1.0)) * foot)
            bar[:, foot - filled :] = _FULL
