"""Locks that a fork leaves free, and no fork hangs on."""

import os
import threading

import pytest

from skosfusion._utils.locks import ForkSafeLock

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


def exit_code_of_child(work):
    child = os.fork()
    if child == 0:
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_lock_that_another_thread_holds_is_free_in_the_child():
    lock, held = ForkSafeLock(), threading.Event()

    def hold():
        with lock:
            held.set()
            threading.Event().wait(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    assert exit_code_of_child(lambda: lock.acquire(timeout=5)) == 0
    thread.join()
    assert lock.acquire(timeout=5)


def test_a_child_can_fork_and_make_locks():
    def work():
        lock = ForkSafeLock()
        return exit_code_of_child(lambda: lock.acquire(timeout=5)) == 0

    assert exit_code_of_child(work) == 0


def test_threads_that_fork_at_once_leave_all_locks_free():
    locks = [ForkSafeLock() for _ in range(20)]
    codes = []

    def fork_often():
        for _ in range(3):
            codes.append(exit_code_of_child(lambda: all(lock.acquire(timeout=5) for lock in locks)))

    threads = [threading.Thread(target=fork_often, daemon=True) for _ in range(4)]
    with locks[10]:
        for thread in threads:
            thread.start()
        threading.Event().wait(0.3)
    for thread in threads:
        thread.join(60)
    assert codes == [0] * 12
    assert all(lock.acquire(timeout=5) for lock in locks)
