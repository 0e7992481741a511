"""What a user may pass: parameters, tables and labels, checked before anything is trained."""

import difflib
import inspect
import numbers
import os

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d, validate_data


def _is_integer(value, minimum):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= minimum


def _is_milestones(value):
    return value is None or (
        isinstance(value, (tuple, list)) and all(_is_integer(v, 1) for v in value)
    )


_IMAGE_OPTIONS = {"contrast", "crop_box", "frame", "minimum_side", "percentiles"}

# Parameter: (test, the values allowed in words).
_PARAMETERS = {
    "image_column": (lambda v: v is None or isinstance(v, str), "a column name or None"),
    "hidden_units": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "frozen_epochs": (
        lambda v: (isinstance(v, str) and v == "all") or _is_integer(v, 0),
        "an integer of at least 0, or 'all'",
    ),
    "lr_milestones": (_is_milestones, "a tuple of epochs (integers of at least 1), or None"),
    "image_size": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "image_options": (
        lambda v: v is None or (isinstance(v, dict) and _IMAGE_OPTIONS.issuperset(v)),
        f"None or a dict of options of skosfusion.images.read_image, {sorted(_IMAGE_OPTIONS)}",
    ),
    "precision": (
        lambda v: isinstance(v, str) and v in ("auto", "fp32", "bf16"),
        "'auto', 'fp32' or 'bf16'",
    ),
    "memory": (lambda v: v is None or isinstance(v, (str, os.PathLike)), "a folder or None"),
    "class_weight": (
        lambda v: v is None or isinstance(v, dict) or (isinstance(v, str) and v == "balanced"),
        "'balanced', a dict of label to weight, or None",
    ),
    "callbacks": (
        lambda v: v is None or isinstance(v, list) or (isinstance(v, str) and v == "disable"),
        "a list of skorch callbacks, None or 'disable'",
    ),
    "max_epochs": (lambda v: _is_integer(v, 1), "an integer of at least 1"),
    "batch_size": (
        lambda v: _is_integer(v, 1) or v == -1,
        "an integer of at least 1, or -1 for all rows",
    ),
    "lr": (lambda v: isinstance(v, numbers.Real) and np.isfinite(v) and v > 0, "a number above 0"),
}


def check_parameters(estimator):
    """Check the estimator's parameters: the values of its own, the names of all.

    Parameters
    ----------
    estimator : FusionClassifier
        The estimator.

    Raises
    ------
    ValueError
        For a value out of range or an unknown name, with the values allowed or
        the nearest valid name.
    """
    for name, (is_allowed, allowed) in _PARAMETERS.items():
        value = getattr(estimator, name)
        if not is_allowed(value):
            raise ValueError(f"{name}={value!r} is not allowed; allowed: {allowed}")
    known = {
        parameter
        for parent in type(estimator).__mro__
        for parameter in inspect.signature(parent.__init__).parameters
    }
    for name in estimator.get_params(deep=False):
        if "__" not in name and name not in known:
            nearest = difflib.get_close_matches(name, sorted(known - {"self"}), n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(f"{type(estimator).__name__} has no parameter {name!r}{hint}")


def check_inputs(estimator, X, *, reset):
    """Split a table into image paths and clinical values, and check both.

    Parameters
    ----------
    estimator : FusionClassifier
        Its `image_column` names the images; its feature names are set or compared.
    X : DataFrame or array-like of shape (n_samples, n_features)
        The table. A DataFrame where there is an image column.
    reset : bool
        True in `fit`: remember the columns. False later: compare them.

    Returns
    -------
    clinical : ndarray of shape (n_samples, n_clinical)
        Clinical values, float32.
    paths : list of str or None
        Image files; None without an image column.

    Raises
    ------
    ValueError, TypeError
        For a table of the wrong kind, missing or unknown columns, text or
        non-finite values among the clinical ones, missing images.
    """
    column = estimator.image_column
    if column is None:
        if isinstance(X, pd.DataFrame) and X.shape[1] == 0:
            raise ValueError(
                "X has no columns: without an image column at least one clinical input is needed"
            )
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
    paths = _check_paths(X[column])
    if values.shape[1] == 0:
        return np.empty((len(paths), 0), np.float32), paths
    clinical = check_array(values, dtype=np.float32, estimator=estimator, input_name="X")
    return clinical, paths


def _refuse_text(values):
    for name in values.columns:
        if not pd.api.types.is_numeric_dtype(values[name]):
            first = values[name].iloc[0] if len(values) else None
            raise ValueError(
                f"column {name!r} of X holds {values[name].dtype} values such as {first!r}; "
                "clinical values must be numbers: put make_clinical_transformer() before the "
                "classifier, or declare the column as image_column"
            )


def _check_paths(column):
    missing = np.flatnonzero(column.isna())
    if len(missing):
        raise ValueError(
            f"column {column.name!r} has no image in {len(missing)} of {len(column)} rows, the "
            f"first is row {missing[0]}; leave these rows out"
        )
    paths = column.tolist()
    for row, path in enumerate(paths):
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                f"column {column.name!r} holds {path!r} ({type(path).__name__}) in row {row}; it "
                "must hold paths of image files"
            )
    return [os.fspath(path) for path in paths]


def check_labels(y, classes=None):
    """Turn labels of any kind into codes.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: strings, integers, booleans, categories, or floats of whole value.
    classes : array-like of shape (n_classes,) or None, default=None
        All labels that may occur; None takes those in `y`.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        Position of each label in `classes`, int64.
    classes : ndarray of shape (n_classes,)
        The labels, sorted.

    Raises
    ------
    ValueError
        For missing, continuous, mixed or unknown labels, and for a single class.
    """
    if y is None:
        raise ValueError(
            "This FusionClassifier estimator requires y to be passed, but the target y is None."
        )
    if isinstance(y, (list, tuple)) and not any(np.ndim(label) for label in y):
        # numpy would turn mixed labels into strings before they can be seen.
        y = np.array(y, dtype=object) if len({isinstance(label, str) for label in y}) > 1 else y
    y = column_or_1d(y, warn=True)
    missing = np.flatnonzero(pd.isna(y))
    if len(missing):
        raise ValueError(
            f"Input y contains NaN or None in {len(missing)} of {len(y)} rows, the first is row "
            f"{missing[0]}; leave rows without a label out"
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("Input y contains infinity; labels must be finite")
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
    if len(found) < 2:
        raise ValueError(
            f"y holds one class only, {found.tolist()[0]!r}; a classifier needs samples of two "
            "or more classes"
        )
    return codes.astype(np.int64), found
