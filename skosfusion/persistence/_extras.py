"""What rides along in the file of a model: a summary of the training set, and a recalibration."""

import numpy as np
import torch

from ..evaluation import Recalibration
from ..inspection import TrainingSummary

_SUMMARY = "summary."


def describe_extras(classifier, summary, recalibration):
    """Return entries of the description and tensors by name; refuse what is of another model."""
    description = {}
    for name, value, kind in (
        ("summary", summary, TrainingSummary),
        ("recalibration", recalibration, Recalibration),
    ):
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"{name} is a {type(value).__name__}; allowed: a {kind.__name__}, or None"
            )
    if recalibration is not None:
        if len(classifier.classes_) != 2:
            raise ValueError(
                f"recalibration={recalibration!r} is of two classes, and the model has "
                f"{len(classifier.classes_)}; leave it out"
            )
        description["recalibration"] = vars(recalibration)
    if summary is None:
        return description, {}
    has_images = classifier.fitted_params_["image_column"] is not None
    if (summary.description["image"] is not None) != has_images:
        raise ValueError(
            f"the summary is of a model {'without' if has_images else 'with'} images, and this "
            "one is not; give that of summarize_training(estimator, X)"
        )
    description["summary"] = summary.description
    arrays = summary.arrays.items()
    return description, {_SUMMARY + name: torch.tensor(np.array(a)) for name, a in arrays}


def take_extras(tensors):
    """Take the arrays of a summary out of the tensors of a file."""
    names = [name for name in tensors if name.startswith(_SUMMARY)]
    taken = {name: tensors.pop(name) for name in names}
    return {
        # numpy has no bfloat16; what is not float32 is refused by its type.
        name.removeprefix(_SUMMARY): tensor.numpy() if tensor.dtype == torch.float32 else tensor
        for name, tensor in taken.items()
    }
