"""Which device computes, in which number format, with how many threads and whose memory."""

import contextlib
import ctypes
import functools
import multiprocessing
import os
import threading
from pathlib import Path

import torch
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits


def resolve_device(device):
    """Turn the `device` parameter into a torch device that exists.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes CUDA where there is one and the CPU elsewhere; anything
        else is taken as it is.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ValueError
        If the device is not known to torch or not on this machine; there is no
        silent fall-back.
    """
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
    """Turn the `precision` parameter into the encoder's number format.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16"}
        "auto" takes bf16 where the device multiplies it natively
        (AVX512-BF16, AMX, CUDA from compute capability 8) and fp32 elsewhere.
    device : torch.device
        Where the encoder computes.

    Returns
    -------
    torch.dtype or None
        ``torch.bfloat16`` for mixed precision, None for float32.
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
    """Tell how much memory of its own a device has left.

    Parameters
    ----------
    device : torch.device
        The device.

    Returns
    -------
    int
        Bytes; 0 for the CPU, and for devices that cannot tell.
    """
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


@contextlib.contextmanager
def one_thread_in_thread_workers():
    """Compute in one thread where joblib runs this code in one of several threads.

    In worker processes of loky, joblib sees to it that workers times threads are no more than
    the cores. With the "threading" and "multiprocessing" backends nobody does, and each worker
    would start as many threads as there are cores. The limit holds for the calling thread alone.
    """
    backend, _ = get_active_backend()
    is_worker = getattr(backend, "nesting_level", 0) > 0
    is_thread = threading.current_thread() is not threading.main_thread()
    if is_worker and (is_thread or multiprocessing.current_process().daemon):
        # At its first use of torch a thread takes over what `torch.set_num_threads` said.
        torch.get_num_threads()
        set_mkl_threads = _mkl_thread_setter()
        before = set_mkl_threads(1)
        try:
            with threadpool_limits(1, user_api="openmp"):
                yield
        finally:
            set_mkl_threads(before)
    else:
        yield


# Parameters of glibc's `mallopt`, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_DEFAULT_MMAP_MAX = 65536
# Where glibc's own adjustment of these two ends once large blocks have been freed, mallopt(3).
_ADJUSTED_MMAP_THRESHOLD, _ADJUSTED_TRIM_THRESHOLD = 32 * 2**20, 64 * 2**20
_NEVER = -1


class _KeptMemory:
    """Freed memory stays with the process while anybody is inside; a context manager.

    By default glibc asks the system for each block above 32 MB and gives it back when it is
    freed, so that every activation of every batch is cleared page by page again. In training
    ResNet18 with batches of 256 that was 40 % of the time (two cores, AVX512-BF16).
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_inside = 0
        try:
            library = ctypes.CDLL(None)
            library.gnu_get_libc_version  # noqa: B018 - other C libraries have another allocator
            self._glibc = library
        except (OSError, AttributeError, TypeError):
            self._glibc = None

    def __enter__(self):
        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1 and self._glibc is not None:
                self._glibc.mallopt(_M_MMAP_MAX, 0)
                self._glibc.mallopt(_M_TRIM_THRESHOLD, _NEVER)

    def __exit__(self, *exception):
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0 and self._glibc is not None:
                self._glibc.mallopt(_M_MMAP_MAX, _DEFAULT_MMAP_MAX)
                self._glibc.mallopt(_M_MMAP_THRESHOLD, _ADJUSTED_MMAP_THRESHOLD)
                self._glibc.mallopt(_M_TRIM_THRESHOLD, _ADJUSTED_TRIM_THRESHOLD)
                self._glibc.malloc_trim(0)


kept_memory = _KeptMemory()

# A fork while another thread holds the lock would leave the child waiting for it for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=kept_memory._lock.acquire,
        after_in_parent=kept_memory._lock.release,
        after_in_child=kept_memory._lock.release,
    )
