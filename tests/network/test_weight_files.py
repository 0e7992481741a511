"""Files of weights in the forms that people have."""

import logging
import pickle
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
from torchvision import models

from skosfusion.exceptions import WeightsError
from skosfusion.network import (
    EncoderState,
    WeightsReport,
    build_encoder,
    load_encoder_state,
)

from .._helpers.tiny import TinyEncoder

LEGACY = {"_use_new_zipfile_serialization": False}


def encoder_of(seed=0):
    torch.manual_seed(seed)
    encoder = TinyEncoder().eval()
    # Else two encoders would differ in no buffer.
    encoder.norm.running_mean.normal_()
    encoder.norm.running_var.uniform_(0.5, 2.0)
    return encoder


ENCODER, OTHER = encoder_of(), encoder_of(1)
STATE = ENCODER.state_dict()
HEAD = {"fc.weight": torch.ones(2, 8), "fc.bias": torch.zeros(2)}


def below(prefix, state=STATE):
    return OrderedDict((prefix + name, value) for name, value in state.items())


def save_safetensors(state, path):
    safetensors.torch.save_file(state, path)


def save_legacy(content, path):
    torch.save(content, path, **LEGACY)


def in_one_storage():
    """A state whose tensors are parts of one storage, one of them with other strides."""
    flat = torch.cat([value.flatten().float() for value in STATE.values()])
    state, start = {}, 0
    for name, value in STATE.items():
        state[name] = flat[start : start + value.numel()].view(value.shape)
        start += value.numel()
    return state | {
        "conv.weight": STATE["conv.weight"].contiguous(memory_format=torch.channels_last)
    }


def lightning():
    optimizer = torch.optim.Adam(ENCODER.parameters())
    sum(value.sum() for value in ENCODER.parameters()).backward()
    moments = {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(8, 3, 5, 5)}}
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": below("model.encoder.") | {"model.head.weight": torch.ones(2, 8)},
        "hyper_parameters": {"lr": 1e-3, "betas": (0.9, 0.999), "name": None, "amp": False},
        "callbacks": {
            "ModelCheckpoint{}": {"best_model_score": torch.tensor(0.5), "dirpath": "/x"}
        },
        "optimizer_states": [optimizer.state_dict() | {"state": moments}],
        "loops": {"fit_loop": {"state_dict": {}, "total": {"ready": 2**40}}},
    }


def moco():
    return {"module.queue": torch.ones(128, 9)} | below("module.encoder_q.")


