"""Labels of images, and the classes that they make."""

import numpy as np
import pandas as pd

from .._utils.cells import is_number_text
from .._utils.validation import check_parameter, shown


def read_labels(labels, positive):
    """Return labels as they came, or 1 where their text holds `positive`, else 0."""
    if positive is not None:
        is_positive = [positive.casefold() in str(label).casefold() for label in labels]
        seen = sorted({str(label) for label in labels})
        check_parameter(
            "positive", positive, any(is_positive), f"a text in one of the labels {seen}"
        )
        return pd.Series(is_positive, index=labels.index).astype(np.int64)
    if pd.api.types.infer_dtype(labels) == "string":
        labels = labels.str.strip()
        if all(is_number_text(label) and np.isfinite(float(label)) for label in labels):
            labels = pd.to_numeric(labels)
    return labels


def refuse_conflicts(labels, patients, remedy):
    """Raise ValueError if the images of one patient have different labels."""
    counts = labels.groupby(patients).nunique()
    conflicts = counts.index[counts > 1]
    if len(conflicts):
        raise ValueError(
            f"images of one patient have different labels, for {shown(conflicts, 'patient')}; "
            f"correct the labels, or {remedy} if a label belongs to an image"
        )


def count_classes(labels, positive):
    """Return the number of images of each class, by name, in the order of the classes."""
    if positive is not None:
        return {f"not {positive}": int((labels == 0).sum()), positive: int((labels == 1).sum())}
    try:
        return {str(label): int((labels == label).sum()) for label in sorted(labels.unique())}
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        raise ValueError(f"labels mix the types {kinds}; give all of them as one type") from error
