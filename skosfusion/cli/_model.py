"""From the options to the parameters of the classifier."""

import torch

from .._utils.validation import did_you_mean
from ..network import backbone_names, choose_encoder
from ._errors import UsageError


def model_of(options, output):
    """Find the encoder, and return it with the classifier's parameters."""
    try:
        chosen = choose_encoder(options.backbone, options.weights, tell=output.say)
    except ValueError as error:
        raise UsageError(
            f"--backbone {options.backbone}, --weights {options.weights}: {error}"
        ) from error
    name = chosen.backbone
    if isinstance(name, str) and not name.startswith("timm:") and name not in backbone_names():
        hint = did_you_mean(name, backbone_names())
        raise UsageError(
            f"--backbone {name} is not a classification model of torchvision{hint and '; '}{hint}; "
            "timm:NAME is one of timm"
        )
    return chosen, {
        "optimizer": {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[options.optimizer],
        "backbone": chosen.backbone,
        "weights": chosen.weights,
        "image_size": options.image_size,
        "max_epochs": options.epochs,
        "batch_size": options.batch_size,
        "frozen_epochs": options.frozen_epochs,
        "precision": options.precision,
        "engine": options.engine,
        "device": options.device,
        "random_state": options.seed,
        "image_options": None if options.frame is None else {"frame": options.frame},
    }
