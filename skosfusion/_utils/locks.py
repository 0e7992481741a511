"""Locks that a forked process does not inherit locked."""

import os
import threading
import weakref

_LOCKS = weakref.WeakSet()
# Forks wait for each other, and new locks for a fork that is under way.
_FORKING = threading.Lock()
_held = []


class ForkSafeLock:
    """A lock that is free in a child process, whoever held it when the process forked.

    A fork waits for all of these locks at once, so that what they guard is whole in the child. A
    thread must therefore never wait for one of them, nor fork, while it holds another; but for the
    reentrant ones, of which a fork waits first, and which the thread that forks may hold.
    """

    def __init__(self, *, reentrant=False):
        self.is_reentrant = reentrant
        self._lock = threading.RLock() if reentrant else threading.Lock()
        with _FORKING:
            _LOCKS.add(self)

    def acquire(self, timeout=-1):
        """Wait for the lock, with -1 for ever, and return whether it was taken."""
        return self._lock.acquire(timeout=timeout)

    def release(self):
        """Give the lock back."""
        self._lock.release()

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *exception):
        self._lock.release()


def _before_fork():
    _FORKING.acquire()
    for lock in sorted(_LOCKS, key=lambda lock: not lock.is_reentrant):
        lock.acquire()
        _held.append(lock)


def _after_fork():
    while _held:
        _held.pop().release()
    _FORKING.release()


DRAWING = ForkSafeLock(reentrant=True)
"""Held while torch draws random numbers: a child forked meanwhile could never draw one."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
