"""Files that are there whole or not at all, and the record of a run."""

import contextlib
import json
import os
import re
import time
import uuid

_UNFINISHED = ".part"
_ORPHAN_SECONDS = 3600.0


def write_atomically(path, content):
    """Write bytes so that the file is there whole or not at all."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_UNFINISHED}")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def sweep(folder, start=""):
    """Remove what killed runs left of `write_atomically` an hour ago or more."""
    own_name = re.compile(rf"{re.escape(start)}.*\.[0-9a-f]{{32}}{re.escape(_UNFINISHED)}")
    for path in folder.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            is_own = own_name.fullmatch(path.name) and path.is_file()
            if is_own and time.time() - path.stat().st_mtime > _ORPHAN_SECONDS:
                path.unlink()


def write_record(path, record):
    """Write what was run and found as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1, default=str) + "\n").encode())
