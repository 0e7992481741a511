"""The classifier as it is measured: on the CPU, silent, with fixed seeds."""

import torch

from skosfusion import FusionClassifier
from skosfusion.classifier import shared_feature_cache
from skosfusion.images import shared_image_store


def make_classifier(**params):
    """Make a classifier."""
    defaults = {"image_column": "image", "weights": None, "lr_milestones": None}
    defaults |= {"device": "cpu", "random_state": 0, "verbose": 0}
    return FusionClassifier(**(defaults | params))


def fixed_encoder(**params):
    """Make a classifier whose encoder is fixed throughout: Adam, batches of 256."""
    defaults = {"frozen_epochs": "all", "optimizer": torch.optim.Adam}
    return make_classifier(**(defaults | params))


def forget_features():
    """Empty the process's features, so that the encoder has to run."""
    shared_feature_cache().clear()


def forget_everything():
    """Empty the process's features and images."""
    shared_feature_cache().clear()
    shared_image_store().clear()
