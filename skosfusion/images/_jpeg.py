"""JPEG files walked to their end: ITU-T T.81; several images in one file: CIPA DC-007."""

import hashlib
import re
import struct

from PIL.JpegImagePlugin import JpegImageFile

from ..exceptions import UnusableError
from ._container import MAX_PARTS, MAX_SCANS, Container, check_frame
from ._tiff import DIRECTORY_ERRORS, exif_orientation, read_directory, read_header

# A marker; inside a scan, FF 00 is a pixel byte and FF D0 to FF D7 are restart marks.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_END, _SCAN, _COMMENT, _JPEG_LS = 0xD9, 0xDA, 0xFE, 0xF7
_RESTARTS = range(0xD0, 0xD8)
_METADATA = {*range(0xE1, 0xEE), 0xEF, _COMMENT}  # E0 and EE carry the color space
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BASELINE, _PROGRESSIVE, _ARITHMETIC = {0xC0, 0xC1}, {0xC2, 0xCA}, {*range(0xC9, 0xD0)}
_MPF_ENTRIES = 0xB002
_MPF_CHILD, _MPF_THUMBNAIL = 1 << 30, 0x01
# How Apple, Adobe and Google, and ISO 21496-1 name a map of brightness beside a photograph.
_GAIN_MAPS = (b"hdrgainmap", b"http://ns.adobe.com/hdr-gain-map/", b"urn:iso:std:iso:ts:21496:-1")
# Bytes that belong to no image: a decoder must never come to use them.
_NOISE = hashlib.shake_128(b"noise").digest(1024).replace(b"\xff", b"\x55")


def reduce_jpeg(data, frame):
    """Reduce a JPEG to what decodes its image, the main one where others only go with it."""
    view = memoryview(data)
    kept, noisy, orientation, others = [view[:2]], [view[:2]], None, None
    scans, in_scan = _Scans(), False
    position = 2
    for _ in range(MAX_PARTS):
        match = _MARKER.search(data, position)
        if match is None:
            raise ValueError("it ends before its end marker")
        start = match.start()
        marker = data[start + 1]
        if in_scan:
            kept.append(view[position:start])
            noisy += (view[position:start], _noise_behind(data, position, start))
        if marker == _END:
            kept.append(view[start : start + 2])
            noisy.append(view[start : start + 2])
            break
        (length,) = struct.unpack_from(">H", data, start + 2)
        position = start + 2 + length
        payload = start + 4
        if marker == 0xE1 and orientation is None and data.startswith(b"Exif\0\0", payload):
            orientation = exif_orientation(data, payload + 6)
        elif marker == 0xE2 and others is None and data.startswith(b"MPF\0", payload):
            others = _other_images(data, payload + 4)
        if marker not in _METADATA:
            kept.append(view[start:position])
            noisy.append(view[start:position])
        in_scan = marker == _SCAN
        scans.add(marker, view[payload:position])
    else:
        raise ValueError(f"it consists of more than {MAX_PARTS} blocks")
    others = others or []
    if frame is not None or not all(_goes_with(data, *other, scans.shape) for other in others):
        check_frame(frame, 1 + len(others))
    if frame:
        return reduce_jpeg(data[others[frame - 1][0] :], None)
    scans.check_complete()
    return Container(
        JpegImageFile,
        b"".join(kept),
        orientation or 1,
        # Each block of 8 x 8 pixels takes a bit at least.
        capacity=512 * len(data),
        n_passes=scans.n_scans,
        # An arithmetic coder leaves zeros at the end out, so its files may end too early.
        with_noise=None if scans.frame in _ARITHMETIC else b"".join(noisy),
        # What is missing is of one gray in baseline images alone, and in CMYK of four.
        must_compare=scans.n_scans > 1 or scans.frame not in _BASELINE or scans.shape[2] > 3,
    )


