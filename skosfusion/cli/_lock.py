"""One run at a time in an output folder."""

import contextlib
import os
import sys
from pathlib import Path

from .._utils.files import OUTPUT_MARK
from ._errors import FolderInUseError, UsageError


@contextlib.contextmanager
def locked(folder):
    """Hold a folder for this run; FolderInUseError where another run holds it.

    The system gives the lock back when a process ends, however it ends; the empty file stays, since
    whoever removed it could part two runs that wait for one name, and it marks the folder.
    """
    path = Path(folder) / OUTPUT_MARK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except OSError as error:
        raise UsageError(
            f"--out {folder} cannot be a folder to write to ({error.strerror or error}); give "
            "another one"
        ) from error
    try:
        if not _take(descriptor):
            raise FolderInUseError(
                f"the folder {str(folder)!r} is in use by another run; wait until that is done, or "
                "give another one with --out. Nothing was changed"
            )
        yield
    finally:
        os.close(descriptor)


def _take(descriptor):
    """Take the lock without waiting, and return whether it was free."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # what Windows says of a lock that is taken
        return False
    except OSError:  # some network drives have no locks
        return True
    return True
