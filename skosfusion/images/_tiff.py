"""Tag directories, the structure that TIFF pages, EXIF blocks and multi-picture JPEG share."""

import struct
from typing import NamedTuple

MAX_ENTRIES = 0xFFFF
"""Tags in one directory; the limit of classic TIFF, held for BigTIFF too."""

DIRECTORY_ERRORS = (struct.error, KeyError, OverflowError, ValueError)
"""What the functions below raise on a damaged block."""

STRING_TYPES = {1, 2, 7}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_ORIENTATION = 274


class Layout(NamedTuple):
    """Byte order, and the struct codes of an offset and of a directory's length."""

    order: str
    offset: str
    length: str


class Entry(NamedTuple):
    """One tag: type code, number of values, where they lie, and its record in the directory."""

    kind: int
    count: int
    position: int
    record: bytes

    @property
    def n_bytes(self):
        """Size of the values; 0 for an unknown type."""
        return self.count * _SIZES.get(self.kind, 0)


def read_header(data, base=0):
    """Layout of a block and the offset of its first directory; offsets count from `base`."""
    order = {b"II": "<", b"MM": ">"}.get(data[base : base + 2])
    if order is None:
        raise ValueError("its byte order mark is neither II nor MM")
    (version,) = struct.unpack_from(order + "H", data, base + 2)
    big = version == 43
    layout = Layout(order, "Q", "Q") if big else Layout(order, "I", "H")
    return layout, struct.unpack_from(order + layout.offset, data, base + (8 if big else 4))[0]


def read_extent(data, layout, position):
    """Where a directory's records begin, how many there are, and the next directory's offset."""
    (n_entries,) = struct.unpack_from(layout.order + layout.length, data, position)
    if n_entries > MAX_ENTRIES:
        raise ValueError(f"it has a directory of more than {MAX_ENTRIES} tags")
    start = position + struct.calcsize(layout.length)
    end = start + n_entries * (4 + 2 * struct.calcsize(layout.offset))
    return start, n_entries, struct.unpack_from(layout.order + layout.offset, data, end)[0]


def read_directory(data, layout, offset, base=0):
    """Entries of a directory by tag; the first counts where a tag is repeated."""
    start, n_entries, _ = read_extent(data, layout, base + offset)
    width = struct.calcsize(layout.offset)
    size = 4 + 2 * width
    entries = {}
    for position in range(start, start + n_entries * size, size):
        tag, kind, count = struct.unpack_from(layout.order + "HH" + layout.offset, data, position)
        entry = Entry(kind, count, position + 4 + width, data[position : position + size])
        if entry.n_bytes > width:
            at = struct.unpack_from(layout.order + layout.offset, data, entry.position)[0]
            entry = entry._replace(position=base + at)
        entries.setdefault(tag, entry)
    return entries


def read_integers(data, layout, entry):
    """All values of a tag that must hold integers."""
    code = _INTEGERS.get(entry.kind)
    if code is None:
        raise ValueError(f"a tag that must hold integers has the TIFF type {entry.kind}")
    return struct.unpack_from(f"{layout.order}{entry.count}{code}", data, entry.position)


def orientation_of(data, layout, entries):
    """EXIF orientation from 1 to 8; 1, upright, where it is not given or cannot be read."""
    try:
        entry = entries[_ORIENTATION]._replace(count=1)
        (value,) = read_integers(data, layout, entry)
    except DIRECTORY_ERRORS:
        return 1
    return value if 1 <= value <= 8 else 1


def exif_orientation(data, base):
    """EXIF orientation from the block that begins at `base`; 1 where it cannot be read."""
    try:
        layout, first = read_header(data, base)
        entries = read_directory(data, layout, first, base)
    except DIRECTORY_ERRORS:
        return 1
    return orientation_of(data, layout, entries)
