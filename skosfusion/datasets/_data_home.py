"""Where the data sets of this package are kept on disk."""

import os
import tempfile
import time
from pathlib import Path


def get_data_home(data_home=None):
    """Return the folder in which skosfusion keeps data sets.

    The folder is neither created nor checked here.

    Parameters
    ----------
    data_home : str, path-like or None, default=None
        The folder. None: the environment variable ``SKOSFUSION_DATA``, and without it
        ``~/.cache/skosfusion``. A leading ``~`` stands for the home directory.

    Returns
    -------
    folder : pathlib.Path
        Absolute path.

    Examples
    --------
    >>> from skosfusion.datasets import get_data_home
    >>> get_data_home("~/knees").name
    'knees'
    """
    if data_home is None:
        data_home = os.environ.get("SKOSFUSION_DATA") or Path("~", ".cache", "skosfusion")
    return Path(data_home).expanduser().absolute()


def write_atomically(path, content):
    """Write bytes to a file so that it holds either its old content or all of the new."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sweep_temporary_files(folder, older_than=3600.0):
    """Remove what killed processes left of `write_atomically`, a while (seconds) ago."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > older_than:
                path.unlink()
        except FileNotFoundError:  # another process was faster
            continue
