"""Image files of all kinds that are read, sound and mutated."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from skosfusion.exceptions import ImageError
from skosfusion.images import open_image, read_image

from .mutations import big_number, mutate

_WIDTH, _HEIGHT = 40, 28


def _bases():
    random = np.random.default_rng(0)
    soft = Image.fromarray(random.integers(0, 256, (7, 10, 3), np.uint8))
    color = soft.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    gray = color.convert("L")
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    real = Image.fromarray(np.asarray(gray).astype(np.float32) / 255)
    palette = color.quantize(16)
    turned = Image.Exif()
    turned[274] = 6
    files = {}

    def add(name, image, kind, **options):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files[name] = buffer.getvalue()

    add("gray.png", gray, "PNG")
    add("color.png", color, "PNG", exif=turned)
    add("deep.png", deep, "PNG")
    add("palette.png", palette, "PNG", transparency=3)
    add("alpha.png", color.convert("RGBA"), "PNG")
    add("animated.png", gray, "PNG", save_all=True, append_images=[gray.rotate(90)])
    add("gray.jpg", gray, "JPEG")
    add("color.jpg", color, "JPEG", exif=turned)
    add("progressive.jpg", color.resize((160, 120)), "JPEG", progressive=True)
    add("cmyk.jpg", color.convert("CMYK"), "JPEG")
    add("gray.bmp", gray, "BMP")
    add("color.bmp", color, "BMP")
    add("bits.bmp", gray.convert("1"), "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        add(f"{compression}.tif", color, "TIFF", compression=compression)
    add("group4.tif", gray.convert("1"), "TIFF", compression="group4")
    add("deep.tif", deep, "TIFF", compression="tiff_lzw")
    add("real.tif", real, "TIFF")
    add("pages.tif", gray, "TIFF", save_all=True, append_images=[deep, color])
    add("big.tif", gray, "TIFF", big_tiff=True)
    files["tiled.tif"] = _tiled_tiff(np.asarray(gray), compress=False)
    files["tiled_deflate.tif"] = _tiled_tiff(np.asarray(gray), compress=True)
    return files


def _tiled_tiff(pixels, *, compress):
    """Write a gray TIFF in tiles of 16 x 16, which Pillow reads and does not write."""
    side = 16
    height, width = pixels.shape
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side)))
    tiles = [
        padded[top : top + side, left : left + side].tobytes()
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]
    tiles = [zlib.compress(tile) if compress else tile for tile in tiles]
    n_tiles = len(tiles)
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 1, 8), (259, 3, 1, 8 if compress else 1),
        (262, 3, 1, 1), (277, 3, 1, 1), (322, 3, 1, side), (323, 3, 1, side),
        (324, 4, n_tiles, None), (325, 4, n_tiles, None),
    ]  # fmt: skip
    lists_at = 8 + 2 + 12 * len(tags) + 4
    data_at = lists_at + 8 * n_tiles
    offsets = [data_at + sum(map(len, tiles[:i])) for i in range(n_tiles)]
    places = {324: lists_at, 325: lists_at + 4 * n_tiles}
    records = b"".join(
        struct.pack("<HHII", tag, kind, count, places.get(tag, value))
        for tag, kind, count, value in tags
    )
    lists = struct.pack(f"<{2 * n_tiles}I", *offsets, *map(len, tiles))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + records + bytes(4) + lists + b"".join(tiles)


_FILES = _bases()
_NAMES, _CONTENTS = list(_FILES), list(_FILES.values())


def make(random):
    """Draw a damaged or hostile image file."""
    choice = int(random.integers(len(_NAMES)))
    name, data = _NAMES[choice], _CONTENTS[choice]
    structured = {"png": _change_png, "jpg": _change_jpeg, "tif": _change_tiff, "bmp": _change_bmp}
    if random.random() < 0.4:
        data = structured[name[-3:]](data, random)
        if random.random() < 0.5:
            return name, data
    return name, mutate(data, random, _CONTENTS)


def _change_png(data, random):
    """Change, repeat, drop or move blocks, with checksums that are right."""
    blocks, position = [], 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        blocks.append([kind, data[position + 8 : position + 8 + length]])
        position += 12 + length
    for _ in range(random.integers(1, 3)):
        at = int(random.integers(len(blocks)))
        deed = random.integers(5)
        if deed == 0:
            header = bytearray(blocks[0][1])
            if len(header) == 13:
                where = 4 * int(random.integers(2))
                header[where : where + 4] = struct.pack(">I", big_number(random) % 2**32)
                blocks[0][1] = bytes(header)
        elif deed == 1:
            blocks.insert(int(random.integers(len(blocks) + 1)), list(blocks[at]))
        elif deed == 2 and len(blocks) > 1:
            del blocks[at]
        elif deed == 3:
            size = int(random.choice([10**3, 10**5, 10**7]))
            blocks.insert(-1, [b"zTXt", b"a\0\0" + zlib.compress(bytes(size))])
        else:
            blocks[at][1] = mutate(blocks[at][1], random) if blocks[at][1] else b"\0"
    parts = [
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in blocks
    ]  # fmt: skip
    return data[:8] + b"".join(parts)


def _change_jpeg(data, random):
    """Give the frame another size, or repeat its scans."""
    data = bytearray(data)
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    if random.random() < 0.7:
        where = frame + 5 + 2 * int(random.integers(2))
        data[where : where + 2] = struct.pack(">H", big_number(random) % 2**16)
        return bytes(data)
    scan = data.find(b"\xff\xda")
    return bytes(data[:-2] + data[scan:-2] * int(random.choice([2, 30, 300])) + data[-2:])


def _change_tiff(data, random):
    """Change type, count or value of a tag in the first directory."""
    data = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2] == 43 or data[3] == 43
    (first,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
    (n_tags,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, first)
    size, start = (20, first + 8) if is_big else (12, first + 2)
    for _ in range(random.integers(1, 4)):
        at = start + size * int(random.integers(n_tags))
        number = big_number(random)
        deed = random.integers(3)
        if deed == 0:
            struct.pack_into(order + "H", data, at + 2, int(random.integers(20)))
        elif deed == 1:
            struct.pack_into(order + "I", data, at + 4, number % 2**32)
        else:
            struct.pack_into(order + "I", data, at + size - 4, number % 2**32)
    return bytes(data)


def _change_bmp(data, random):
    """Give the image another size or depth."""
    data = bytearray(data)
    if random.random() < 0.7:
        struct.pack_into("<I", data, 18 + 4 * int(random.integers(2)), big_number(random) % 2**32)
    else:
        struct.pack_into("<H", data, 28, int(random.choice([0, 1, 2, 4, 8, 16, 24, 32, 64])))
    return bytes(data)


def use(path, random):
    """Read the file as a user might."""
    frame = 0 if random.random() < 0.3 else None
    if random.random() < 0.2:
        open_image(path, frame=frame)
        return
    pixels = read_image(
        path,
        image_size=[None, 32, 224][random.integers(3)],
        contrast=[None, "stretch"][random.integers(2)],
        frame=frame,
    )
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) not in (1, 3):
        raise AssertionError(f"pixels of type {pixels.dtype} and shape {pixels.shape}")


#: Errors that are documented for a file that is there.
ERRORS = (ImageError,)
#: Warnings that are documented.
WARNINGS = ()
