"""Files that are there whole or not at all, and the record of a run."""

import contextlib
import hashlib
import json
import os
import re
import time
import uuid

_UNFINISHED = ".part"
_ORPHAN_SECONDS = 3600.0


def write_atomically(path, content, *, mode=None):
    """Write bytes so that the file is there whole or not at all; `mode` says who may read it."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_UNFINISHED}")
    with open(temporary, "xb") as file:
        if mode is not None:
            os.chmod(temporary, mode)
        file.write(content)
    os.replace(temporary, path)


def sweep(folder, start=""):
    """Remove what killed runs left of `write_atomically` an hour ago or more."""
    own_name = re.compile(rf"{re.escape(start)}.*\.[0-9a-f]{{32}}{re.escape(_UNFINISHED)}")
    for path in folder.glob(f"*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            is_own = own_name.fullmatch(path.name) and path.is_file()
            if is_own and time.time() - path.stat().st_mtime > _ORPHAN_SECONDS:
                path.unlink()


def set_aside(folder, name, run):
    """Rename the results of another run, and return old and new paths; `run` says which is ours.

    The record `name`.json goes last: what is killed in between is done again the next time.
    """
    record = folder / f"{name}.json"
    try:
        earlier = json.loads(record.read_bytes())["run"]
    except (OSError, ValueError, KeyError, TypeError):
        earlier = None
    # As JSON has it: there are no tuples, and paths are text.
    if earlier == json.loads(json.dumps(run, default=str)):
        return []
    files = sorted(folder.glob(f"{name}.*"), key=lambda path: (path == record, path))
    files = [path for path in files if path.suffix in {".csv", ".json", ".png"}]
    if earlier is None:
        text = b"".join(path.read_bytes() for path in files)
    else:
        text = json.dumps(earlier, sort_keys=True).encode()
    mark = hashlib.sha256(text).hexdigest()[:12]
    moved = []
    for path in files:
        kept = path.with_name(f"{name}-{mark}{path.suffix}")
        os.replace(path, kept)
        moved.append((path, kept))
    return moved


def write_record(path, record):
    """Write what was run and found as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1, default=str) + "\n").encode())
