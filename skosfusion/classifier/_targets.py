"""What is known of each sample beside its inputs: label, weight and patient, checked before use."""

import numpy as np
import pandas as pd
import torch
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, column_or_1d


def check_sample_weight(sample_weight, clinical):
    """Return weights in proportion to the largest, float32, in [0, 1]; None for None."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(
        sample_weight, clinical, dtype=np.float64, ensure_non_negative=True
    )
    return (weights / weights.max()).astype(np.float32)


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
