"""Decoded images kept in a folder."""

import hashlib
import os
import threading
import time
import warnings

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from skosfusion.exceptions import ImageError
from skosfusion.images import ImageStore, _pixel_files, _store

SIZE = 16


@pytest.fixture
def paths(tmp_path):
    """Five grayscale images of noise and one in color."""
    rng, files = np.random.default_rng(0), []
    for number in range(6):
        shape = (30, 40, 3) if number == 5 else (30, 40)
        files.append(tmp_path / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).save(files[-1])
    return files


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "memory"


@pytest.fixture
def no_decoding(monkeypatch):
    """Make any decoding an error, from the call on."""

    def refuse(*args, **kwargs):
        raise AssertionError("an image was decoded")

    return lambda: monkeypatch.setattr(_store, "read_pixels", refuse)


def _read(paths, folder, store=None, **options):
    return (store or ImageStore()).read(paths, folder=folder, image_size=SIZE, **options)


def _kept(folder):
    return sorted(folder.rglob("*.safetensors"))


def _equal(first, second):
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def test_images_outlive_the_store(paths, folder, no_decoding):
    exact = ImageStore().read(paths, image_size=SIZE)
    assert _equal(_read(paths, folder), exact)
    no_decoding()
    store = ImageStore()
    assert _equal(_read(paths, folder, store), exact)
    assert store.info() == (0, 0, 0, 0, 6)


def test_kept_images_take_no_memory(paths, folder):
    store = ImageStore()
    _read(paths, folder, store)
    assert store.info() == (0, 6, 0, 0, 0)
    _read(paths, folder, store)
    assert store.info() == (0, 6, 0, 0, 6)


def test_an_image_in_memory_is_not_read_from_the_folder(paths, folder):
    store = ImageStore()
    store.read(paths, image_size=SIZE)
    _read(paths, folder, store)
    assert store.info()[:3] == (6, 6, 6)
    assert not folder.exists()


def test_files_are_safetensors_that_hold_a_digest(paths, folder):
    _read(paths, folder)
    assert len(_kept(folder)) == len([f for f in folder.rglob("*") if f.is_file()]) == 6
    for path in _kept(folder):
        arrays = safetensors.numpy.load_file(path)
        assert arrays["pixels"].dtype == np.uint8
        assert arrays["digest"].shape == (32,)


def test_other_options_and_versions_do_not_meet(paths, folder, monkeypatch):
    _read(paths, folder)
    _read(paths, folder, contrast="stretch")
    ImageStore().read(paths, folder=folder, image_size=8)
    monkeypatch.setattr(_pixel_files.PIL, "__version__", "0.0")
    _read(paths, folder)
    monkeypatch.setattr(_pixel_files, "__version__", "0.0")
    _read(paths, folder)
    assert len(list((folder / "images").iterdir())) == 5
    assert len(_kept(folder)) == 30


def test_a_replaced_image_is_noticed(paths, folder):
    old = _read(paths, folder)
    paths[0].write_bytes(paths[1].read_bytes())
    assert _equal(_read(paths, folder), [old[1], *old[1:]])


@pytest.mark.parametrize(
    "damage", ["bit", "cut", "empty", "pickle", "other", "shape", "pipe", "key"]
)
def test_a_damaged_file_is_noticed_and_mended(damage, paths, folder, no_decoding):
    exact = _read(paths[:5], folder)
    first, second = _kept(folder)[:2]
    content = bytearray(first.read_bytes())
    arrays = safetensors.numpy.load(bytes(content))
    if damage == "bit":
        content[-40] ^= 4
    elif damage == "cut":
        content = content[:-100]
    elif damage == "other":
        content = second.read_bytes()
    elif damage == "shape":
        content = safetensors.numpy.save(arrays | {"pixels": arrays["pixels"][:, :3].copy()})
    elif damage == "key":
        content = safetensors.numpy.save({"pixels": arrays["pixels"]})
    else:
        content = b"\x80\x04cos\nsystem\n" if damage == "pickle" else b""
    first.unlink()
    if damage == "pipe":
        os.mkfifo(first)
    else:
        first.write_bytes(content)
    with pytest.warns(UserWarning, match="kept pixels in .* are damaged"):
        assert _equal(_read(paths[:5], folder), exact)
    no_decoding()
    assert _equal(_read(paths[:5], folder), exact)


