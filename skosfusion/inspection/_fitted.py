"""What is explained: a fitted classifier, alone or at the end of a pipeline, and a class of it."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ..classifier import FusionClassifier
from ._encoded import is_encoded, slope_of_encoding


class FusionModel(NamedTuple):
    """A classifier, fitted or not, and the steps before it, if there are any."""

    classifier: FusionClassifier
    steps: Pipeline | None

    def transform(self, X):
        """Turn a user's table into the one that the classifier reads."""
        return X if self.steps is None else self.steps.transform(X)

    @property
    def image_column(self):
        """Name of the column with the image paths, None without images."""
        return self.classifier.fitted_params_["image_column"]

    @property
    def image_size(self):
        """Height and width of the images that the network sees."""
        return self.classifier.image_size_

    @property
    def image_options(self):
        """How images are read, beside their size."""
        return self.classifier.fitted_params_["image_options"] or {}

    @property
    def clinical_names(self):
        """Names of the clinical columns that the classifier reads, in order."""
        names = getattr(self.classifier, "feature_names_in_", None)
        if names is None:
            return [f"x{i}" for i in range(self.classifier.n_features_in_)]
        return [name for name in names if name != self.image_column]

    def clinical_inputs(self, X):
        """List each clinical input: its name, its columns, and their slope over its value.

        An input that is encoded after it has been normalized and filled in has several columns, and
        a slope of shape (n_samples, n_columns); each other column is an input, its slope 1.
        """
        names = self.clinical_names
        place = {name: number for number, name in enumerate(names)}
        encoded = {}
        first = self._columns_step() if self.steps is not None and len(self.steps) == 1 else None
        outputs = [] if first is None else list(first.get_feature_names_out())
        for name, transformer, columns in () if first is None else first.transformers_:
            made = outputs[first.output_indices_[name]]
            if all(column in place for column in made) and is_encoded(transformer):
                used = X[_named(columns, first.feature_names_in_)]
                encoded[made[0]] = name, made, slope_of_encoding(transformer, used)
        inputs, taken = [], {column for _, made, _ in encoded.values() for column in made}
        for column in names:
            if column in encoded:
                name, made, slope = encoded[column]
                inputs.append((name, [place[one] for one in made], slope))
            elif column not in taken:
                inputs.append((column, [place[column]], 1.0))
        return inputs

    def image_sources(self, X, table):
        """List the columns of X that hold the images of the table made of it."""
        wanted = _text(table[self.image_column])
        found = [name for name in X.columns if wanted.any() and _text(X[name]).equals(wanted)]
        return found or self._image_inputs() or [self.image_column]

    def _image_inputs(self):
        """List what the step reads that puts out the image column."""
        first = self._columns_step()
        if first is None:
            return []
        outputs = list(first.get_feature_names_out())
        if self.image_column not in outputs:
            return []
        place = outputs.index(self.image_column)
        for name, _, columns in first.transformers_:
            made = range(len(outputs))[first.output_indices_[name]]
            if place in made:
                used = _named(columns, first.feature_names_in_)
                return [used[place - made.start]] if len(used) == len(made) else used
        return []

    def _columns_step(self):
        first = None if self.steps is None else self.steps[0]
        is_one = isinstance(first, ColumnTransformer) and hasattr(first, "feature_names_in_")
        return first if is_one else None

    def input_columns(self, X, table):
        """Map each clinical input in use to its transformer and columns, None if not known."""
        if self._columns_step() is None:
            return None
        return self.inputs_beside([] if self.image_column is None else self.image_sources(X, table))

    def inputs_beside(self, images):
        """Map each clinical input in use to its transformer and columns, images left out."""
        first = self._columns_step()
        if first is None:
            return None
        inputs = {}
        for name, transformer, columns in first.transformers_:
            if isinstance(transformer, str) and transformer == "drop":
                continue
            names = _named(columns, first.feature_names_in_)
            used = [column for column in names if column not in images]
            if used:
                inputs[name] = transformer, used
        return inputs


