"""Files of `torch.save`: followed step by step first, and only then read by torch."""

import io
import re
import shutil
import struct
import zipfile

import torch

from ._pickle_names import Storage, storage_dtype, unreadable_tensor
from ._pickle_scan import MAX_PICKLE_BYTES, scan_pickle

# Of some 70 bytes an entry; Python takes some hundred.
_MAX_CONTENTS_BYTES = 2**22
# Of files that torch wrote before it had archives, and still does when asked to.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_STORAGE_KEY = re.compile(r"[0-9]{1,32}")


def load_archive(file, n_bytes):
    """Read an archive of `torch.save`, or raise ValueError."""
    return _load(_checked_archive(file, n_bytes))


def load_legacy(content):
    """Read what `torch.save` wrote in its form before archives, or raise ValueError."""
    _check_legacy(content)
    return _load(io.BytesIO(content))


def _load(file):
    """Let torch read what has been checked."""
    # A process may have turned `mmap` on, which needs a path.
    return torch.load(file, map_location="cpu", weights_only=True, mmap=False)


def _checked_archive(file, n_bytes):
    """Check an archive of `torch.save`, and copy what belongs to it into a new one.

    Of an archive with two faces, torch so reads the one that was checked.
    """
    guarded = _GuardedFile(file)
    copy = io.BytesIO()
    with zipfile.ZipFile(guarded) as archive, zipfile.ZipFile(copy, "w") as target:
        guarded.is_open = True
        entries = {entry.filename: entry for entry in archive.infolist()}
        folder = next(iter(entries), "").split("/")[0]
        _refuse_script({name.removeprefix(f"{folder}/") for name in entries})
        _refuse_compressed(archive.infolist(), n_bytes)
        content = _pickle_of(archive, entries, folder)
        storages = _storages_of_archive(content, folder, entries)
        target.writestr("archive/data.pkl", content)
        order = f"{folder}/byteorder"
        if order in entries and entries[order].file_size < 10:
            target.writestr("archive/byteorder", archive.read(order))
        target.writestr("archive/version", "3\n")
        for key in storages:
            with (
                archive.open(f"{folder}/data/{key}") as numbers,
                target.open(f"archive/data/{key}", "w", force_zip64=True) as copied,
            ):
                shutil.copyfileobj(numbers, copied)
    copy.seek(0)
    return copy


class _GuardedFile:
    """A file of which no long table of contents is read."""

    def __init__(self, file):
        self.file, self.is_open = file, False
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, n_bytes=-1):
        if self.is_open:
            return self.file.read(n_bytes)
        content = self.file.read(min(n_bytes, _MAX_CONTENTS_BYTES + 1) if n_bytes >= 0 else -1)
        if len(content) > _MAX_CONTENTS_BYTES:
            raise ValueError(f"its table of contents has more than {_MAX_CONTENTS_BYTES} bytes")
        return content


def _refuse_compressed(entries, n_bytes):
    """Refuse an archive that unpacks to more than it is, or whose entries are not plain."""
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > n_bytes:
        raise ValueError(f"its {n_bytes} bytes would unpack to {unpacked}")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its entries are compressed, which torch.save does not do")
    if len({entry.filename for entry in entries}) < len(entries):
        raise ValueError("it holds several entries of one name")


def _refuse_script(names):
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise ValueError(
            "it is a TorchScript archive, a program; torch.jit.load(path).state_dict() is the "
            "state dict of one that you trust"
        )


def _pickle_of(archive, entries, folder):
    """Return the pickle of an archive that `torch.save` wrote."""
    entry = entries.get(f"{folder}/data.pkl")
    if entry is None:
        raise ValueError("it is an archive without data.pkl, so not one of torch.save")
    if entry.file_size > MAX_PICKLE_BYTES:
        raise ValueError(f"its pickle has {entry.file_size} bytes, more than {MAX_PICKLE_BYTES}")
    return archive.read(entry)


def _storages_of_archive(content, folder, entries):
    """Return the storages that the pickle of an archive refers to, all of the right length."""
    storages = {}

    def storage_of(identity):
        storage = _storage(identity, 5, storages)
        entry = entries.get(f"{folder}/data/{storage.key}")
        # torch would read beyond a shorter one.
        if entry is None or entry.file_size != storage.n_bytes:
            there = "none" if entry is None else f"{entry.file_size}"
            raise ValueError(
                f"its pickle claims {storage.n_bytes} bytes in storage {storage.key}, and there "
                f"are {there}"
            )
        return storage

    _scan(content, 0, storage_of)
    return storages


def _check_legacy(content):
    """Check a file that `torch.save` wrote in its form before archives."""
    storages, n_claimed = {}, 0

    def storage_of(identity):
        nonlocal n_claimed
        known = len(storages)
        storage = _storage(identity, 6, storages)
        n_claimed += storage.n_bytes if len(storages) > known else 0
        # torch allocates what is claimed before it reads.
        if n_claimed > len(content):
            raise ValueError(f"its tensors claim {n_claimed} bytes, and it has {len(content)}")
        return storage

    head = content[:MAX_PICKLE_BYTES]
    magic, position = scan_pickle(head, 0, _no_storage)
    version, position = scan_pickle(head, position, _no_storage)
    if magic != _LEGACY_MAGIC or version != _LEGACY_VERSION:
        raise ValueError("it is a pickle, but not one that torch.save wrote")
    _, position = scan_pickle(head, position, _no_storage)
    position = _scan(head, position, storage_of)
    keys, position = scan_pickle(head, position, _no_storage)
    if type(keys) is not list or len(keys) != len(storages) or set(keys) != storages.keys():
        raise ValueError("its list of storages is not that of its tensors")
    for key in keys:
        _, dtype, n_bytes = storages[key]
        (n_numbers,) = struct.unpack("<q", content[position : position + 8])
        position += 8 + n_bytes
        if n_numbers * dtype.itemsize != n_bytes or position > len(content):
            raise ValueError(f"it is cut off or damaged at storage {key}")


def _scan(content, position, storage_of):
    """Check the pickle that holds the tensors, and return where it ends."""
    try:
        value, end = scan_pickle(content, position, storage_of)
    except ValueError as error:
        if all(f"_{part}".encode() in content for part in ("modules", "parameters", "buffers")):
            raise ValueError(
                f"{error}. It seems to be a whole network, torch.save(model, path)"
            ) from error
        raise
    found = unreadable_tensor(value)
    if found is not None:
        name, kind = found
        raise ValueError(f"it holds a {kind} tensor in entry {name!r}, where dense ones are needed")
    return end


def _storage(identity, length, storages):
    """Return the storage that an id describes, and keep it by its key."""
    if type(identity) is not tuple or len(identity) != length or identity[0] != "storage":
        raise ValueError("its pickle refers to what is not a storage")
    _, named, key, location, n_numbers, *view = identity
    if not (type(key) is str and _STORAGE_KEY.fullmatch(key) and type(location) is str):
        raise ValueError("its pickle refers to a storage in another way than torch.save")
    if type(n_numbers) is not int or n_numbers < 0 or view not in ([], [None]):
        raise ValueError("its pickle refers to a part of a storage, or to one without length")
    dtype = storage_dtype(named)
    storage = Storage(key, dtype, n_numbers * dtype.itemsize)
    if storages.setdefault(key, storage) != storage:
        raise ValueError(f"its pickle refers to storage {key} in two ways")
    return storage


def _no_storage(identity):
    raise ValueError("its pickle refers to a storage where there is none")