def _plant(folder, image, pixels, **options):
    """Write what a stranger would who knows how digests are made."""
    files = _pixel_files.PixelFiles(folder, _store.read_options(**options))
    assert files.put_many({ImageStore().fingerprints([image])[0]: pixels})


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((1, 8, 32), np.uint8), np.zeros((2, 16, 16), np.uint8), np.zeros((1, 16, 16), "i4")],
    ids=["shape", "channels", "type"],
)
def test_a_planted_file_of_another_form_is_passed_over(pixels, paths, folder):
    _plant(folder, paths[0], pixels, image_size=SIZE)
    with pytest.warns(UserWarning, match="are damaged"):
        (image,) = _read(paths[:1], folder)
    assert (image.shape, image.dtype) == ((1, SIZE, SIZE), np.uint8)


def test_many_batches_warn_once(paths, folder):
    _read(paths, folder)
    for path in _kept(folder):
        path.write_bytes(b"")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for path in paths:
            _read([path], folder)
        folder.joinpath("images").rename(folder / "moved")
        folder.joinpath("images").write_text("in the way")
        for path in paths:
            _read([path], folder)
    assert len(caught) == 2


def test_the_log_names_the_damaged_file(paths, folder, caplog):
    _read(paths, folder)
    _kept(folder)[0].write_bytes(b"")
    with caplog.at_level("INFO"), pytest.warns(UserWarning, match="are damaged"):
        _read(paths, folder)
    assert str(_kept(folder)[0]) in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
def test_files_are_for_whom_the_umask_allows(paths, folder):
    before = os.umask(0o027)
    try:
        _read(paths, folder)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in _kept(folder)} == {0o640}


def test_a_shape_that_does_not_match_the_digest_is_noticed(paths, folder):
    (exact,) = ImageStore().read(paths[:1], folder=folder, image_size=None)
    (path,) = _kept(folder)
    arrays = safetensors.numpy.load(path.read_bytes())
    turned = arrays | {"pixels": arrays["pixels"].reshape(1, 40, 30)}
    path.write_bytes(safetensors.numpy.save(turned))
    with pytest.warns(UserWarning, match="are damaged"):
        (image,) = ImageStore().read(paths[:1], folder=folder, image_size=None)
    np.testing.assert_array_equal(image, exact)


def test_images_from_the_folder_cannot_be_written_to(paths, folder):
    _read(paths, folder)
    with pytest.raises(ValueError, match="read-only"):
        _read(paths, folder)[0][0, 0, 0] = 1


def test_histogram_equalisation_of_another_version_does_not_meet(paths, folder, monkeypatch):
    pytest.importorskip("skimage")
    _read(paths, folder, contrast="clahe")
    monkeypatch.setattr(_pixel_files, "version", lambda name: "0.0")
    _read(paths, folder, contrast="clahe")
    _read(paths, folder)
    assert len(list((folder / "images").iterdir())) == 3


def test_an_unreadable_file_stops_the_other_threads(paths, monkeypatch):
    decode, decoded = _store.read_pixels, []

    def slowly(data, options, *, path, row):
        time.sleep(0.05)
        decoded.append(row)
        return decode(data, options, path=path, row=row)

    monkeypatch.setattr(_store, "read_pixels", slowly)
    paths[0].write_bytes(b"not an image")
    with pytest.raises(ImageError, match="row 0"):
        _read(paths * 8, None, n_threads=2)
    assert len(decoded) < 20


def test_a_file_in_the_way_costs_a_warning(paths, folder, no_decoding):
    exact = _read(paths, folder)
    folder.joinpath("images").rename(folder / "moved")
    folder.joinpath("images").write_text("in the way")
    store = ImageStore()
    with pytest.warns(UserWarning, match="pixels cannot be kept"):
        assert _equal(_read(paths, folder, store), exact)
    assert store.info().n_images == 6
    no_decoding()
    assert _equal(_read(paths, folder, store), exact)


def test_a_full_disk_costs_one_warning(paths, folder, monkeypatch):
    calls = []

    def refuse(*args, **kwargs):
        calls.append(args)
        raise OSError(28, "No space left on device")

    exact = ImageStore().read(paths, image_size=SIZE)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.warns(UserWarning, match="No space left") as caught:
        assert _equal(_read(paths, folder), exact)
    assert len(caught) == len(calls) == 1
    assert not [f for f in folder.rglob("*") if f.is_file()]


