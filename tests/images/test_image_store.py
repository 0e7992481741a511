"""The store of decoded images."""

import copy
import os
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

import numpy as np
import pytest
from PIL import Image

from skosfusion.exceptions import ImageError
from skosfusion.images import ImageStore, _store, read_image, shared_image_store

SIZE = 16
COST = SIZE * SIZE + 512  # bytes of a grayscale image, and what each counts for beside them


@pytest.fixture
def make(tmp_path):
    """Write grayscale images of given brightness and return their paths."""

    def write(*values, mode="L"):
        paths = []
        for value in values:
            path = tmp_path / f"{mode}{value}.png"
            Image.new(mode, (20, 30), value if mode == "L" else (value, 0, 9)).save(path)
            paths.append(path)
        return paths

    return write


@pytest.fixture
def settled(monkeypatch):
    """Take every file for one that was written long ago."""
    monkeypatch.setattr(_store, "_SETTLED_NS", -(10**15))


@pytest.fixture
def count_calls(monkeypatch):
    """Count the calls of a function of the store's module."""

    def count(name):
        calls = []
        function = getattr(_store, name)

        def counted(*args, **kwargs):
            calls.append(args)
            return function(*args, **kwargs)

        monkeypatch.setattr(_store, name, counted)
        return calls

    return count


# Fingerprints


def test_a_fingerprint_is_the_blake2b_digest_of_the_content(make):
    (path,) = make(50)
    digest = blake2b(path.read_bytes(), digest_size=32).digest()
    assert ImageStore().fingerprints([path]) == [digest]


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_not_read_again(make, count_calls):
    paths, store, calls = make(50, 60), ImageStore(), count_calls("read_file")
    first = store.fingerprints(paths)
    assert len(calls) == 2
    assert store.fingerprints(paths) == first
    assert len(calls) == 2


@pytest.mark.usefixtures("settled")
def test_a_file_replaced_under_the_same_path_is_noticed(make):  # fault 67
    old, new = make(50, 60)
    store = ImageStore()
    before = store.fingerprints([old])
    os.utime(new, ns=(old.stat().st_atime_ns, old.stat().st_mtime_ns))
    os.replace(new, old)
    assert store.fingerprints([old]) != before


@pytest.mark.usefixtures("settled")
def test_a_replaced_image_is_never_stale(make):  # fault 67
    old, new = make(50, 60)
    store = ImageStore()
    assert store.read([old])[0].max() == 50
    os.replace(new, old)
    assert store.read([old])[0].max() == 60


def test_a_file_written_twice_within_one_tick_of_the_clock_is_noticed(make, monkeypatch):
    monkeypatch.setattr(_store, "_signature", lambda status: "same device, inode, size and times")
    old, new = make(50, 60)
    store = ImageStore()
    before = store.fingerprints([old])
    old.write_bytes(new.read_bytes())
    assert store.fingerprints([old]) != before


@pytest.mark.usefixtures("settled")
def test_a_file_that_disappears_is_noticed(make):
    (path,) = make(50)
    store = ImageStore()
    store.read([path])
    path.unlink()
    with pytest.raises(FileNotFoundError, match="row 9"):
        store.read([path], rows=[9])


@pytest.mark.usefixtures("settled")
def test_the_memory_of_fingerprints_is_bounded(make, monkeypatch):
    monkeypatch.setattr(_store, "_MAX_KNOWN_FILES", 3)
    store = ImageStore()
    store.fingerprints(make(*range(10)))
    assert len(store._files) == 3


# Reading


def test_the_store_reads_what_read_image_reads(make):
    paths = [*make(50), *make(60, mode="RGB")]
    for stored, path in zip(ImageStore().read(paths, image_size=SIZE), paths, strict=True):
        np.testing.assert_array_equal(stored, read_image(path, image_size=SIZE))


def test_each_image_is_decoded_once(make, count_calls):
    paths, store, calls = make(50, 60), ImageStore(), count_calls("read_pixels")
    store.read([*paths, *paths])
    store.read(paths)
    assert len(calls) == 2
    assert store.info()[:3] == (4, 2, 2)


@pytest.mark.usefixtures("settled")
def test_a_kept_image_costs_no_read_of_its_file(make, count_calls):
    paths, store = make(50, 60), ImageStore()
    store.read(paths)
    calls = count_calls("read_file")
    store.read(paths)
    assert calls == []


def test_copies_of_a_file_share_an_image(make, tmp_path):
    (path,) = make(50)
    (tmp_path / "copy.png").write_bytes(path.read_bytes())
    first, second = ImageStore().read([path, tmp_path / "copy.png"])
    assert first is second


def test_options_are_part_of_the_key(make):
    paths, store = make(50), ImageStore()
    assert store.read(paths, image_size=8)[0].shape == (1, 8, 8)
    assert store.read(paths, image_size=9)[0].shape == (1, 9, 9)
    assert store.info().n_images == 2


def test_options_of_equal_meaning_share_an_image(make):
    paths, store = make(50), ImageStore()
    first = store.read(paths, crop_box=[0, 0, 9, 9], image_size=np.int64(8))
    second = store.read(paths, crop_box=(0, 0, 9, 9), image_size=8)
    assert first[0] is second[0]


def test_an_unknown_option_is_a_type_error(make):
    with pytest.raises(TypeError, match="size"):
        ImageStore().read(make(50), size=8)


def test_images_are_read_only(make):
    (image,) = ImageStore().read(make(50))
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


def test_a_single_path_is_refused():
    with pytest.raises(TypeError, match=r"single path 'knee\.png'"):
        ImageStore().read("knee.png")


