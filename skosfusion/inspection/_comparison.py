"""Where clinical values put an image-only model right, and what both models look at."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d

from ..model_selection import patients_of
from ._fitted import find_classifier, label_names, target_codes, unwrap_with_image
from ._gradcam import GradCAM, check_method
from ._localization import boxes_on_heatmaps
from ._out_of_fold import fit_out_of_fold, make_folds
from ._plot._comparison_display import GALLERIES, N_PICTURES, ComparisonDisplay, Gallery
from ._plot._drawing import MAX_IMAGES, describe_clinical, shorten, wrap
from ._plot._gradcam_display import read_images


def compare_explanations(
    baseline,
    improved,
    X,
    y,
    *,
    groups=None,
    cv=None,
    pos_label=None,
    target=None,
    layer=None,
    method="gradcam",
    boxes=None,
    n_images=6,
    names=("Baseline", "All"),
    display_labels=None,
    params=None,
    n_jobs=None,
    random_state=0,
):
    """Find what a second model puts right, and show what both look at [1]_.

    Rows are sorted by out-of-fold predictions and explained by the models that have not been
    trained on them: copies of both estimators are fitted on each fold. The examples of each gallery
    are drawn at random, from different patients as far as possible, not picked.

    Parameters
    ----------
    baseline, improved : estimator or dict
        A FusionClassifier or a Pipeline that ends in one, fitted or not; copies are fitted. Or what
        ``cross_validate(..., return_estimator=True, return_indices=True)`` gave for it, on the same
        rows: then nothing is fitted.
    X : DataFrame of shape (n_samples, n_features)
        The table, with the image column.
    y : array-like of shape (n_samples,)
        Labels, of two classes.
    groups : array-like of shape (n_samples,) or None, default=None
        Patient of each row. None: column ``patient_id`` of `X` where there is one, else each row is
        a patient.
    cv : int, splitter, iterable or None, default=None
        How to split; a number, and None for 5, makes stratified folds that keep patients together.
        A splitter that does not is used as it is, and the figures say that it leaks.
    pos_label : label or None, default=None
        The positive class; None takes the larger label.
    target : label, "predicted" or None, default=None
        The class whose heatmaps are made; None takes the positive one, the same for both models, so
        that their heatmaps answer one question.
    layer : str or None, default=None
        As in `GradCAM`.
    method : {"gradcam", "gradcam++", "hirescam", "ablationcam"}, default="gradcam"
        As in `GradCAM`.
    boxes : array-like of shape (n_samples, 4) or None, default=None
        Left, top, right and bottom of a known finding in pixels of the image file; NaN for none.
    n_images : int, default=6
        Most examples in a gallery, 1 to 40.
    names : tuple of 2 str, default=("Baseline", "All")
        What to call the models.
    display_labels : list of str or None, default=None
        What to call the classes, in sorted order; None takes the labels.
    params : dict or None, default=None
        Further arguments of ``fit``, as in ``cross_validate``. A model with an inner validation
        split needs ``{"classifier__groups": groups}`` to keep patients together there, too.
    n_jobs : int or None, default=None
        Fits at a time, as in joblib.
    random_state : int, RandomState instance or None, default=0
        Decides which examples are shown.

    Returns
    -------
    ComparisonDisplay
        Its ``frame()`` has predictions and groups of all rows; ``plot("corrected")`` and the like
        draw.

    Raises
    ------
    TypeError, ValueError
        For other estimators, labels of more or fewer than two classes, arguments of the wrong
        length, and cross-validations that held out rows they trained on.

    References
    ----------
    .. [1] S. Wang, Y. Shen et al., "Osteosarcoma diagnosis by late fusion of radiographs,
       alkaline phosphatase and lactate dehydrogenase", Fig. 7 to 9.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.base import clone
    >>> from skosfusion import compare_explanations, make_fusion_pipeline
    >>> from skosfusion.datasets import make_osteosarcoma_cohort
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cohort = make_osteosarcoma_cohort(n_patients=8, image_size=64, data_home=folder)
    ...     improved = make_fusion_pipeline(
    ...         weights=None, image_size=64, max_epochs=2, frozen_epochs="all", random_state=0
    ...     )
    ...     baseline = clone(improved).set_params(
    ...         clinical__gender="drop", clinical__age="drop", clinical__alp="drop",
    ...         clinical__ldh="drop",
    ...     )
    ...     comparison = compare_explanations(
    ...         baseline, improved, cohort.data, cohort.target, cv=2, n_images=2
    ...     )
    >>> sorted(comparison.galleries)
    ['corrected', 'false_negatives', 'false_positives', 'right', 'worsened']
    """
    y, classes, labels = _check(X, y, boxes, n_images, names, display_labels)
    positive = 1 if pos_label is None else _position(pos_label, classes)
    target = classes.tolist()[positive] if target is None else target
    if np.ndim(target):
        raise ValueError(f"target={target!r:.200} must be one label, 'predicted' or None")
    code = target_codes(target, classes, 1)
    _check_models(baseline, improved)
    patients = patients_of(X, groups)
    random = check_random_state(random_state)
    check_method(method)
    fit = {"params": params, "n_jobs": n_jobs}
    fitted = [
        fit_out_of_fold(model, X, y, None, **fit) if isinstance(model, Mapping) else None
        for model in (baseline, improved)
    ]
    given = next((model for model in fitted if model is not None), None)
    # Only models of the same folds can be compared.
    folds = make_folds(cv, X, y, patients) if given is None else given.folds
    models = [
        done or fit_out_of_fold(model, X, y, folds, **fit)
        for done, model in zip(fitted, (baseline, improved), strict=True)
    ]
    if not np.array_equal(models[0].fold, models[1].fold):
        raise ValueError(
            "the two cross-validations held out other rows in their folds, so that their models "
            "have not learnt from the same rows; use the same cv for both"
        )
    samples = _sort_into_galleries(models, names, X, y, classes, positive)
    samples = samples.assign(patient=patients, label=labels[np.searchsorted(classes, y)])
    for name in names:
        predicted = labels[samples[f"{name}_predicted"].to_numpy()]
        is_known = samples[f"{name}_probability"].notna()
        samples[f"{name}_predicted"] = np.where(is_known, predicted, None)
    explain = {"target": target, "layer": layer, "method": method}
    galleries = {}
    for gallery in GALLERIES:
        rows = _choose(np.flatnonzero(samples[gallery]), y, patients, n_images, random)
        here = None if boxes is None else np.asarray(boxes, float)[rows]
        galleries[gallery] = _make_gallery(rows, models, names, X, samples, explain, here)
    leaking = max(model.count_leaking(patients) for model in models)
    explained = "the predicted class" if code is None else str(labels[code[0]])
    return ComparisonDisplay(samples, galleries, tuple(names), leaking, explained)


def _check(X, y, boxes, n_images, names, display_labels):
    """Check what does not need a model; return labels, classes and what to call them."""
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X is a {type(X).__name__}; it must be a pandas DataFrame")
    check_consistent_length(X, y, boxes)
    is_integer = isinstance(n_images, int | np.integer) and not isinstance(n_images, bool)
    if not is_integer or not 1 <= n_images <= MAX_IMAGES:
        raise ValueError(f"n_images={n_images!r} is not allowed; allowed: 1 to {MAX_IMAGES}")
    if not isinstance(names, tuple | list) or len(names) != 2 or str(names[0]) == str(names[1]):
        raise ValueError(f"names={names!r} must be two different names, one a model")
    y = column_or_1d(y)
    classes = np.unique(y)
    if boxes is not None and np.shape(boxes) != (len(X), 4):
        raise ValueError(f"boxes has shape {np.shape(boxes)}; it must be ({len(X)}, 4)")
    if len(classes) != 2:
        raise ValueError(
            f"y has the labels {classes.tolist()}; false negatives and false positives need two"
        )
    return y, classes, label_names(display_labels, classes)


def _position(pos_label, classes):
    codes = None if np.ndim(pos_label) else target_codes(pos_label, classes, 1, name="pos_label")
    if codes is None:
        raise ValueError(
            f"pos_label={pos_label!r:.200} is not one of the labels {classes.tolist()}"
        )
    return int(codes[0])


def _check_models(*models):
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


def _sort_into_galleries(models, names, X, y, classes, positive):
    """Predict all rows out of fold, and tell for each gallery which of them belong to it."""
    # The folds are those of both.
    samples = pd.DataFrame({"fold": models[0].fold}, index=X.index)
    is_held_out = models[0].fold >= 0
    is_right = []
    for name, model in zip(names, models, strict=True):
        unwrap_with_image(model.estimators[0])
        probabilities = model.predict_proba(X, classes)
        codes = np.nan_to_num(probabilities).argmax(axis=1)
        samples[f"{name}_probability"] = probabilities[:, positive]
        samples[f"{name}_predicted"] = codes
        is_right.append(classes[codes] == y)
    is_positive = y == classes[positive]
    first, second = is_right
    found = {
        "right": first & second,
        "false_negatives": ~first & is_positive,
        "false_positives": ~first & ~is_positive,
        "corrected": ~first & second,
        "worsened": first & ~second,
    }
    return samples.assign(**{name: found[name] & is_held_out for name in GALLERIES})


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


def _make_gallery(rows, models, names, X, samples, explain, boxes):
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
    captions = []
    for row, values in zip(rows, clinical, strict=True):
        sample = samples.iloc[row]
        said = [f"{shorten(name)} {sample[f'{name}_probability']:.2f}" for name in names]
        captions.append(wrap([f"true: {shorten(sample['label'])}", *said, *values], N_PICTURES))
    boxes = None if boxes is None else boxes_on_heatmaps(improved, part, boxes)
    return Gallery(rows, read_images(fitted, part), tuple(heatmaps), captions, boxes)
