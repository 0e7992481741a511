"""Encoders in two halves, and the stages at which they can be divided."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skosfusion.network import FusionNetwork, StageActivations, build_encoder
from skosfusion.network._split import StageReached, split_encoder

from .._helpers import tiny

SIDE = 32


class _Encoder(nn.Module):
    """A body of `forward` over some layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.second = nn.Conv2d(4, 4, 3)
        self.third = nn.Conv2d(4, 4, 3)
        self.offset = nn.Parameter(torch.ones(4, 1, 1))
        self.act = nn.ReLU()


class Detour(_Encoder):
    def forward(self, images):
        seen = self.first(images)
        return torch.cat([self.third(self.second(seen)).mean((2, 3)), seen.mean((2, 3))], dim=1)


class HiddenDetour(_Encoder):
    """No gradient shows the way around."""

    def forward(self, images):
        seen = self.first(images)
        return (self.third(self.second(seen)) * seen.detach().std()).mean((2, 3))


class Twice(_Encoder):
    def forward(self, images):
        return self.second(self.second(self.first(images))).mean((2, 3))


class Shared(_Encoder):
    def forward(self, images):
        return self.third(self.second(self.first(images))) + self.first.bias.mean()


class Offset(_Encoder):
    """Values that belong to no layer, added to what lies below."""

    def forward(self, images):
        seen = self.act(self.first(images)) + self.offset + self.first.bias.mean()
        return self.third(self.act(self.second(seen)))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, left, right):
        return self.conv(left + right)


class TwoInputs(_Encoder):
    def __init__(self):
        super().__init__()
        self.pair = Pair()

    def forward(self, images):
        seen = self.first(images)
        return self.third(self.pair(self.second(seen), self.second(seen))).mean((2, 3))


class Tuples(_Encoder):
    """A layer below that returns a tuple, and images in several rows each."""

    def __init__(self):
        super().__init__()
        self.patches = Patches()

    def forward(self, images):
        rows, n_patches = self.patches(images)
        seen = self.first(rows)
        seen = seen.view(len(rows) // n_patches, n_patches, *seen.shape[1:]).sum(1)
        return self.third(self.second(seen)).mean((2, 3))


class Patches(nn.Module):
    def forward(self, images):
        return torch.cat([images, images.flip(3)], dim=1).reshape(-1, *images.shape[1:]), 2


class Auxiliary(_Encoder):
    """A head that runs in training alone, on what lies below."""

    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Conv2d(4, 2, 1)

    def forward(self, images):
        seen = self.first(images)
        beside = self.auxiliary(seen) if self.training else None
        return self.third(self.second(seen)).mean((2, 3)), beside


class NoGradientBelow(_Encoder):
    def forward(self, images):
        with torch.no_grad():
            seen = self.second(self.first(images))
        return self.third(seen).mean((2, 3))


class NoGradientAbove(_Encoder):
    @torch.no_grad()
    def forward(self, images):
        return self.third(self.second(self.first(images))).mean((2, 3))


def _images(n=3, side=SIDE):
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def _in_two_halves(encoder, stage, side=SIDE, n=3):
    split = split_encoder(encoder, stage, side)
    try:
        split.below(encoder)(_images(n, side))
    except StageReached as reached:
        activation = reached.activation
    return split, split.run_above(encoder, activation.clone())


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        (tiny.StagedEncoder, "middle"),
        (tiny.StagedEncoder, "top.main"),
        (tiny.StagedEncoder, "last"),
        (tiny.StagedEncoder, "middle.1"),
        (Offset, "second"),
        (Offset, "third"),
        (Tuples, "second"),
        (NoGradientBelow, "third"),
    ],
)
@torch.no_grad()
def test_two_halves_give_the_features_of_the_whole(kind, stage):
    encoder = kind().eval()
    _, found = _in_two_halves(encoder, stage)
    assert torch.allclose(found.flatten(1), encoder(_images()).flatten(1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "stage", "side", "shape"),
    [
        ("resnet18", "layer4", 64, (256, 4, 4)),
        ("densenet121", "features.denseblock4", 32, (512, 1, 1)),
        ("efficientnet_b0", "features.7", 32, (192, 1, 1)),
        ("convnext_tiny", "features.7", 32, (768, 1, 1)),
        ("mobilenet_v3_small", "features.11", 32, (96, 1, 1)),
        ("swin_t", "features.7", 32, (1, 1, 768)),
        ("regnet_y_400mf", "trunk_output.block4", 32, (208, 2, 2)),
    ],
)
@torch.no_grad()
def test_models_of_torchvision(name, stage, side, shape):
    encoder = build_encoder(name).eval()
    split, found = _in_two_halves(encoder, stage, side)
    expected = encoder(_images(3, side)).flatten(1)
    assert split.shape == shape
    assert torch.allclose(found.flatten(1), expected, atol=1e-4 * expected.abs().max())


