"""A data set with everything that methods learn from, each image encoded once."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from skosfusion import ImageEncoder
from skosfusion.datasets import get_data_home

from . import drawing, truth

#: Beginnings of the names of columns: features of the images, of the images with bars, the truth.
FEATURES, DRAWN, TRUTH = "feature_", "drawn_", "truth_"


def prepare(data_set, encoder, options, methods):
    """Add the columns that the methods need to a data set, and return it."""
    model = {
        "backbone": encoder.backbone,
        "weights": encoder.weights,
        "image_size": options.image_size,
        "random_state": options.seed,
        "memory": get_data_home(options.data_home) / "memory",
    }
    images = data_set.data[["image"]]
    blocks = [_block(FEATURES, ImageEncoder(**model).fit_transform(images))]
    needed = {need for method in methods.values() for need in method.needs}
    if DRAWN in needed:
        with tempfile.TemporaryDirectory() as folder:
            paths = drawing.draw(data_set, Path(folder), options.image_size)
            drawn = pd.DataFrame({"image": paths})
            blocks.append(_block(DRAWN, ImageEncoder(**model).fit_transform(drawn)))
    if TRUTH in needed and data_set.is_synthetic:
        odds = truth.clinical_log_odds(data_set.data, data_set.inputs)
        blocks.append(_block(TRUTH, odds[:, None]))
    data_set.X = pd.concat([data_set.data, *blocks], axis=1)
    data_set.model = model | {"epochs": options.epochs, "seed": options.seed}
    return data_set


def _block(start, values):
    names = [f"{start}{number}" for number in range(values.shape[1])]
    return pd.DataFrame(np.asarray(values, np.float32), columns=names)
