"""What a user may pass to `fit`, checked before training: tables, labels, weights, patients."""

import os

import numpy as np
import pandas as pd
import torch
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    column_or_1d,
    validate_data,
)

from .._utils.groups import complete_column
from .._utils.validation import did_you_mean
from ..network import inputs_of_columns


def refuse_unknown_arguments(unknown):
    """Raise TypeError for arguments of `fit` that there are not."""
    for name in unknown:
        hint = did_you_mean(name, ("sample_weight", "groups"))
        raise TypeError(f"fit has no argument {name!r}; {hint}".rstrip("; "))


def check_inputs(estimator, X, *, column, keep_missing, reset):
    """Split a table into clinical values (float32) and image paths, and check both.

    `column` names the images. With `keep_missing`, rows without an image have the path None.
    With `reset`, the estimator remembers the columns; without, they are compared.
    """
    if isinstance(X, pd.DataFrame) and X.columns.nlevels > 1:
        raise TypeError(
            f"X has columns of {X.columns.nlevels} levels, such as {X.columns[0]!r}; give them one "
            "name each: X.columns = ['_'.join(map(str, name)) for name in X.columns]"
        )
    if column is None:
        if isinstance(X, pd.DataFrame) and X.shape[1] == 0:
            raise ValueError(
                "X has no columns: without an image column at least one clinical input is needed"
            )
        if isinstance(X, pd.DataFrame):
            _refuse_text(X)
            _refuse_not_finite(X)
        return validate_data(estimator, X, reset=reset, dtype=np.float32), None
    if not isinstance(X, pd.DataFrame):
        raise TypeError(
            f"X is a {type(X).__name__}; with image_column={column!r} it must be a pandas "
            "DataFrame. A ColumnTransformer gives one after set_output(transform='pandas')"
        )
    if column not in X.columns:
        raise ValueError(
            f"X has no column {column!r} (image_column); its columns are "
            f"{', '.join(map(repr, X.columns))}"
        )
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if len(X) == 0:
        raise ValueError(
            f"Found a table with 0 samples (shape={X.shape}); X needs at least one row"
        )
    values = X.drop(columns=column)
    _refuse_text(values)
    _refuse_not_finite(values)
    paths = check_paths(X[column], keep_missing=keep_missing)
    if reset and not any(paths):
        raise ValueError(
            f"column {column!r} has no image in any of {len(X)} rows; give images, or use "
            "image_column=None for clinical values alone"
        )
    if values.shape[1] == 0:
        return np.empty((len(paths), 0), np.float32), paths
    clinical = check_array(values, dtype=np.float32, estimator=estimator, input_name="X")
    return clinical, paths


def check_indicators(names, clinical):
    """Refuse a value whose name is that of an indicator, which gated fusion would take it for."""
    _, is_indicator = inputs_of_columns(names)
    for name, column, is_one in zip(names, clinical.T, is_indicator, strict=True):
        if is_one and len(np.unique(column)) > 2:
            raise ValueError(
                f"fusion='gated' takes column {name!r} for what says that "
                f"{name.removesuffix('_missing')!r} is missing, and it has more than two values; "
                "give it another name"
            )


def refuse_images_of_no_weight(paths, sample_weight):
    """Refuse images in rows of weight 0 alone, from which nothing would be learned."""
    if paths is None or sample_weight is None:
        return
    if not any(path for path, weight in zip(paths, sample_weight, strict=True) if weight > 0):
        raise ValueError(
            "there is no image in any row whose sample_weight is above 0; give images to rows that "
            "count, or use image_column=None for clinical values alone"
        )


def _refuse_text(values):
    for name in values.columns:
        if not pd.api.types.is_numeric_dtype(values[name]):
            first = values[name].iloc[0] if len(values) else None
            raise ValueError(
                f"column {name!r} of X holds {values[name].dtype} values such as {first!r}; "
                "clinical values must be numbers: put make_clinical_transformer() before the "
                "classifier, or declare the column as image_column"
            )


def _refuse_not_finite(values):
    """Name column and row, which scikit-learn does not."""
    for position, name in enumerate(values.columns):
        column = values.iloc[:, position]
        if not pd.api.types.is_any_real_numeric_dtype(column.dtype):
            continue
        cells = column.to_numpy(dtype=np.float64, na_value=np.nan)
        rows = np.flatnonzero(~np.isfinite(cells))
        if len(rows):
            kind = "NaN" if np.isnan(cells[rows[0]]) else "infinity"
            raise ValueError(
                f"Input X contains {kind} in column {name!r}, row {rows[0]} ({len(rows)} rows in "
                "all); give finite numbers, or put make_clinical_transformer() before the "
                "classifier, which fills missing values in"
            )


