"""Image files reduced to the bytes that decode their pixels.

Pillow parses color profiles, texts, thumbnails and camera tags while it opens a file. There a
damaged or hostile file can warn, fill the memory or fail, and warnings cannot be silenced for one
thread alone. So each function below walks the container by itself, checks its structure to the end
(checksums, end marker, extents) and keeps what carries pixels. Pillow does the decoding.
"""

import struct
import zlib
from functools import partial
from itertools import accumulate
from math import inf
from operator import add

from PIL import TiffTags
from PIL.BmpImagePlugin import BmpImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from ..exceptions import UnusableError
from ._container import MAX_PARTS, Container, check_frame
from ._jpeg import reduce_jpeg, with_noise
from ._tiff import (
    STRING_TYPES,
    exif_orientation,
    orientation_of,
    read_directory,
    read_extent,
    read_header,
    read_integers,
)

MAX_TILE_PIXELS = 2**24
"""Pixels in a tile of TIFF that is larger than its image; all of a tile is decoded."""


# How a DICOM file begins that lacks preamble and mark.
_BARE_DICOM = (
    *(group + b"\0\0\0" + kind for group in (b"\2", b"\x08") for kind in (b"UL", b"\4\0\0\0")),
    *(b"\x08\0" + element + b"\0CS" for element in (b"\5", b"\x08")),
)
_DICOM = (
    "its content is not PNG, JPEG, TIFF or BMP but DICOM, whose values need windowing, and black "
    "and white change places where it is MONOCHROME1; convert it to PNG, with pydicom: "
    "import numpy, PIL.Image, pydicom, pydicom.pixels as px; "
    "d = pydicom.dcmread('knee.dcm', force=True); "
    "v = px.apply_voi_lut(px.apply_modality_lut(d.pixel_array, d), d).astype(float); "
    "v = v.max() - v if d.PhotometricInterpretation == 'MONOCHROME1' else v; "
    "v = 65535 * (v - v.min()) / max(numpy.ptp(v), 1); "
    "PIL.Image.fromarray(numpy.rint(v).astype('uint16')).save('knee.png')"
)


def reduce_container(data, frame):
    """Reduce a file of any known format; ValueError and others where it is damaged."""
    if data[128:132] == b"DICM" or data.startswith(_BARE_DICOM):
        raise UnusableError(_DICOM)
    for signature, reduce in _REDUCERS.items():
        if data.startswith(signature):
            return reduce(data, frame)
    raise UnusableError(
        "its content is not PNG, JPEG, TIFF or BMP, whatever its name says; convert it to PNG"
    )


# PNG: https://www.w3.org/TR/png-3/ -------------------------------------------------------------

_PNG_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_ANIMATION = {b"fcTL", b"fdAT"}
_PNG_DEPTH = 24  # where the bits per sample stand
_DEFLATE_LIMIT = 1032  # bytes that one byte of deflate can yield, at most


def _reduce_png(data, frame):
    view = memoryview(data)
    kept, kinds, n_frames, orientation = [view[:8]], set(), 1, 1
    position = 8
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise ValueError(f"the checksum of its block {kind!r} is wrong")
        is_first = kind not in kinds
        if is_first and kind == b"acTL" and b"IDAT" not in kinds and length == 8:
            (n_frames,) = struct.unpack_from(">I", data, position + 8)
            if not 1 <= n_frames < 2**31:
                raise ValueError(f"it claims to hold {n_frames} images")
            if n_frames > 1:
                kept.append(view[position:end])
        elif is_first and kind == b"IDAT" and n_frames > 1 and b"fcTL" not in kinds:
            n_frames += 1  # the first image stands outside the animation
        elif is_first and kind == b"eXIf":
            orientation = exif_orientation(data, position + 8)
        if kind in _PNG_PIXELS or (n_frames > 1 and kind in _PNG_ANIMATION):
            kept.append(view[position:end])
        kinds.add(kind)
        if kind == b"IEND":
            break
        position = end
    else:
        raise ValueError(f"it consists of more than {MAX_PARTS} blocks")
    check_frame(frame, n_frames)
    seek = frame if n_frames > 1 else None
    capacity = 8 * _DEFLATE_LIMIT * len(data) // max(1, data[_PNG_DEPTH])
    return Container(PngImageFile, b"".join(kept), orientation, capacity, seek)


