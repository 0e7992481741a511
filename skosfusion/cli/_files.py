"""Files of a run: those of another run are set aside, and the record of this one is kept."""

import hashlib
import json
import os

from .._utils.files import sweep_temporary_files, write_atomically

__all__ = [
    "plain",
    "set_aside",
    "sweep_temporary_files",
    "write_atomically",
    "write_record",
]


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


def plain(text):
    """Return text that no spreadsheet takes for a formula."""
    text = str(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
