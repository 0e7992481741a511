"""Encoders of a user's own: what cannot be one is said by name before anything is computed."""

import functools
import threading

import pytest
import torch
from torch import nn

from skosfusion.exceptions import WeightsError
from skosfusion.network import FusionNetwork, build_encoder, load_encoder_state

from .._helpers.tiny import TinyEncoder


class WithArguments(TinyEncoder):
    def __init__(self, channels):
        super().__init__()


class Lazy(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.conv = nn.LazyConv2d(8, 5, stride=4)


class OnMeta(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.to("meta")


class Sparse(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.eye(3).to_sparse())


class ExtraState(TinyEncoder):
    def get_extra_state(self):
        return {"scale": 2}


class Locked(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class RaisesTypeError(TinyEncoder):
    def __init__(self):
        raise TypeError("of its own")


class Pooling(nn.Module):
    """Has no tensors."""

    def forward(self, images):
        return images.mean((2, 3))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
        self.second.weight = self.first.weight

    def forward(self, images):
        return self.second(self.first(images)).mean((2, 3))


class Blocks(nn.Module):
    """A row of blocks, as deep as asked."""

    def __init__(self, depth=2):
        super().__init__()
        self.stage = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(depth)))

    def forward(self, images):
        return self.stage(images).mean((2, 3))


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (WithArguments, r"without arguments.*'channels'.*functools\.partial"),
        (Lazy, r"'conv\.weight' has no shape yet.*Conv2d"),
        (OnMeta, "'conv.weight' is on 'meta'"),
        (Sparse, r"'mask' is a tensor of layout torch\.sparse_coo.*to_dense"),
        (ExtraState, "state dict holds a dict in '_extra_state'"),
        (Locked, "cannot be copied.*lock"),
        (None, "backbone=None.*image_column=None"),
        (TinyEncoder(), "a TinyEncoder.*not an instance"),
        (lambda: 3, "made a int"),
        (RaisesTypeError, "^of its own$"),
    ],
)
def test_what_cannot_be_an_encoder(backbone, words):
    with pytest.raises(TypeError, match=words):
        build_encoder(backbone)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_torchscript_is_refused():
    with pytest.raises(TypeError, match=r"TorchScript.*pass the Python class"):
        build_encoder(lambda: torch.jit.script(TinyEncoder()))


def test_a_partial_binds_arguments():
    assert isinstance(build_encoder(functools.partial(WithArguments, 4)), WithArguments)


def test_one_weight_of_two_layers_stays_one(tmp_path):
    torch.save(Tied().state_dict(), tmp_path / "tied.pth")
    state = load_encoder_state(Tied, tmp_path / "tied.pth")
    encoder = FusionNetwork(0, 2, backbone=Tied, encoder_state=state, image_size=32).encoder
    assert encoder.first.weight is encoder.second.weight
    torch.testing.assert_close(encoder.first.weight, state["first.weight"])
    assert encoder.first.bias is not encoder.second.bias


def test_weights_for_an_encoder_without_parameters_are_refused(tmp_path):
    torch.save(TinyEncoder().state_dict(), tmp_path / "tiny.pth")
    with pytest.raises(WeightsError, match="has no parameters; pass weights=None"):
        load_encoder_state(Pooling, tmp_path / "tiny.pth")


def test_weights_of_a_deeper_encoder_warn(tmp_path):
    torch.save(Blocks(3).state_dict(), tmp_path / "deep.pth")
    with pytest.warns(UserWarning, match=r"deeper network.*2 entries.*'stage\.2\.weight'"):
        load_encoder_state(Blocks, tmp_path / "deep.pth")


def test_weights_of_a_network_that_was_cut_off_do_not(tmp_path):
    whole = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Flatten())
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    state = load_encoder_state(lambda: whole[:1], tmp_path / "whole.pth")
    assert set(state) == {"0.weight", "0.bias"}


@pytest.mark.parametrize("name", ["RESNET18", "ResNet18", "TIMM:resnet18"])
def test_capitals_in_a_name_get_the_nearest(name):
    with pytest.raises(ValueError, match=r"did you mean '(timm:)?resnet18'"):
        build_encoder(name)


def test_the_size_of_the_weights_is_named():
    with pytest.raises(ValueError, match="image_size=299") as refused:
        FusionNetwork(0, 2, backbone="inception_v3", image_size=32)
    assert "channel need" not in str(refused.value)


class HoldsItself(TinyEncoder):
    """A function in an attribute runs the module that was built, whatever copies there are."""

    def __init__(self):
        super().__init__()
        self.run = lambda images: self.conv(images)


class HoldsItselfInAHook(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.conv.register_forward_hook(lambda *_: setattr(self, "seen", True))


@pytest.mark.parametrize("backbone", [HoldsItself, HoldsItselfInAHook])
def test_a_function_that_holds_a_module_is_refused(backbone):
    # Copies would share the module, and weights and training would not reach it.
    with pytest.raises(TypeError, match=r"__init__\.<locals>\.<lambda>.*make it a method"):
        build_encoder(backbone)


def test_a_hook_that_uses_the_layer_it_is_given_may_stay():
    def build():
        encoder = TinyEncoder()
        encoder.conv.register_forward_hook(lambda layer, inputs, output: output * 2)
        return encoder

    assert build_encoder(build)(torch.zeros(1, 3, 32, 32)).shape == (1, 8)
