"""Files: read only where they are regular, written whole or not at all."""

import contextlib
import errno
import logging
import os
import re
import stat
import time
import uuid

OUTPUT_MARK = ".skosfusion-lock"
"""A file that the command leaves in each folder that it writes to; images in it are no data."""

_LOGGER = logging.getLogger(__name__)
_SUFFIX = ".tmp"
_ORPHAN_SECONDS = 3600.0
_NAME_LENGTH = 100  # of 255 bytes that a name may have


class NotRegularError(OSError):
    """A folder, pipe, socket or device stands where a file is wanted."""


class FileTooLargeError(OSError):
    """A file has more bytes than may be read."""


def check_regular(path):
    """Raise NotRegularError for what is not a regular file, and the system's error for nothing."""
    _check_kind(os.stat(path), path)


@contextlib.contextmanager
def open_regular_file(path, max_bytes):
    """Open a regular file of at most so many bytes, and yield it with its status."""
    check_regular(path)
    # A pipe may have taken the file's place since: without O_NONBLOCK, opening it would hang.
    with open(path, "rb", opener=_open_nonblocking) as file:
        status = os.fstat(file.fileno())
        _check_kind(status, path)
        if status.st_size > max_bytes:
            message = f"the file holds {status.st_size} bytes, more than the {max_bytes} allowed"
            raise FileTooLargeError(errno.EFBIG, message, os.fspath(path))
        yield file, status


def read_regular_file(path, max_bytes):
    """Read a regular file: its bytes, and its status from before it was read."""
    with open_regular_file(path, max_bytes) as (file, status):
        return file.read(status.st_size), status


def _open_nonblocking(path, flags):
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def _check_kind(status, path):
    if stat.S_ISREG(status.st_mode):
        return
    kind = "folder" if stat.S_ISDIR(status.st_mode) else "socket, a pipe or a device"
    raise NotRegularError(errno.EINVAL, f"this is a {kind}, not a file", os.fspath(path))


def write_atomically(path, content, *, temporary_folder=None, durable=False, mode=None):
    """Write a file whole or not at all; if `durable`, so that it outlives a loss of power, too."""
    name = f".{_start(path.name)}.{uuid.uuid4().hex}{_SUFFIX}"
    # Either folder must be on one file system with `path`.
    temporary = (temporary_folder or path.parent) / name
    try:
        # Unlike those of `tempfile`, the file may be read by whom the user's umask allows.
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder):
    """Let a renaming reach the disk, where the system can be asked to."""
    # Windows opens no folders, and some network drives cannot sync one.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _start(name):
    """Cut a name, so that its temporary file's is not too long; system limits count bytes."""
    return os.fsencode(name)[:_NAME_LENGTH].decode(errors="ignore")


def sweep_temporary_files(folder, *, of=None):
    """Remove what killed processes left of `write_atomically`: of the file `of`, or of any."""
    start = ".+" if of is None else re.escape(_start(of))
    own_name = re.compile(rf"\.{start}\.[0-9a-f]{{32}}{re.escape(_SUFFIX)}", re.DOTALL)
    for path in folder.glob(f".*{_SUFFIX}"):
        try:
            status = path.lstat()
            is_own = own_name.fullmatch(path.name) and stat.S_ISREG(status.st_mode)
            if is_own and time.time() - status.st_mtime > _ORPHAN_SECONDS:
                path.unlink()
        except OSError as error:  # another process was faster, or the folder cannot be written
            _LOGGER.debug("temporary file %s stays: %s", path, error)
