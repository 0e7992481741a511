"""What parameters may be, checked before training: values out of range, and names there are not."""

import inspect
import numbers
import os

import numpy as np
import torch
from skorch.dataset import Dataset

from .._utils.cells import is_number
from .._utils.validation import check_parameter, did_you_mean, is_integer
from ..images import ReadOptions
from ..network import (
    ENGINES,
    FUSIONS,
    HEADS,
    FusionNetwork,
    check_backbone,
    check_head_dropout,
    check_pixel_scale,
)
from ._augmentation import check_augmentation, is_augmentation


def _is_milestones(value):
    return value is None or (
        isinstance(value, (tuple, list)) and all(is_integer(v, 1) for v in value)
    )


def _is_folder_name(value):
    name = os.fspath(value)
    return isinstance(name, str) and "\0" not in name and not name.startswith("~")


# The size is a parameter of its own.
_IMAGE_OPTIONS = set(ReadOptions._fields) - {"image_size"}


def _is_random_state(value):
    return value is None or is_integer(value, 0) or isinstance(value, np.random.RandomState)


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
    "dataset": (
        lambda v: v is Dataset,
        "skorch.dataset.Dataset, which is not used: the classifier makes datasets of its own",
    ),
    "use_caching": (
        lambda v: v is True or v == "auto",
        "True or 'auto': scores are those of the validation step",
    ),
    "predict_nonlinearity": (
        lambda v: v is None or v == "auto" or callable(v),
        "'auto' (softmax), a function of logits, or None where the network gives probabilities",
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
    "head": (lambda v: isinstance(v, str) and v in HEADS, f"one of {', '.join(map(repr, HEADS))}"),
    "fusion": (
        lambda v: isinstance(v, str) and v in FUSIONS,
        f"one of {', '.join(map(repr, FUSIONS))}",
    ),
    "feature_scaling": (
        lambda v: v is None or (isinstance(v, str) and v == "global"),
        "None or 'global'",
    ),
    "C": (
        lambda v: is_number(v) and v > 0,
        "a number above 0, the inverse of the strength of the penalty",
    ),
    "modality_dropout": (
        lambda v: is_number(v) and 0 <= v < 1,
        "a number from 0 to below 1, the share of samples in which a modality is hidden",
    ),
    "steps_per_epoch": (
        lambda v: v is None or is_integer(v, 1),
        "an integer of at least 1, or None for each sample once an epoch",
    ),
    "hidden_units": (lambda v: is_integer(v, 1), "an integer of at least 1"),
    "unfreeze": (
        lambda v: v is None or (isinstance(v, str) and v != ""),
        "None, or the name of a stage of the encoder, such as 'layer4'",
    ),
    "frozen_epochs": (
        lambda v: (isinstance(v, str) and v == "all") or is_integer(v, 0),
        "an integer of at least 0, or 'all'",
    ),
    "augmentation": (
        is_augmentation,
        "None, or a transform of one image: of torchvision, such as v2.RandomHorizontalFlip(), of "
        "albumentations, or a function of a uint8 tensor (channels, height, width) that returns "
        "one; not its class",
    ),
    "lr_milestones": (_is_milestones, "a tuple of epochs (integers of at least 1), or None"),
    "image_size": (
        lambda v: v is None or is_integer(v, 1),
        "an integer of at least 1, or None for the size that the weights were trained with",
    ),
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
    "engine": (
        lambda v: isinstance(v, str) and v in ("auto", *ENGINES),
        f"one of {', '.join(map(repr, ('auto', *ENGINES)))}",
    ),
    "memory": (
        lambda v: v is None or (isinstance(v, (str, os.PathLike)) and _is_folder_name(v)),
        "None, or a folder, written in full: '~' is left to os.path.expanduser",
    ),
    "weights": (
        lambda v: v is None or isinstance(v, (str, os.PathLike)),
        "a name of weights such as 'DEFAULT', the path of a file, or None for random weights; "
        "tensors are saved to a file first, by torch.save(state_dict, path)",
    ),
    "class_weight": (
        lambda v: v is None or isinstance(v, dict) or (isinstance(v, str) and v == "balanced"),
        "'balanced', a dict of label to weight, or None",
    ),
    "callbacks": (
        lambda v: v is None or isinstance(v, list) or (isinstance(v, str) and v == "disable"),
        "a list of skorch callbacks, None or 'disable'",
    ),
    "max_epochs": (lambda v: is_integer(v, 1), "an integer of at least 1"),
    "batch_size": (
        lambda v: is_integer(v, 1) or v == -1,
        "an integer of at least 1, or -1 for all rows",
    ),
    "lr": (lambda v: isinstance(v, numbers.Real) and np.isfinite(v) and v > 0, "a number above 0"),
}


def check_some_parameters(estimator):
    """Refuse values out of range, with those allowed, of the parameters that an estimator has."""
    parameters = estimator.get_params(deep=False)
    for name, (is_allowed, allowed) in _PARAMETERS.items():
        if name in parameters:
            value = parameters[name]
            check_parameter(name, value, is_allowed(value), allowed)
    check_pixel_scale(estimator.pixel_mean, estimator.pixel_std)
    # A network class of the user's may bring an encoder of its own.
    is_needed = getattr(estimator, "module", FusionNetwork) is FusionNetwork
    if is_needed or estimator.backbone is not None:
        check_backbone(estimator.backbone)


def check_parameters(estimator):
    """Refuse values out of range, with those allowed, and unknown names, with the nearest."""
    check_some_parameters(estimator)
    _check_unfreeze(estimator)
    check_head_dropout(estimator.head_dropout)
    check_augmentation(estimator)
    known = {
        parameter
        for parent in type(estimator).__mro__
        for parameter in inspect.signature(parent.__init__).parameters
    }
    for name in estimator.get_params(deep=False):
        if "__" not in name and name not in known:
            hint = did_you_mean(name, sorted(known - {"self"}))
            raise ValueError(
                f"{type(estimator).__name__} has no parameter {name!r}; {hint}".rstrip("; ")
            )


def _check_unfreeze(estimator):
    """Refuse a stage to train beside what leaves nothing to train, or no image to train it on."""
    stage = estimator.unfreeze
    if stage is None:
        return
    if estimator.image_column is None:
        raise ValueError(
            f"unfreeze={stage!r} needs an encoder, and image_column is None; name the column of "
            "images, or leave unfreeze=None"
        )
    if estimator.frozen_epochs == "all":
        raise ValueError(
            f"unfreeze={stage!r} and frozen_epochs='all' exclude each other: the stage would never "
            "train; give frozen_epochs a number of epochs, or leave unfreeze=None"
        )
