import hashlib
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from torchvision import models

from skosfusion.exceptions import WeightsError
from skosfusion.network import _weights, build_encoder, load_encoder_state

from .._helpers import tiny


@pytest.fixture(scope="module")
def full_state():
    torch.manual_seed(0)
    return models.resnet18().state_dict()


@pytest.fixture
def no_connection(monkeypatch, tmp_path):
    """An empty download folder, and a network that is down."""

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    return tmp_path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_a_state_dict_is_read_from_a_file_without_its_head(suffix, full_state, tmp_path):
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(full_state, path)
    else:
        torch.save(full_state, path)
    state = load_encoder_state("resnet18", path)
    assert state.keys() == full_state.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(state[name], full_state[name]) for name in state)


def test_the_state_of_an_encoder_alone_is_enough(tmp_path):
    path = str(tmp_path / "encoder.safetensors")
    safetensors.torch.save_file(tiny.TinyEncoder().state_dict(), path)
    assert "conv.weight" in load_encoder_state(tiny.TinyEncoder, path)


def test_no_weights_stay_random():
    assert load_encoder_state("resnet18", None) is None


def test_offline_the_error_names_the_file_and_where_to_place_it(no_connection):
    with pytest.raises(WeightsError) as error:
        load_encoder_state("resnet18", "IMAGENET1K_V1")
    assert "resnet18-f37072fd.pth" in str(error.value)
    assert str(no_connection / "checkpoints") in str(error.value)
    assert "no route to host" in str(error.value)


def test_a_placed_file_with_another_content_is_refused(no_connection):
    folder = no_connection / "checkpoints"
    folder.mkdir()
    torch.save({"conv1.weight": torch.zeros(1)}, folder / "resnet18-f37072fd.pth")
    with pytest.raises(WeightsError, match=r"not with the f37072fd in its name\. Remove it"):
        load_encoder_state("resnet18", "IMAGENET1K_V1")


def test_a_placed_file_is_found_offline(no_connection, full_state, monkeypatch):
    folder = no_connection / "checkpoints"
    folder.mkdir()
    torch.save(full_state, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
    (folder / "new.pth").rename(folder / f"resnet18-{digest}.pth")
    url = f"https://nowhere/resnet18-{digest}.pth"
    entry = SimpleNamespace(
        url=url,
        get_state_dict=lambda **options: torch.hub.load_state_dict_from_url(url, **options),
        transforms=lambda: None,
    )
    monkeypatch.setattr(_weights, "torchvision_weights", lambda *names: entry)
    state = load_encoder_state("resnet18", "IMAGENET1K_V1")
    assert torch.equal(state["conv1.weight"], full_state["conv1.weight"])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"did you mean 'IMAGENET1K_V1'.*allowed: 'IMAGENET1K_V1'"):
        load_encoder_state("resnet18", "IMAGENET1K_V3")


def test_a_name_needs_a_torchvision_backbone():
    with pytest.raises(ValueError, match="backbone is the class TinyEncoder"):
        load_encoder_state(tiny.TinyEncoder, "IMAGENET1K_V1")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.pth' does not exist"):
        load_encoder_state("resnet18", tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04" + b"\0" * 50, b"\x80\x04N."])
def test_a_damaged_file_is_one_kind_of_error(suffix, content, tmp_path):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        load_encoder_state("resnet18", path)


def test_a_truncated_file_is_one_kind_of_error(full_state, tmp_path):
    for suffix, save in ((".pth", torch.save), (".safetensors", safetensors.torch.save_file)):
        path = tmp_path / f"cut{suffix}"
        save(full_state, path)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(WeightsError):
            load_encoder_state("resnet18", path)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(self.target),)


def test_a_pickle_in_a_weights_file_is_not_run(tmp_path):
    bomb, path = Bomb(), tmp_path / "bomb.pth"
    bomb.target = str(tmp_path / "executed")
    for payload in (pickle.dumps(bomb), None):
        if payload is None:
            torch.save({"conv1.weight": bomb}, path)
        else:
            path.write_bytes(payload)
        with pytest.raises(WeightsError):
            load_encoder_state("resnet18", path)
        assert not (tmp_path / "executed").exists()


def test_weights_of_another_network_are_refused(full_state, tmp_path):
    path = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(full_state, path)
    with pytest.raises(WeightsError, match="do not fit backbone 'resnet50'"):
        load_encoder_state("resnet50", path)


def test_weights_of_another_shape_are_refused(tmp_path):
    state = tiny.TinyEncoder().state_dict() | {"conv.bias": torch.zeros(9)}
    path = tmp_path / "wide.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match=r"'conv.bias' has shape \(9,\), expected \(8,\)"):
        load_encoder_state(tiny.TinyEncoder, path)


def test_half_precision_weights_become_float32(tmp_path):
    state = {name: value.half() for name, value in tiny.TinyEncoder().state_dict().items()}
    path = tmp_path / "half.safetensors"
    safetensors.torch.save_file(state, path)
    loaded = load_encoder_state(tiny.TinyEncoder, path)
    assert loaded["conv.weight"].dtype == torch.float32
    assert loaded["norm.num_batches_tracked"].dtype == torch.int64


def test_weights_that_are_not_finite_are_refused(tmp_path):
    state = tiny.TinyEncoder().state_dict() | {"conv.bias": torch.full((8,), torch.nan)}
    path = tmp_path / "nan.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match=r"non-finite numbers in entry 'conv\.bias'"):
        load_encoder_state(tiny.TinyEncoder, path)


def test_a_file_that_holds_no_state_dict_is_refused(tmp_path):
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(2)], path)
    with pytest.raises(WeightsError, match="hold a list, not a state dict"):
        load_encoder_state("resnet18", path)


def test_the_loaded_state_fits_the_encoder(full_state, tmp_path):
    path = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(full_state, path)
    build_encoder("resnet18").load_state_dict(load_encoder_state("resnet18", path), strict=True)


@pytest.mark.parametrize("backbone", ["regnet_y_128gf", "vit_h_14"])
def test_a_large_network_is_not_built_for_a_small_file(backbone, tmp_path, monkeypatch):
    path = tmp_path / "small.safetensors"
    safetensors.torch.save_file({"stem.0.weight": torch.ones(8, 3, 3, 3)}, path)
    monkeypatch.setattr("skosfusion.network._weights.encoder_without_values", None)
    with pytest.raises(WeightsError, match=r"216 numbers, and the network has \d{9}"):
        load_encoder_state(backbone, path)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "mobilenet_v3_small", "squeezenet1_0"])
def test_encoders_with_large_heads_are_not_taken_for_small_files(name, tmp_path):
    path = tmp_path / "encoder.safetensors"
    safetensors.torch.save_file(build_encoder(name).state_dict(), path)
    assert load_encoder_state(name, path)
