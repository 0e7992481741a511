"""Cases 107 to 113: what a viewer shows of an image is what the network gets."""

import io
import re
import struct
import sys
import types
import warnings
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion.datasets import crop_screenshots
from skosfusion.exceptions import ImageError, ImageWarning
from skosfusion.images import ImageStore, read_image

from .._helpers.image_files import encoded, png_block, with_orientation
from .small_images import GRAY, OTHER, RNG

Y, X = np.mgrid[:96, :80]
TISSUE = (2000 + 1000 * np.sin(X / 30) + 500 * np.cos(Y / 40)).astype(np.uint16)
OPAQUE = np.full_like(TISSUE, 65535)


def deep_png(values, color):
    """PNG of 16 bits; `color` is its type, such as 2 for RGB."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    blocks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_block(*block) for block in blocks)


def deep_tiff(values, order="<", *, color=2, extra=2):
    """TIFF of 16-bit RGB, RGBA or CMYK (`color` 5) in one strip; `extra` is the kind of alpha."""
    height, width, n_channels = values.shape
    content = values.astype(order + "u2").tobytes()
    entries = [(256, 4, width), (257, 4, height), (259, 3, 1), (262, 3, color), (273, 4, 8)]
    entries += [(277, 3, n_channels), (279, 4, len(content))]
    entries += [(338, 3, extra)] if n_channels == 4 and color == 2 else []
    end = 8 + len(content)
    bits_at = end + 2 + 12 * (1 + len(entries)) + 4
    entries = sorted([*entries, (258, 3, None)])
    directory = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        count = n_channels if value is None else 1
        code = "I" if value is None or kind == 4 else "H2x"
        value = bits_at if value is None else value
        directory += struct.pack(order + "HHI" + code, tag, kind, count, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    bits = struct.pack(f"{order}{n_channels}H", *[16] * n_channels)
    return mark + struct.pack(order + "I", end) + content + directory + bytes(4) + bits


def whole(path, **options):
    return read_image(path, image_size=None, **options)


@pytest.mark.parametrize("contrast", [None, "stretch"])
@pytest.mark.parametrize(
    "kind", ["gray with alpha", "RGB", "RGBA", "TIFF", "TIFF, big", "RGBA TIFF"]
)
def test_case_107_color_of_16_bits(put, kind, contrast):
    """Color of 16 bits, or gray of 16 bits with alpha: scaled as gray of 16 bits is."""
    rgb, rgba = np.stack([TISSUE] * 3, -1), np.stack([TISSUE] * 3 + [OPAQUE], -1)
    data = {
        "gray with alpha": lambda: deep_png(np.stack([TISSUE, OPAQUE], -1), 4),
        "RGB": lambda: deep_png(rgb, 2),
        "RGBA": lambda: deep_png(rgba, 6),
        "TIFF": lambda: deep_tiff(rgb),
        "TIFF, big": lambda: deep_tiff(rgb, ">"),
        "RGBA TIFF": lambda: deep_tiff(rgba),
    }[kind]()
    gray = whole(put(deep_png(TISSUE, 0), "gray.png"), contrast=contrast)
    assert np.ptp(gray) == 255
    np.testing.assert_array_equal(whole(put(data), contrast=contrast), gray)


def test_case_107_channels_are_scaled_alike(put):
    """Color of 16 bits: all channels by the same two values, so that colors stay what they are."""
    values = np.stack([TISSUE, TISSUE // 2, TISSUE + 100], -1)
    low, high = values.min(), values.max()
    expected = np.rint((values.astype(float) - low) / (high - low) * 255)
    pixels = whole(put(deep_png(values, 2)))
    np.testing.assert_array_equal(pixels, expected.transpose(2, 0, 1))


def test_case_107_channels_are_stretched_alike(put):
    """Color of 16 bits that is stretched: all channels between the percentiles of its luminance."""
    values = np.stack([TISSUE, TISSUE // 2, TISSUE + 100], -1)
    luminance = values.astype(np.uint32) @ np.array([299, 587, 114], np.uint32) // 1000
    low, high = np.percentile(luminance, (1, 99), method="inverted_cdf")
    expected = np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255)
    pixels = whole(put(deep_png(values, 2)), contrast="stretch")
    np.testing.assert_array_equal(pixels, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("order", "<>")
def test_case_107_inks_of_16_bits(put, order):
    """CMYK of 16 bits: converted, and scaled as gray of 16 bits is."""
    inks = np.stack([np.zeros_like(TISSUE)] * 3 + [65535 - TISSUE], -1)
    pixels = whole(put(deep_tiff(inks, order, color=5)))
    np.testing.assert_array_equal(pixels, whole(put(deep_png(TISSUE, 0))))


def test_case_107_premultiplied_alpha(put):
    """Color of 16 bits that was multiplied by its alpha: as with the alpha beside it."""
    alpha = np.where(X < 40, 40000, 65535).astype(np.uint16)
    times = (TISSUE.astype(float) * alpha / 65535).round().astype(np.uint16)
    plain, done = (np.stack([values] * 3 + [alpha], -1) for values in (TISSUE, times))
    expected = whole(put(deep_tiff(plain))).astype(int)
    np.testing.assert_allclose(whole(put(deep_tiff(done, extra=1))), expected, atol=1)


def test_case_107_half_transparent(put):
    """16-bit color that shines through half: laid on black by its alpha."""
    rgba = np.stack([TISSUE] * 3 + [np.full_like(TISSUE, 32768)], -1)
    expected = whole(put(deep_png(TISSUE, 0))) / 2
    np.testing.assert_allclose(whole(put(deep_png(rgba, 6))), expected, atol=1)


def test_case_107_animation(put):
    """An animation of 16-bit color: its first image is read, for others ImageError says why."""
    data = deep_png(np.stack([TISSUE] * 3, -1), 2)
    pixels = data[data.index(b"IDAT") + 4 : -16]
    control = struct.pack(">IIIIHHBB", X.shape[1], X.shape[0], 0, 0, 1, 10, 0, 0)
    moving = b"".join(
        (
            data[:33],
            png_block(b"acTL", struct.pack(">II", 2, 0)),
            png_block(b"fcTL", struct.pack(">I", 0) + control),
            png_block(b"IDAT", pixels),
            png_block(b"fcTL", struct.pack(">I", 1) + control),
            png_block(b"fdAT", struct.pack(">I", 2) + pixels),
            data[-12:],
        )
    )
    np.testing.assert_array_equal(whole(put(moving), frame=0), whole(put(data, "whole.png")))
    with pytest.raises(ImageError, match="animation of 16-bit color; save one image"):
        whole(put(moving), frame=1)


@pytest.mark.parametrize("kind", ["alpha", "color"])
def test_case_107_transparent_padding(put, kind):
    """Transparent padding beside 16-bit tissue: laid on black, and not counted in the scale."""
    if kind == "alpha":
        alpha = np.where(X < 20, 0, 65535).astype(np.uint16)
        data = deep_png(np.stack([np.where(X < 20, 0, TISSUE + 9000), alpha], -1), 4)
    else:
        data = deep_png(np.stack([np.where(X < 20, 7, TISSUE + 9000)] * 3, -1), 2)
        data = data[:33] + png_block(b"tRNS", struct.pack(">HHH", 7, 7, 7)) + data[33:]
    pixels = whole(put(data))
    alone = whole(put(deep_png(TISSUE[:, 20:], 0)))
    np.testing.assert_array_equal(pixels[:, :, 20:], alone)
    assert not pixels[:, :, :20].any()


def test_case_107_turned_and_cropped(put):
    """16-bit color that is turned by EXIF and cropped: as gray of 16 bits."""
    data = deep_png(np.stack([TISSUE] * 3, -1), 2)
    for orientation in range(1, 9):
        exif = with_orientation(orientation).tobytes().removeprefix(b"Exif\0\0")
        paths = [
            put(one[:33] + png_block(b"eXIf", exif) + one[33:], f"{name}.png")
            for name, one in (("color", data), ("gray", deep_png(TISSUE, 0)))
        ]
        color, gray = (whole(path, crop_box=(7, 3, 60, 50)) for path in paths)
        np.testing.assert_array_equal(color, gray)


def test_case_107_cropped_copy(put, tmp_path):
    """A screenshot of 16-bit color to crop: ImageError, as its copy would have 8 bits."""
    put(deep_png(np.stack([TISSUE] * 3, -1), 2), "a.png")
    with pytest.raises(ImageError, match="16-bit color cannot be cropped without loss; export"):
        crop_screenshots(
            _table("a.png"), "*", (0, 0, 9, 9), image_folder=tmp_path, data_home=tmp_path
        )


def _table(*names):
    return pd.DataFrame({"image": list(names)})


def spoiled(kind):
    values = TISSUE.copy()
    if kind == "marker":
        values[3:9, 3:9] = 65535
    elif kind == "broken pixel":
        values[7, 7] = 65535
    elif kind == "padding":
        values += 30000
        values[:, :4] = 0
    elif kind == "much padding":
        values += 30000
        values[:, :40] = 0
    elif kind == "padding and marker":
        values += 30000
        values[:, :4] = 0
        values[40:50, 40:50] = 65535
    return values


SPOILED = ["marker", "broken pixel", "padding", "much padding", "padding and marker"]


@pytest.mark.parametrize("kind", SPOILED)
def test_case_108_marker_or_padding(put, kind):
    """A marker or padding that leaves tissue an eighth of the range: a warning that helps."""
    path = put(deep_png(spoiled(kind), 0))
    with pytest.warns(ImageWarning, match=r"image\.png' \(row 3\).*gray levels") as seen:
        read_image(path, row=3)
    (warning,) = seen
    options = str(warning.message).split("Use the option ")[1].split(", or crop_box")[0]
    options = dict(option.split("=", 1) for option in options.split(" and "))
    options = {name: eval(value) for name, value in options.items()}  # noqa: S307
    assert options["contrast"] == "stretch"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        helped = whole(path, **options)[0, 50:, 40:]
    assert len(np.unique(helped)) > 100


@pytest.mark.parametrize(("n_levels", "is_narrow"), [(30, True), (38, False)])
def test_case_108_an_eighth_of_the_range(put, n_levels, is_narrow):
    """Tissue of 30 gray levels, less than an eighth: a warning; of 38: none."""
    values = np.linspace(0, n_levels / 256 * 65535, X.size).astype(np.uint16).reshape(X.shape)
    values[0, 0] = 65535
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        read_image(put(deep_png(values, 0)))
    assert [warning.category for warning in seen] == [ImageWarning] * is_narrow


def test_case_108_padding_of_nearly_all(put):
    """Padding of more than the percentiles can leave out: the warning names the crop alone."""
    values = np.zeros_like(TISSUE)
    values[:6, :6] = TISSUE[:6, :6] + 30000
    with pytest.warns(ImageWarning, match="Use the option crop_box"):
        read_image(put(deep_png(values, 0)))


def test_case_108_remedy_that_does_not_help(put):
    """Other options that leave the marker in: the warning comes again."""
    path, store = put(deep_png(spoiled("marker"), 0)), ImageStore()
    for options in ({}, {"crop_box": (0, 0, 60, 60)}):
        with pytest.warns(ImageWarning, match="gray levels"):
            store.read([path], **options)


def test_case_108_once_for_a_folder(tmp_path, put):
    """Many images with a marker, read part by part: one warning, with a count."""
    paths = []
    for number in range(6):
        values = spoiled("marker")
        values[50, 50] += number
        paths.append(put(deep_png(values, 0), f"{number}.png"))
    store = ImageStore()
    with pytest.warns(ImageWarning, match=r"0\.png' \(row 0\).* 2 more images") as seen:  # noqa: PT031
        store.read(paths[:3])
        store.read(paths[3:], rows=[3, 4, 5])
        store.read(paths)
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["plain", "hand", "mask", "blank", "noise"])
def test_case_108_no_false_alarm(put, kind):
    """Deep images that use their range, masks and blank ones: no warning."""
    values = {
        "plain": TISSUE,
        "hand": np.where(X < 70, RNG.integers(0, 50, X.shape), TISSUE).astype(np.uint16),
        "mask": np.where(X < 20, 0, 65535).astype(np.uint16),
        "blank": np.full_like(TISSUE, 777),
        "noise": RNG.normal(30000, 500, X.shape).astype(np.uint16),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(put(deep_png(values, 0)))


@pytest.mark.parametrize("alpha", [0, 1, 32])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "gray", "16 bits", "palette"])
def test_case_109_transparent_everywhere(put, kind, alpha):
    """An image that is transparent everywhere, as from a clipboard: read as if it were opaque."""
    void = np.full_like(GRAY, alpha)
    if kind == "gray":
        data = encoded(np.dstack([GRAY, void]))
    elif kind == "palette":
        data = encoded(Image.fromarray(GRAY).convert("P"), transparency=bytes([alpha] * 256))
    elif kind == "16 bits":
        deep = np.stack([GRAY.astype(np.uint16) * 257, void.astype(np.uint16) * 257], -1)
        data = deep_png(deep, 4)
    else:
        data = encoded(np.dstack([GRAY] * 3 + [void]), kind)
    np.testing.assert_allclose(whole(put(data))[0].astype(int), GRAY, atol=kind == "16 bits")


@pytest.mark.parametrize("kind", ["gray", "16 bits", "TIFF of two channels"])
def test_case_109_more_than_an_eighth(put, kind):
    """An alpha of a little more than an eighth everywhere: it was meant, and dims the image."""
    if kind == "16 bits":
        deep = np.stack([GRAY.astype(np.uint16) * 257, np.full(GRAY.shape, 40 * 257, "u2")], -1)
        data = deep_png(deep, 4)
    else:
        data = encoded(
            np.dstack([GRAY, np.full_like(GRAY, 40)]), "PNG" if kind == "gray" else kind[:4]
        )
    np.testing.assert_allclose(whole(put(data))[0], GRAY * (40 / 255), atol=1)


def test_case_109_premultiplied_gray(put):
    """Gray that was multiplied by its alpha, in a TIFF: read with the alpha undone, on black."""
    alpha = np.where(np.arange(40) < 20, 128, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    data = encoded(np.dstack([GRAY, alpha]), "TIFF")
    (directory,) = struct.unpack_from("<I", data, 4)
    at = data.index(struct.pack("<HHI", 338, 3, 1), directory) + 8
    data = data[:at] + struct.pack("<H", 1) + data[at + 2 :]
    np.testing.assert_array_equal(whole(put(data))[0][:, 20:], GRAY[:, 20:])


def test_case_109_transparent_part(put):
    """A crop that is transparent in an image that is not: black, as before."""
    alpha = np.where(np.arange(40) < 20, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    path = put(encoded(np.dstack([GRAY] * 3 + [alpha])))
    assert not whole(path, crop_box=(0, 0, 20, 40)).any()


@pytest.mark.parametrize("contrast", [None, "stretch", "clahe"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("value", [0, 100, 255])
def test_case_110_blank_picture(put, mode, value, contrast):
    """A blank image: stays as it is under every contrast option."""
    color = (value, value // 2, value // 3)
    image = Image.new("L", (40, 40), value) if mode == "L" else Image.new("RGB", (40, 40), color)
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    path = put(encoded(image))
    pixels = read_image(path, image_size=32, contrast=contrast)
    np.testing.assert_array_equal(pixels, read_image(path, image_size=32))
    assert (np.ptp(pixels, axis=(1, 2)) == 0).all()


@pytest.mark.parametrize("contrast", [None, "stretch", "clahe"])
def test_case_110_blank_picture_of_16_bits(put, contrast):
    """A blank image of 16 bits: black under every contrast option."""
    assert not read_image(put(deep_png(np.full_like(TISSUE, 999), 0)), contrast=contrast).any()


RADIOGRAPH = (
    RNG.integers(0, 40, (128, 120)) + np.add.outer(np.arange(128), np.arange(120)) / 2
).clip(0, 255)
ENCODINGS = {
    "plain": {"quality": 90},
    "optimized": {"quality": 90, "optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", [*ENCODINGS, "color", "CMYK", "hole", "TIFF"])
def test_case_111_half_a_jpeg_with_an_end_marker(put, kind, share):
    """A part of a JPEG with an end marker behind it, or with bytes missing inside: ImageError."""
    gray = RADIOGRAPH.astype(np.uint8)
    values = np.dstack([gray, gray // 2, 255 - gray]) if kind == "color" else gray
    values = Image.fromarray(gray).convert("CMYK") if kind == "CMYK" else values
    data = encoded(values, "JPEG", **ENCODINGS.get(kind, {}))
    cut = data[: int(share * len(data))] + b"\xff\xd9"
    if kind == "hole":
        cut = data[: int(share * len(data))] + data[int(share * len(data)) + 600 :]
    if kind == "TIFF":
        assert whole(put(_tiff_of_jpeg(data))).shape == (1, 128, 120)
        cut = _tiff_of_jpeg(cut)
    for size in (None, 8, 224):
        with pytest.raises(ImageError, match="damaged or cut off"):
            read_image(put(cut), image_size=size)


def test_case_111_scans_that_are_missing(put):
    """A progressive JPEG that ends between two scans: ImageError, however many it has."""
    data = encoded(RADIOGRAPH.astype(np.uint8), "JPEG", progressive=True)
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    assert len(starts) > 4
    for start in starts[1:]:
        with pytest.raises(ImageError, match="its last scans are missing"):
            read_image(put(data[:start] + b"\xff\xd9"))


def _tiff_of_jpeg(data):
    """TIFF whose one strip is a JPEG."""
    height, width = RADIOGRAPH.shape
    entries = [(256, width), (257, height), (258, 8), (259, 7), (262, 1), (273, 8), (277, 1)]
    entries += [(278, height), (279, len(data))]
    data += bytes(len(data) % 2)
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("fill", ["ends gray", "all gray", "noise"])
def test_case_111_no_false_alarm(put, options, fill):
    """A whole JPEG that ends in the very gray of a cut one: read."""
    values = RADIOGRAPH.astype(np.uint8).copy()
    if fill == "ends gray":
        values[64:] = 128
    elif fill == "all gray":
        values[:] = 128
    data = encoded(values, "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(whole(put(data))[0], expected)
    assert read_image(put(data), image_size=8).shape == (1, 8, 8)


def test_case_111_color_that_is_missing(put):
    """A JPEG that ends before the scans of two of its three colors: ImageError."""
    data = encoded(RADIOGRAPH.astype(np.uint8), "JPEG")
    at = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, at + 2)
    frame = data[at + 4 : at + 9] + b"\3" + b"".join(bytes((one, 0x11, 0)) for one in (1, 2, 3))
    block = b"\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame
    with pytest.raises(ImageError, match="the scan of one of its colors is missing"):
        whole(put(data[:at] + block + data[at + 2 + length :]))


def test_case_111_strips_of_jpeg(put):
    """A TIFF of several JPEG strips: read; with one of them cut, wherever it stands: ImageError."""
    gray = RADIOGRAPH.astype(np.uint8)
    strips = [encoded(part, "JPEG", quality=90) for part in np.split(gray, 4)]
    expected = np.vstack([np.asarray(Image.open(io.BytesIO(strip))) for strip in strips])
    np.testing.assert_array_equal(whole(put(_tiff_of_strips(strips)))[0], expected)
    for number, strip in enumerate(strips):
        cut = [*strips]
        cut[number] = strip[: len(strip) * 2 // 3] + b"\xff\xd9"
        with pytest.raises(ImageError, match="damaged or cut off"):
            whole(put(_tiff_of_strips(cut)))


def _tiff_of_strips(strips):
    """TIFF whose strips are JPEGs of as many rows each."""
    height, width = RADIOGRAPH.shape
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    content = b"".join(strips)
    content += bytes(len(content) % 2)
    at, n_strips = 8 + len(content), len(strips)
    content += struct.pack(f"<{2 * n_strips}I", *starts[:-1], *map(len, strips))
    entries = [(256, 1, width), (257, 1, height), (258, 1, 8), (259, 1, 7), (262, 1, 1)]
    entries += [(273, n_strips, at), (277, 1, 1), (278, 1, height // n_strips)]
    entries += [(279, n_strips, at + 4 * n_strips)]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, n, value) for tag, n, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(content)) + content + directory + bytes(4)


@pytest.mark.parametrize(
    "start", [bytes(128), b"II*\0T\x18\x08\0" + bytes(120), b"\xff\xd8\xff" * 43]
)
def test_case_112_dicom(put, start):
    """A DICOM file, whatever its preamble: named as such, with the windowing that it needs."""
    path = put(start[:128] + b"DICM" + b"\2\0\0\0UL\4\0" + bytes(80))
    with pytest.raises(ImageError, match=r"DICOM, whose values need windowing.*MONOCHROME1"):
        read_image(path)


@pytest.mark.parametrize(
    "start",
    [
        b"\x08\0\5\0CS\x0a\0ISO_IR 100",
        b"\x08\0\x08\0CS\x10\0ORIGINAL",
        b"\2\0\0\0UL\4\0",
        b"\x08\0\0\0UL\4\0",
        b"\x08\0\0\0\4\0\0\0",
    ],
)
def test_case_112_dicom_without_preamble(put, start):
    """A DICOM file without preamble and mark: named as such."""
    with pytest.raises(ImageError, match="but DICOM"):
        read_image(put(start + bytes(200)))


@pytest.mark.parametrize("is_blank", [False, True])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_case_112_remedy(put, tmp_path, monkeypatch, kind, is_blank):
    """The remedy for DICOM, followed to the letter: a PNG that is read, white where bone is."""
    with pytest.raises(ImageError) as caught:
        read_image(put(bytes(128) + b"DICM" + bytes(20)))
    code = str(caught.value).split("with pydicom: ")[1]
    shown = np.full_like(TISSUE, 1500) if is_blank else TISSUE
    stored = 4095 - shown if kind == "MONOCHROME1" else shown
    found = types.SimpleNamespace(pixel_array=stored, PhotometricInterpretation=kind)
    pydicom, pixels = types.ModuleType("pydicom"), types.ModuleType("pydicom.pixels")
    pydicom.dcmread = lambda path, force: found
    # A window is given in the units that the first table leads to, such as Hounsfield's.
    pixels.apply_modality_lut = lambda values, dataset: values.astype(int) - 2047
    pixels.apply_voi_lut = lambda values, dataset: values.clip(-900, 900)
    pydicom.pixels = pixels
    monkeypatch.setitem(sys.modules, "pydicom", pydicom)
    monkeypatch.setitem(sys.modules, "pydicom.pixels", pixels)
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102
    middle = 2048 if kind == "MONOCHROME1" else 2047
    expected = whole(put(deep_png(shown.clip(middle - 900, middle + 900), 0)))
    np.testing.assert_allclose(whole("knee.png").astype(int), expected, atol=1)


def photograph(*others, **options):
    pages = [Image.fromarray(page) for page in others]
    return encoded(GRAY, "MPO", save_all=True, append_images=pages, quality=100, **options)


def test_case_113_photographs_of_phones(put, tmp_path):
    """A photograph of a phone (MPO) with a thumbnail or map behind it: its main image is read."""
    path = put(photograph(OTHER[:20, :20], GRAY[:10, :10]), "a.jpg")
    np.testing.assert_allclose(whole(path)[0].astype(int), GRAY, atol=4)
    cropped = crop_screenshots(
        _table("a.jpg"), "*", (0, 0, 9, 9), image_folder=tmp_path, data_home=tmp_path
    )
    assert whole(cropped["image"][0]).shape == (1, 9, 9)


@pytest.mark.parametrize(
    "name",
    [
        b"urn:iso:std:iso:ts:21496:-1",
        b"http://ns.adobe.com/hdr-gain-map/",
        b"http://ns.apple.com/HDRGainMap/1.0/",
    ],
)
def test_case_113_gain_map_of_full_size(put, name):
    """A map of brightness as large as its photograph: the photograph is read."""
    data = photograph(OTHER)
    at = data.rindex(b"\xff\xd8\xff") + 2
    block = name + b"\0" + bytes(4)
    data = data[:at] + b"\xff\xe2" + struct.pack(">H", 2 + len(block)) + block + data[at:]
    np.testing.assert_allclose(whole(put(data))[0].astype(int), GRAY, atol=4)


@pytest.mark.parametrize("attributes", [1 << 30, 0x010001, 0x010002])
def test_case_113_part_by_its_attributes(put, attributes):
    """A further image of full size that is listed as a part or a preview: the main one is read."""
    data = bytearray(photograph(OTHER))
    start = data.index(b"MPF\0")
    main = data.rindex(struct.pack("<I", 0x030000), start, start + 100)
    struct.pack_into("<I", data, main + 16, attributes)
    np.testing.assert_allclose(whole(put(bytes(data)))[0].astype(int), GRAY, atol=4)


def test_case_113_thumbnail_beside_two_views(put):
    """Two views of one size and a thumbnail: ImageError, as for two views alone."""
    with pytest.raises(ImageError, match="declare which one with frame=0 to 2"):
        read_image(put(photograph(OTHER, GRAY[:10, :10])))


def test_case_113_gray_map_of_full_size(put):
    """A gray map as large as its color photograph: the photograph is read."""
    color = np.dstack([GRAY, OTHER, GRAY])
    pages = {"save_all": True, "append_images": [Image.fromarray(GRAY)]}
    assert whole(put(encoded(color, "MPO", **pages))).shape == (3, 40, 40)


def test_case_113_two_views(put, tmp_path):
    """Two views of one size: ImageError; what its remedy declares is read, in copies too."""
    path = put(photograph(OTHER), "a.jpg")
    with pytest.raises(ImageError, match="declare which one with frame=0 to 1"):
        read_image(path)
    np.testing.assert_allclose(whole(path, frame=1)[0].astype(int), OTHER, atol=4)
    arguments = _table("a.jpg"), "*", (0, 0, 40, 40)
    folders = {"image_folder": tmp_path, "data_home": tmp_path}
    with pytest.raises(ImageError, match="declare which one with image_frame=0 to 1"):
        crop_screenshots(*arguments, **folders)
    for frame, expected in enumerate((GRAY, OTHER)):
        cropped = crop_screenshots(*arguments, **folders, image_frame=frame)
        np.testing.assert_allclose(whole(cropped["image"][0])[0].astype(int), expected, atol=4)
