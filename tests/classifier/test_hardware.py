"""Threads, memory and devices: what the classifier asks of the machine, and gives back."""

import ctypes
import platform
import re
import sys
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from skosfusion import FusionClassifier, make_fusion_pipeline
from skosfusion._utils import memory as _hardware
from skosfusion._utils.memory import kept_memory
from skosfusion.classifier import _image_inputs
from skosfusion.classifier._device import (
    free_accelerator_bytes,
    one_thread_in_thread_workers,
)
from skosfusion.classifier._image_inputs import ImageInputs
from skosfusion.images import ImageStore, shared_image_store
from skosfusion.network import _features, shared_feature_cache

from .._helpers import tiny


class ThreadCount(tiny.TinyEncoder):
    """Remembers with how many threads it computed."""

    seen = set()  # noqa: RUF012 - shared on purpose

    def forward(self, images):
        self.seen.add(torch.get_num_threads())
        return super().forward(images)


def _mkl_threads():
    found = re.search(r"mkl_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())
    return None if found is None else int(found[1])


def _count_threads():
    before = torch.get_num_threads()
    with one_thread_in_thread_workers():
        inside = torch.get_num_threads()
    return before, inside, torch.get_num_threads()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class TestThreads:
    def test_outside_of_workers_nothing_changes(self, two_threads):
        assert _count_threads() == (2, 2, 2)

    def test_a_thread_that_is_no_worker_keeps_its_threads(self, two_threads):
        counts = []
        thread = threading.Thread(target=lambda: counts.append(_count_threads()))
        thread.start()
        thread.join()
        assert counts == [(2, 2, 2)]

    @pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
    def test_workers_that_joblib_does_not_limit_compute_in_one_thread(self, backend, two_threads):
        tasks = [joblib.delayed(_count_threads)()] * 4
        for counts in joblib.Parallel(2, backend=backend)(tasks):
            assert counts == (2, 1, 2)
        assert torch.get_num_threads() == 2

    def test_workers_that_joblib_limits_are_left_alone(self):
        tasks = [joblib.delayed(_count_threads)()] * 2
        for before, inside, after in joblib.Parallel(2, backend="loky")(tasks):
            assert before == inside == after

    def test_mkl_is_limited_too(self, two_threads):
        def count():
            before = _mkl_threads()
            with one_thread_in_thread_workers():
                return before, _mkl_threads()

        if _mkl_threads() is None:
            pytest.skip("torch is built without MKL")
        assert (
            joblib.Parallel(2, backend="threading")([joblib.delayed(count)()] * 2) == [(2, 1)] * 2
        )
        assert _mkl_threads() == 2

    def test_a_search_in_threads_gives_what_one_fit_at_a_time_gives(self, cohort, tmp_path):
        pipeline = make_fusion_pipeline(
            weights=None, image_size=32, max_epochs=1, batch_size=16, random_state=0, verbose=0
        )
        grid = {"classifier__frozen_epochs": ["all", 0]}
        X, y = cohort.drop(columns="diagnosis"), cohort["diagnosis"]
        scores = []
        for n_jobs in (1, 4):
            shared_feature_cache().clear()
            with joblib.parallel_config(backend="threading"):
                search = GridSearchCV(
                    pipeline, grid, cv=3, n_jobs=n_jobs, refit=False, error_score="raise"
                )
                scores.append(search.fit(X, y).cv_results_["mean_test_score"])
        np.testing.assert_array_equal(scores[0][0], scores[1][0])

    def test_fits_in_threads_compute_in_one_thread_each(self, two_threads, image_options, cohort):
        def fit():
            options = image_options | {"backbone": ThreadCount, "max_epochs": 1}
            FusionClassifier(**options).fit(X, y).predict(X)

        X, y = cohort[["image"]], cohort["diagnosis"]
        ThreadCount.seen.clear()
        fit()
        assert ThreadCount.seen == {2}
        ThreadCount.seen.clear()
        joblib.Parallel(2, backend="threading")([joblib.delayed(fit)()] * 2)
        assert ThreadCount.seen == {1}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs the GNU C library")
class TestKeptMemory:
    def _blocks_of_the_system(self):
        """Count the blocks that malloc has got from the system one by one."""

        class Information(ctypes.Structure):
            _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

        function = ctypes.CDLL(None).mallinfo2
        function.restype = Information
        return function().d

    def test_large_blocks_come_from_the_system_only_outside(self):
        with kept_memory:
            with kept_memory:
                pass
            before = self._blocks_of_the_system()
            # So large that no gap of the heap holds it; never touched, so it takes no memory.
            inside = torch.empty(2**30, dtype=torch.uint8)
            assert self._blocks_of_the_system() == before
            del inside
        before = self._blocks_of_the_system()
        outside = torch.empty(2**31, dtype=torch.uint8)
        assert self._blocks_of_the_system() == before + 1
        del outside

    def test_freed_memory_is_not_cleared_again(self):
        resource = pytest.importorskip("resource")

        def faults():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            torch.ones(2**28, dtype=torch.uint8)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        with kept_memory:
            counts = [faults() for _ in range(5)]
        # Small blocks may come to lie in the first place that was freed.
        assert min(counts) < counts[0] / 10

    def test_blocks_of_any_size_are_kept(self, monkeypatch):
        class Library:
            calls = []  # noqa: RUF012 - one list is meant
            malloc_trim = calls.append

            def mallopt(self, parameter, value):
                self.calls.append((parameter, value))

        memory = _hardware._KeptMemory()
        monkeypatch.setattr(memory, "_glibc", Library())
        with memory:
            # No mapping of its own for any block, and no limit from which the heap shrinks.
            assert Library.calls == [(-4, 0), (-1, -1)]
        assert Library.calls[-1] == 0

    @pytest.mark.parametrize(("value", "is_set"), [("0", False), ("1", True), (None, True)])
    def test_a_variable_of_the_environment_leaves_the_allocator_alone(
        self, value, is_set, monkeypatch
    ):
        monkeypatch.delenv("SKOSFUSION_KEEP_MEMORY", raising=False)
        if value is not None:
            monkeypatch.setenv("SKOSFUSION_KEEP_MEMORY", value)
        assert (_hardware._KeptMemory()._glibc is not None) is is_set

    def test_without_images_nothing_is_set(self, cohort, monkeypatch):
        monkeypatch.setattr(_hardware._KeptMemory, "__enter__", None)
        X, y = cohort[["age", "alp"]] / 100, cohort["diagnosis"]
        FusionClassifier(max_epochs=1, verbose=0).fit(X, y).predict(X)

    def test_memory_goes_back_in_the_end(self):
        def resident_bytes():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096

        before = resident_bytes()
        with kept_memory:
            large = torch.ones(2**28, dtype=torch.uint8)
            del large
            assert resident_bytes() > before + 2**27
        assert resident_bytes() < before + 2**27

    def test_an_error_inside_ends_it_too(self):
        with pytest.raises(KeyError), kept_memory:
            raise KeyError
        assert kept_memory._n_inside == 0

    def test_fit_and_predict_use_it_and_leave_it(self, classifier, cohort, monkeypatch):
        inside = []
        forward = tiny.TinyEncoder.forward

        def watched(self, images):
            inside.append(kept_memory._n_inside)
            return forward(self, images)

        monkeypatch.setattr(tiny.TinyEncoder, "forward", watched)
        X, y = cohort[["image"]], cohort["diagnosis"]
        classifier.fit(X, y)
        # The first call only finds the length of the features, within the fit as well.
        assert set(inside) == {1}
        classifier.predict(X)
        assert set(inside) == {1}
        assert kept_memory._n_inside == 0


def test_pictures_are_read_in_as_many_threads_as_torch_has(two_threads, classifier, cohort):
    seen = set()

    class WatchedStore(ImageStore):
        def read(self, *args, n_threads, **kwargs):
            seen.add(n_threads)
            return super().read(*args, n_threads=n_threads, **kwargs)

    store = WatchedStore()
    X, y = cohort[["image"]], cohort["diagnosis"]
    with pytest.MonkeyPatch.context() as patch:
        for module in (_image_inputs, _features):
            patch.setattr(module, "shared_image_store", lambda: store)
        classifier.fit(X, y).predict(X)
    assert seen == {2}


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory = _hardware._KeptMemory()
    assert memory._glibc is None
    with memory:
        assert memory._n_inside == 1
    assert memory._n_inside == 0


def test_the_cpu_has_no_memory_of_its_own():
    assert free_accelerator_bytes(torch.device("cpu")) == 0


class TestResidentPixels:
    """The memory of an accelerator, played by that of the CPU."""

    @pytest.fixture
    def cohort(self, cohort):
        return cohort.copy()

    @pytest.fixture
    def fit(self, classifier, cohort, monkeypatch):
        def fit(free_bytes, **params):
            monkeypatch.setattr(_image_inputs, "free_accelerator_bytes", lambda device: free_bytes)
            calls = []
            pixels = ImageInputs._pixels

            def counted(self, paths, rows):
                calls.append(len(rows))
                return pixels(self, paths, rows)

            monkeypatch.setattr(ImageInputs, "_pixels", counted)
            classifier.set_params(**params)
            classifier.fit(cohort[["image", "age"]], cohort["diagnosis"])
            return classifier.predict_proba(cohort[["image", "age"]]), calls

        return fit

    def test_pixels_that_fit_are_gathered_once(self, fit, cohort):
        expected, calls = fit(0)
        assert len(calls) == 9
        resident, calls = fit(2 * len(cohort) * 32 * 32)
        assert calls == [len(cohort)]
        np.testing.assert_array_equal(resident, expected)

    def test_pixels_that_do_not_fit_are_read_batch_by_batch(self, fit, cohort):
        _, calls = fit(2 * len(cohort) * 32 * 32 - 1)
        assert len(calls) == 9

    def test_pixels_to_be_pinned_are_not_resident(self, classifier, cohort):
        classifier.set_params(max_epochs=1).fit(cohort[["image"]], cohort["diagnosis"])
        assert classifier.image_inputs().resident
        classifier.set_params(iterator_valid__pin_memory=True)
        assert not classifier.image_inputs().resident

    def test_loader_processes_get_pixels_from_the_store(self, fit, cohort, monkeypatch):
        if sys.platform != "linux":
            pytest.skip("needs processes that inherit memory")
        _, calls = fit(2**40, iterator_train__num_workers=1, max_epochs=1)
        assert calls == []

    def test_colour_among_grey_pictures_has_room(self, fit, cohort, tmp_path):
        from PIL import Image

        path = tmp_path / "colour.png"
        noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        cohort.loc[5, "image"] = str(path)
        shared_image_store().clear()
        resident, _ = fit(2 * 3 * len(cohort) * 32 * 32)
        expected, _ = fit(0)
        np.testing.assert_array_equal(resident, expected)
