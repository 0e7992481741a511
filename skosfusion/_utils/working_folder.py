"""Relative paths in a worker process: they are those of the process that sent the work.

A worker that is used again keeps the working folder of its first task (joblib/joblib#1647). A
relative path in a table would be that of another data set there, without a word. So what is sent to
a worker takes the sender's folder along.
"""

import contextlib
import multiprocessing
import os
from multiprocessing.reduction import ForkingPickler

from .orphans import end_with

_arrived = None  # the sender's folder, and this process's own when it came


class SendersFolder:
    """Rides in an object and tells a worker its sender's folder; in other pickles it is empty."""

    def __reduce__(self):
        return SendersFolder, ()


def _send(_):
    return _arrive, (os.getpid(), _folder())


def _arrive(sender, folder):
    global _arrived
    parent = multiprocessing.parent_process()
    # Results come back the same way, and do not say where their receiver is.
    if sender in (os.getppid(), parent and parent.pid):
        _arrived = folder, _own_folder()
        if parent is not None:
            end_with(sender)
    return SendersFolder()


def resolved(path):
    """Return a path, joined to the sender's folder where it is relative and work was sent."""
    path = os.fspath(path)
    folder = _folder()
    return path if os.path.isabs(path) or folder == _own_folder() else os.path.join(folder, path)


def _folder():
    """Return the folder of relative paths: the sender's, unless the task has moved by itself."""
    own = _own_folder()
    if _arrived is None:
        return own
    folder, own_then = _arrived
    return folder if own == own_then and folder is not None else own


def _own_folder():
    try:
        return os.getcwd()
    except FileNotFoundError:  # it has been removed
        return None


ForkingPickler.register(SendersFolder, _send)
with contextlib.suppress(ImportError):
    from joblib.externals.loky.backend.reduction import register

    register(SendersFolder, _send)