def test_a_file_as_folder_is_refused(paths, folder):
    folder.write_text("")
    with pytest.raises(ValueError, match="is not a folder"):
        _read(paths, folder)


def test_unfinished_files_of_killed_processes_are_swept(paths, folder):
    _read(paths[:3], folder)
    (inner,) = (folder / "images").iterdir()
    old, fresh = inner / ".old.tmp", inner / ".fresh.tmp"
    for file in (old, fresh):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 86400,) * 2)
    _read(paths, folder)
    assert not old.exists()
    assert fresh.exists()


@pytest.mark.parametrize("kept", [False, True])
def test_threads_give_what_one_thread_gives(kept, paths, folder):
    folder = folder if kept else None
    many = paths * 4
    exact = ImageStore().read(many, image_size=SIZE)
    store = ImageStore()
    assert _equal(_read(many, folder, store, n_threads=3), exact)
    assert _equal(_read(many, folder, store, n_threads=3), exact)
    batch = ImageStore().read_batch(many, folder=folder, n_threads=3, image_size=SIZE)
    assert _equal(list(batch)[5::6], exact[5::6])


def test_several_threads_decode(paths, monkeypatch):
    together = threading.Barrier(3, timeout=20)
    decode = _store.read_pixels

    def wait(*args, **kwargs):
        together.wait()
        return decode(*args, **kwargs)

    monkeypatch.setattr(_store, "read_pixels", wait)
    assert len(_read(paths, None, n_threads=3)) == 6


def test_fingerprints_are_the_same_in_threads(paths):
    expected = [hashlib.blake2b(path.read_bytes(), digest_size=32).digest() for path in paths]
    assert ImageStore().fingerprints(paths, n_threads=3) == expected


def test_the_first_unreadable_file_in_order_is_named(paths, folder):
    for number in (2, 4):
        paths[number].write_bytes(b"not an image")
    with pytest.raises(ImageError, match="row 12"):
        _read(paths, folder, n_threads=2, rows=range(10, 16))


@pytest.mark.parametrize("n_threads", [0, 1.5, True])
def test_a_number_of_threads_that_is_none_is_refused(n_threads, paths):
    with pytest.raises(ValueError, match=r"n_threads=.*an integer of at least 1"):
        ImageStore().read(paths, n_threads=n_threads)


def _aged(files):
    """Give files times one second apart, the first the oldest."""
    for age, path in enumerate(reversed(files)):
        os.utime(path, (time.time() - age, time.time() - age))


def test_the_oldest_pixels_are_pruned_whatever_their_options(paths, folder, no_decoding):
    _read(paths[:3], folder)
    first = _kept(folder)
    _read(paths[3:], folder, contrast="stretch")
    second = [path for path in _kept(folder) if path not in first]
    _aged(first + second)
    n_bytes = sum(path.stat().st_size for path in second)
    assert ImageStore().prune(folder, n_bytes) == n_bytes
    assert _kept(folder) == sorted(second)
    no_decoding()
    _read(paths[3:], folder, contrast="stretch")


def test_pruned_pixels_are_decoded_again(paths, folder):
    store = ImageStore()
    exact = _read(paths, folder, store)
    assert store.prune(folder, 0) == 0
    assert _kept(folder) == []
    assert _equal(_read(paths, folder, store), exact)
    assert len(_kept(folder)) == 6


def test_pruning_leaves_what_is_not_ours(paths, folder):
    _read(paths, folder)
    model = folder / "images" / "model.safetensors"
    model.write_bytes(b"model")
    other = _kept(folder)[0].with_name("knee.safetensors")
    other.write_bytes(b"mine")
    ImageStore().prune(folder, 0)
    assert set(_kept(folder)) == {model, other}
    assert (model.read_bytes(), other.read_bytes()) == (b"model", b"mine")


def test_pruning_a_folder_that_is_not_there_is_nothing(folder):
    assert ImageStore().prune(folder, 0) == 0
    with pytest.raises(ValueError, match=r"max_bytes=-1 .*an integer of at least 0"):
        ImageStore().prune(folder, -1)
