import contextlib
import copy
import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image
from torchvision import models

from skosfusion.images import ImageStore, shared_image_store
from skosfusion.network import (
    EncoderFeatures,
    FeatureCache,
    FusionNetwork,
    _engines,
    _feature_cache,
    _features,
    _inference,
    is_torchvision_model,
)
from skosfusion.network._encoder_key import encoder_key

from .._helpers import tiny
from .._helpers.features import OPTIONS, encoded, kept_features

BATCH = 16
pytestmark = pytest.mark.usefixtures("no_images")


def by_hand(network, paths):
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in paths])
    with torch.no_grad():
        return network.encode(torch.from_numpy(pixels)).numpy()


def test_features_are_those_of_the_encoder(cache, network, paths):
    features = encoded(cache, network, paths, OPTIONS)
    np.testing.assert_allclose(features, by_hand(network, paths), rtol=1e-5, atol=1e-6)


def test_an_image_is_encoded_once(cache, network, paths, monkeypatch):
    encode, batches = _features.encode_batch, []

    def counted(*args, **options):
        batches.append(args)
        return encode(*args, **options)

    monkeypatch.setattr(_features, "encode_batch", counted)
    first = encoded(cache, network, paths, OPTIONS)
    n_batches = len(batches)
    again = encoded(cache, network, paths[::-1], OPTIONS)
    assert n_batches == -(-len(paths) // BATCH)
    assert len(batches) == n_batches
    np.testing.assert_array_equal(again, first[::-1])
    assert cache.info().hits == cache.info().misses == len(paths)


def test_the_same_image_under_two_names_is_encoded_once(cache, network, paths, tmp_path):
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(paths[0]).read_bytes())
    encoded(cache, network, [paths[0], str(copy), paths[0]], OPTIONS)
    assert cache.info() == (2, 1, 1, 8 * 4, 0)


def test_an_image_replaced_under_its_path_is_encoded_anew(cache, network, paths):
    before = encoded(cache, network, paths, OPTIONS)
    Image.fromarray(np.full((32, 32), 99, np.uint8)).save(paths[3])
    after = encoded(cache, network, paths, OPTIONS)
    changed = (before != after).any(axis=1)
    assert changed.tolist() == [i == 3 for i in range(len(paths))]


@pytest.mark.parametrize("change", ["conv.weight", "norm.running_mean"])
def test_other_weights_give_other_features(change, cache, network, paths):
    before = encoded(cache, network, paths, OPTIONS)
    with torch.no_grad():
        network.encoder.state_dict()[change].data.add_(0.5)
    after = encoded(cache, network, paths, OPTIONS)
    assert not np.allclose(before, after)


def test_a_buffer_outside_the_state_counts_too(cache, paths):
    def define(scale):
        class Scaled(tiny.TinyEncoder):
            def __init__(self):
                super().__init__()
                self.register_buffer("scale", torch.full((8,), scale), persistent=False)

            def forward(self, images):
                return self.scale * super().forward(images)

        return Scaled

    network = FusionNetwork(
        0, 2, backbone=define(1.0), image_size=32, encoder_state=tiny.TinyEncoder().state_dict()
    ).eval()
    before = encoded(cache, network, paths, OPTIONS)
    network.encoder.scale.fill_(5.0)
    np.testing.assert_allclose(encoded(cache, network, paths, OPTIONS), 5 * before, rtol=1e-6)


def test_other_options_give_other_features(cache, network, paths):
    before = encoded(cache, network, paths, OPTIONS)
    after = encoded(cache, network, paths, OPTIONS | {"contrast": "stretch"})
    assert not np.allclose(before, after)


def test_a_class_redefined_under_its_name_is_another_encoder(cache, paths):
    def define(factor):
        class Encoder(tiny.TinyEncoder):
            def forward(self, images):
                return factor * super().forward(images)

        return Encoder

    state = tiny.TinyEncoder().state_dict()
    one, two = (
        FusionNetwork(0, 2, backbone=define(factor), image_size=32, encoder_state=state).eval()
        for factor in (1, 2)
    )
    np.testing.assert_allclose(
        2 * encoded(cache, one, paths, OPTIONS), encoded(cache, two, paths, OPTIONS), rtol=1e-6
    )


def test_features_do_not_depend_on_the_company(cache, resnet, paths):
    together = encoded(cache, resnet, paths, OPTIONS)
    alone = np.vstack([encoded(FeatureCache(), resnet, [path], OPTIONS) for path in paths[:5]])
    np.testing.assert_array_equal(alone, together[:5])


def test_memory_stays_within_its_bound(network, paths):
    cache = FeatureCache(max_bytes=10 * 8 * 4)
    exact = encoded(FeatureCache(), network, paths, OPTIONS)
    np.testing.assert_array_equal(encoded(cache, network, paths, OPTIONS), exact)
    assert cache.info().n_bytes == 10 * 8 * 4


