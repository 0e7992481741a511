"""A planted pickle: whoever loads it leaves a mark."""

import os
import pickle


class _Payload:
    def __init__(self, command):
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


def planted_pickle(marker):
    """Make a pickle that creates a file when it is loaded.

    Parameters
    ----------
    marker : path-like
        The file; its folder exists.

    Returns
    -------
    bytes
        The pickle; harmless unless loaded, and then, too.
    """
    return pickle.dumps(_Payload(f"touch '{marker}'"))