def test_a_vision_transformer_keeps_its_tokens_below():
    kind = type(build_encoder("vit_b_16"))
    encoder = kind(SIDE, 16, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32).eval()
    encoder.heads = nn.Identity()
    split, _ = _in_two_halves(encoder, "encoder.layers.encoder_layer_1")
    assert split.shape == (5, 16)
    assert "encoder.pos_embedding" not in split.trained
    assert "encoder.ln.weight" in split.trained


@pytest.mark.parametrize(
    ("kind", "stage", "reason"),
    [
        (Detour, "second", "not on the main path"),
        (HiddenDetour, "second", "differ from those of the whole|cannot be divided"),
        (Twice, "second", "runs 2 times"),
        (Twice, "third", "runs 0 times"),
        (Shared, "third", "shares 'first.bias'"),
        (TwoInputs, "pair", "does not take one tensor"),
        (TwoInputs, "pair.conv", None),
        (tiny.StagedEncoder, "stem", "no weights below"),
        (tiny.StagedEncoder, "last.conv", "not on the main path"),
        (tiny.StagedEncoder, "top", "runs 0 times"),
        (NoGradientAbove, "third", "nothing would train"),
    ],
)
def test_where_an_encoder_cannot_be_divided(kind, stage, reason):
    if reason is None:
        split_encoder(kind(), stage, SIDE)
        return
    with pytest.raises(ValueError, match=f"unfreeze='{stage}'.*({reason})"):
        split_encoder(kind(), stage, SIDE)


@pytest.mark.parametrize(
    ("stage", "hint"), [("midle", "did you mean 'middle'"), ("x", ""), ("", "")]
)
def test_a_name_that_is_none_gets_the_stages(stage, hint):
    with pytest.raises(ValueError, match=f"{hint}.*'middle', 'top.main', 'top.norm', 'last'"):
        split_encoder(tiny.StagedEncoder(), stage, SIDE)


def test_what_runs_in_training_alone_gets_placeholders():
    options = {"backbone": Auxiliary, "image_size": SIDE}
    network = FusionNetwork(0, 2, **options).split_at("second", SIDE).freeze_encoder(False)
    activations = network.eval().encode_below(_images(2))
    logits = network.train()(torch.zeros(2, 0), activations=activations)
    assert torch.allclose(logits, network.eval()(torch.zeros(2, 0), activations=activations))


def test_the_encoder_and_the_callers_random_state_stay():
    encoder = tiny.StagedEncoder().train()
    before = copy.deepcopy(encoder.state_dict())
    random = torch.get_rng_state()
    split_encoder(encoder, "last", SIDE)
    assert torch.equal(torch.get_rng_state(), random)
    assert encoder.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in encoder.modules())
    assert all(torch.equal(v, before[n]) for n, v in encoder.state_dict().items())


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = FusionNetwork(0, 2, backbone=tiny.StagedEncoder, image_size=SIDE)
    network.split_at("top.main", SIDE).freeze_encoder(False)
    return network


def test_only_the_stage_and_what_follows_train(network):
    network.train()
    trained = {name for name, p in network.encoder.named_parameters() if p.requires_grad}
    assert trained == {
        f"{layer}.{kind}"
        for layer in ("top.main", "top.norm", "last.conv", "last.norm")
        for kind in ("weight", "bias")
    }
    assert not network.encoder.stem[1].training
    assert not network.encoder.middle.training
    assert network.encoder.training  # for what its own code does above the stage
    assert network.encoder.top["norm"].training
    assert network.encoder.last.norm.training
    network.eval()
    assert not any(module.training for module in network.modules())
    network.freeze_encoder().train()
    assert not any(module.training for module in network.encoder.modules())
    assert not any(p.requires_grad for p in network.encoder.parameters())