def _text(column):
    """Return the cells of a column as text, missing ones as empty text."""
    return (
        column.astype(object).where(column.notna(), "").map(str).reset_index(drop=True).rename(None)
    )


def _named(columns, names):
    """Turn columns as a ColumnTransformer takes them into names."""
    table = pd.Series(range(len(names)), index=names)
    if isinstance(columns, str):
        return [columns]
    if isinstance(columns, slice):
        by_name = isinstance(columns.start, str) or isinstance(columns.stop, str)
        return (table.loc if by_name else table.iloc)[columns].index.tolist()
    columns = list(columns)
    if all(isinstance(column, str) for column in columns):
        return columns
    return np.asarray(names)[columns].tolist() if columns else []


def is_made_by(transformer, *kinds):
    """Return whether an input's transformer, or a step of it, is one of these classes."""
    steps = [step for _, step in getattr(transformer, "steps", [(None, transformer)])]
    return any(isinstance(step, kinds) for step in steps)


def unwrap(estimator):
    """Find the fitted classifier in what a user passes; NotFittedError where it is not fitted."""
    fusion = find_classifier(estimator)
    check_is_fitted(fusion.classifier)
    return fusion


def find_classifier(estimator):
    """Find the classifier in what a user passes, fitted or not; TypeError where there is none."""
    inner, steps = _thawed(estimator), None
    if isinstance(inner, Pipeline) and inner.steps:
        steps = inner[:-1] if len(inner.steps) > 1 else None
        inner = _thawed(inner.steps[-1][1])
    if not isinstance(inner, FusionClassifier):
        raise TypeError(
            f"estimator is a {type(estimator).__name__}; allowed: a fitted FusionClassifier, or a "
            "Pipeline that ends in one. For a search, pass search.best_estimator_; for a "
            "cross-validation, pass one of its estimators"
        )
    return FusionModel(inner, steps)


def _thawed(estimator):
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def unwrap_with_image(estimator):
    """Find the fitted classifier, and refuse one that reads no image."""
    fitted = unwrap(estimator)
    if fitted.image_column is None:
        raise ValueError(
            "the model has no image branch (image_column=None), so there is no heatmap of it; "
            "clinical_gradients explains clinical inputs"
        )
    return fitted


def target_codes(target, classes, n_samples, *, name="target"):
    """Turn `target` into a position among the classes for each row; None for the predicted one."""
    codes = {label: code for code, label in enumerate(classes.tolist())}
    if target is None or (isinstance(target, str) and target == "predicted" not in codes):
        return None
    labels = np.asarray(target, dtype=object) if np.ndim(target) else None
    if labels is None:
        return np.full(n_samples, _code(target, codes, name), np.int64)
    if labels.shape != (n_samples,):
        raise ValueError(
            f"{name} has shape {labels.shape} and X has {n_samples} rows; allowed: one label, "
            "'predicted', or one label a row"
        )
    return np.array(
        [_code(label, codes, name, f" in row {row}") for row, label in enumerate(labels)], np.int64
    )


def label_names(display_labels, classes):
    """Return what to call the classes: `display_labels`, in their order, or themselves."""
    if display_labels is None:
        return classes.astype(object)
    names = np.asarray(display_labels, dtype=object)
    if names.shape != classes.shape:
        raise ValueError(
            f"display_labels={display_labels!r} must be a list of {len(classes)} names, one for "
            f"each class, in this order: {', '.join(map(repr, classes.tolist()))}"
        )
    return names


def _code(label, codes, name, where=""):
    label = label.item() if isinstance(label, np.ndarray) and label.ndim == 0 else label
    try:
        return codes[label]
    except (KeyError, TypeError):
        raise ValueError(
            f"{name}={label!r:.200}{where} is not a class of the model; its classes are "
            f"{', '.join(map(repr, codes))}. 'predicted' explains the class with the highest "
            "probability"
        ) from None
