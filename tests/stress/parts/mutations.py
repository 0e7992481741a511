"""Bytes changed at random: what disks, networks and attackers do to files."""

import struct

import numpy as np

_NUMBERS = [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31]
_NUMBERS += [2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
_MOST_CHANGES = 4
_LONGEST_BLOCK = 600


def mutate(data, random, others=()):
    """Change bytes in a few places."""
    data = bytearray(data)
    changes = [_flip_bits, _cut, _remove, _insert, _repeat, _zero, _set_number, _set_number]
    if others:
        changes.append(_splice)
    for _ in range(random.integers(1, _MOST_CHANGES + 1)):
        if not data:
            break
        changes[random.integers(len(changes))](data, random, others)
    return bytes(data)


def _range(data, random):
    start = int(random.integers(len(data)))
    return start, min(len(data), start + 1 + int(random.integers(_LONGEST_BLOCK)))


def _flip_bits(data, random, others):
    for _ in range(random.integers(1, 9)):
        data[random.integers(len(data))] ^= 1 << random.integers(8)


def _cut(data, random, others):
    del data[random.integers(len(data)) :]


def _remove(data, random, others):
    start, end = _range(data, random)
    del data[start:end]


def _insert(data, random, others):
    start, end = _range(data, random)
    data[start:start] = random.bytes(end - start)


def _repeat(data, random, others):
    start, end = _range(data, random)
    data[start:start] = bytes(data[start:end]) * int(random.integers(1, 4))


def _zero(data, random, others):
    start, end = _range(data, random)
    data[start:end] = bytes(end - start)


def _set_number(data, random, others):
    """Write a number that lengths and offsets are sensitive to; headers first."""
    width = int(random.choice(list(_WIDTHS)))
    number = _NUMBERS[random.integers(len(_NUMBERS))] % 2 ** (8 * width)
    reach = len(data) if random.random() < 0.5 else min(len(data), 128)
    start = int(random.integers(reach))
    order = "<>"[random.integers(2)]
    data[start : start + width] = struct.pack(order + _WIDTHS[width], number)


def _splice(data, random, others):
    other = others[random.integers(len(others))]
    if other:
        start, end = _range(other, random)
        at = int(random.integers(len(data)))
        data[at : at + end - start] = other[start:end]


def big_number(random):
    """Draw a size that is hard to bear."""
    return int(np.array(_NUMBERS, dtype=object)[random.integers(8, len(_NUMBERS))])
