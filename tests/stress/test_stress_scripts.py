"""That the stress scripts notice what is wrong; that nothing is, CI finds out by running them."""

import argparse
import json
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from .._helpers.executed import Executed
from . import backends, race
from .parts import fuzz_images, fuzz_worker, mutations
from .parts.disturber import _DEEDS, _do
from .parts.gallery import Gallery
from .parts.report import Report

ROOT = Path(__file__).parents[2]


def run(script, *options, out):
    command = [sys.executable, "-m", f"tests.stress.{script}", "--out", str(out), *options]
    finished = subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return finished.returncode, json.loads(out.read_text())


def test_an_injected_fault_is_found_kept_and_ends_in_status_1(tmp_path):
    options = ["--trials", "20", "--only", "csv", "--failures", str(tmp_path / "failures")]
    status, record = run("fuzz", *options, "--break-one", out=tmp_path / "record.json")
    assert status == 1
    assert any("trial 0: csv: injected" in text for text in record["wrong"])
    assert {"machine", "versions", "settings", "figures"} <= record.keys()
    assert [path.name for path in (tmp_path / "failures").iterdir()] == ["trial0-table.csv"]


@pytest.mark.parametrize(
    ("value", "faults"),
    [(20, []), (10, ["file 1 are stale"]), (99, ["file 1 are of no version"])],
)
def test_a_value_of_another_time_or_of_none_is_found(value, faults):
    right = np.array([[[1], [2], [3]], [[10], [20], [30]]])
    assert race.find_faults([1], [np.array([value])], right, [{1, 2}]) == faults


def test_one_bit_makes_a_fit_unequal():
    expected = np.array([[0.1, 0.2], [0.3, 0.4]])
    found = expected.copy()
    assert backends.count_equal(expected, found) == 2
    found[1, 0] = np.nextafter(found[1, 0], 1)
    assert backends.count_equal(expected, found) == 1
    assert backends.count_equal(expected, found.astype(np.float32)) == 0


@pytest.mark.parametrize(("right", "total", "status"), [(2, 2, 0), (1, 2, 1), (0, 0, 1)])
def test_a_count_that_is_not_all_or_of_nothing_is_wrong(right, total, status, tmp_path):
    report = Report("A claim", argparse.Namespace(seed=0))
    report.count("trials", right, total)
    assert report.finish(tmp_path / "record.json") == status


def test_a_count_that_is_only_measured_decides_nothing(tmp_path):
    report = Report("A claim", argparse.Namespace(seed=0))
    report.count("trials", 1, 2, must_be_all=False)
    assert report.finish(tmp_path / "record.json") == 0


@pytest.mark.parametrize(
    ("before", "after", "versions"),
    [(0, 0, {0}), (2, 2, {1}), (2, 3, {1, 2}), (3, 3, {1, 2}), (1, 2, {0, 1}), (6, 8, {3, 0})],
)
def test_a_reader_may_see_what_lay_there_during_its_call_and_nothing_else(before, after, versions):
    gallery = Gallery("nowhere", [0, 0], n_versions=4, seed=0)
    assert gallery.allowed(before, after) == versions


def test_a_changed_image_has_the_length_and_time_of_the_one_before(tmp_path):
    gallery = Gallery(tmp_path, [0], n_versions=4, seed=0)
    gallery.write_first()
    path = Path(gallery.paths[0])
    content, status = path.read_bytes(), path.stat()
    gallery.change(0)
    assert list(gallery.counters) == [2]
    assert path.read_bytes() == gallery.content(0, 1) != content
    changed = path.stat()
    assert (changed.st_size, changed.st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def test_every_deed_of_the_spoiler_can_be_done(tmp_path):
    gallery = Gallery(tmp_path, [0] * 4, n_versions=4, seed=0)
    gallery.write_first()
    for deed in _DEEDS:
        cache = tmp_path / deed.replace(" ", "_") / "images" / "key" / "ab"
        cache.mkdir(parents=True)
        for name in ("one", "two"):
            (cache / f"{name}.safetensors").write_bytes(name.encode() * 50)
        assert _do(deed, gallery, cache.parents[2], b"pickle", np.random.default_rng(0)), deed


def test_the_planted_pickle_leaves_a_mark_when_it_is_loaded(tmp_path):
    content = pickle.dumps(Executed(tmp_path / "mark"))
    assert not (tmp_path / "mark").exists()
    pickle.loads(content)
    assert (tmp_path / "mark").exists()


def test_inputs_follow_from_the_seed():
    made = [fuzz_images.make(np.random.default_rng([0, trial])) for trial in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_the_sound_image_files_can_all_be_read(tmp_path):
    for name, content in fuzz_images._FILES.items():
        (tmp_path / name).write_bytes(content)
        fuzz_images.read_image(tmp_path / name, frame=0)


def test_a_mutation_changes_something():
    random = np.random.default_rng(0)
    data = bytes(range(256)) * 4
    assert sum(mutations.mutate(data, random, [data]) != data for _ in range(200)) > 180


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "ok"), (fuzz_images.ImageError("x", path="x"), "ImageError"), (KeyError(1), "fault")],
)
def test_only_documented_errors_are_right(error, outcome, monkeypatch):
    def use(path, random):
        if error is not None:
            raise error

    monkeypatch.setattr(fuzz_images, "use", use)
    assert fuzz_worker._read(fuzz_images, "x.png", None)[0] == outcome


def test_a_warning_that_is_not_documented_is_a_fault(monkeypatch):
    monkeypatch.setattr(fuzz_images, "use", lambda path, random: warnings.warn("x", stacklevel=1))
    outcome, (summary, _) = fuzz_worker._read(fuzz_images, "x.png", None)
    assert (outcome, summary) == ("fault", "warning UserWarning")
