"""What is known of each sample beside its inputs: label, weight and patient, checked before use."""

import warnings

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d
from torch.utils.data import Subset

from ..exceptions import LeakageWarning


def check_sample_weight(sample_weight, clinical):
    """Check the weights of samples.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        The weights.
    clinical : ndarray of shape (n_samples, n_clinical)
        The samples.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        The weights in proportion to the largest, float32, in [0, 1]; None for None.

    Raises
    ------
    ValueError
        For weights that are negative, not finite, all zero, or of another shape.
    """
    if sample_weight is None:
        return None
    weights = _check_sample_weight(
        sample_weight, clinical, dtype=np.float64, ensure_non_negative=True
    )
    return (weights / weights.max()).astype(np.float32)


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
    """Leave out classes whose samples all have weight 0, as if these were not there.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,)
        Position of each label in `classes`.
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    sample_weight : ndarray of shape (n_samples,)
        The weights.

    Returns
    -------
    codes : ndarray of shape (n_samples,)
        Positions in the classes that are left; any one where the weight is 0.
    classes : ndarray of shape (n_classes_left,)
        The labels that are left.

    Raises
    ------
    ValueError
        If one class is left only.
    """
    used = np.unique(codes[sample_weight > 0])
    _refuse_one_class(classes[used])
    return np.searchsorted(used[:-1], codes), classes[used]


def check_groups(groups):
    """Check the patients of samples.

    Parameters
    ----------
    groups : array-like of shape (n_samples,) or None
        The patients.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        The patients.

    Raises
    ------
    ValueError
        If a sample has none.
    """
    if groups is None:
        return None
    groups = column_or_1d(groups)
    missing = np.flatnonzero(pd.isna(groups))
    if len(missing):
        raise ValueError(
            f"groups has no patient in {len(missing)} of {len(groups)} rows, the first is row "
            f"{missing[0]}; name the patient, or leave these rows out"
        )
    return groups


def check_inner_split(train, valid, dataset):
    """Refuse an inner split with a patient on both sides, or a class that is not trained.

    Parameters
    ----------
    train : Dataset
        Samples to train on.
    valid : Dataset or None
        Samples to validate on. Other data than the user's cannot be checked.
    dataset : FusionDataset
        All samples.

    Raises
    ------
    ValueError
        With the patients, or the class and what to do.

    Warns
    -----
    LeakageWarning
        If there are images and nobody said of which patients.
    """
    train_rows, valid_rows = _rows_in(dataset, train), _rows_in(dataset, valid)
    if train_rows is None or valid_rows is None:
        return
    lost = np.setdiff1d(dataset.codes[valid_rows], dataset.codes[train_rows])
    if len(lost):
        raise ValueError(
            f"the inner validation split (train_split) leaves no sample of class number {lost[0]} "
            "to train on; use more samples, or a smaller or stratified validation part"
        )
    if dataset.groups is not None:
        shared = np.intersect1d(dataset.groups[train_rows], dataset.groups[valid_rows])
        if len(shared):
            raise ValueError(
                f"{len(shared)} patients stand on both sides of the inner validation split "
                f"(train_split), such as {', '.join(map(repr, shared[:3].tolist()))}; use a "
                "number, a share or a splitter that keeps groups together, such as "
                "ValidSplit(StratifiedGroupKFold(5)), or pass no groups"
            )
    elif dataset.paths is not None:
        warnings.warn(
            "the inner validation split (train_split) does not know the patients: images of one "
            "patient may stand on both sides, and its scores leak. Pass groups to fit",
            LeakageWarning,
            stacklevel=2,
        )


def _rows_in(dataset, part):
    """Find the rows of a part, or None if it is not a part of the data set."""
    if part is dataset:
        return np.arange(len(dataset))
    if not isinstance(part, Subset):
        return None
    rows = _rows_in(dataset, part.dataset)
    return None if rows is None else rows[np.asarray(part.indices, dtype=np.intp)]