def test_rows_must_be_as_many_as_paths(make):
    with pytest.raises(ValueError, match=r"as long as paths \(2\), got 1"):
        ImageStore().read(make(50, 60), rows=[1])


@pytest.mark.parametrize(("rows", "row"), [(None, 1), ([30, 31, 32], 31)])
def test_a_failing_image_is_named_and_nothing_is_kept(make, tmp_path, rows, row):
    (tmp_path / "broken.png").write_bytes(b"not an image")
    good, other = make(50, 60)
    store = ImageStore()
    with pytest.raises(ImageError, match="broken") as caught:
        store.read([good, tmp_path / "broken.png", other], rows=rows)
    assert caught.value.row == row
    assert store.info() == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("path", [None, float("nan")])
def test_a_missing_path_is_a_type_error_with_its_row(make, path):  # fault 23
    with pytest.raises(TypeError, match="row 1"):
        ImageStore().read([*make(50), path])


# Batches


def test_a_gray_batch_has_one_channel(make):
    batch = ImageStore().read_batch(make(50, 60, 70), image_size=SIZE)
    assert batch.shape == (3, 1, SIZE, SIZE)
    assert batch.dtype == np.uint8
    assert batch[:, 0, 0, 0].tolist() == [50, 60, 70]


def test_a_batch_with_one_color_image_has_three_channels(make):
    batch = ImageStore().read_batch([*make(50), *make(60, mode="RGB")], image_size=SIZE)
    assert batch[:, :, 0, 0].tolist() == [[50, 50, 50], [60, 0, 9]]


def test_writing_into_a_batch_leaves_the_store_alone(make):
    paths, store = make(50), ImageStore()
    store.read_batch(paths)[...] = 0
    assert store.read(paths)[0].max() == 50


def test_an_empty_batch_has_the_size_wanted():
    assert ImageStore().read_batch([], image_size=SIZE).shape == (0, 1, SIZE, SIZE)


def test_a_batch_needs_a_size(make):
    with pytest.raises(ValueError, match="image_size"):
        ImageStore().read_batch(make(50), image_size=None)


# Memory


def test_each_image_counts_its_bytes_and_a_small_overhead(make):
    store = ImageStore()
    store.read(make(*range(10)), image_size=SIZE)
    assert store.info() == (0, 10, 10, 10 * COST, 0)


def test_the_paper_s_data_set_fits_into_the_default_store():
    assert 2608 * (224 * 224 + 512) < 133 * 10**6 < ImageStore()._images.max_cost


def test_a_full_store_keeps_to_its_limit_and_gives_right_images(make):
    paths, store = make(*range(20)), ImageStore(max_bytes=7 * COST + 1)
    for _ in range(3):
        for value, path in enumerate(paths):
            assert store.read([path], image_size=SIZE)[0].max() == value
            assert store.info().n_bytes <= 7 * COST
    assert store.info().n_images == 7


def test_repeated_passes_over_a_data_set_larger_than_the_store_find_a_part(make):
    paths, store = make(*range(20)), ImageStore(max_bytes=10 * COST)
    for _ in range(5):
        for path in paths:
            store.read([path], image_size=SIZE)
    # Dropping the least recently used would give no hit at all; this gives about a fifth of 80.
    assert store.info().hits > 8


def test_an_image_larger_than_the_store_is_returned_and_not_kept(make):
    store = ImageStore(max_bytes=COST - 1)
    assert store.read(make(50), image_size=SIZE)[0].max() == 50
    assert store.info() == (0, 1, 0, 0, 0)


def test_clear_forgets_everything(make):
    paths, store = make(50, 60), ImageStore()
    store.read(paths)
    store.clear()
    assert store.info() == (0, 0, 0, 0, 0)
    assert store.read(paths)[1].max() == 60


def test_no_global_generator_is_used(make):
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    store = ImageStore(max_bytes=3 * COST)
    for path in make(*range(9)):
        store.read([path], image_size=SIZE)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


@pytest.mark.parametrize("value", [-1, 1.5, "1GB", None])
def test_max_bytes_out_of_range_is_named(value):
    with pytest.raises(ValueError, match=r"max_bytes=.* is not allowed"):
        ImageStore(max_bytes=value)


# Threads and processes


@pytest.mark.parametrize("max_bytes", [2**20, 5 * COST], ids=["roomy", "full"])
def test_threads_share_a_store(make, max_bytes):
    paths, store = make(*range(12)), ImageStore(max_bytes=max_bytes)
    start = threading.Barrier(6)

    def work(seed):
        order = np.random.default_rng(seed)
        start.wait()
        for _ in range(30):
            chosen = order.integers(12, size=4)
            batch = store.read_batch([paths[i] for i in chosen], image_size=SIZE)
            if batch[:, 0, 0, 0].tolist() != chosen.tolist():
                return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(work, range(6)))
    info = store.info()
    assert info.hits + info.misses == 6 * 30 * 4
    assert info.n_images == min(12, max_bytes // COST)
    assert info.n_bytes == info.n_images * COST


def test_the_process_has_one_shared_store():
    assert shared_image_store() is shared_image_store()
    assert isinstance(shared_image_store(), ImageStore)


@pytest.mark.parametrize("act", [pickle.dumps, copy.deepcopy])
def test_a_store_is_not_pickled_or_copied(act):
    with pytest.raises(TypeError, match="shared_image_store"):
        act(ImageStore())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_a_thread_uses_the_shared_store_does_not_lock_it():
    store, holds = shared_image_store(), threading.Event()

    def hold():
        with store._lock:
            holds.set()
            threading.Event().wait(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if store._lock.acquire(timeout=5) else 1)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.info().n_bytes >= 0
