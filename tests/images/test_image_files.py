"""Image files as users and strangers provide them. Numbers are those of the list of faults."""

import io
import os
import struct
import threading
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from skosfusion._utils import files
from skosfusion.exceptions import ImageError
from skosfusion.images import _open, _verify, open_image, read_image

from .._helpers.image_files import (
    colors,
    encoded,
    png_block,
    ramp,
    read_whole,
    with_checksums,
    with_orientation,
    with_tag,
)
from .._helpers.mutations import EDIT, mutated

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
    with pytest.raises(ImageError, match=r"image\.png' \(row 3\)") as caught:
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
        patch.setattr(files.os, "stat", lambda path: status)
        error = raised_within(5, lambda: open_image(str(tmp_path / "pipe.png")))
    assert "pipe or a device" in str(error)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_refused_unopened(monkeypatch):  # fault 18
    monkeypatch.setattr(files, "_open_nonblocking", None)
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


def test_a_link_to_an_image_is_followed(tmp_path, put):
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
        (colors(), "JPEG", {"progressive": True}),
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
    encoded(colors(), "PNG", exif=with_orientation(6)),
    encoded(Image.fromarray(colors()).quantize(9), "PNG"),
    encoded(ramp(), "PNG", save_all=True, append_images=[Image.fromarray(255 - ramp())]),
    encoded(colors(), "JPEG", exif=with_orientation(6)),
    encoded(Image.fromarray(colors()).convert("CMYK"), "JPEG", progressive=True),
    encoded(colors(), "MPO", save_all=True, append_images=[Image.fromarray(ramp())]),
    encoded(colors(), "TIFF", exif=with_orientation(6)),
    encoded(ramp().astype(np.uint16) * 9, "TIFF", compression="tiff_lzw"),
    encoded(ramp().astype(np.float32), "TIFF"),
    encoded(colors(), "TIFF", big_tiff=True),
    encoded(ramp(), "TIFF", save_all=True, append_images=[Image.fromarray(colors())]),
    encoded(colors(), "BMP"),
    encoded(Image.fromarray(colors()).quantize(9), "BMP"),
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
def test_an_image_with_too_many_pixels_is_refused_without_a_warning(put, side):  # faults 13, 14
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
def test_a_small_file_cannot_claim_a_large_image(put, make, side):  # fault 13
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
    data = encoded(colors(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert open_image(put(data)).size == (40, 24)
    with pytest.raises(ImageError, match="64 scans"):
        open_image(put(data[:-2] + 64 * scan + data[-2:]))


def test_a_png_of_very_many_blocks_is_refused(put, monkeypatch):
    monkeypatch.setattr(_verify, "MAX_PARTS", 9)
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
    "claims to hold 0 images": PNG[:33] + png_block(b"acTL", bytes(8)) + PNG[33:],
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
def test_a_structure_that_no_image_has_is_refused(put, reason):
    with pytest.raises(ImageError, match=reason):
        open_image(put(WRONG[reason]))


def test_a_first_image_outside_the_animation_counts(put):
    pages = [Image.fromarray(page) for page in (255 - ramp(), ramp() // 2)]
    options = {"save_all": True, "append_images": pages, "default_image": True}
    path = put(encoded(ramp(), "PNG", **options))
    with pytest.raises(ImageError, match="holds 3 images"):
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
        open_image(put(encoded(colors(32, 32), kind), "image.jpg"))


def test_a_photoshop_file_behind_an_image_name_is_refused(put):  # fault 25
    with pytest.raises(ImageError, match="not PNG, JPEG, TIFF or BMP"):
        open_image(put(b"8BPS\0\1" + bytes(100), "image.tif"))


def test_the_content_decides_on_the_format_not_the_name(put):
    assert open_image(put(encoded(ramp(), "PNG"), "image.jpg")).size == (40, 24)


def test_settings_of_pillow_are_left_alone(put):
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters[:]
    read_image(put(encoded(ramp(), "PNG")))
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters) == before