OLD = {name: value for name, value in STATE.items() if not name.endswith("tracked")}
TWICE = {"student": STATE, "teacher": {name: value.clone() for name, value in STATE.items()}}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(8)}}}
WITH_OPTIMIZER = {"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER, "loss": 0.1}
THRICE = below("module.model.base_encoder.") | HEAD
# What is saved and how, the name of the file, and where in it the encoder lies.
FORMS = {
    "safetensors": (STATE, save_safetensors, "a.safetensors", "", ""),
    "safetensors below": (below("backbone."), save_safetensors, "a.bin", "", "backbone."),
    "archive": (STATE, torch.save, "a.pth", "", ""),
    "before archives": (STATE, save_legacy, "a.pth", "", ""),
    "parallel": ({"state_dict": below("module.")}, torch.save, "a.pt", "state_dict", "module."),
    "Lightning": (lightning(), torch.save, "a.ckpt", "state_dict", "model.encoder."),
    "transformers": (below("encoder."), torch.save, "pytorch_model.bin", "", "encoder."),
    "with an optimizer": (WITH_OPTIMIZER, torch.save, "a.pt", "model_state_dict", ""),
    "deep": ({"ckpt": {"net": below("0.")}}, save_legacy, "a.pth", "ckpt.net", "0."),
    "MoCo": ({"model": moco()}, torch.save, "a.pth.tar", "model", "module.encoder_q."),
    "several prefixes": (THRICE, torch.save, "a.pth", "", "module.model.base_encoder."),
    "parameters": (STATE | dict(ENCODER.named_parameters()), torch.save, "a.pth", "", ""),
    "one storage": (in_one_storage(), torch.save, "a.pth", "", ""),
    "one storage before archives": (in_one_storage(), save_legacy, "a.pth", "", ""),
    "without counts": (OLD, save_legacy, "a.pth", "", ""),
    "with a head": (STATE | HEAD, torch.save, "a.pth", "", ""),
    "one encoder twice": (TWICE, torch.save, "a.ckpt", "student", ""),
    "safetensors named ckpt": (STATE, save_safetensors, "a.ckpt", "", ""),
    "archive named safetensors": (STATE, torch.save, "a.safetensors", "", ""),
    "beside another": (STATE | below("ema.", OTHER.state_dict()), torch.save, "a.pth", "", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_gives_the_features_of_the_encoder_that_was_saved(form, tmp_path):
    content, save, name, key, prefix = FORMS[form]
    save(content, tmp_path / name)
    state = load_encoder_state(TinyEncoder, str(tmp_path / name))
    loaded = TinyEncoder().eval()
    loaded.load_state_dict(state, strict=True)
    images = torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(images), ENCODER(images))
    assert (state.report.key, state.report.prefix) == (key, prefix)
    assert state.report.n_tensors == len(STATE) - len(state.report.missing)


def test_half_precision_below_a_prefix(tmp_path):
    halves = {name: value.half() for name, value in STATE.items()}
    torch.save({"state_dict": below("module.", halves)}, tmp_path / "a.pth")
    state = load_encoder_state(TinyEncoder, tmp_path / "a.pth")
    assert torch.equal(state["conv.weight"], STATE["conv.weight"].half().float())


def test_what_was_taken_and_left_is_reported_and_logged(tmp_path, caplog):
    path = tmp_path / "a.pth"
    torch.save({"state_dict": below("module.", OLD | HEAD)}, path)
    with caplog.at_level(logging.INFO, "skosfusion"):
        state = load_encoder_state(TinyEncoder, path)
    assert state.report == WeightsReport(
        source=f"file {str(path)!r}",
        key="state_dict",
        prefix="module.",
        n_tensors=6,
        left_over=("module.fc.weight", "module.fc.bias"),
        missing=("norm.num_batches_tracked",),
    )
    assert state["norm.num_batches_tracked"] == 0
    assert f"6 tensors from file {str(path)!r}, in 'state_dict', below 'module.'" in caplog.text
    assert "2 left over ('module.fc.weight', 'module.fc.bias'); 1 missing" in caplog.text
    assert len(caplog.records) == 1
    again = pickle.loads(pickle.dumps(state))
    assert isinstance(again, EncoderState)
    assert again.report == state.report


@pytest.mark.parametrize(
    ("content", "one", "other"),
    [
        (
            {"student": STATE, "teacher": OTHER.state_dict()},
            "in 'student'",
            "in 'teacher'",
        ),
        (
            {
                "state_dict": below("module.encoder_q.")
                | below("module.encoder_k.", OTHER.state_dict())
            },
            "in 'state_dict', below 'module.encoder_q.'",
            "in 'state_dict', below 'module.encoder_k.'",
        ),
        (
            {"state_dict": STATE, "state_dict_ema": STATE | {"conv.bias": torch.ones(8)}},
            "in 'state_dict'",
            "in 'state_dict_ema'",
        ),
    ],
)
def test_two_encoders_in_a_file_are_refused_by_name(content, one, other, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="several encoders with different values") as error:
        load_encoder_state(TinyEncoder, tmp_path / "a.pth")
    assert f"one {one}, another {other}. Save the one to use alone" in str(error.value)


def test_a_partial_match_says_how_many_tensors_and_which(tmp_path):
    state = {name: value for name, value in STATE.items() if not name.startswith("norm")}
    torch.save({"model": below("net.", state)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError) as error:
        load_encoder_state(TinyEncoder, tmp_path / "a.pth")
    assert (
        "5 of 7 entries are missing, such as 'norm.weight', 'norm.bias', 'norm.running_mean', …, "
        "where the file has 'net.conv.weight', 'net.conv.bias', in 'model', below 'net.'"
    ) in str(error.value)


def test_another_shape_is_named_with_how_many(tmp_path):
    state = STATE | {"conv.bias": torch.ones(9), "norm.bias": torch.ones(7)}
    torch.save(below("net.", state), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="2 of 7 have another shape") as error:
        load_encoder_state(TinyEncoder, tmp_path / "a.pth")
    assert "'conv.bias' has shape (9,), expected (8,)" in str(error.value)
    assert "'norm.bias' has shape (7,), expected (8,)" in str(error.value)


@pytest.fixture(scope="module")
def resnets():
    return {name: models.get_model(name).state_dict() for name in ("resnet18", "resnet34")}


def test_a_deeper_network_of_the_same_kind_is_refused(resnets, tmp_path):
    """All of ResNet18 lies in ResNet34, and would be a network that nobody trained."""
    torch.save({"state_dict": below("module.", resnets["resnet34"])}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"deeper network than backbone 'resnet18': 96 entries"):
        load_encoder_state("resnet18", tmp_path / "a.pth")
    torch.save(resnets["resnet18"], tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"96 of 216 entries are missing, such as 'layer1\.2"):
        load_encoder_state("resnet34", tmp_path / "a.pth")


def test_a_torchvision_file_of_any_age_is_read_to_the_bit(resnets, tmp_path):
    state = resnets["resnet18"]
    for options in ({}, LEGACY):
        torch.save(state, tmp_path / "a.pth", **options)
        loaded = load_encoder_state("resnet18", tmp_path / "a.pth")
        assert loaded.report.left_over == ("fc.weight", "fc.bias")
        assert all(torch.equal(loaded[name], state[name]) for name in loaded)
        build_encoder("resnet18").load_state_dict(loaded, strict=True)


def test_no_part_of_the_file_is_the_encoder(tmp_path):
    torch.save({"epoch": 3, "names": ["a"], 5: torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"7 of 7 entries are missing.*where the file has none"):
        load_encoder_state(TinyEncoder, tmp_path / "a.pth")
