"""Locks that a forked process does not inherit locked."""

import os
import threading
import weakref

_LOCKS = weakref.WeakSet()


class ForkSafeLock:
    """A lock that is free in a child process, whoever held it when the process forked."""

    def __init__(self):
        self._lock = threading.Lock()
        _LOCKS.add(self)

    def acquire(self):
        """Wait for the lock and take it."""
        return self._lock.acquire()

    def release(self):
        """Give the lock back."""
        self._lock.release()

    def __enter__(self):
        self._lock.acquire()

    def __exit__(self, *exception):
        self._lock.release()


_held = []


def _before():
    """Take every lock, so that no other thread is in the middle of something."""
    _held[:] = sorted(_LOCKS, key=id)
    for lock in _held:
        lock.acquire()


def _after():
    for lock in _held:
        lock.release()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
