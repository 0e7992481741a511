import functools
import json
import stat
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from skosfusion.network import (
    EncoderFeatures,
    FeatureCache,
    _engines,
    _feature_cache,
    _features,
    _fused,
    folded_encoder,
    network_identity,
    settle_engine,
)
from skosfusion.network._inference import gives_same

from .._helpers import tiny
from .._helpers.engines import make_network
from .._helpers.features import OPTIONS, encoded, kept_features

pytestmark = pytest.mark.usefixtures("no_images", "fresh_engines")
needs_fused = pytest.mark.skipif(
    not _fused.can_fuse(None), reason="needs oneDNN's fused operations"
)


def make_fused(encoder, layer=None):
    return _fused.fuse(folded_encoder(encoder), (3, 32, 32), batch_size=16, layer=layer)


@needs_fused
@pytest.mark.parametrize(
    ("backbone", "n_with_activation"),
    [("resnet18", 17), ("vgg11_bn", 8), ("mobilenet_v2", 35), ("mobilenet_v3_small", 23)],
)
def test_a_fused_encoder_gives_the_same_features(backbone, n_with_activation):
    encoder = make_network("eager", backbone).encoder
    images = torch.rand(3, 3, 32, 32)
    fused = make_fused(encoder)
    with torch.inference_mode():
        torch.testing.assert_close(fused(images), encoder(images), rtol=1e-4, atol=1e-4)
    layers = [layer for layer in fused.modules() if isinstance(layer, _fused.FusedConvolution)]
    assert sum(layer._activation[0] != "none" for layer in layers) == n_with_activation
    assert not any(type(layer) is nn.Conv2d for layer in fused.modules())


class InNumbers:
    """Stands in for oneDNN's operations: the same sums, on any processor and in any format."""

    def __call__(self, values, weight, bias, *rest):
        *geometry, activation, numbers, _ = rest
        return self._activated(self._convolved(values, weight, bias, geometry), activation, numbers)

    def binary(self, shortcut, values, weight, bias, *rest):
        *geometry, _, _, activation, numbers, _ = rest
        added = self._convolved(values, weight, bias, geometry) + shortcut.float()
        return shortcut.copy_(self._activated(added, activation, numbers))

    def _convolved(self, values, weight, bias, geometry):
        assert values.dtype == weight.dtype == bias.dtype == torch.bfloat16
        padding, stride, dilation, groups = geometry
        parts = (part.float() for part in (values, weight, bias))
        with torch.autocast("cpu", enabled=False):
            return nn.functional.conv2d(*parts, stride, padding, dilation, groups)

    def _activated(self, values, activation, numbers):
        known = {
            "none": lambda v: v,
            "relu": nn.functional.relu,
            "hardtanh": lambda v: v.clamp(*numbers),
            "swish": nn.functional.silu,
        }
        return known[activation](values).bfloat16()


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0"])
def test_a_fused_encoder_is_put_together_for_bf16(monkeypatch, backbone):
    # Whether the processor multiplies it or not; oneDNN's own sums are not tested here.
    monkeypatch.setattr(torch.Tensor, "to_mkldnn", lambda tensor: tensor)
    monkeypatch.setattr(
        torch._C._nn, "mkldnn_reorder_conv2d_weight", lambda weight, *geometry: weight
    )
    stand_in = InNumbers()
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", stand_in)
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise_", stand_in)
    encoder = make_network("eager", backbone).encoder
    folded = folded_encoder(encoder, torch.bfloat16)
    fused = _fused.fuse(folded, (3, 32, 32), torch.bfloat16, batch_size=16)
    images = torch.randn(16, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = fused(images).float()
        again = fused(images).float()
        expected = folded_encoder(encoder, torch.bfloat16)(images).float()
    torch.testing.assert_close(again, found, rtol=0, atol=0)
    assert gives_same(found, expected, torch.bfloat16)
    correct = encoder(images)
    assert (found - correct).abs().max() < 2**-4 * correct.abs().max()


@needs_fused
@pytest.mark.parametrize("layer", ["bn1", "layer2", "layer3.0", "layer3.0.bn1", "layer4"])
def test_a_layer_that_is_looked_at_gives_what_it_gave(layer):
    folded = folded_encoder(make_network("eager").encoder)
    fused = make_fused(make_network("eager").encoder, layer)
    images, seen = torch.rand(2, 3, 32, 32), []
    for encoder in (folded, fused):
        encoder.get_submodule(layer).register_forward_hook(lambda _, __, out: seen.append(out + 0))
        encoder(images)
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-5, atol=1e-5)
    # What is exchanged cannot be differentiated.
    after = [name for name, part in fused.named_modules() if type(part) is nn.Conv2d]
    assert bool(after) == (layer != "layer4")