# TIFF: TIFF 6.0 and its supplements; BigTIFF -----------------------------------------------------

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 256, 257, 259, 262, 277, 284
_JPEG_IN_TIFF = 7  # a compression
_DEPTH, _VALUE_TYPE = 258, 339
_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_LENGTHS = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS = 322, 323, 324, 325
_TIFF_CHECKED = {_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR}
_TIFF_CHECKED |= {_DEPTH, _VALUE_TYPE}
_TIFF_CHECKED |= {_STRIP_OFFSETS, _STRIP_ROWS, _STRIP_LENGTHS}
_TIFF_CHECKED |= {_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS}
# Parameters of the compression, palette, alpha, YCbCr.
_TIFF_OTHERS = (266, 292, 293, 317, 320, 338, 347, 529, 530, 531, 532)
_TIFF_PIXELS = _TIFF_CHECKED.union(_TIFF_OTHERS)


def _reduce_tiff(data, frame):
    layout, offset = read_header(data)
    pages = {}
    while offset:
        if offset in pages or len(pages) >= MAX_PARTS:
            raise ValueError("its list of pages has no end")
        pages[offset] = len(pages)
        *_, offset = read_extent(data, layout, offset)
    if not pages:
        raise ValueError("it has no page")
    check_frame(frame, len(pages))
    entries = read_directory(data, layout, list(pages)[frame or 0])
    pixels = {tag: entries[tag] for tag in sorted(_TIFF_PIXELS & entries.keys())}
    _check_values(data, pixels)
    integers = {
        tag: read_integers(data, layout, entry)
        for tag, entry in pixels.items()
        if tag in _TIFF_CHECKED
    }
    _check_pixels(integers, len(data))
    is_raw = integers.get(_COMPRESSION, (1,)) == (1,)
    _check_kind(integers, is_raw, is_big_endian=layout.order == ">")

    reduced = partial(_one_page, layout, pixels)
    noisy, n_passes = None, 1
    if integers.get(_COMPRESSION) == (_JPEG_IN_TIFF,):
        noisy, n_passes = _with_noise(data, layout, integers, reduced)
    return Container(
        TiffImageFile,
        reduced(data),
        orientation_of(data, layout, entries),
        8 * len(data) if is_raw else inf,
        white_is_zero=integers.get(_PHOTOMETRIC) == (0,),
        n_passes=n_passes,
        with_noise=noisy,
        must_compare=True,
    )


def _one_page(layout, pixels, data, changed=()):
    """Give a file one page, in a new directory behind the content, so that no offset changes."""
    padding = b"\0" * (-len(data) % 8)
    header_end = 4 if layout.offset == "I" else 8
    pointer = struct.pack(layout.order + layout.offset, len(data) + len(padding))
    records = {tag: entry.record for tag, entry in pixels.items()} | dict(changed)
    parts = [
        data[:header_end],
        pointer,
        memoryview(data)[header_end + len(pointer) :],
        padding,
        struct.pack(layout.order + layout.length, len(records)),
        *records.values(),
        struct.pack(layout.order + layout.offset, 0),
    ]
    return b"".join(parts)


def _with_noise(data, layout, integers, reduced):
    """Put noise behind the scans of JPEG strips or tiles, and find how many scans one has."""
    tags = _STRIP_OFFSETS, _STRIP_LENGTHS
    tags = tags if tags[0] in integers else (_TILE_OFFSETS, _TILE_LENGTHS)
    if not integers.keys() >= set(tags):
        return None, 1
    places = zip(*(integers[tag] for tag in tags), strict=False)
    parts, counts = zip(*(with_noise(data[at : at + size]) for at, size in places), strict=True)
    lengths = [len(part) for part in parts]
    offsets = [len(data), *accumulate(lengths, initial=len(data))][1:-1]
    data, changed = data + b"".join(parts), {}
    kind = 4 if layout.offset == "I" else 16
    for tag, values in zip(tags, (offsets, lengths), strict=True):
        packed = struct.pack(f"{layout.order}{len(values)}{layout.offset}", *values)
        head = struct.pack(layout.order + "HH" + layout.offset, tag, kind, len(values))
        if len(values) > 1:
            data, packed = data + packed, struct.pack(layout.order + layout.offset, len(data))
        changed[tag] = head + packed
    return reduced(data, changed), max(counts)