def test_the_encoder_asked_for_longest_ago_leaves_first(paths):
    torch.manual_seed(0)
    old, new = (FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32).eval() for _ in "ab")
    cache = FeatureCache(max_bytes=len(paths) * 8 * 4)
    encoded(cache, old, paths, OPTIONS)
    encoded(cache, new, paths, OPTIONS)
    encoded(cache, new, paths, OPTIONS)
    assert cache.info().misses == 2 * len(paths)
    assert cache.info().hits == len(paths)
    assert cache.info().n_bytes == len(paths) * 8 * 4


def test_threads_share_one_cache(network, paths):
    cache, results = FeatureCache(), []
    threads = [
        threading.Thread(target=lambda: results.append(encoded(cache, network, paths, OPTIONS)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, results[0]) for result in results)
    assert cache.info().n_features == len(paths)


def test_threads_leave_what_others_have_done(resnet, paths, monkeypatch):
    monkeypatch.setitem(_inference._ENCODE_BATCHES, "cpu", 4)
    cache, results = FeatureCache(), []
    exact = encoded(FeatureCache(), resnet, paths, OPTIONS)
    encode, together = _features.encode_batch, threading.Barrier(2, timeout=20)

    def in_step(*args, **options):
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait()
        return encode(*args, **options)

    def work():
        results.append(encoded(cache, resnet, paths, OPTIONS))
        together.abort()

    monkeypatch.setattr(_features, "encode_batch", in_step)
    monkeypatch.setattr(_features, "_worker_number", itertools.count().__next__)
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, exact)
    # Twice ten batches without sharing; a few are begun by both.
    assert cache.info().misses < 17 * 4


def test_an_unchanged_image_is_decoded_once_for_many_encoders(paths):
    torch.manual_seed(0)
    shared_image_store().clear()
    before = shared_image_store().info()
    for _ in range(3):
        network = FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32).eval()
        encoded(FeatureCache(), network, paths, OPTIONS)
    after = shared_image_store().info()
    assert after.misses - before.misses == len(paths)
    assert after.hits - before.hits == 2 * len(paths)


def test_an_encoder_is_folded_once(cache, resnet, paths, monkeypatch):
    folded = []
    fold = _engines.folded_encoder

    def counted(encoder, dtype):
        folded.append(encoder)
        return fold(encoder, dtype)

    monkeypatch.setattr(_engines, "folded_encoder", counted)
    source = EncoderFeatures(resnet, OPTIONS, cache=cache)
    for start in range(0, len(paths), 10):
        source.for_prediction(paths[start : start + 10])
    assert folded == [resnet.encoder]


def test_a_trained_encoder_is_folded_anew(cache, paths):
    network = FusionNetwork(0, 2, backbone="resnet18", image_size=32).eval()
    encoded(cache, network, paths[:3], OPTIONS)
    with torch.no_grad():
        network.encoder.conv1.weight.mul_(2)
        network.encoder.bn1.running_var.mul_(2)
    fresh = encoded(FeatureCache(), network, paths[3:6], OPTIONS)
    np.testing.assert_array_equal(encoded(cache, network, paths[3:6], OPTIONS), fresh)
    np.testing.assert_allclose(fresh, by_hand(network, paths[3:6]), rtol=1e-4, atol=1e-4)


def test_a_users_encoder_that_trains_on_is_not_remembered(cache, network, paths):
    twin = copy.deepcopy(network)
    encoded(cache, network, paths[:3], OPTIONS)
    with torch.no_grad():
        network.encoder.conv.weight.mul_(2)
    features = encoded(cache, twin, paths[3:6], OPTIONS)
    np.testing.assert_allclose(features, by_hand(twin, paths[3:6]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["PIL.__version__", "torch.__version__", "torchvision.__version__", "__version__"]
)
def test_the_versions_are_part_of_the_key(name, resnet, monkeypatch):
    before = encoder_key(resnet, OPTIONS)
    module = "network._encoder_key" if name.startswith("torch") else "images._pixel_files"
    target = f"skosfusion.{module}.{name}"
    monkeypatch.setattr(target, "0.0")
    assert encoder_key(resnet, OPTIONS) != before


@pytest.mark.parametrize(
    ("name", "value"),
    [("_encoder_key._FEATURE_FORMAT", 99), ("_inference._ENCODE_BATCHES", {"cpu": 9})],
)
def test_the_way_of_computing_is_part_of_the_key(name, value, resnet, monkeypatch):
    before = encoder_key(resnet, OPTIONS)
    monkeypatch.setattr(f"skosfusion.network.{name}", value)
    assert encoder_key(resnet, OPTIONS) != before


@pytest.mark.parametrize(("dtype", "differ"), [(torch.bfloat16, True), (None, False)])
def test_processors_that_multiply_bf16_in_other_ways_share_nothing_in_it(
    dtype, differ, resnet, monkeypatch
):
    resnet.encoder_dtype = dtype
    there = torch.cpu.get_capabilities()
    before = encoder_key(resnet, OPTIONS)
    changed = there | {"amx_bf16": not there.get("amx_bf16")}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: changed)
    assert (encoder_key(resnet, OPTIONS) != before) is differ