def test_a_copy_that_gives_other_features_is_refused(monkeypatch, cache, paths):
    monkeypatch.setattr(_fused, "can_fuse", lambda dtype: True)
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: True)
    forward = _fused.FusedConvolution.forward
    monkeypatch.setattr(
        _fused.FusedConvolution, "forward", lambda self, values: 2 * forward(self, values)
    )
    expected = encoded(FeatureCache(), make_network("eager"), paths, OPTIONS)
    with pytest.warns(UserWarning, match=r"engine='fused' cannot be used.*differ") as caught:
        found = encoded(cache, make_network("fused"), paths, OPTIONS)
    assert len(caught) == 1
    np.testing.assert_array_equal(found, expected)
    with warnings.catch_warnings(action="error"):
        encoded(cache, make_network("fused"), paths, OPTIONS)


@needs_fused
def test_features_that_are_not_finite_are_the_error_of_every_engine(cache, paths):
    for engine in ("eager", "fused"):
        network = make_network(engine)
        network.encoder.layer4[1].conv2.weight.data.fill_(np.nan)
        told = pytest.raises(ValueError, match=r"gives NaN or infinity for the image of row")
        with warnings.catch_warnings(action="ignore"), told:
            encoded(cache, network, paths, OPTIONS)
    # Others are none the worse for it.
    source = EncoderFeatures(make_network("fused"), OPTIONS, cache=cache)
    source.for_training(paths)
    assert source.engine == "fused"


@needs_fused
def test_a_copy_is_made_whatever_the_usual_number_format_is(cache, paths, monkeypatch):
    expected = encoded(FeatureCache(), make_network("eager"), paths, OPTIONS)
    network = make_network("fused")
    monkeypatch.setattr(torch, "randn", functools.partial(randn_in_double, torch.randn))
    found = encoded(cache, network, paths, OPTIONS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not _engines._FAILED


def randn_in_double(randn, *shape, dtype=torch.float64, **options):
    return randn(*shape, dtype=dtype, **options)


@needs_fused
def test_a_layer_that_cannot_be_shown_leaves_predictions_as_they_are(cache, monkeypatch):
    network, fuse = make_network("fused"), _engines.fuse

    def fails_for_layers(*arguments, layer=None, **options):
        if layer is not None:
            raise _fused.CannotFuseError("not with a layer")
        return fuse(*arguments, **options)

    monkeypatch.setattr(_engines, "fuse", fails_for_layers)
    identity, shape = network_identity(network), (3, 32, 32)
    with pytest.raises(_engines.EngineFailedError):
        _engines.make_encoder(network, "fused", shape, identity, layer="layer2")
    assert _engines.engine_in_use(network, identity, shape) == "fused"
    with pytest.warns(UserWarning, match="not with a layer"):
        assert _engines.engine_in_use(network, identity, shape, layer="layer2") == "eager"


def test_an_encoder_of_one_channel_is_folded(monkeypatch):
    encoder = make_network("eager").encoder
    encoder.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    folded = folded_encoder(encoder)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    image = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(folded(image), encoder(image), rtol=1e-4, atol=1e-4)


def test_an_encoder_of_ones_own_is_not_fused(cache, paths):
    expected = encoded(FeatureCache(), make_network("eager", tiny.TinyEncoder), paths, OPTIONS)
    network = make_network("fused", tiny.TinyEncoder)
    with pytest.warns(UserWarning, match=r"TinyEncoder is not one of torchvision"):
        found = encoded(cache, network, paths, OPTIONS)
    np.testing.assert_array_equal(found, expected)


def settled(network, folder=None, n_images=5, declared="auto", is_fixed=True):
    options = {"n_images": n_images, "image_size": 32, "is_fixed": is_fixed}
    settle_engine(network, declared, folder=folder, **options)
    return network.engine


def test_auto_takes_what_is_possible_without_a_word(monkeypatch):
    assert settled(make_network("eager", tiny.TinyEncoder)) == "eager"
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: False)
    assert settled(make_network("eager")) == "eager"
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: True)
    assert settled(make_network("eager")) == "fused"
    assert settled(make_network("eager"), declared="eager") == "eager"


def test_auto_compiles_for_many_images_in_bf16(monkeypatch):
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: True)
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    network = make_network("eager", encoder_dtype=torch.bfloat16)
    assert settled(network, n_images=10_000) == "compiled"
    assert settled(network, n_images=9_999) == "fused"
    assert settled(network, n_images=10_000, is_fixed=False) == "fused"
    assert settled(make_network("eager"), n_images=10_000) == "fused"
    monkeypatch.setattr(_engines, "has_compiler", lambda: False)
    assert settled(network, n_images=10_000) == "fused"


