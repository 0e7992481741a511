"""A classifier of clinical values alone, which needs no image."""

from skosfusion import FusionClassifier


def clinical_only(**parameters):
    defaults = {"max_epochs": 20, "lr": 0.1, "batch_size": 32, "random_state": 0, "verbose": 0}
    return FusionClassifier(**(defaults | parameters))