def with_noise(data):
    """Put noise behind each scan of a JPEG inside another file, and count the scans."""
    kept, position, n_scans, in_scan = [data[:2]], 2, 0, False
    while match := _MARKER.search(data, position):
        start = match.start()
        marker = data[start + 1]
        if in_scan:
            kept += (data[position:start], _noise_behind(data, position, start))
        if marker == _END:
            return b"".join((*kept, data[start : start + 2])), n_scans
        (length,) = struct.unpack_from(">H", data, start + 2)
        position = start + 2 + length
        kept.append(data[start:position])
        in_scan = marker == _SCAN
        n_scans += in_scan
    # Without an end marker libtiff reads a scan, too.
    noise = _noise_behind(data, position, len(data)) if in_scan else b""
    return b"".join((*kept, data[position:], noise, b"\xff\xd9")), n_scans


def _noise_behind(data, start, end):
    """Return noise to follow a scan, in two parts where a decoder would wait for a restart mark."""
    marks = [data.rfind(bytes((0xFF, mark)), start, end) for mark in _RESTARTS]
    # After the last mark of the scan comes the next one of eight.
    following = _RESTARTS[0] + (data[max(marks) + 1] + 1) % 8 if max(marks) >= 0 else _RESTARTS[0]
    return _NOISE + bytes((0xFF, following)) + _NOISE


class _Scans:
    """What the scans of an image carry, found from their headers."""

    def __init__(self):
        self.n_scans, self.frame, self.shape = 0, None, (0, 0, 0)
        self._components, self._missing_bits = set(), {}

    def add(self, marker, payload):
        if marker == _JPEG_LS:
            raise UnusableError("it is a JPEG-LS file; convert it to PNG")
        if marker in _FRAMES and self.frame is None:
            self.frame, self.shape = marker, struct.unpack_from(">xHHB", payload)
            if payload[0] != 8:
                raise UnusableError(
                    f"it is a JPEG of {payload[0]} bits a value, and those of 8 are read; convert "
                    "it to a 16-bit PNG"
                )
            self._components = set(payload[6 : 6 + 3 * payload[5] : 3])
        elif marker == _SCAN:
            self._add_scan(payload)

    def _add_scan(self, payload):
        self.n_scans += 1
        if self.n_scans > MAX_SCANS:
            raise ValueError(f"it consists of more than {MAX_SCANS} scans")
        end = 1 + 2 * payload[0]
        first, last, bits = payload[end : end + 3]
        for component in payload[1:end:2]:
            self._components.discard(component)
            if self.frame in _PROGRESSIVE:
                for frequency in range(first, min(last, 63) + 1):
                    self._missing_bits[component, frequency] = bits & 15

    def check_complete(self):
        """Refuse an image that ends between two scans."""
        if self._components:
            raise ValueError("the scan of one of its colors is missing")
        if any(self._missing_bits.values()):
            raise ValueError("its last scans are missing")


def _other_images(data, base):
    """Where further images begin, each with its attributes, from the list of images at `base`."""
    try:
        layout, first = read_header(data, base)
        entry = read_directory(data, layout, first, base)[_MPF_ENTRIES]
        listed = [
            struct.unpack_from(layout.order + "I4xI", data, entry.position + at)
            for at in range(0, min(entry.count, 16 * MAX_SCANS), 16)
        ]
    except DIRECTORY_ERRORS:
        return []
    others = [(base + offset, attributes) for attributes, offset in listed[1:]]
    return [other for other in others if data.startswith(b"\xff\xd8", other[0])]


def _goes_with(data, start, attributes, main):
    """Return whether an image is only a part of the main one: a thumbnail, a map of brightness."""
    if attributes & _MPF_CHILD or (attributes >> 16) & 0xFF == _MPF_THUMBNAIL:
        return True
    position = start + 2
    for _ in range(MAX_PARTS):
        match = _MARKER.search(data, position)
        if match is None or data[match.start() + 1] in (_SCAN, _END):
            return False
        (length,) = struct.unpack_from(">H", data, match.start() + 2)
        block = data[match.start() + 4 : match.start() + 2 + length]
        if data[match.start() + 1] in _FRAMES:
            height, width, n_channels = struct.unpack_from(">xHHB", block)
            return height * width < main[0] * main[1] or n_channels < main[2]
        if any(name in block.lower() for name in _GAIN_MAPS):
            return True
        position = match.start() + 2 + length
    return False