def test_rows_keep_what_bf16_keeps(network):
    activation = network.eval().encode_below(torch.rand(3, 3, SIDE, SIDE) * 255)
    rows = network.split.as_rows(activation)
    assert rows.dtype == torch.int16
    assert rows.shape == (3, network.split.n_values)
    again = network.split.from_rows(rows)
    assert torch.equal(again, activation.bfloat16())
    assert torch.equal(network.encode_above(again), network.encode_above(activation))


def test_a_divided_network_is_copied_pickled_and_saved_as_one(network):
    network.eval()
    whole = FusionNetwork(0, 2, backbone=tiny.StagedEncoder, image_size=SIDE)
    assert network.state_dict().keys() == whole.state_dict().keys()
    images = torch.rand(2, 3, SIDE, SIDE) * 255
    logits = network(torch.zeros(2, 0), activations=network.encode_below(images))
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        again = twin(torch.zeros(2, 0), activations=twin.encode_below(images))
        assert torch.equal(logits, again)
        with torch.no_grad():
            twin.encoder.last.conv.weight.zero_()
        assert not torch.equal(twin(torch.zeros(2, 0), image=images), logits)
    assert torch.allclose(network(torch.zeros(2, 0), image=images), logits, atol=1e-2)


def test_mixed_precision_takes_the_type_that_the_stage_takes():
    options = {"backbone": tiny.StagedEncoder, "image_size": SIDE, "encoder_dtype": torch.bfloat16}
    network = FusionNetwork(0, 2, **options).split_at("last", SIDE).eval()
    activations = network.encode_below(torch.rand(2, 3, SIDE, SIDE) * 255)
    before = activations.clone()
    network.encode_above(activations)
    assert network.split.dtypes == {torch.bfloat16: torch.bfloat16}
    # The stage begins with what computes in place.
    assert torch.equal(activations, before)
    assert (before < 0).any()


def test_a_network_class_of_ones_own():
    class Own(FusionNetwork):
        def encode(self, image, encoder=None):
            return super().encode(255 - image, encoder)

    with pytest.raises(TypeError, match=r"unfreeze='last': Own has its own 'encode'"):
        Own(0, 2, backbone=tiny.StagedEncoder, image_size=SIDE).split_at("last", SIDE)
    with pytest.raises(ValueError, match="has no encoder"):
        FusionNetwork(1, 2, backbone=None).split_at("last", SIDE)


def _values(network, paths, **options):
    source = StageActivations(network, {"image_size": SIDE}, **options)
    return source, source.kept(paths).values(range(len(paths)))


def test_what_lies_below_is_folded_and_computed_once(paths, cache, tmp_path):
    torch.manual_seed(0)
    network = FusionNetwork(0, 2, backbone="resnet18", image_size=SIDE)
    network.split_at("layer4", SIDE).eval()
    _, values = _values(network, paths, cache=cache)
    assert cache.info().misses == len(paths)
    (copied,) = cache._copies.values()
    assert not any("BatchNorm" in str(layer) for layer in copied.layer3)
    # Training above changes nothing below.
    with torch.no_grad():
        network.encoder.layer4[0].conv1.weight.mul_(2)
    _, again = _values(network, paths, cache=cache)
    assert np.array_equal(values, again)
    assert cache.info().misses == len(paths)
    with torch.no_grad():
        network.encoder.layer3[0].conv1.weight.mul_(2)
    assert not np.array_equal(_values(network, paths, cache=cache)[1], values)


