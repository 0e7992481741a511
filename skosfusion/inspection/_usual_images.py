"""What images of the training set had in common: mean and covariance of their features."""

import contextlib
import math
from typing import NamedTuple

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.model_selection import GroupKFold
from sklearn.utils.extmath import randomized_svd

from ._usual_inputs import FEWEST, at_most, budget_of

# So many patients there must be for each direction of the covariance that is kept: with as many
# directions as images, an image of the training set would be told by lying exactly within them.
_PATIENTS_PER_DIRECTION = 5
MOST_DIRECTIONS = 64
_FEWEST_PATIENTS = 20
_N_FOLDS = 5
# Beyond the distance that few patients of held-out folds exceed, half as far again from the median.
_MARGIN = 0.5
# Of matrices larger than this, only the directions that are kept are computed.
_LARGEST_EXACT = 512
_LEAST_VARIANCE = 1e-9
GRAY, COLOR = "gray", "color"


class Spread(NamedTuple):
    """Mean of features, and a covariance as directions of most variance and one for the others."""

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray

    def distances(self, features):
        """Return the Mahalanobis distance of each row, in units of one feature's deviation."""
        apart = features.astype(np.float64) - self.mean
        along = apart @ self.components.T.astype(np.float64)
        rest = np.maximum((apart**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squares = (along**2 / self.variances[:-1]).sum(axis=1) + rest / self.variances[-1]
        return np.sqrt(squares / features.shape[1])


def read_images(fitted, table):
    """Yield rows with their features, and which have an image; for a table of the classifier."""
    has_image = fitted.classifier.get_dataset(table).has_image
    batches = fitted.classifier.input_batches(table)
    with contextlib.closing(batches):
        for inputs, rows in batches:
            features = inputs["features"][: len(rows)].detach().cpu().float().numpy()
            there = np.ones(len(rows), bool)
            if has_image is not None:
                there = has_image.numpy()[rows.start : rows.stop]
            yield np.asarray(rows)[there], features[there]


def are_colored(fitted, table):
    """Return for each row of a table whose rows all have images whether the image is in color."""
    colored = np.zeros(len(table), bool)
    if not len(table):
        return colored
    batches = fitted.classifier.input_batches(table, pixels=True)
    with contextlib.closing(batches):
        for inputs, rows in batches:
            pixels = inputs["image"][: len(rows)]
            if pixels.shape[1] > 1:
                apart = (pixels != pixels[:, :1]).flatten(1).any(dim=1)
                colored[rows.start : rows.stop] = apart.cpu().numpy()
    return colored


def summarize_images(column, features, colored, patients, n_missing, rate):
    """Return what is usual in images, as JSON can hold it, and the arrays of their features."""
    names = np.unique(patients)
    n_colored = len(np.unique(patients[colored]))
    n_gray = len(np.unique(patients[~colored]))
    summary = {
        "column": column,
        "n_patients": len(names),
        "n_missing": at_most(n_missing),
        "color": _usual_color(n_gray, n_colored, budget_of(rate, len(names))),
        "threshold": None,
    }
    if len(names) < _FEWEST_PATIENTS or not (features != features[0]).any():
        return summary, None
    spread = _spread(features, len(names))
    held_out = np.empty(len(features))
    for train, test in GroupKFold(_N_FOLDS).split(features, groups=patients):
        n_train = len(np.unique(patients[train]))
        held_out[test] = _spread(features[train], n_train).distances(features[test])
    median, reference = _median_and_reference(held_out, patients, rate)
    threshold = reference * (reference / median) ** _MARGIN if median else reference
    # What was learned from is nearer than what was held out, as a rule.
    reached = _median_and_reference(spread.distances(features), patients, rate)[1]
    summary["threshold"] = _rounded_up(max(threshold, reached))
    return summary, spread


def _usual_color(n_gray, n_colored, budget):
    """Return "gray" or "color" where hardly any patient's images are the other, else None."""
    if n_colored <= budget and n_gray >= FEWEST:
        return GRAY
    if n_gray <= budget and n_colored >= FEWEST:
        return COLOR
    return None


def _spread(features, n_patients):
    """Shrink the covariance as Ledoit and Wolf do, and keep its largest directions in float32."""
    features = features.astype(np.float64)
    mean = features.mean(axis=0)
    apart = features - mean
    n_features = features.shape[1]
    shrinkage = ledoit_wolf_shrinkage(apart, assume_centered=True)
    most = min(MOST_DIRECTIONS, n_patients // _PATIENTS_PER_DIRECTION, n_features)
    if min(apart.shape) > _LARGEST_EXACT:
        _, sizes, components = randomized_svd(apart, most, random_state=0)
    else:
        _, sizes, components = np.linalg.svd(apart, full_matrices=False)
    sizes, components = sizes[:most], components[:most]
    total = (apart**2).sum() / len(apart)
    average = total / n_features
    kept = sizes**2 / len(apart)
    n_others = n_features - len(kept)
    others = max(total - kept.sum(), 0) / n_others if n_others else average
    variances = (1 - shrinkage) * np.append(kept, others) + shrinkage * average
    variances = np.maximum(variances, _LEAST_VARIANCE * average)
    return Spread(*(part.astype(np.float32) for part in (mean, components, variances)))


def _median_and_reference(distances, patients, rate):
    """Return the median of patients, and the distance that as many exceed as may be outside."""
    codes = np.unique(patients, return_inverse=True)[1]
    farthest = np.zeros(codes.max() + 1)
    np.maximum.at(farthest, codes, distances)
    farthest = np.sort(farthest)
    return np.median(farthest), farthest[-1 - budget_of(rate, len(farthest))]


def _rounded_up(value):
    """Return a number of three digits, not below the value."""
    digits = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return math.ceil(value * 10**digits) / 10**digits if digits < 300 else 0.0


def far_images(image, spread, rows, features):
    """List images far from those of training: row, column, kind, value, usual, distance."""
    limit, distances = image["threshold"], spread.distances(features)
    return [
        (row, image["column"], "image", float(distance), f"to {limit:.3g}", distance / limit)
        for row, distance in zip(rows, distances, strict=True)
        if not distance <= limit
    ]


def other_colors(image, rows, colored):
    """List images in color where those of training are gray, and the other way round."""
    return [
        (row, image["column"], "color", COLOR if is_color else GRAY, image["color"], np.nan)
        for row, is_color in zip(rows, colored, strict=True)
        if is_color != (image["color"] == COLOR)
    ]
