import sys

import numpy as np
import pytest
from PIL import Image

from skosfusion.exceptions import ImageError
from skosfusion.images import _verify, open_image, read_image

from .._helpers.chest_xray import CHEST_XRAY
from .._helpers.image_files import colors, encoded, ramp, read_whole, with_orientation, with_tag

RADIOGRAPHS = CHEST_XRAY / "images"


# Several images in one file


def several(kind):
    pages = [Image.fromarray(page) for page in (ramp(), 255 - ramp(), ramp() // 2)]
    if kind == "MPO":
        return encoded(pages[0], kind, save_all=True, append_images=pages[1:], quality=100)
    return encoded(pages[0], kind, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
def test_several_images_are_refused_unless_one_is_declared(put, kind):  # fault 11
    with pytest.raises(ImageError, match=r"holds 3 images.*frame=0 to 2"):
        open_image(put(several(kind)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
@pytest.mark.parametrize("frame", [0, 1, 2])
def test_the_declared_image_is_read(put, kind, frame):  # fault 11
    expected = [ramp(), 255 - ramp(), ramp() // 2][frame]
    pixels = read_whole(put(several(kind)), frame=frame)
    np.testing.assert_allclose(pixels[0].astype(int), expected.astype(int), atol=4)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
def test_an_image_that_the_file_does_not_hold_is_refused(put, kind):  # fault 11
    with pytest.raises(ImageError, match="frame=3"):
        open_image(put(several(kind)), frame=3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "BMP"])
def test_frame_0_of_a_single_image_is_that_image(put, kind):
    assert open_image(put(encoded(ramp(), kind)), frame=0).size == (40, 24)


# Colors and depths


def test_gray_stays_as_it_is_in_one_channel(put):
    pixels = read_whole(put(encoded(ramp(), "PNG")))
    np.testing.assert_array_equal(pixels, ramp()[None])


def test_color_is_channels_first_and_contiguous(put):
    pixels = read_whole(put(encoded(colors(), "PNG")))
    np.testing.assert_array_equal(pixels, colors().transpose(2, 0, 1))
    assert pixels.flags.c_contiguous


def test_color_with_three_equal_channels_is_gray(put):
    pixels = read_whole(put(encoded(np.stack([ramp()] * 3, axis=-1), "PNG")))
    np.testing.assert_array_equal(pixels, ramp()[None])


def test_one_different_pixel_makes_an_image_color(put):
    almost_gray = np.stack([ramp()] * 3, axis=-1)
    almost_gray[5, 5, 2] += 1
    assert read_whole(put(encoded(almost_gray, "PNG"))).shape == (3, 24, 40)


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
        _verify._check_kind(integers, is_raw, is_big_endian)


def test_32_bit_unsigned_integers_are_refused(put):
    data = with_tag(encoded(np.ones((9, 9), np.int32), "TIFF"), 339, 1)
    with pytest.raises(ImageError, match="32-bit values stored in an unsupported way"):
        open_image(put(data))


def test_a_deep_image_of_one_value_is_black(put):
    assert read_whole(put(encoded(np.full((9, 9), 700, np.uint16), "PNG"))).max() == 0


def test_deep_images_taller_than_a_block_are_scaled_everywhere(put):
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
    pixels = read_whole(put(encoded(np.dstack([colors(), alpha]), "PNG")))
    expected = colors() * (alpha[..., None] / 255)
    np.testing.assert_allclose(pixels, expected.transpose(2, 0, 1), atol=1)


def test_gray_with_alpha_is_gray_on_black(put):  # fault 10
    image = Image.merge("LA", [Image.new("L", (9, 9), 200), Image.new("L", (9, 9), 51)])
    pixels = read_whole(put(encoded(image, "PNG")))
    assert pixels.shape == (1, 9, 9)
    assert np.unique(pixels) == [40]


def test_a_transparent_gray_value_is_black(put):  # fault 10
    pixels = read_whole(put(encoded(ramp(), "PNG", transparency=30)))
    np.testing.assert_array_equal(pixels[0], np.where(ramp() == 30, 0, ramp()))


def test_a_palette_with_transparency_is_laid_on_black(put):  # fault 10
    image = Image.new("P", (9, 9), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    pixels = read_whole(put(encoded(image, "PNG", transparency=b"\xff\x00")))
    assert np.unique(pixels) == [0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_palette_becomes_its_colors(put, kind):
    image = Image.fromarray(colors()).quantize(16)
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
def test_images_are_turned_upright(put, kind, orientation):  # fault 12
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
def test_a_crop_that_leaves_the_image_is_refused_with_its_size(put, box):
    with pytest.raises(ImageError, match="40 x 24 pixels"):
        read_image(put(encoded(ramp(), "PNG")), crop_box=box)


def test_an_image_below_the_minimum_side_is_refused(put):  # fault 15
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


def test_the_scale_of_deep_images_is_that_of_the_crop(put):
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


def test_stretch_takes_deep_images_from_their_own_values(put):
    values = np.arange(1000, dtype=np.uint16).reshape(20, 50)
    values[0, 0] = 60000
    pixels = read_whole(put(encoded(values, "PNG")), contrast="stretch", percentiles=(0, 99))
    assert len(np.unique(pixels)) == 256


def test_stretch_treats_the_channels_alike(put):
    gray = np.linspace(60, 120, 960).reshape(24, 40)
    tinted = np.stack([gray, gray + 10, gray + 20], axis=-1).astype(np.uint8)
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


def test_clahe_is_that_of_scikit_image_on_the_resized_image(put):
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
    with pytest.raises(ValueError, match=rf"{name}=.* is not allowed; allowed: ") as caught:
        read_image(put(encoded(ramp(), "PNG")), **{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("frame", -1), ("frame", "0"), ("max_pixels", 0)])
def test_an_option_of_open_image_out_of_range_is_named(put, name, value):
    with pytest.raises(ValueError, match=f"{name}=.* is not allowed; allowed: "):
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