def test_a_norm_that_trains_is_not_folded_into_the_layer_below():
    torch.manual_seed(0)
    network = FusionNetwork(0, 2, backbone="resnet18", image_size=SIDE).split_at("bn1", SIDE)
    network.eval().encoder.bn1.running_mean.fill_(1)
    source = StageActivations(network, {"image_size": SIDE})
    pixels = np.full((1, 1, SIDE, SIDE), 100, np.uint8)
    image = torch.from_numpy(pixels)
    expected = network.split.as_rows(network.encode_below(image)).view(torch.bfloat16).float()
    found = source._start(pixels).view(torch.bfloat16).float()
    assert torch.allclose(found, expected, rtol=0.02, atol=0.02)


def test_a_folder_keeps_one_file_an_image(network, paths, cache, tmp_path):
    folder = tmp_path / "kept"
    source, values = _values(network, paths, folder=folder, cache=cache)
    assert cache.info().n_features == 0
    files = sorted((folder / "features").rglob("*.safetensors"))
    assert len(files) == len(paths)
    kept = source.kept(paths)
    assert cache.info().misses == len(paths)
    files[0].unlink()
    content = bytearray(files[1].read_bytes())
    content[-1] ^= 1
    files[1].write_bytes(content)
    with pytest.warns(UserWarning, match="does not match its digest"):
        again = kept.values(range(len(paths)))
    assert np.array_equal(again, values)
    assert cache.info().misses == len(paths) + 2
    assert cache.prune(folder, 0) == 0


def test_what_lies_in_memory_is_written_to_a_folder(network, paths, cache, tmp_path):
    _, values = _values(network, paths, cache=cache)
    kept = _values(network, paths, cache=cache, folder=tmp_path / "kept")[1]
    assert np.array_equal(kept, values)
    assert len(list((tmp_path / "kept" / "features").rglob("*.safetensors"))) == len(paths)


def test_activations_that_do_not_fit_are_refused_before_any_is_computed(
    network, paths, cache, monkeypatch, tmp_path
):
    module = "skosfusion.network._activations"
    monkeypatch.setattr(f"{module}.free_memory", lambda: 2000)
    monkeypatch.setattr(f"{module}.free_disk", lambda folder: 1000)
    each = 2 * network.split.n_values
    message = (
        rf"'top.main': .* {each} bytes an image, .* for 40 images, and 2 kB are free in memory"
    )
    with pytest.raises(ValueError, match=rf"{message}.*later stage.*memory=.*image_size"):
        _values(network, paths, cache=cache)
    with pytest.raises(ValueError, match=r"1 kB are free in '.*kept"):
        _values(network, paths, cache=cache, folder=tmp_path / "kept")
    assert cache.info().misses == 0
    monkeypatch.setattr(f"{module}.free_memory", lambda: None)
    _values(network, paths, cache=cache)


def test_a_folder_that_cannot_be_written_costs_a_warning(network, paths, cache, tmp_path):
    expected = _values(network, paths, cache=cache)[1]
    cache.clear()
    folder = tmp_path / "kept"
    (folder / "features").mkdir(parents=True, mode=0o700)
    source = StageActivations(network, {"image_size": SIDE}, folder=folder, cache=cache)
    source._files.folder = tmp_path / "file"
    source._files.folder.write_bytes(b"")
    with pytest.warns(UserWarning, match="activations cannot be kept"):
        kept = source.kept(paths)
    assert np.array_equal(kept.values(range(len(paths))), expected)


def test_gradients_are_those_of_the_whole_encoder(network):
    images = torch.rand(6, 3, SIDE, SIDE) * 255
    clinical, codes = torch.zeros(6, 0), torch.tensor([0, 1, 0, 1, 0, 1])
    with torch.no_grad():
        below = network.eval().encode_below(images)
    # What the stage reads in both is what bf16 keeps.
    handle = network.encoder.top["main"].register_forward_pre_hook(
        lambda _, inputs: inputs[0].bfloat16().float()
    )
    gradients, statistics = [], []
    for inputs in ({"image": images}, {"activations": below}):
        network.train().zero_grad()
        network.encoder.last.norm.reset_running_stats()
        loss = nn.functional.cross_entropy(network(clinical, **inputs), codes)
        loss.backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.requires_grad])
        statistics.append(network.encoder.last.norm.running_var.clone())
    handle.remove()
    assert torch.allclose(*statistics)
    for whole, half in zip(*gradients, strict=True):
        assert torch.allclose(whole, half, atol=1e-6)
