"""What counts when two networks are told from each other."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skosfusion.network import FusionNetwork, shared_feature_cache
from skosfusion.network._identity import network_identity

from .._helpers.tiny import TinyEncoder


class Attribute(TinyEncoder):
    """An encoder whose own attribute, of a name that our network has, too, changes its features."""

    def __init__(self, name, value):
        super().__init__()
        setattr(self, name, value)
        self.read = name

    def forward(self, images):
        return super().forward(images) * getattr(self, self.read)


class Buffered(TinyEncoder):
    def __init__(self, name, value):
        super().__init__()
        self.register_buffer(name, torch.tensor(value))
        self.read = name

    def forward(self, images):
        return super().forward(images) * getattr(self, self.read)


class OwnEncode(FusionNetwork):
    """Encodes with a buffer that our network has for its head."""

    def encode(self, image, encoder=None):
        return super().encode(image, encoder) * self.feature_scale


def digest(network):
    return network_identity(network).digest


def network_of(make):
    torch.manual_seed(0)
    network = FusionNetwork(0, 2, backbone=TinyEncoder, image_size=32)
    state = network.encoder.state_dict()
    network.encoder = make()
    network.encoder.load_state_dict(state, strict=False)
    return network


@pytest.mark.parametrize("kind", [Attribute, Buffered])
@pytest.mark.parametrize("name", ["n_features", "feature_scale", "fusion", "split"])
def test_a_part_of_the_encoder_counts_whatever_it_is_called(kind, name):
    digests = [digest(network_of(lambda v=value: kind(name, v))) for value in (1.0, 2.0, 1.0)]
    assert digests[0] == digests[2]
    assert digests[0] != digests[1]


def test_what_a_class_of_the_users_encodes_with_counts():
    networks = [OwnEncode(0, 2, backbone=TinyEncoder, image_size=32) for _ in range(2)]
    for network, scale in zip(networks, (1.0, 2.0), strict=True):
        network.register_buffer("feature_scale", torch.tensor(scale))
        network.encoder.load_state_dict(networks[0].encoder.state_dict())
    assert len({digest(network) for network in networks}) == 2


def test_heads_share_the_features_of_one_encoder(classifier, cohort):
    frame = cohort[["image", "age"]].assign(age=cohort["age"] / 100)
    target = cohort["diagnosis"].to_numpy()
    kinds = [
        {},
        {"feature_scaling": "global"},
        {"head": "linear", "feature_scaling": "global"},
        {"fusion": "gated", "hidden_units": 8},
    ]
    cache = shared_feature_cache()
    cache.clear()
    classifier.set_params(frozen_epochs="all", max_epochs=1)
    for number, params in enumerate(kinds):
        before = cache.info().misses
        fitted = clone(classifier).set_params(**params).fit(frame[8:], target[8:])
        fitted.predict(frame)
        # What the first one was not fitted on is encoded when it predicts.
        assert cache.info().misses - before == (len(frame) if number == 0 else 0)
    assert isinstance(fitted.module_.encoder, nn.Module)
    assert np.isfinite(fitted.predict_proba(frame)).all()