def test_an_image_replaced_while_others_are_encoded_leaves_nothing_stale(
    cache, network, paths, monkeypatch
):
    encode = _features.encode_batch
    original = Path(paths[-1]).read_bytes()

    def replace_first(*args, **options):
        Image.fromarray(np.full((32, 32), 99, np.uint8)).save(paths[-1])
        return encode(*args, **options)

    monkeypatch.setattr(_features, "encode_batch", replace_first)
    encoded(cache, network, paths, OPTIONS)
    monkeypatch.undo()
    changed = encoded(cache, network, paths[-1:], OPTIONS)
    Path(paths[-1]).write_bytes(original)
    restored = encoded(cache, network, paths[-1:], OPTIONS)
    np.testing.assert_allclose(restored, by_hand(network, paths[-1:]), rtol=1e-5, atol=1e-6)
    assert not np.allclose(changed, restored)


def test_an_image_replaced_while_it_is_encoded_is_not_kept_in_the_folder(
    cache, resnet, paths, tmp_path, monkeypatch
):
    encode = _features.encode_batch

    def replace_first(*args, **options):
        Image.fromarray(np.full((32, 32), 99, np.uint8)).save(paths[-1])
        return encode(*args, **options)

    monkeypatch.setattr(_features, "encode_batch", replace_first)
    encoded(cache, resnet, paths[-3:], OPTIONS, folder=tmp_path)
    (file,) = kept_features(tmp_path)
    assert len(safetensors.numpy.load_file(file)["features"]) == 2


def test_of_files_with_the_same_content_the_last_one_is_read(cache, network, paths, monkeypatch):
    Path(paths[2]).write_bytes(Path(paths[0]).read_bytes())
    batches, read_batch = [], ImageStore.read_batch

    def read(store, paths, **options):
        batches.append(list(paths))
        return read_batch(store, paths, **options)

    monkeypatch.setattr(ImageStore, "read_batch", read)
    encoded(cache, network, paths[:3], OPTIONS)
    assert batches == [paths[1:3]]


@pytest.mark.parametrize("training", [False, True])
def test_features_are_those_of_evaluation_and_the_mode_stays(training, cache, network, paths):
    expected = by_hand(network, paths[:2])
    features = encoded(cache, network.train(training), paths[:2], OPTIONS)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    assert network.training is training


class ScaledNetwork(FusionNetwork):
    """A user's network that scales pixels in its own way."""

    def __init__(self, *args, factor=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.pixel_std *= factor

    def encode(self, image):
        return super().encode(image)


def test_a_users_network_has_features_of_its_own(cache, resnet, paths, tmp_path):
    networks = [resnet]
    for factor in (1.0, 2.0):
        network = ScaledNetwork(0, 2, backbone="resnet18", image_size=32, factor=factor)
        network.load_state_dict(resnet.state_dict())
        networks.append(network.eval())
    plain, same, other = (encoded(cache, n, paths, OPTIONS, folder=tmp_path) for n in networks)
    np.testing.assert_allclose(same, plain, rtol=1e-3, atol=1e-3)
    assert not np.allclose(other, plain, rtol=1e-2)
    np.testing.assert_allclose(other, by_hand(networks[2], paths), rtol=1e-4, atol=1e-5)
    assert len(list((tmp_path / "features").iterdir())) == 3


def test_a_changed_scale_of_pixels_is_another_key(resnet):
    before = encoder_key(resnet, OPTIONS)
    network = copy.deepcopy(resnet)
    network.pixel_mean += 1
    assert encoder_key(network, OPTIONS) != before


def test_histogram_equalisation_of_another_version_is_another_key(resnet, monkeypatch):
    pytest.importorskip("skimage")
    options = OPTIONS | {"contrast": "clahe"}
    before = encoder_key(resnet, options)
    monkeypatch.setattr("skosfusion.images._pixel_files.version", lambda name: "0.0")
    assert encoder_key(resnet, options) != before
    assert encoder_key(resnet, OPTIONS) == encoder_key(resnet, OPTIONS)


def test_the_key_covers_every_entry_of_the_state(resnet):
    key = encoder_key(resnet, OPTIONS)
    assert len(list(resnet.encoder.named_buffers())) == 60
    for name, value in resnet.encoder.state_dict().items():
        saved = value.clone()
        value.view(-1)[:1].add_(1) if value.is_contiguous() else value.add_(1)
        assert encoder_key(resnet, OPTIONS) != key, name
        value.copy_(saved)
    assert encoder_key(resnet, OPTIONS) == key


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"memory=.*file' is not a folder; name a folder, or None"):
        _feature_cache.FeatureFiles(tmp_path / "file", b"key", 3)


def test_torchvision_models_are_told_from_others():
    assert is_torchvision_model(models.resnet18())
    assert not is_torchvision_model(tiny.TinyEncoder())