def _check_values(data, entries):
    """Refuse tags whose values are too many or lie outside the file."""
    total = 0
    for tag, entry in entries.items():
        total += entry.n_bytes
        end = entry.position + entry.n_bytes
        if entry.count > MAX_PARTS or max(end, total) > len(data):
            raise ValueError(f"the values of its tag {tag} lie outside the file")
        is_scalar = TiffTags.lookup(tag).length == 1 and entry.kind not in STRING_TYPES
        if is_scalar and entry.count != 1:
            raise ValueError(f"its tag {tag} holds {entry.count} values instead of one")


def _check_pixels(integers, n_bytes):
    """Refuse strips or tiles that are too few for the image or lie outside the file."""
    (width,), (height,) = integers[_WIDTH], integers[_HEIGHT]
    n_planes = integers.get(_SAMPLES, (1,))[0] if integers.get(_PLANAR) == (2,) else 1
    for offsets, lengths in (_STRIP_OFFSETS, _STRIP_LENGTHS), (_TILE_OFFSETS, _TILE_LENGTHS):
        if offsets not in integers:
            continue
        if offsets == _STRIP_OFFSETS:
            n_parts = _divide_up(height, *integers.get(_STRIP_ROWS, (height,)))
        else:
            (tile_width,), (tile_height,) = integers[_TILE_WIDTH], integers[_TILE_HEIGHT]
            n_parts = _divide_up(width, tile_width) * _divide_up(height, tile_height)
            if tile_width * tile_height > max(MAX_TILE_PIXELS, 2 * width * height):
                raise ValueError(f"its tiles of {tile_width} x {tile_height} pixels are too large")
        if len(integers[offsets]) < n_parts * n_planes:
            raise ValueError("a part of its pixels is missing")
        if max(map(add, integers[offsets], integers.get(lengths, ())), default=0) > n_bytes:
            raise ValueError("its pixels lie outside the file, which is probably cut off")


def _check_kind(integers, is_raw, is_big_endian):
    """Refuse the kinds of values that Pillow is seen to decode wrongly without an error."""
    depth = max(integers.get(_DEPTH, (1,)))
    is_unsigned = set(integers.get(_VALUE_TYPE, (1,))) == {1}
    is_float = 3 in integers.get(_VALUE_TYPE, (1,))
    is_separate = integers.get(_PLANAR) == (2,)
    if (
        (is_unsigned and depth > 16)
        or (not is_unsigned and depth < 16)
        or (is_separate and depth > 8)
        or (is_float and depth != 32)
        or (is_big_endian and not is_raw and (depth > 16 or not is_unsigned))
    ):
        raise UnusableError(
            f"it is a TIFF of {depth}-bit values stored in an unsupported way; save it as unsigned "
            "16-bit or 8-bit values, or as 32-bit floats"
        )


def _divide_up(dividend, divisor):
    return -(-dividend // divisor)


# BMP ---------------------------------------------------------------------------------------------


def _reduce_bmp(data, frame):
    check_frame(frame, 1)
    (header_size,) = struct.unpack_from("<I", data, 14)
    if header_size >= 40 and struct.unpack_from("<I", data, 30)[0] in (1, 2):
        # Pillow expands runs in Python, at less than a megabyte a second.
        raise UnusableError("it is a run-length compressed BMP; convert it to PNG")
    return Container(BmpImageFile, data, capacity=8 * len(data))


_REDUCERS = {
    b"\x89PNG\r\n\x1a\n": _reduce_png,
    b"\xff\xd8\xff": reduce_jpeg,
    b"II*\0": _reduce_tiff,
    b"MM\0*": _reduce_tiff,
    b"II+\0": _reduce_tiff,  # Pillow reads BigTIFF in this byte order only
    b"BM": _reduce_bmp,
}
