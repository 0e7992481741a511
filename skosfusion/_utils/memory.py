"""Freed memory that stays with the process while it trains or predicts (GNU C library only).

By default glibc asks the system for each block above 32 MB and gives it back when it is freed, so
that every activation of every batch is cleared page by page again. In training ResNet18 with
batches of 256 that was 40 % of the time (two cores, AVX512-BF16). The setting is that of the whole
process: set the environment variable ``SKOSFUSION_KEEP_MEMORY=0`` before
Python starts to leave it alone.
"""

import contextlib
import ctypes
import os

from .locks import ForkSafeLock

# Parameters of glibc's `mallopt`, from malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_DEFAULT_MMAP_MAX = 65536
# Where glibc's own adjustment of these two ends once large blocks have been freed, mallopt(3).
_ADJUSTED_MMAP_THRESHOLD, _ADJUSTED_TRIM_THRESHOLD = 32 * 2**20, 64 * 2**20
_NEVER = -1
_SWITCH = "SKOSFUSION_KEEP_MEMORY"


class _KeptMemory:
    """Freed memory stays with the process while anybody is inside."""

    def __init__(self):
        self._lock = ForkSafeLock()
        self._n_inside = 0
        self._glibc = None
        if os.environ.get(_SWITCH) != "0":
            # Other C libraries have another allocator, and lack this function.
            with contextlib.suppress(OSError, AttributeError, TypeError):
                library = ctypes.CDLL(None)
                library.gnu_get_libc_version  # noqa: B018
                self._glibc = library

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
