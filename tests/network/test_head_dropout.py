import pytest
import torch
from torch import nn

from skosfusion.network import FusionNetwork


def networks():
    made = []
    for options in ({}, {"head_dropout": 0.0}, {"head_dropout": 0.5}):
        torch.manual_seed(0)
        made.append((FusionNetwork(3, 2, backbone=None, hidden_units=40, **options), torch.rand(1)))
    return made


def test_it_lies_between_the_relu_and_the_second_layer():
    network = FusionNetwork(4, 2, backbone=None, head_dropout=0.3)
    kinds = [type(layer) for layer in network.head]
    assert kinds == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert network.head.dropout.p == 0.3


def test_weights_and_their_names_are_those_without():
    (plain, drawn), *others = networks()
    for network, drawn_after in others:
        assert drawn_after == drawn
        assert list(network.state_dict()) == list(plain.state_dict())
        for name, values in plain.state_dict().items():
            assert torch.equal(network.state_dict()[name], values)


def test_it_acts_in_training_alone():
    (plain, _), _, (network, _) = networks()
    values = torch.rand(5, 3)
    assert torch.equal(network.eval()(values), plain.eval()(values))
    assert not torch.equal(network.train()(values), plain.train()(values))


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan"), True, "0.5", None])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(ValueError, match=r"head_dropout=.* is not allowed; allowed: a number"):
        FusionNetwork(3, 2, backbone=None, head_dropout=value)