def check_paths(column, *, keep_missing):
    """Return the image paths of a column; None for a row without one, where that is allowed."""
    is_missing = column.isna().to_numpy()
    if is_missing.any() and not keep_missing:
        raise ValueError(
            f"column {column.name!r} has no image in {is_missing.sum()} of {len(column)} rows, the "
            f"first is row {is_missing.argmax()}; leave these rows out, or declare them with "
            "missing_images='zero'"
        )
    paths = []
    for row, (path, missing) in enumerate(zip(column.tolist(), is_missing, strict=True)):
        path = os.fspath(path) if isinstance(path, os.PathLike) else path
        if not missing and not isinstance(path, str):
            raise TypeError(
                f"column {column.name!r} holds {path!r} ({type(path).__name__}) in row {row}; it "
                "must hold paths of image files"
            )
        paths.append(None if missing else path)
    return paths


def check_sample_weight(sample_weight, clinical):
    """Return weights in proportion to the largest, float32, in [0, 1], and that; None for None."""
    if sample_weight is None:
        return None, 1.0
    weights = _check_sample_weight(
        sample_weight, clinical, dtype=np.float64, ensure_non_negative=True
    )
    return (weights / weights.max()).astype(np.float32), float(weights.max())


def check_labels(y, classes=None):
    """Return codes of labels of any kind (int64), and the labels sorted.

    `classes` are all labels that may occur; None takes those in `y`.
    """
    if y is None:
        raise ValueError(
            "This FusionClassifier estimator requires y to be passed, but the target y is None."
        )
    if isinstance(y, (list, tuple)) and not any(np.ndim(label) for label in y):
        # numpy would turn mixed labels into strings before they can be seen.
        y = np.array(y, dtype=object) if len({isinstance(label, str) for label in y}) > 1 else y
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        y = y.iloc[:, 0]
    if getattr(getattr(y, "dtype", None), "names", None):
        raise TypeError(
            f"y has the fields {', '.join(y.dtype.names)}, and a label is one value; give one "
            f"field, such as y[{y.dtype.names[0]!r}] (times to an event are not classes)"
        )
    if hasattr(getattr(y, "dtype", None), "numpy_dtype"):
        # Nullable labels would come back as floats.
        y = pd.Series(y)
        y = y.astype(object if y.isna().any() else y.dtype.numpy_dtype)
    y = column_or_1d(y, warn=True)
    missing = np.flatnonzero(pd.isna(y))
    if len(missing):
        raise ValueError(
            f"Input y contains NaN or None in {len(missing)} of {len(y)} rows, the first is row "
            f"{missing[0]}; leave rows without a label out"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(
            "Input y contains infinity or a value too large for dtype('float64'); labels must be "
            "finite"
        )
    if y.dtype == object and len({isinstance(label, str) for label in y}) > 1:
        raise ValueError(
            "y mixes strings with other labels, such as "
            f"{next(v for v in y if isinstance(v, str))!r} and "
            f"{next(v for v in y if not isinstance(v, str))!r}; use one kind of label"
        )
    check_classification_targets(y)
    found, codes = np.unique(y, return_inverse=True)
    if classes is not None:
        classes = np.unique(classes)
        unknown = found[~np.isin(found, classes)]
        if len(unknown):
            raise ValueError(
                f"y holds {unknown.tolist()[0]!r}, which is not among the classes {classes}"
            )
        codes = np.searchsorted(classes, found)[codes]
        found = classes
    _refuse_one_class(found)
    return codes.astype(np.int64), found


def _refuse_one_class(classes):
    if len(classes) < 2:
        raise ValueError(
            f"y holds one class only, {classes.tolist()[0]!r}; a classifier needs samples of two "
            "or more classes"
        )


def classes_in_use(codes, classes, sample_weight):
    """Leave out classes whose samples all have weight 0, as if these were not there."""
    used = np.unique(codes[sample_weight > 0])
    _refuse_one_class(classes[used])
    return np.searchsorted(used[:-1], codes), classes[used]


def check_groups(groups):
    """Return the patient of each sample; a sample without one is an error."""
    return None if groups is None else complete_column(groups, "patient")


def weigh_classes(class_weight, codes, classes, sample_weight):
    """Return the weight of each class in the loss, None where all count alike."""
    if class_weight is None:
        return None
    weights = compute_class_weight(
        class_weight, classes=classes, y=classes[codes], sample_weight=sample_weight
    )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"class_weight={class_weight!r} gives the weights {weights.tolist()}; they must be "
            "finite, 0 or more, and not all zero"
        )
    return torch.as_tensor(weights, dtype=torch.float32)
