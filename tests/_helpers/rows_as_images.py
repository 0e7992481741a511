"""Adapters that let scikit-learn's checks, which pass arrays, exercise images and the encoder."""

import atexit
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.utils.validation import check_is_fitted, validate_data

from skosfusion import FusionClassifier, GradCAM

from . import tiny

_FOLDER = tempfile.TemporaryDirectory(prefix="rows-as-images-")
atexit.register(_FOLDER.cleanup)
_SIDE = 32


class RowsAsImages(FusionClassifier):
    """Draws each row of an array as stripes, one a feature, and reads them from an image file.

    Nothing else is changed: the files, the encoder, training and prediction are those of
    `FusionClassifier` with an image column. The last feature is seen in the image only; the
    others are clinical values, too.
    """

    def _check_inputs(self, X, *, reset):
        X = validate_data(self, X, reset=reset, dtype=np.float32)
        return X[:, :-1], [_draw(row) for row in X]


def _draw(row):
    """Write a row as an image; equal rows are one file."""
    path = Path(_FOLDER.name, hashlib.sha256(row.tobytes()).hexdigest() + ".png")
    if not path.exists():
        levels = np.rint(255 / (1 + np.exp(-np.clip(row, -20, 20)))).astype(np.uint8)
        edges = np.linspace(0, _SIDE, len(levels) + 1).astype(int)
        stripes = np.zeros((_SIDE, _SIDE), np.uint8)
        for level, start, stop in zip(levels, edges, edges[1:], strict=False):
            stripes[:, start : max(stop, start + 1)] = level
        Image.fromarray(stripes).save(path)
    return str(path)


def rows_as_images(**parameters):
    """Make the adapter with settings that learn from a hundred rows."""
    defaults = {
        "image_column": "image",
        "backbone": tiny.TinyEncoder,
        "weights": None,
        "image_size": _SIDE,
        "max_epochs": 20,
        "lr": 0.1,
        "batch_size": 32,
        "random_state": 0,
        "verbose": 0,
    }
    return RowsAsImages(**(defaults | parameters))


class FittingGradCAM(GradCAM):
    """Heatmaps of a model that `fit` makes, as the checks bring other data each time.

    Everything after that is `GradCAM`'s own: its checks, its parameters, `transform`, and what it
    says of itself.
    """

    def fit(self, X, y=None):
        self.model_ = rows_as_images(max_epochs=2)
        table = validate_data(self.model_, X, dtype=np.float32)
        labels = np.arange(len(table)) % 2
        self.model_.fit(X, labels)
        return self

    def transform(self, X):
        check_is_fitted(self)
        return GradCAM(self.model_, **self._options()).fit(X).transform(X)

    def _options(self):
        return {name: getattr(self, name) for name in ("layer", "target", "method", "raw")}

    @property
    def n_features_in_(self):
        return self.model_.n_features_in_

    @property
    def feature_names_in_(self):
        return self.model_.feature_names_in_

    @property
    def classes_(self):
        return self.model_.classes_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "model_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags


class EveryColumn:
    """Names all columns of an array to a ColumnTransformer."""

    def __call__(self, X):
        return list(range(X.shape[1]))

    def __repr__(self):
        # Of a function the address would be part of the tests' names.
        return "every column"
