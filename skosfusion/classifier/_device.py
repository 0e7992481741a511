"""Which device computes, in which number format, and with how many threads."""

import contextlib
import ctypes
import functools
import multiprocessing
import os
import threading
from pathlib import Path

import torch
from joblib.parallel import get_active_backend
from threadpoolctl import ThreadpoolController, threadpool_limits


def resolve_device(device):
    """Return the torch device that `device` stands for; one that is not here is an error."""
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used on this machine ({reason}); allowed: 'auto', 'cpu', "
            "or a device that torch finds here, such as 'cuda'"
        ) from error
    return resolved


def resolve_encoder_dtype(precision, device):
    """Return the number format of the encoder, None for float32.

    "auto" takes bf16 where the device multiplies it natively: AVX512-BF16, AMX, and CUDA from
    compute capability 8.
    """
    if precision == "fp32":
        return None
    if precision == "bf16" or _multiplies_bf16(device):
        return torch.bfloat16
    return None


def _multiplies_bf16(device):
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def free_accelerator_bytes(device):
    """Return how many bytes of its own memory a device has left; 0 for the CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


@functools.cache
def _mkl_thread_setter():
    """Find the function that sets the calling thread's number of MKL threads, and returns the old.

    MKL, which lies within torch, takes its number from `torch.set_num_threads` before OpenMP's.
    """
    try:
        library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
        return ctypes.CDLL(str(library)).MKL_Set_Num_Threads_Local
    except (OSError, AttributeError):
        return lambda n_threads: n_threads


# Whether this thread has computed, and whether its process was forked after that.
_openmp = threading.local()


def _note_fork():
    _openmp.is_broken = getattr(_openmp, "has_run", False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@contextlib.contextmanager
def one_thread_where_more_do_harm():
    """Compute in one thread where joblib runs this code in one of several threads, or after a fork.

    In worker processes of loky, joblib sees to it that workers times threads are no more than
    the cores. With the "threading" and "multiprocessing" backends nobody does, and each worker
    would start as many threads as there are cores. A forked child of a thread that has computed
    would wait for OpenMP's threads, which are not there, for ever. The limit holds for the calling
    thread alone.
    """
    backend, _ = get_active_backend()
    is_worker = getattr(backend, "nesting_level", 0) > 0
    is_thread = threading.current_thread() is not threading.main_thread()
    is_one_of_many = is_worker and (is_thread or multiprocessing.current_process().daemon)
    _openmp.has_run = True
    if is_one_of_many or getattr(_openmp, "is_broken", False):
        with one_thread():
            yield
    else:
        yield


@functools.cache
def _openmp_libraries():
    """Find the OpenMP libraries of this process, which takes milliseconds."""
    return ThreadpoolController().select(user_api="openmp")


@contextlib.contextmanager
def one_thread():
    """Compute in one thread where the calling thread would start several."""
    # At its first use of torch a thread takes over what `torch.set_num_threads` said.
    torch.get_num_threads()
    set_mkl_threads = _mkl_thread_setter()
    before = set_mkl_threads(1)
    try:
        with _openmp_libraries().limit(limits=1):
            yield
    finally:
        set_mkl_threads(before)


class _OneBlasThread:
    """Let the linear algebra of NumPy and SciPy compute in one thread, for the whole process.

    Several threads of Python may ask for it at once: the first one sets the limit, and the last one
    takes it back.
    """

    def __init__(self):
        self._lock, self._n_users, self._limit = threading.Lock(), 0, None

    def __enter__(self):
        with self._lock:
            if not self._n_users:
                self._limit = threadpool_limits(1, user_api="blas")
            self._n_users += 1

    def __exit__(self, *error):
        with self._lock:
            self._n_users -= 1
            if not self._n_users:
                self._limit.restore_original_limits()


ONE_BLAS_THREAD = _OneBlasThread()