@needs_fused
def test_a_folder_keeps_the_engine_that_came_first(monkeypatch, tmp_path, cache, paths):
    assert settled(make_network("eager"), tmp_path) == "fused"
    expected = encoded(cache, make_network("fused"), paths, OPTIONS, folder=tmp_path)
    # Another node of the cluster, which can do less.
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: False)
    network = make_network("eager")
    assert settled(network, tmp_path) == "eager"
    found = encoded(FeatureCache(), network, paths, OPTIONS, folder=tmp_path)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Its features lie apart.
    assert len({file.parent for file in kept_features(tmp_path)}) == 2


@pytest.mark.parametrize("content", [b"", b"[]", b'{"engine": "rm"}', b"x" * 10_000])
def test_what_else_stands_in_the_place_of_the_engine_does_not_count(tmp_path, content):
    settled(make_network("eager"), tmp_path)
    (file,) = (tmp_path / "engines").iterdir()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    file.write_bytes(content)
    engine = settled(make_network("eager"), tmp_path)
    assert json.loads(file.read_text()) == {"engine": engine}


def test_a_folder_does_not_let_a_few_images_of_an_encoder_that_trains_be_compiled(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: True)
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    network = make_network("eager", encoder_dtype=torch.bfloat16)
    assert settled(network, tmp_path, n_images=10_000) == "compiled"
    assert settled(network, tmp_path) == "compiled"
    assert settled(network, tmp_path, is_fixed=False) == "fused"
    monkeypatch.setattr(_engines, "has_compiler", lambda: False)
    assert settled(network, tmp_path) == "fused"


@needs_fused
def test_features_of_engines_are_kept_apart(cache, paths):
    for n_times, engine in enumerate(("eager", "fused", "eager", "fused")):
        encoded(cache, make_network(engine), paths, OPTIONS)
        assert cache.info().misses == min(n_times + 1, 2) * len(paths)


@needs_fused
@pytest.mark.parametrize("change", [nn.Parameter.mul_, lambda weight, by: weight.data.mul_(by)])
def test_a_copy_is_kept_until_the_weights_change(monkeypatch, cache, paths, change):
    made, make = [], _feature_cache.make_encoder

    def counted(*args, **options):
        made.append(args)
        return make(*args, **options)

    monkeypatch.setattr(_feature_cache, "make_encoder", counted)
    network = make_network("fused")
    for part in (paths[:5], paths[5:10], paths[10:15]):
        first = encoded(cache, network, part, OPTIONS)
    assert len(made) == 1
    with torch.no_grad():
        change(network.encoder.layer4[1].conv2.weight, 3)
    assert not np.allclose(encoded(cache, network, part, OPTIONS), first, rtol=0.01)
    assert len(made) == 2
    for number in range(5):
        with torch.no_grad():
            network.encoder.conv1.weight.mul_(1 + number)
        encoded(cache, network, part, OPTIONS)
    assert len(cache._copies) == _feature_cache._MOST_COPIES


@needs_fused
@pytest.mark.parametrize(("n_images", "size"), [(1, 1), (3, 16), (6, 16)])
def test_weights_are_laid_out_for_an_image_alone(monkeypatch, cache, paths, n_images, size):
    sizes, fuse = [], _engines.fuse

    def noted(*args, batch_size, **options):
        sizes.append(batch_size)
        return fuse(*args, batch_size=batch_size, **options)

    monkeypatch.setattr(_engines, "fuse", noted)
    network = make_network("fused")
    few = EncoderFeatures(network, OPTIONS, cache=cache).for_prediction(
        paths[:n_images], alone=True
    )
    assert sizes == [size]
    np.testing.assert_allclose(few, encoded(cache, network, paths, OPTIONS)[:n_images], rtol=1e-4)


@pytest.mark.parametrize(("n_images", "size"), [(1, 1), (2, 4), (4, 4), (5, 16)])
def test_few_images_alone_do_not_wait_for_a_full_batch(
    cache, paths, tmp_path, monkeypatch, n_images, size
):
    network, sizes = make_network("eager"), []
    encode = _features.encode_batch

    def noted(*args, size=None):
        sizes.append(16 if size is None else size)
        return encode(*args, size=size)

    expected = encoded(FeatureCache(), network, paths, OPTIONS)[:n_images]
    monkeypatch.setattr(_features, "encode_batch", noted)
    source = EncoderFeatures(network, OPTIONS, cache=cache, folder=tmp_path / "kept")
    for _ in range(2):
        found = source.for_prediction(paths[:n_images], alone=True)
    assert sizes == [size]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert not kept_features(tmp_path / "kept")
    # A fit sees features of the full size alone.
    np.testing.assert_array_equal(source.for_training(paths[:n_images]), expected)
    assert sizes == ([size] if size == 16 else [size, 16])
