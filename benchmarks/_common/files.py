"""Files that are there whole or not at all, and the record of a run."""

import contextlib
import json
import os
import time

_UNFINISHED = ".part"
_ORPHAN_SECONDS = 3600.0


def write_atomically(path, content):
    """Write bytes so that the file is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{_UNFINISHED}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def sweep(folder, start=""):
    """Remove what killed runs left of `write_atomically` an hour ago or more."""
    for path in folder.glob(f"{start}*.[0-9]*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ORPHAN_SECONDS:
                path.unlink()


def write_record(path, record):
    """Write what was run and found as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1, default=str) + "\n").encode())
