"""Image files of any format, and what tests change in them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from skosfusion.images import read_image

EXIF_ORIENTATION = 274


def ramp(height=24, width=40):
    """Gray values that differ along both axes."""
    return (np.arange(height)[:, None] * 4 + np.arange(width) * 3).astype(np.uint8)


def colors(height=24, width=40):
    first = ramp(height, width)
    return np.stack([first, 255 - first, first // 2], axis=-1)


def encoded(pixels, kind="PNG", **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(value):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = value
    return exif


def with_checksums(data):
    """PNG bytes with the right checksum in each block."""
    data, position = bytearray(data), 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[position + 4 : end]).to_bytes(4)
        position = end + 4
    return bytes(data)


def png_block(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + zlib.crc32(body).to_bytes(4)


def with_tag(data, tag, value):
    """Little-endian TIFF bytes with one value in the first directory replaced."""
    data = bytearray(data)
    (directory,) = struct.unpack_from("<I", data, 4)
    (n_entries,) = struct.unpack_from("<H", data, directory)
    for position in range(directory + 2, directory + 2 + 12 * n_entries, 12):
        found, kind = struct.unpack_from("<HH", data, position)
        if found == tag:
            struct.pack_into("<H" if kind == 3 else "<I", data, position + 8, value)
            return bytes(data)
    raise AssertionError(f"no tag {tag}")


def read_whole(path, **options):
    return read_image(path, image_size=None, **options)
