"""Child processes that start in milliseconds and never outlive their time."""

import multiprocessing
import os
import signal
import time

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
    """Make the context that starts children: forks of a server that has loaded skosfusion.

    The server computes nothing, so that a fork meets no threads; killing a child is harmless.

    Returns
    -------
    multiprocessing.context.ForkServerContext
        The context.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    return context


def start(context, function, *arguments):
    """Start a child in a process group of its own.

    Parameters
    ----------
    context : multiprocessing context
        From `make_context`.
    function : callable
        What it runs, from a module that can be imported.
    *arguments
        Its arguments.

    Returns
    -------
    multiprocessing.Process
        The child; it dies with its parent, if that ends in order.
    """
    child = context.Process(target=_run, args=(function, *arguments), daemon=True)
    child.start()
    return child


def _run(function, *arguments):
    signal.alarm(LIFE_SECONDS)
    import torch

    torch.set_num_threads(1)
    function(*arguments)


def stop(children):
    """Kill children, if any is left, and wait for them.

    Parameters
    ----------
    children : list of multiprocessing.Process
        From `start`.
    """
    for child in children:
        if child.is_alive():
            child.kill()
    for child in children:
        child.join()


def wait(children, *, seconds, each=None):
    """Wait for children to end.

    Parameters
    ----------
    children : list of multiprocessing.Process
        From `start`.
    seconds : float
        When to give up; they are killed then.
    each : callable or None, default=None
        Called without arguments a few times a second meanwhile.

    Returns
    -------
    bool
        Whether all ended by themselves with status 0.
    """
    deadline = time.monotonic() + seconds
    while any(child.is_alive() for child in children) and time.monotonic() < deadline:
        time.sleep(0.2)
        if each is not None:
            each()
    in_time = not any(child.is_alive() for child in children)
    stop(children)
    return in_time and all(child.exitcode == 0 for child in children)
