"""The folder of compiled encoders, and what compiles them."""

import hashlib
import os
import sys

import pytest
import torch
from torch import nn

from skosfusion.network import FusionNetwork, _compiled, _encoder_key
from skosfusion.network._encoder_key import encoder_key


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "compiled"
    folder.mkdir(mode=0o700)
    return folder


def make_file(place, n_bytes, age=0):
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.write_bytes(b"x" * n_bytes)
    for path in (place, place.parent):
        os.utime(path, (path.stat().st_mtime - age,) * 2)


def test_the_oldest_leave_first_and_who_compiles_now_is_left_alone(folder):
    make_file(folder / "old" / "1.pt2", 600, age=10)
    make_file(folder / "new" / "2.pt2", 300)
    make_file(folder / "work-now" / "encoder.pt2", 900)
    make_file(folder / "work-killed" / "weights.o", 900, age=3 * _compiled.MOST_SECONDS)
    _compiled._prune(folder, 500)
    assert {path.name for path in folder.iterdir()} == {"new", "work-now"}
    _compiled._prune(folder, 0)
    assert {path.name for path in folder.iterdir()} == {"work-now"}


def test_what_cannot_be_loaded_makes_room(folder):
    junk = b"no native code"
    place = folder / "encoder"
    place.mkdir(mode=0o700)
    file = place / f"{hashlib.sha256(junk).hexdigest()}.pt2"
    file.write_bytes(junk)
    file.chmod(0o600)
    assert _compiled._kept(place, nn.Identity(), torch.zeros(1, 3, 8, 8), None) is None
    assert not place.exists()


def test_what_gives_other_features_makes_room(folder, monkeypatch):
    place = folder / "encoder"
    make_file(place / "1.pt2", 10)
    monkeypatch.setattr(_compiled, "_load", lambda place: nn.ReLU())
    images = torch.randn(1, 3, 8, 8)
    found = _compiled._kept(place, nn.ReLU(), images, None)
    assert isinstance(found, nn.ReLU)
    assert _compiled._kept(place, nn.Identity(), images, None) is None
    assert not place.exists()


@pytest.mark.parametrize(
    ("command", "is_there"),
    [("{} -O2", True), ("'{}'", True), ("/no/such -O2", False), ("'", False)],
)
def test_a_compiler_may_be_named_with_options(command, is_there, monkeypatch):
    monkeypatch.setenv("CXX", command.format(sys.executable))
    assert _compiled.has_compiler() is (is_there and os.name == "posix")


def test_features_of_other_compilers_are_kept_apart(monkeypatch, tmp_path):
    network = FusionNetwork(0, 2, image_size=32).eval()
    options = {"image_size": 32}
    facts = ("x86_64", "flags", "g++ 13")
    monkeypatch.setattr(_encoder_key, "native_code_facts", lambda: facts)
    engines = "fused", "compiled"
    before = {engine: encoder_key(network, options, None, engine) for engine in engines}
    facts = ("x86_64", "flags", "g++ 14")
    assert encoder_key(network, options, None, "fused") == before["fused"]
    assert encoder_key(network, options, None, "compiled") != before["compiled"]


def test_a_compiler_tells_what_it_is(monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)
    assert _compiled.native_code_facts()[-1].startswith("Python 3.")
    monkeypatch.setenv("CXX", "/no/such")
    assert _compiled.native_code_facts()[-1] == "no compiler"
