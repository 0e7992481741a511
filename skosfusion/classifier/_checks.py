"""What a user may pass: parameters and tables, checked before anything is trained."""

import difflib
import inspect
import numbers
import os

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_array, validate_data


def _is_integer(value, minimum):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= minimum


def _is_milestones(value):
    return value is None or (
        isinstance(value, (tuple, list)) and all(_is_integer(v, 1) for v in value)
    )


_IMAGE_OPTIONS = {"contrast", "crop_box", "frame", "minimum_side", "percentiles"}


def _is_random_state(value):
    return value is None or _is_integer(value, 0) or isinstance(value, np.random.RandomState)


# Parameter: (test, the values allowed in words).
_PARAMETERS = {
    "module": (
        lambda v: callable(v) and not isinstance(v, torch.nn.Module),
        "a torch.nn.Module class, not an instance, which would carry weights from fit to fit",
    ),
    "criterion": (
        lambda v: callable(v) and v is not torch.nn.NLLLoss,
        "a loss of logits, such as torch.nn.CrossEntropyLoss (the network gives no log "
        "probabilities, which NLLLoss takes)",
    ),
    "classes": (
        lambda v: v is None,
        "None: labels are found in y, or given to partial_fit(..., classes=...)",
    ),
    "optimizer": (callable, "a class of torch, such as torch.optim.SGD"),
    "train_split": (
        lambda v: v is None or v is False or callable(v),
        "None, or a split such as skorch.dataset.ValidSplit(5)",
    ),
    "random_state": (
        _is_random_state,
        "None, an integer of at least 0, or a numpy.random.RandomState",
    ),
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
    "missing_images": (
        lambda v: isinstance(v, str) and v in ("error", "zero"),
        "'error' or 'zero'",
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
    paths : list of (str or None) or None
        Image files, None in rows without one; None without an image column.

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
        if isinstance(X, pd.DataFrame):
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
    paths = _check_paths(X[column], keep_missing=estimator.missing_images == "zero")
    if reset and not any(paths):
        raise ValueError(
            f"column {column!r} has no image in any of {len(X)} rows; give images, or use "
            "image_column=None for clinical values alone"
        )
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


def _check_paths(column, *, keep_missing):
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
