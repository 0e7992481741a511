"""The folder of compiled encoders, and what compiles them."""

import contextlib
import hashlib
import os
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from skosfusion.network import (
    EncoderFeatures,
    FeatureCache,
    FusionNetwork,
    _compiled,
    _encoder_key,
    _engines,
)
from skosfusion.network._encoder_key import encoder_key

from .._helpers.engines import make_network
from .._helpers.features import OPTIONS, encoded

pytestmark = pytest.mark.usefixtures("no_images", "fresh_engines")


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


def refused(cache, paths, match):
    """Encode with a compiler that cannot be used, and compare with what takes its place."""
    expected = encoded(FeatureCache(), make_network("eager"), paths, OPTIONS)
    with pytest.warns(UserWarning, match=match) as caught:
        found = encoded(cache, make_network("compiled"), paths, OPTIONS)
    assert len(caught) == 1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_a_compiler_the_next_engine_computes(monkeypatch, cache, paths):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    refused(cache, paths, r"engine='compiled' cannot be used here: there is no C\+\+ compiler")


def test_a_compiler_that_fails_is_one_warning(monkeypatch, cache, paths, tmp_path):
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    monkeypatch.setattr(_compiled, "_CHILD", "raise ValueError('no such instruction')")
    refused(cache, paths, r"ValueError: no such instruction")
    assert not list((tmp_path / "home" / "skosfusion" / "compiled").iterdir())


def test_a_compiler_that_hangs_is_ended_with_all_it_started(monkeypatch, cache, paths):
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            started.append(self.pid)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    child = "import subprocess; subprocess.run(['sleep', '600'])"
    monkeypatch.setattr(_compiled, "_CHILD", child)
    monkeypatch.setattr(_compiled, "MOST_SECONDS", 2)
    refused(cache, paths, r"it took more than 2 s")
    for _ in range(50):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started[0], 0)
            time.sleep(0.1)
            continue
        return
    pytest.fail("a process of the compiler is still there")


def test_a_home_that_cannot_be_written_is_one_warning(monkeypatch, cache, paths, tmp_path):
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    (tmp_path / "home").write_text("a file")
    refused(cache, paths, r"FileExistsError|NotADirectoryError")


def test_native_code_that_others_can_write_is_not_loaded(monkeypatch, cache, paths, tmp_path):
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    folder = tmp_path / "home" / "skosfusion" / "compiled"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    refused(cache, paths, r"others can write the folder")


def test_a_trained_encoder_is_not_compiled(monkeypatch, cache, paths):
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    network = make_network("compiled").freeze_encoder(False)
    with pytest.warns(UserWarning, match=r"that has trained is not compiled"):
        encoded(cache, network, paths, OPTIONS)


@pytest.mark.skipif(not _compiled.has_compiler(), reason="needs a C++ compiler")
def test_a_compiled_encoder_gives_the_same_features_and_is_kept(
    monkeypatch, cache, paths, tmp_path
):
    network = make_network("compiled", "squeezenet1_1")
    expected = encoded(FeatureCache(), make_network("eager", "squeezenet1_1"), paths, OPTIONS)
    found = encoded(cache, network, paths, OPTIONS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not _engines._FAILED
    (file,) = (tmp_path / "home").rglob("*.pt2")
    for folder in (file.parent, file.parents[1], file.parents[2]):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(file.parents[1].iterdir()) == [file.parent]
    # Few images, for which it is not made.
    alone = EncoderFeatures(network, OPTIONS, cache=FeatureCache())
    np.testing.assert_allclose(
        alone.for_prediction(paths[:1], alone=True), expected[:1], rtol=1e-4, atol=1e-5
    )
    # Another process need not compile.
    monkeypatch.setattr(_compiled, "_run_child", None)
    again = encoded(FeatureCache(), network, paths, OPTIONS)
    np.testing.assert_array_equal(again, found)
    # What is damaged is not loaded.
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="engine='compiled' cannot be used"):
        again = encoded(FeatureCache(), network, paths, OPTIONS)
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
