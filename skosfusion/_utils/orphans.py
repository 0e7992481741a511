"""Worker processes that end with the process that sends them work."""

import os
import threading
import time
from functools import partial

_POLL_SECONDS = 1.0
_INIT = 1  # which becomes the parent of orphans
_watched = None


def end_with(sender):
    """End this worker soon after the parent that sent it work; a killed one could not tell it to.

    A worker of joblib looks for its parent between two tasks only, and a fit takes hours.
    """
    global _watched
    if os.name == "posix" and _watched != (os.getpid(), sender):
        _watched = os.getpid(), sender
        # A fork server stands between some workers and who sends them work.
        is_there = _is_parent if os.getppid() == sender else _is_running
        threading.Thread(target=_wait, args=(partial(is_there, sender),), daemon=True).start()


def _is_parent(sender):
    return os.getppid() == sender


def _is_running(sender):
    try:
        os.kill(sender, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return os.getppid() != _INIT


def _wait(is_there):
    while is_there():
        time.sleep(_POLL_SECONDS)
    os._exit(1)
