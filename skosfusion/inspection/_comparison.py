"""Where clinical values put an image-only model right, and what both models look at."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_consistent_length, column_or_1d

from .._utils.validation import check_parameter, is_integer
from ._fitted import find_classifier, label_names, target_codes, unwrap_with_image
from ._gradcam import GradCAM, check_method
from ._localization import scale_boxes
from ._samples import MAX_IMAGES, describe_clinical, read_images

#: The paper's (Fig. 7, 8 and 9), and the rows that the improved model gets wrong instead.
GALLERIES = ("right", "false_negatives", "false_positives", "corrected", "worsened")


class Gallery(NamedTuple):
    """Some rows of one group, with what is drawn of them."""

    rows: np.ndarray
    images: list
    heatmaps: tuple
    clinical: list
    boxes: np.ndarray | None


class ComparedLabels(NamedTuple):
    """The labels, what they are called, and the class that both models' heatmaps explain."""

    y: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    positive: int
    explain: dict

    @property
    def explained(self):
        """Name of the class whose heatmaps are made."""
        codes = target_codes(self.explain["target"], self.classes, 1)
        return "the predicted class" if codes is None else str(self.labels[codes[0]])


def check_labels(X, y, *, pos_label, explainer, display_labels):
    """Check labels and explainer, and return them in one form."""
    check_consistent_length(X, y)
    y = column_or_1d(y)
    classes = np.unique(y)
    if len(classes) != 2:
        raise ValueError(
            f"y has the labels {classes.tolist()}; false negatives and false positives need two"
        )
    labels = label_names(display_labels, classes)
    positive = 1 if pos_label is None else _position(pos_label, classes)
    explain = _explainer_params(explainer)
    if explain["target"] is None:
        explain["target"] = classes.tolist()[positive]
    target_codes(explain["target"], classes, 1)
    return ComparedLabels(y, classes, labels, positive, explain)


def _position(pos_label, classes):
    codes = None if np.ndim(pos_label) else target_codes(pos_label, classes, 1, name="pos_label")
    if codes is None:
        raise ValueError(
            f"pos_label={pos_label!r:.200} is not one of the labels {classes.tolist()}"
        )
    return int(codes[0])


def _explainer_params(explainer):
    """Return the parameters of an explainer without its estimator: each fold has its own."""
    if not isinstance(explainer, GradCAM | None):
        raise TypeError(
            f"explainer is a {type(explainer).__name__}; allowed: a GradCAM, such as "
            "GradCAM(improved, layer='layer3'), or None"
        )
    params = (GradCAM(None) if explainer is None else explainer).get_params(deep=False)
    del params["estimator"]
    check_method(params["method"])
    if np.ndim(params["target"]):
        raise ValueError(f"target={params['target']!r:.200} must be one label, 'predicted' or None")
    if params["raw"]:
        raise ValueError(
            f"raw={params['raw']!r} is not allowed in the explainer of a comparison; allowed: "
            "False, because heatmaps are drawn on a scale from 0 to 1"
        )
    return params


def check_shown(X, boxes, n_images, names):
    """Check the table, and what decides how galleries look."""
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X is a {type(X).__name__}; it must be a pandas DataFrame")
    check_consistent_length(X, boxes)
    is_shown = is_integer(n_images, 1) and n_images <= MAX_IMAGES
    check_parameter("n_images", n_images, is_shown, f"1 to {MAX_IMAGES}")
    is_pair = isinstance(names, tuple | list) and len(names) == 2
    differ = is_pair and str(names[0]) != str(names[1])
    check_parameter("names", names, differ, "two different names, one a model")
    if boxes is not None and np.shape(boxes) != (len(X), 4):
        raise ValueError(f"boxes has shape {np.shape(boxes)}; it must be ({len(X)}, 4)")


def check_models(*models):
    """Refuse what cannot be explained, and what would explain the rows that it was trained on."""
    for model in models:
        if isinstance(model, Mapping):
            continue
        find_classifier(model)
        steps = [step for _, step in getattr(model, "steps", [])]
        if any(isinstance(step, FrozenEstimator) for step in (model, *steps)):
            raise ValueError(
                "a FrozenEstimator is not fitted again on each fold, so it would explain rows that "
                "it has been trained on; pass the estimator itself, or what cross_validate returned"
            )


def sort_into_galleries(models, names, X, compared, patients):
    """Predict all rows out of fold, and say of each row which galleries it belongs to."""
    # The folds are those of both.
    fold = models[0].fold
    samples = pd.DataFrame({"fold": fold}, index=X.index)
    classes, labels, y = compared.classes, compared.labels, compared.y
    is_right = []
    for name, model in zip(names, models, strict=True):
        unwrap_with_image(model.estimators[0])
        probabilities = model.predict_proba(X, classes)
        codes = np.nan_to_num(probabilities).argmax(axis=1)
        is_right.append(classes[codes] == y)
        samples[f"{name}_probability"] = probabilities[:, compared.positive]
        is_known = samples[f"{name}_probability"].notna()
        samples[f"{name}_predicted"] = np.where(is_known, labels[codes], None)
    is_positive = y == classes[compared.positive]
    first, second = is_right
    found = {
        "right": first & second,
        "false_negatives": ~first & is_positive,
        "false_positives": ~first & ~is_positive,
        "corrected": ~first & second,
        "worsened": first & ~second,
    }
    samples = samples.assign(**{name: found[name] & (fold >= 0) for name in GALLERIES})
    return samples.assign(patient=patients, label=labels[np.searchsorted(classes, y)])


def make_galleries(samples, models, X, compared, *, boxes, n_images, random):
    """Choose the examples of each gallery, and explain them."""
    y, patients = compared.y, samples["patient"].to_numpy()
    galleries = {}
    for name in GALLERIES:
        rows = _choose(np.flatnonzero(samples[name]), y, patients, n_images, random)
        here = None if boxes is None else np.asarray(boxes, float)[rows]
        galleries[name] = _make_gallery(rows, models, X, compared.explain, here)
    return galleries


def _choose(rows, y, patients, n_images, random):
    """Draw examples at random: both classes alike, and each patient once while there are others."""
    rows = random.permutation(rows)
    seen_patients, seen_labels, order = Counter(), Counter(), []
    for row in rows:
        order.append((seen_patients[patients[row]], seen_labels[y[row]], len(order)))
        seen_patients[patients[row]] += 1
        seen_labels[y[row]] += order[-1][0] == 0
    chosen = rows[sorted(range(len(rows)), key=order.__getitem__)[:n_images]]
    return np.sort(chosen)


def _make_gallery(rows, models, X, explain, boxes):
    if not len(rows):
        return Gallery(rows, [], ([], []), [], boxes)
    part = X.iloc[rows]
    improved = models[1].estimators[0]
    fitted = unwrap_with_image(improved)
    heatmaps = []
    for model in models:
        maps = [None] * len(rows)
        for estimator, places in model.by_fold(rows):
            made = GradCAM(estimator, **explain).transform(part.iloc[places])
            for place, heatmap in zip(places, made, strict=True):
                maps[place] = heatmap
        heatmaps.append(maps)
    clinical = describe_clinical(fitted, part, fitted.transform(part))
    boxes = None if boxes is None else scale_boxes(improved, part, boxes)
    return Gallery(rows, read_images(fitted, part), tuple(heatmaps), clinical, boxes)
