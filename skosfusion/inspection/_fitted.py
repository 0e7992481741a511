"""What is explained: a fitted classifier, alone or at the end of a pipeline, and a class of it."""

from typing import NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..classifier import FusionClassifier


class FittedFusion(NamedTuple):
    """A fitted classifier, and the steps before it, if there are any."""

    classifier: FusionClassifier
    steps: Pipeline | None

    def transform(self, X):
        """Turn a user's table into the one that the classifier reads."""
        return X if self.steps is None else self.steps.transform(X)

    @property
    def clinical_names(self):
        """Names of the clinical columns that the classifier reads, in order."""
        classifier = self.classifier
        names = getattr(classifier, "feature_names_in_", None)
        if names is None:
            return [f"x{i}" for i in range(classifier.n_features_in_)]
        return [name for name in names if name != classifier.image_column]

    def input_columns(self):
        """Map each clinical input in use to the transformer and the columns that make it.

        Returns
        -------
        dict of str to tuple of (transformer, list of str) or None
            None where no ColumnTransformer before the classifier tells.
        """
        first = None if self.steps is None else self.steps[0]
        if not isinstance(first, ColumnTransformer):
            return None
        inputs = {}
        for name, transformer, columns in first.transformers_:
            columns = [columns] if isinstance(columns, str) else columns
            is_named = isinstance(columns, list) and all(isinstance(c, str) for c in columns)
            is_used = not (isinstance(transformer, str) and transformer == "drop")
            if is_used and is_named and self.classifier.image_column not in columns:
                inputs[name] = transformer, columns
        return inputs


def unwrap(estimator):
    """Find the fitted classifier in what a user passes.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        Fitted; a Pipeline ends in a FusionClassifier.

    Returns
    -------
    FittedFusion
        The classifier, and the steps before it.

    Raises
    ------
    TypeError
        For another kind of estimator.
    NotFittedError
        If it is not fitted.
    """
    inner = estimator
    while isinstance(inner, FrozenEstimator):
        inner = inner.estimator
    steps = None
    if isinstance(inner, Pipeline) and inner.steps:
        steps = inner[:-1] if len(inner.steps) > 1 else None
        inner = inner.steps[-1][1]
    while isinstance(inner, FrozenEstimator):
        inner = inner.estimator
    if not isinstance(inner, FusionClassifier):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; allowed: a fitted FusionClassifier, or a "
            "Pipeline that ends in one. Of a search pass search.best_estimator_, of a "
            "cross-validation one of its estimators"
        )
    check_is_fitted(inner)
    return FittedFusion(inner, steps)


def unwrap_with_image(estimator):
    """Find the fitted classifier, and refuse one that reads no image.

    Parameters
    ----------
    estimator : FusionClassifier or Pipeline
        As in `unwrap`.

    Returns
    -------
    FittedFusion
        The classifier, and the steps before it.

    Raises
    ------
    TypeError, NotFittedError
        As `unwrap` does.
    ValueError
        If the model has no image branch.
    """
    fitted = unwrap(estimator)
    if fitted.classifier.image_column is None:
        raise ValueError(
            "the model has no image branch (image_column=None), so there is no heatmap of it; "
            "clinical_gradients explains clinical inputs"
        )
    return fitted


def target_codes(target, classes, n_samples):
    """Turn the parameter `target` into a position among the classes for each row.

    Parameters
    ----------
    target : label, "predicted" or array-like of shape (n_samples,)
        The class to explain.
    classes : ndarray of shape (n_classes,)
        The labels.
    n_samples : int
        Number of rows.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        Positions, int64; None for the predicted class.

    Raises
    ------
    ValueError
        For an unknown label, or another number of labels than rows.
    """
    codes = {label: code for code, label in enumerate(classes.tolist())}
    if isinstance(target, str) and target == "predicted" and target not in codes:
        return None
    labels = np.asarray(target, dtype=object) if np.ndim(target) else None
    if labels is None:
        return np.full(n_samples, _code(target, codes, ""), np.int64)
    if labels.shape != (n_samples,):
        raise ValueError(
            f"target has shape {labels.shape} and X has {n_samples} rows; allowed: one label, "
            "'predicted', or one label a row"
        )
    return np.array(
        [_code(label, codes, f" in row {row}") for row, label in enumerate(labels)], np.int64
    )


def label_names(display_labels, classes):
    """Check what to call the classes.

    Parameters
    ----------
    display_labels : list of str or None
        Names in the order of `classes`; None takes these.
    classes : ndarray of shape (n_classes,)
        The labels.

    Returns
    -------
    ndarray of shape (n_classes,), dtype object
        The names.

    Raises
    ------
    ValueError
        If it is no list of as many names.
    """
    if display_labels is None:
        return classes.astype(object)
    names = np.asarray(display_labels, dtype=object)
    if names.shape != classes.shape:
        raise ValueError(
            f"display_labels={display_labels!r} must be a list of {len(classes)} names, one for "
            f"each class, in this order: {', '.join(map(repr, classes.tolist()))}"
        )
    return names


def _code(label, codes, where):
    label = label.item() if isinstance(label, np.ndarray) and label.ndim == 0 else label
    try:
        return codes[label]
    except (KeyError, TypeError):
        raise ValueError(
            f"target={label!r}{where} is not a class of the model; its classes are "
            f"{', '.join(map(repr, codes))}. 'predicted' explains the class with the highest "
            "probability"
        ) from None
