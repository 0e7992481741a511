"""Where the data sets of this package are kept on disk."""

import os
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
