"""Child processes that start in milliseconds and never outlive their time."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing import connection

#: A child that is left behind ends by itself after so many seconds.
LIFE_SECONDS = 3600
# What takes seconds to import. The package itself loads its parts when they are asked for.
_LOADED = [
    "pandas",
    "skosfusion.classifier",
    "skosfusion.datasets",
    "skosfusion.images",
    "skosfusion.pipeline",
]


def make_context():
    """Make the context that starts children: forks of a server that has loaded skosfusion."""
    # The server computes nothing, so that a fork meets no threads; killing a child is harmless.
    os.environ.setdefault("TQDM_DISABLE", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    return context


def start(context, function, *arguments):
    """Start a child."""
    child = context.Process(target=_run, args=(function, *arguments), daemon=True)
    child.start()
    return child


def _run(function, *arguments):
    signal.alarm(LIFE_SECONDS)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import torch
    from tqdm import tqdm

    # Its own lock is for several processes, and a killed one would leave it behind.
    tqdm.set_lock(threading.RLock())
    torch.set_num_threads(1)
    function(*arguments)


def _die_with_parent():
    """End this process when the script has ended, killed perhaps."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def end_in_order():
    """Let a script that is asked to end (SIGTERM) stop its children and remove its folders."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def stop(children):
    """Kill children, if any is left, and wait for them."""
    for child in children:
        if child.is_alive():
            child.kill()
    for child in children:
        child.join()


def wait(children, *, seconds, each=None):
    """Wait for children to end."""
    deadline = time.monotonic() + seconds
    while any(child.is_alive() for child in children) and time.monotonic() < deadline:
        time.sleep(0.2)
        if each is not None:
            each()
    in_time = not any(child.is_alive() for child in children)
    stop(children)
    return in_time and all(child.exitcode == 0 for child in children)
