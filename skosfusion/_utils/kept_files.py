"""Values kept in a cache folder, for later runs and other processes; nothing in it can run."""

import os
import re
from pathlib import Path

from .files import sweep_temporary_files, write_atomically
from .private_folders import make_private_folder, warn_of_shared_folder
from .working_folder import resolved

SUFFIX = ".safetensors"

MAX_FILE_BYTES = 512 * 2**20
"""Largest file of a cache folder that is read, in bytes."""

_KEY_NAME = re.compile("[0-9a-f]{64}")
_FILE_NAME = re.compile("[0-9a-f]{64}" + re.escape(SUFFIX))


class KeptFiles:
    """Values of one kind by the fingerprint of an image file, in a cache folder.

    They lie in a folder named by the digest of all else that they depend on. A subclass has

    - ``kind``, the name of the folder above that one,
    - ``get_many(fingerprints)``, a dict of the values that are there, perhaps with others that lie
      in the same files,
    - ``put_many(values)``, which returns whether all of a dict of values have been written.

    How values are laid out in files, only the subclass knows. Files appear whole or not at all,
    several processes write side by side, and damaged files are passed over with a warning. Folders
    are made for their owner alone; one that others can write is a warning.
    """

    kind = None

    def __init__(self, folder, key, *, parameter):
        there = Path(resolved(folder)).absolute()
        if os.path.exists(there) and not os.path.isdir(there):
            raise ValueError(
                f"{parameter}={os.fspath(folder)!r} is not a folder; name a folder, or None to "
                "keep nothing between runs"
            )
        self.folder = there / self.kind / key.hex()
        warn_of_shared_folder(
            self.folder.parents[1], self.folder.parent, self.folder, parameter=parameter
        )
        self._swept = False

    def _write(self, path, content):
        """Write one file; the first time, sweep what killed processes left."""
        make_private_folder(path.parent)
        if not self._swept:
            self._swept = True
            sweep_temporary_files(self.folder)
        write_atomically(path, content, temporary_folder=self.folder)

    @classmethod
    def prune(cls, folder, max_bytes):
        """Remove the oldest files of this kind until they have `max_bytes`, whatever their key."""
        kept = []
        for key in _folders_below(Path(resolved(folder), cls.kind)):
            if _KEY_NAME.fullmatch(key.name):
                sweep_temporary_files(key)
                kept += (entry for entry in _files_below(key) if _FILE_NAME.fullmatch(entry.name))
        found = sorted(filter(None, map(_age_and_size, kept)))
        n_bytes = sum(size for _, size, _ in found)
        for _, size, path in found:
            if n_bytes <= max_bytes:
                break
            # Another process may have been faster.
            Path(path).unlink(missing_ok=True)
            n_bytes -= size
        return n_bytes


def system_reason(error):
    """Return why the system refused, without the name of the file, which is another each time."""
    return error.strerror or type(error).__name__


def _folders_below(folder):
    # A link would lead to what is not ours.
    if os.path.islink(folder) or not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _files_below(folder):
    for place in (folder, *_folders_below(folder)):
        with os.scandir(place) as entries:
            yield from (entry for entry in entries if entry.is_file(follow_symlinks=False))


def _age_and_size(entry):
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, entry.path
