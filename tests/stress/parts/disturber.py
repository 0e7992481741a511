"""A process that spoils a cache folder and changes images while others use them."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np

# How often each thing is done, relative to the others.
_DEEDS = {
    "image replaced": 40,
    "cache file deleted": 15,
    "truncated": 8,
    "bit flipped": 8,
    "zeroed": 4,
    "replaced by a pickle": 8,
    "replaced by another cache file": 6,
    "pickle added": 6,
    "folder deleted": 1,
}
_PAUSE_SECONDS = 0.002
_MAX_FILES = 300
_N_SLOW = 20


def disturb(gallery, cache, pickle_bytes, seed, stop, result):
    """Do harm until told to stop."""
    random = np.random.default_rng([seed, 1])
    deeds = list(_DEEDS)
    shares = np.array(list(_DEEDS.values())) / sum(_DEEDS.values())
    counts = dict.fromkeys(deeds, 0)
    while not stop.value:
        time.sleep(_PAUSE_SECONDS)
        deed = random.choice(deeds, p=shares)
        with contextlib.suppress(FileNotFoundError):  # the file may have gone in the meantime
            counts[deed] += _do(deed, gallery, cache, pickle_bytes, random)
    result.write_text(json.dumps(counts))


def _do(deed, gallery, cache, pickle_bytes, random):
    """Do one thing; tell whether there was something to do it to."""
    if deed == "image replaced":
        # Half of the files lie long enough between changes for their digest to be remembered.
        n_files = len(gallery.paths)
        is_slow = random.integers(_N_SLOW) == 0
        half = n_files // 2
        gallery.change(random.integers(half, n_files) if is_slow else random.integers(half))
        return True
    files = [path for path in cache.rglob("*.safetensors") if path.is_file()]
    if not files:
        return False
    path = files[random.integers(len(files))]
    if deed == "folder deleted":
        shutil.rmtree(path.parents[random.integers(3)], ignore_errors=True)
    elif deed == "cache file deleted":
        n_files = 1 if len(files) < _MAX_FILES else len(files) // 2
        for chosen in random.choice(len(files), n_files, replace=False):
            files[chosen].unlink(missing_ok=True)
    elif deed == "pickle added":
        # Feature files are named by their own digest, so this one looks right from outside.
        name = hashlib.sha256(pickle_bytes).hexdigest()
        ending = [".safetensors", ".pkl", ".npy"][random.integers(3)]
        path.with_name(name + ending).write_bytes(pickle_bytes)
    elif deed == "replaced by a pickle":
        _replace(path, pickle_bytes)
    elif deed == "replaced by another cache file":
        _replace(path, files[random.integers(len(files))].read_bytes())
    else:
        _damage(path, deed, random)
    return True


def _replace(path, content):
    temporary = path.with_name("planted")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _damage(path: Path, deed, random):
    """Change a file in its place."""
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        position = int(random.integers(max(size, 1)))
        if deed == "truncated":
            file.truncate(position)
        elif size and deed == "bit flipped":
            file.seek(position)
            (byte,) = file.read(1) or b"\0"
            file.seek(position)
            file.write(bytes([byte ^ (1 << random.integers(8))]))
        elif size and deed == "zeroed":
            file.seek(position)
            file.write(bytes(min(64, size - position)))
