"""Image files as users and strangers provide them. Numbers are those of the list of faults."""

import io
import os
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from .._helpers.mutations import EDIT, mutated
from PIL import Image, ImageFile, PngImagePlugin

from skosfusion.exceptions import ImageError
from skosfusion.images import _containers, _open, open_image, read_image

RADIOGRAPHS = Path(__file__).parents[2] / "shared/data/chest_xray/images"
EXIF_ORIENTATION = 274


def ramp(height=24, width=40):
    """Grey values that differ along both axes."""
    return (np.arange(height)[:, None] * 4 + np.arange(width) * 3).astype(np.uint8)


def colours(height=24, width=40):
    first = ramp(height, width)
    return np.stack([first, 255 - first, first // 2], axis=-1)


def encoded(pixels, kind, **options):
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


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file and return its path."""

    def write(data, name="picture.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def read_whole(path, **options):
    return read_image(path, image_size=None, **options)


# Files that are not there, and files that are no files


def test_a_missing_file_is_named_with_its_row(tmp_path):  # fault 1
    with pytest.raises(FileNotFoundError, match=r"row 7.*knee\.png"):
        open_image(tmp_path / "knee.png", row=7)


def test_a_file_below_a_file_is_missing(put):  # fault 1
    with pytest.raises(FileNotFoundError):
        open_image(put(b"x") / "knee.png")


def test_an_empty_file_is_refused(put):  # fault 2
    with pytest.raises(ImageError, match="empty"):
        open_image(put(b""))


def test_an_image_error_carries_path_row_and_cause(put):
    path = put(b"hello")
    with pytest.raises(ImageError, match=r"picture\.png' \(row 3\)") as caught:
        open_image(path, row=3)
    assert caught.value.path == str(path)
    assert caught.value.row == 3
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_folder_is_refused(tmp_path):  # fault 17
    with pytest.raises(ImageError, match="this is a folder"):
        open_image(tmp_path)


def raised_within(seconds, function):
    """The error of the call, made in a thread so that a hang cannot stop the tests."""
    errors = []

    def call():
        try:
            function()
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the call hangs"
    return errors[0]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):  # fault 18
    os.mkfifo(tmp_path / "pipe.png")
    error = raised_within(5, lambda: open_image(tmp_path / "pipe.png"))
    assert isinstance(error, ImageError)
    assert "pipe or a device" in str(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_takes_the_place_of_a_file_is_refused_at_once(
    tmp_path, monkeypatch
):  # fault 18
    regular = tmp_path / "file.png"
    regular.write_bytes(b"x")
    status = os.stat(regular)
    os.mkfifo(tmp_path / "pipe.png")
    with monkeypatch.context() as patch:
        patch.setattr(_open.os, "stat", lambda path: status)
        error = raised_within(5, lambda: open_image(str(tmp_path / "pipe.png")))
    assert "pipe or a device" in str(error)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_refused_unopened(monkeypatch):  # fault 18
    monkeypatch.setattr(_open, "_open_nonblocking", None)
    with pytest.raises(ImageError, match="device"):
        open_image("/dev/zero")


def test_a_dangling_link_is_refused(tmp_path):  # fault 19
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="link leads to no file"):
        open_image(tmp_path / "link.png")


def test_a_looping_link_is_refused(tmp_path):  # fault 19
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(tmp_path / "a.png")


def test_a_link_to_a_picture_is_followed(tmp_path, put):
    (tmp_path / "link.png").symlink_to(put(encoded(ramp(), "PNG")))
    assert open_image(tmp_path / "link.png").size == (40, 24)


def test_a_file_larger_than_the_bound_is_refused_unread(tmp_path):
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(_open.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageError, match="536870912 allowed"):
        open_image(tmp_path / "large.png")


@pytest.mark.parametrize("name", ["räntgen ünïcode 膝.png", "with many   spaces.png", "a'b\"c.png"])
def test_any_name_works(put, name):  # fault 16
    assert open_image(str(put(encoded(ramp(), "PNG"), name))).size == (40, 24)


def test_a_nul_in_a_path_is_a_value_error_with_its_row():  # fault 22
    with pytest.raises(ValueError, match=r"row 4.*null"):
        open_image("knee\0.png", row=4)


@pytest.mark.parametrize("path", [None, float("nan"), 3, b"knee.png"])  # fault 23
def test_a_path_of_another_type_is_a_type_error_with_its_row(path):
    with pytest.raises(TypeError, match=rf"{type(path).__name__} \(row 5\)"):
        open_image(path, row=5)


# Damaged files


def test_text_with_an_image_name_is_refused(put):  # fault 3
    with pytest.raises(ImageError, match="not PNG, JPEG, TIFF or BMP"):
        open_image(put(b"patient,age\n1,12\n"))


@pytest.mark.parametrize(
    ("pixels", "kind", "options"),
    [
        (ramp(), "JPEG", {}),  # fault 4
        (colours(), "JPEG", {"progressive": True}),
        (ramp(), "PNG", {}),  # fault 5
        (ramp(), "TIFF", {}),
        (ramp(), "TIFF", {"compression": "tiff_lzw"}),
        (ramp(), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (ramp(), "TIFF", {"compression": "jpeg"}),
        (ramp(), "BMP", {}),
    ],
)
def test_a_file_cut_anywhere_is_refused(pixels, kind, options):  # faults 4 and 5
    data = encoded(pixels, kind, **options)
    accepted = []
    for length in range(1, len(data)):
        try:
            _open.decode(data[:length], path="cut")
        except ImageError:
            continue
        accepted.append(length)
    assert accepted == []


def test_a_jpeg_without_its_end_marker_is_called_cut(put):  # fault 4
    with pytest.raises(ImageError, match="ends before its end marker"):
        open_image(put(encoded(ramp(), "JPEG")[:-2]))


def test_a_jpeg_may_have_bytes_behind_its_end(put):
    assert open_image(put(encoded(ramp(), "JPEG") + b"\0\0")).size == (40, 24)


def test_any_flipped_bit_of_a_png_is_noticed():  # fault 6
    data = encoded(ramp(8, 8), "PNG", exif=with_orientation(6))
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(ImageError):
            _open.decode(bytes(damaged), path="flipped")


def test_a_tiff_without_all_its_strips_is_refused(put):
    data = with_tag(encoded(ramp(), "TIFF", compression="tiff_lzw"), 257, 48)
    data = with_tag(data, 278, 24)
    with pytest.raises(ImageError, match="part of its pixels is missing"):
        open_image(put(data))


def test_a_tiff_whose_strip_reaches_past_its_end_is_refused(put):
    data = encoded(ramp(), "TIFF", compression="jpeg")
    with pytest.raises(ImageError, match="probably cut off"):
        open_image(put(with_tag(data, 279, len(data))))


SEEDS = [
    encoded(ramp(), "PNG"),
    encoded(colours(), "PNG", exif=with_orientation(6)),
    encoded(Image.fromarray(colours()).quantize(9), "PNG"),
    encoded(ramp(), "PNG", save_all=True, append_images=[Image.fromarray(255 - ramp())]),
    encoded(colours(), "JPEG", exif=with_orientation(6)),
    encoded(Image.fromarray(colours()).convert("CMYK"), "JPEG", progressive=True),
    encoded(colours(), "MPO", save_all=True, append_images=[Image.fromarray(ramp())]),
    encoded(colours(), "TIFF", exif=with_orientation(6)),
    encoded(ramp().astype(np.uint16) * 9, "TIFF", compression="tiff_lzw"),
    encoded(ramp().astype(np.float32), "TIFF"),
    encoded(colours(), "TIFF", big_tiff=True),
    encoded(ramp(), "TIFF", save_all=True, append_images=[Image.fromarray(colours())]),
    encoded(colours(), "BMP"),
    encoded(Image.fromarray(colours()).quantize(9), "BMP"),
]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.sampled_from(SEEDS),
    edits=st.lists(EDIT, min_size=1, max_size=4),
    length=st.sampled_from([1.0, 1.0, 1.0, 0.9, 0.5]),
    mend=st.booleans(),
    frame=st.sampled_from([None, 0, 1]),
)
def test_mutated_files_give_pixels_or_an_image_error(
    tmp_path_factory, data, edits, length, mend, frame
):
    data = mutated(data, edits, length)
    path = tmp_path_factory.getbasetemp() / "mutated.png"
    path.write_bytes(with_checksums(data) if mend and data.startswith(b"\x89PNG") else data)
    try:
        pixels = read_image(path, image_size=16, frame=frame)
    except ImageError as error:
        warned, fits = isinstance(error.__cause__, Warning), True
    else:
        warned, fits = False, pixels.dtype == np.uint8 and pixels.shape[1:] == (16, 16)
    assert not warned
    assert fits


# Files that are made to harm


@pytest.mark.parametrize("side", [9500, 14000], ids=["Pillow warns", "Pillow raises"])
def test_a_picture_with_too_many_pixels_is_refused_without_a_warning(put, side):  # faults 13, 14
    path = put(encoded(Image.new("1", (side, side)), "PNG"))
    with pytest.raises(ImageError, match=f"{side} x {side} pixels, more than the 89478485"):
        open_image(path)


def test_max_pixels_lowers_the_limit(put):  # fault 13
    path = put(encoded(ramp(), "PNG"))
    assert open_image(path, max_pixels=960).size == (40, 24)
    with pytest.raises(ImageError, match="more than the 959 allowed"):
        open_image(path, max_pixels=959)


def jpeg_with_size(side):
    data = bytearray(encoded(ramp(), "JPEG"))
    start = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, start + 5, side, side)
    return bytes(data)


def png_with_size(side):
    data = bytearray(encoded(ramp(), "PNG"))
    struct.pack_into(">II", data, 16, side, side)
    return with_checksums(data)


def bmp_with_size(side):
    data = bytearray(encoded(ramp(), "BMP"))
    struct.pack_into("<II", data, 18, side, side)
    return bytes(data)


def tiff_with_size(side):
    return with_tag(with_tag(encoded(ramp(), "TIFF"), 256, side), 257, side)


@pytest.mark.parametrize("make", [jpeg_with_size, png_with_size, bmp_with_size, tiff_with_size])
@pytest.mark.parametrize("side", [9000, 60000])
def test_a_small_file_cannot_claim_a_large_picture(put, make, side):  # fault 13
    with pytest.raises(ImageError):
        open_image(put(make(side)))


def test_a_text_bomb_in_a_png_is_never_expanded(put):
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    path = put(encoded(ramp(), "PNG", pnginfo=info))
    with pytest.raises(ValueError, match="too large"), Image.open(path) as image:
        image.load()
    assert open_image(path).size == (40, 24)


def test_a_jpeg_of_very_many_scans_is_refused(put):
    data = encoded(colours(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert open_image(put(data)).size == (40, 24)
    with pytest.raises(ImageError, match="64 scans"):
        open_image(put(data[:-2] + 64 * scan + data[-2:]))


def test_a_png_of_very_many_blocks_is_refused(put, monkeypatch):
    monkeypatch.setattr(_containers, "MAX_PARTS", 9)
    data = encoded(ramp(), "PNG")
    with pytest.raises(ImageError, match="more than 9 blocks"):
        open_image(put(data[:33] + 9 * png_block(b"IDAT", b"") + data[33:]))


def test_a_tiff_whose_pages_form_a_loop_is_refused(put):
    data = bytearray(encoded(ramp(), "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (n_entries,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + 12 * n_entries, directory)
    with pytest.raises(ImageError, match="no end"):
        open_image(put(bytes(data)))


PNG = encoded(ramp(), "PNG")
BIG_TIFF = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**17) + bytes(64)
WRONG = {
    "claims to hold 0 pictures": PNG[:33] + png_block(b"acTL", bytes(8)) + PNG[33:],
    "has no page": b"II*\0" + bytes(60),
    "directory of more than 65535 tags": BIG_TIFF,
    "tag 256 holds 2 values": encoded(ramp(), "TIFF").replace(
        struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 256, 3, 2)
    ),
    "must hold integers has the TIFF type 11": encoded(ramp(), "TIFF").replace(
        struct.pack("<HHI", 256, 4, 1), struct.pack("<HHI", 256, 11, 1)
    ),
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_structure_that_no_picture_has_is_refused(put, reason):
    with pytest.raises(ImageError, match=reason):
        open_image(put(WRONG[reason]))


def test_a_first_picture_outside_the_animation_counts(put):
    pages = [Image.fromarray(page) for page in (255 - ramp(), ramp() // 2)]
    options = {"save_all": True, "append_images": pages, "default_image": True}
    path = put(encoded(ramp(), "PNG", **options))
    with pytest.raises(ImageError, match="holds 3 pictures"):
        open_image(path)
    np.testing.assert_array_equal(read_whole(path, frame=0)[0], ramp())
    np.testing.assert_array_equal(read_whole(path, frame=2)[0], ramp() // 2)


def test_a_run_length_compressed_bmp_is_refused(put):
    data = bytearray(encoded(ramp(), "BMP"))
    struct.pack_into("<I", data, 30, 1)
    with pytest.raises(ImageError, match="run-length"):
        open_image(put(bytes(data)))


def test_damaged_camera_tags_neither_warn_nor_harm(put):
    exif = with_orientation(1).tobytes()
    data = encoded(ramp(), "JPEG", exif=exif[:14] + b"\xff\x00" + exif[16:])
    with pytest.warns(UserWarning, match="EXIF"), Image.open(io.BytesIO(data)) as image:
        image.getexif()
    assert open_image(put(data)).size == (40, 24)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "JPEG2000", "EPS", "PPM", "ICO"])
def test_another_format_behind_an_image_name_is_refused(put, kind):  # fault 25
    with pytest.raises(ImageError, match="not PNG, JPEG, TIFF or BMP"):
        open_image(put(encoded(colours(32, 32), kind), "picture.jpg"))


def test_a_photoshop_file_behind_an_image_name_is_refused(put):  # fault 25
    with pytest.raises(ImageError, match="not PNG, JPEG, TIFF or BMP"):
        open_image(put(b"8BPS\0\1" + bytes(100), "picture.tif"))


def test_the_content_decides_on_the_format_not_the_name(put):
    assert open_image(put(encoded(ramp(), "PNG"), "picture.jpg")).size == (40, 24)


def test_settings_of_pillow_are_left_alone(put):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters[:]
    read_image(put(encoded(ramp(), "PNG")))
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters) == before


# Several pictures in one file


def several(kind):
    pages = [Image.fromarray(page) for page in (ramp(), 255 - ramp(), ramp() // 2)]
    if kind == "MPO":
        return encoded(pages[0], kind, save_all=True, append_images=pages[1:], quality=100)
    return encoded(pages[0], kind, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
def test_several_pictures_are_refused_unless_one_is_declared(put, kind):  # fault 11
    with pytest.raises(ImageError, match=r"holds 3 pictures.*frame=0 to 2"):
        open_image(put(several(kind)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
@pytest.mark.parametrize("frame", [0, 1, 2])
def test_the_declared_picture_is_read(put, kind, frame):  # fault 11
    expected = [ramp(), 255 - ramp(), ramp() // 2][frame]
    pixels = read_whole(put(several(kind)), frame=frame)
    np.testing.assert_allclose(pixels[0].astype(int), expected.astype(int), atol=4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
def test_a_picture_that_the_file_does_not_hold_is_refused(put, kind):  # fault 11
    with pytest.raises(ImageError, match="frame=3"):
        open_image(put(several(kind)), frame=3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "BMP"])
def test_frame_0_of_a_single_picture_is_that_picture(put, kind):
    assert open_image(put(encoded(ramp(), kind)), frame=0).size == (40, 24)


# Colours and depths


def test_grey_stays_as_it_is_in_one_channel(put):
    pixels = read_whole(put(encoded(ramp(), "PNG")))
    np.testing.assert_array_equal(pixels, ramp()[None])


def test_colour_is_channels_first_and_contiguous(put):
    pixels = read_whole(put(encoded(colours(), "PNG")))
    np.testing.assert_array_equal(pixels, colours().transpose(2, 0, 1))
    assert pixels.flags.c_contiguous


def test_colour_with_three_equal_channels_is_grey(put):
    pixels = read_whole(put(encoded(np.stack([ramp()] * 3, axis=-1), "PNG")))
    np.testing.assert_array_equal(pixels, ramp()[None])


def test_one_different_pixel_makes_a_picture_colour(put):
    almost_grey = np.stack([ramp()] * 3, axis=-1)
    almost_grey[5, 5, 2] += 1
    assert read_whole(put(encoded(almost_grey, "PNG"))).shape == (3, 24, 40)


def test_cmyk_is_converted(put):  # fault 7
    red = Image.new("RGB", (32, 32), (230, 20, 20)).convert("CMYK")
    pixels = read_whole(put(encoded(red, "JPEG", quality=95)))
    np.testing.assert_allclose(pixels[:, 16, 16].astype(int), (230, 20, 20), atol=12)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_16_bits_are_scaled_from_smallest_to_largest(put, kind, dtype):  # fault 8
    values = np.linspace(100, 4095, 960).reshape(24, 40).round()
    pixels = read_whole(put(encoded(values.astype(dtype), kind)))
    expected = np.rint((values - 100) / 3995 * 255)
    np.testing.assert_array_equal(pixels[0], expected)


def test_16_bits_of_a_compressed_tiff_are_scaled(put):  # fault 8
    values = np.arange(960, dtype=np.uint16).reshape(24, 40) * 60
    pixels = read_whole(put(encoded(values, "TIFF", compression="tiff_lzw")))
    np.testing.assert_array_equal(pixels[0], np.rint(values / values.max() * 255))


def test_32_bit_integers_are_scaled_without_loss_of_precision(put):  # fault 8
    values = (2**30 + np.arange(960, dtype=np.int32) % 256).reshape(24, 40)
    pixels = read_whole(put(encoded(values, "TIFF")))
    np.testing.assert_array_equal(pixels[0], values - 2**30)


def test_16_bits_are_inverted_where_zero_is_white(put):
    values = np.arange(960, dtype=np.uint16).reshape(24, 40)
    data = with_tag(encoded(values, "TIFF"), 262, 0)
    pixels = read_whole(put(data))
    np.testing.assert_array_equal(pixels[0], 255 - np.rint(values / 959 * 255))


def test_8_bits_are_inverted_where_zero_is_white(put):
    pixels = read_whole(put(with_tag(encoded(ramp(), "TIFF"), 262, 0)))
    np.testing.assert_array_equal(pixels[0], 255 - ramp())


@pytest.mark.parametrize(
    ("integers", "is_raw", "is_big_endian"),
    [
        ({258: (32,), 339: (1,)}, True, False),  # wraps at 2**31
        ({258: (8,), 339: (2,)}, True, False),  # negative values come out bright
        ({258: (16, 16, 16), 284: (2,)}, True, False),  # bytes of neighbours are mixed
        ({258: (32,), 339: (3,)}, False, True),  # bytes are swapped twice
        ({258: (16,), 339: (2,)}, False, True),
    ],
)
def test_tiff_values_that_pillow_gets_wrong_are_refused(integers, is_raw, is_big_endian):
    with pytest.raises(ValueError, match="unsupported way"):
        _containers._check_kind(integers, is_raw, is_big_endian)


def test_32_bit_unsigned_integers_are_refused(put):
    data = with_tag(encoded(np.ones((9, 9), np.int32), "TIFF"), 339, 1)
    with pytest.raises(ImageError, match="32-bit values stored in an unsupported way"):
        open_image(put(data))


def test_a_deep_picture_of_one_value_is_black(put):
    assert read_whole(put(encoded(np.full((9, 9), 700, np.uint16), "PNG"))).max() == 0


def test_deep_pictures_taller_than_a_block_are_scaled_everywhere(put):
    values = np.arange(700 * 3, dtype=np.uint16).reshape(700, 3)
    pixels = read_whole(put(encoded(values, "PNG")))
    np.testing.assert_array_equal(pixels[0], np.rint(values / 2099 * 255))


def test_floats_are_scaled(put):  # fault 9
    values = np.linspace(-3, 5, 960, dtype=np.float32).reshape(24, 40)
    pixels = read_whole(put(encoded(values, "TIFF")))
    assert (pixels.min(), pixels.max()) == (0, 255)
    np.testing.assert_allclose(pixels[0], (values + 3) / 8 * 255, atol=0.51)


@pytest.mark.parametrize("contrast", [None, "stretch"])
def test_floats_of_any_size_are_scaled(put, contrast):  # fault 9
    values = np.array([[-3e38, 0, 3e38]], np.float32)
    pixels = read_whole(put(encoded(values, "TIFF")), contrast=contrast)
    assert pixels[0].tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_not_finite_are_refused(put, value):  # fault 9
    values = np.zeros((24, 40), np.float32)
    values[3, 4] = value
    with pytest.raises(ImageError, match="NaN or infinite"):
        read_image(put(encoded(values, "TIFF")))


def test_transparent_pixels_are_laid_on_black(put):  # fault 10
    alpha = np.zeros((24, 40), np.uint8)
    alpha[:, 10:20] = 128
    alpha[:, 20:] = 255
    pixels = read_whole(put(encoded(np.dstack([colours(), alpha]), "PNG")))
    expected = colours() * (alpha[..., None] / 255)
    np.testing.assert_allclose(pixels, expected.transpose(2, 0, 1), atol=1)


def test_grey_with_alpha_is_grey_on_black(put):  # fault 10
    image = Image.merge("LA", [Image.new("L", (9, 9), 200), Image.new("L", (9, 9), 51)])
    pixels = read_whole(put(encoded(image, "PNG")))
    assert pixels.shape == (1, 9, 9)
    assert np.unique(pixels) == [40]


def test_a_transparent_grey_value_is_black(put):  # fault 10
    pixels = read_whole(put(encoded(ramp(), "PNG", transparency=30)))
    np.testing.assert_array_equal(pixels[0], np.where(ramp() == 30, 0, ramp()))


def test_a_palette_with_transparency_is_laid_on_black(put):  # fault 10
    image = Image.new("P", (9, 9), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    pixels = read_whole(put(encoded(image, "PNG", transparency=b"\xff\x00")))
    assert np.unique(pixels) == [0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_palette_becomes_its_colours(put, kind):
    image = Image.fromarray(colours()).quantize(16)
    pixels = read_whole(put(encoded(image, kind)))
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white(put, kind):
    pixels = read_whole(put(encoded(Image.fromarray(ramp() > 90), kind)))
    np.testing.assert_array_equal(pixels[0], np.where(ramp() > 90, 255, 0))


# Geometry

TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_pictures_are_turned_upright(put, kind, orientation):  # fault 12
    options = {"quality": 100} if kind == "JPEG" else {}
    data = encoded(ramp(), kind, exif=with_orientation(orientation), **options)
    expected = TURNS[orientation](ramp()).astype(int)
    np.testing.assert_allclose(read_whole(put(data))[0].astype(int), expected, atol=3)


def test_16_bits_are_turned_upright(put):  # fault 12
    values = np.arange(960, dtype=np.uint16).reshape(24, 40)
    pixels = read_whole(put(encoded(values, "TIFF", exif=with_orientation(6))))
    np.testing.assert_array_equal(pixels[0], np.rint(np.rot90(values, -1) / 959 * 255))


def test_a_nonsensical_orientation_is_upright(put):  # fault 12
    data = encoded(ramp(), "PNG", exif=with_orientation(99))
    np.testing.assert_array_equal(read_whole(put(data))[0], ramp())


def test_the_crop_counts_in_upright_pixels(put):
    data = encoded(ramp(), "PNG", exif=with_orientation(6))
    pixels = read_whole(put(data), crop_box=(2, 5, 20, 33))
    np.testing.assert_array_equal(pixels[0], np.rot90(ramp(), -1)[5:33, 2:20])


@pytest.mark.parametrize("box", [(0, 0, 41, 24), (0, 0, 40, 25)])
def test_a_crop_that_leaves_the_picture_is_refused_with_its_size(put, box):
    with pytest.raises(ImageError, match="40 x 24 pixels"):
        read_image(put(encoded(ramp(), "PNG")), crop_box=box)


def test_a_picture_below_the_minimum_side_is_refused(put):  # fault 15
    path = put(encoded(ramp(), "PNG"))
    read_image(path, minimum_side=24)
    with pytest.raises(ImageError, match=r"40 x 24 pixels.*minimum_side=25"):
        read_image(path, minimum_side=25)


def test_the_minimum_side_counts_after_the_crop(put):  # fault 15
    with pytest.raises(ImageError, match="10 x 24 pixels"):
        read_image(put(encoded(ramp(), "PNG")), crop_box=(0, 0, 10, 24), minimum_side=11)


def test_the_minimum_side_counts_before_a_jpeg_is_scaled_down(put):  # fault 15
    path = put(encoded(ramp(240, 400), "JPEG"))
    assert read_image(path, image_size=16, minimum_side=240).shape == (1, 16, 16)
    with pytest.raises(ImageError, match="400 x 240"):
        read_image(path, image_size=16, minimum_side=241)


def test_the_scale_of_deep_pictures_is_that_of_the_crop(put):
    values = np.zeros((24, 40), np.uint16)
    values[:, :20] = 1000
    values[:12, :20] = 500
    values[0, 39] = 60000
    pixels = read_whole(put(encoded(values, "PNG")), crop_box=(0, 0, 20, 24))
    assert np.unique(pixels).tolist() == [0, 255]


def test_the_resize_averages_all_pixels(put):
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    pixels = read_image(put(encoded(stripes, "PNG")), image_size=8)
    assert pixels.shape == (1, 8, 8)
    np.testing.assert_allclose(pixels[0, 1:-1, 1:-1].astype(int), 127, atol=2)


@pytest.mark.parametrize("shape", [(900, 700), (897, 1203)])
def test_a_jpeg_scaled_while_decoding_hardly_differs(put, shape):
    rows, columns = np.indices(shape)
    values = 127 + 80 * np.sin(rows / 37) + 40 * np.cos(columns / 23)
    path = put(encoded(values.astype(np.uint8), "JPEG", quality=95))
    whole = Image.fromarray(read_whole(path)[0]).resize((112, 112), Image.Resampling.BILINEAR)
    pixels = read_image(path, image_size=112)
    np.testing.assert_allclose(pixels[0].astype(int), np.asarray(whole).astype(int), atol=3)


# Contrast


def test_stretch_maps_percentiles_to_the_whole_range(put):
    values = np.arange(50, 150, dtype=np.uint8).reshape(10, 10)
    pixels = read_whole(put(encoded(values, "PNG")), contrast="stretch", percentiles=(10, 90))
    expected = np.rint(np.clip((values.astype(float) - 59) / (139 - 59), 0, 1) * 255)
    np.testing.assert_array_equal(pixels[0], expected)


def test_stretch_takes_deep_pictures_from_their_own_values(put):
    values = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    values[0, 0] = 60000
    pixels = read_whole(put(encoded(values, "PNG")), contrast="stretch", percentiles=(0, 99))
    assert len(np.unique(pixels)) == 256


def test_stretch_treats_the_channels_alike(put):
    grey = np.linspace(60, 120, 960).reshape(24, 40)
    tinted = np.stack([grey, grey + 10, grey + 20], axis=-1).astype(np.uint8)
    pixels = read_whole(put(encoded(tinted, "PNG")), contrast="stretch").astype(int)
    assert np.all(pixels[0] <= pixels[1])
    assert np.all(pixels[1] <= pixels[2])
    assert pixels[1].max() == 255


def test_stretch_of_the_crop_ignores_what_is_outside(put):
    values = ramp()
    values[:, 20:] = 255
    path = put(encoded(values, "PNG"))
    pixels = read_whole(path, contrast="stretch", percentiles=(0, 100), crop_box=(0, 0, 20, 24))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_clahe_is_that_of_scikit_image_on_the_resized_picture(put):
    exposure = pytest.importorskip("skimage.exposure", reason="needs scikit-image")
    path = put(encoded(ramp(48, 48), "PNG"))
    expected = exposure.equalize_adapthist(read_image(path, image_size=32)[0]) * 255
    pixels = read_image(path, image_size=32, contrast="clahe")
    np.testing.assert_allclose(pixels[0], expected, atol=0.51)


def test_clahe_without_scikit_image_names_the_extra(put, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.exposure", None)
    with pytest.raises(ImportError, match=r"skosfusion\[contrast\]"):
        read_image(put(encoded(ramp(), "PNG")), contrast="clahe")


# Options


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 0),
        ("image_size", 2.5),
        ("image_size", "224"),
        ("image_size", True),
        ("crop_box", (0, 0, 5)),
        ("crop_box", (5, 0, 5, 9)),
        ("crop_box", (0, 9, 5, 8)),
        ("crop_box", (-1, 0, 5, 5)),
        ("crop_box", (0, 0, 5.0, 5)),
        ("crop_box", 7),
        ("contrast", "histogram"),
        ("contrast", ["stretch"]),
        ("percentiles", (99, 1)),
        ("percentiles", (0, 101)),
        ("percentiles", (float("nan"), 50)),
        ("percentiles", 5),
        ("minimum_side", 0),
        ("frame", -1),
    ],
)
def test_an_option_out_of_range_is_named_with_its_value(put, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be .* got") as caught:
        read_image(put(encoded(ramp(), "PNG")), **{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("frame", -1), ("frame", "0"), ("max_pixels", 0)])
def test_an_option_of_open_image_out_of_range_is_named(put, name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        open_image(put(encoded(ramp(), "PNG")), **{name: value})


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="size"):
        read_image("knee.png", size=224)


# Real files


@pytest.mark.skipif(not RADIOGRAPHS.is_dir(), reason="the radiographs are not part of the project")
def test_all_radiographs_are_read():
    paths = sorted(RADIOGRAPHS.iterdir())
    assert len(paths) == 129
    for row, path in enumerate(paths):
        pixels = read_image(path, row=row)
        assert pixels.dtype == np.uint8
        assert pixels.shape in {(1, 224, 224), (3, 224, 224)}
        assert pixels.std() > 5
