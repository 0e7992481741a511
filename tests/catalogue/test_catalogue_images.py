"""Cases 1 to 15 of the catalogue: image files, as a user of classifier and loader meets them."""

import hashlib
import os
import pickle
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from skosfusion import FusionClassifier
from skosfusion.datasets import check_digests, exclude_screenshots, load_cohort
from skosfusion.exceptions import ImageError
from skosfusion.images import read_image

from .._helpers.image_files import EXIF_ORIENTATION, encoded, png_block
from .refusals import ROW
from .small_images import COLOR, GRAY, OTHER, RNG, check_image_error, with_cells

KINDS = ["PNG", "JPEG", "TIFF", "BMP"]


def flipped(data, bit):
    data = bytearray(data)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def digests(folder):
    return [hashlib.sha256((folder / f"{name}.png").read_bytes()).hexdigest() for name in "abc"]


# 1 to 6: files that are not there, or damaged


def test_case_01_missing_file(fitted, tmp_path):
    """An image file that is not there: FileNotFoundError with its path and row."""
    error = fitted.refuses_image(str(tmp_path / "knee.png"), FileNotFoundError, r"drop the row")
    assert error.filename == str(tmp_path / "knee.png")


@pytest.mark.parametrize("path", ["~/knee.png", "$HOME/knee.png", "%TEMP%/knee.png", ""])
def test_case_01_home_and_variables_are_not_expanded(fitted, put, path, tmp_path, monkeypatch):
    """A path with ~ or a variable: taken as it is written, so FileNotFoundError."""
    put(encoded(GRAY), "knee.png")
    for name in ("HOME", "USERPROFILE", "TEMP"):
        monkeypatch.setenv(name, str(tmp_path))
    fitted.refuses_image(path, FileNotFoundError, "no such image file")


def test_case_01_in_the_loader(folder, table):
    """A missing file in a table to load: FileNotFoundError with its path and row."""
    (folder / "c.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"row 2.*c\.png"):
        load_cohort(table, image_folder=folder)


def test_case_01_row_of_a_long_table(fitted, tmp_path):
    """A bad image far down a table: its row in the table, not in a batch or part of it."""
    X = pd.concat([fitted.X] * 7, ignore_index=True)
    X.loc[311, "image"] = str(tmp_path / "knee.png")
    fitted.refuses(X, FileNotFoundError, "row 311", y=np.tile(fitted.y, 7))


def test_case_02_zero_bytes(fitted, put):
    """A file of zero bytes: ImageError."""
    path = put(b"")
    error = fitted.refuses_image(path, ImageError, "empty; export it again")
    check_image_error(error, path, cause=False)


def test_case_03_text_named_png(fitted, put):
    """A text file with an image's name: ImageError that names the formats that are read."""
    path = put(b"patient,age\n1,12\n")
    error = fitted.refuses_image(path, ImageError, "not PNG, JPEG, TIFF or BMP")
    check_image_error(error, path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_case_04_truncated_jpeg(fitted, put, options, share):
    """A JPEG cut short: ImageError."""
    data = encoded(GRAY, "JPEG", **options)
    path = put(data[: int(share * len(data))])
    check_image_error(fitted.refuses_image(path, ImageError, "damaged or cut off"), path)


def test_case_04_truncated_jpeg_that_pillow_verifies(fitted, put):
    """A JPEG without its end marker, which Pillow's `verify` passes: ImageError."""
    path = put(encoded(GRAY, "JPEG")[:-2])
    Image.open(path).verify()
    fitted.refuses_image(path, ImageError, "ends before its end marker")


def test_case_04_truncated_although_pillow_is_told_to_be_lenient(fitted, put, monkeypatch):
    """A cut JPEG while LOAD_TRUNCATED_IMAGES of Pillow is set: ImageError."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = put(encoded(GRAY, "JPEG")[:-200])
    Image.open(path).load()
    fitted.refuses_image(path, ImageError, "damaged or cut off")


def test_case_04_file_that_shrinks_while_it_is_read(fitted, put, monkeypatch):
    """A file that another program shortens while it is read: ImageError."""
    path, real = put(encoded(GRAY)), os.fstat

    def fstat(descriptor):
        status = real(descriptor)
        if os.path.samestat(status, os.stat(path)):
            os.truncate(path, 100)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    fitted.refuses_image(path, ImageError, "damaged or cut off")


def test_case_05_png_without_its_tail(fitted, put):
    """A PNG without its last block, which Pillow's `load` passes: ImageError."""
    path = put(encoded(GRAY)[:-12])
    Image.open(path).load()
    check_image_error(fitted.refuses_image(path, ImageError, "damaged or cut off"), path)


@pytest.mark.parametrize("n_left", [30, 300, 1000])
def test_case_05_png_cut_anywhere(fitted, put, n_left):
    """A PNG cut short: ImageError."""
    fitted.refuses_image(put(encoded(GRAY)[:n_left]), ImageError, "damaged or cut off")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_case_06_flipped_bit_of_a_png(fitted, put, share):
    """A flipped bit in a PNG, which has checksums: ImageError."""
    data = encoded(GRAY)
    path = put(flipped(data, int(8 * share * len(data))))
    check_image_error(fitted.refuses_image(path, ImageError, "damaged or cut off"), path)


def test_case_06_flipped_bit_beside_the_pixels(fitted, put):
    """A flipped bit in a PNG where no pixel is, which Pillow does not notice: ImageError."""
    data = encoded(GRAY)
    data = data[:33] + png_block(b"tEXt", b"Comment\0left knee") + data[33:]
    fitted.sees(put(data))
    path = put(data.replace(b"left knee", b"loft knee"))
    fitted.refuses_image(path, ImageError, "checksum of its block b'tEXt' is wrong")


@pytest.mark.parametrize("block", [b"IDAT", b"tEXt"])
def test_case_06_flipped_bit_of_a_checksum(fitted, put, block):
    """A flipped bit in the checksum of a PNG's pixels or of a text in it: ImageError."""
    data = encoded(GRAY)
    data = data[:33] + png_block(b"tEXt", b"knee") + data[33:]
    end = data.index(block) + 4 + int.from_bytes(data[data.index(block) - 4 :][:4])
    path = put(flipped(data, 8 * end + 3))
    fitted.refuses_image(path, ImageError, f"the checksum of its block {block!r} is wrong")


@pytest.mark.parametrize("kind", KINDS)
def test_case_06_flipped_bit_and_a_manifest(folder, table, kind):
    """A flipped bit in any format, with a SHA-256 column: ImageError with both digests."""
    data = encoded(GRAY, kind)
    (folder / "b.png").write_bytes(data)
    table = table.assign(sha256=digests(folder))
    check_digests(table, image_folder=folder)
    damaged = flipped(data, 8 * len(data) - 4000)
    (folder / "b.png").write_bytes(damaged)
    if kind != "PNG":
        read_image(folder / "b.png")  # the format itself cannot tell
    with pytest.raises(ImageError, match="changed or damaged") as caught:
        check_digests(table, image_folder=folder)
    assert (caught.value.row, caught.value.path) == (1, str(folder / "b.png"))
    assert hashlib.sha256(damaged).hexdigest() in str(caught.value)
    assert table["sha256"][1] in str(caught.value)


def test_case_06_manifest_column_of_another_name(folder, table):
    """A manifest in a column of another name, digests in capitals: checked once it is declared."""
    table = table.assign(checksum=[f" {digest.upper()} " for digest in digests(folder)])
    check_digests(table, "checksum", image_folder=folder)
    (folder / "c.png").write_bytes(encoded(OTHER))
    assert len(load_cohort(table, image_folder=folder).data) == 3
    with pytest.raises(ImageError, match=r"row 2.*column 'checksum'"):
        check_digests(table, "checksum", image_folder=folder)


@pytest.mark.parametrize("digest", ["abc", "g" * 64, "a" * 63, "a" * 65, 7, b"a" * 64])
def test_case_06_malformed_digest(folder, table, digest):
    """A cell of the manifest that is no digest: ValueError with the cell and its row."""
    cells = digests(folder)
    cells[1] = digest
    with pytest.raises(ValueError, match=r"'sha256', row 1: .* is not a SHA-256 digest"):
        check_digests(with_cells(table, "sha256", cells), image_folder=folder)


@pytest.mark.parametrize("digest", [None, "", "NA"])
def test_case_06_missing_digest(folder, table, digest):
    """An image without a digest in the manifest: ValueError with its row."""
    cells = digests(folder)
    cells[1] = digest
    with pytest.raises(ValueError, match=r"'sha256' of the image table is empty in 1 row \(1\)"):
        check_digests(with_cells(table, "sha256", cells), image_folder=folder)


def test_case_06_manifest_counts_the_rows_of_the_users_table(folder, table):
    """A changed file behind rows that were left out: the row of the user's own table."""
    table = table.assign(sha256=digests(folder), image=["a.png", None, "c.png"])
    table.loc[0, "sha256"] = None
    (folder / "c.png").write_bytes(encoded(OTHER))
    kept = exclude_screenshots(table, "a.png")
    with pytest.raises(ImageError, match=r"row 2\)"):
        check_digests(kept, image_folder=folder)


# 7 to 12: images of every kind


def test_case_07_cmyk(fitted, put):
    """A CMYK image: converted, as Pillow converts it to RGB."""
    cmyk = Image.fromarray(COLOR).convert("CMYK")
    plain = put(encoded(cmyk.convert("RGB")), "plain.png")
    assert fitted.sees(put(encoded(cmyk, "TIFF"), "cmyk.tif")) == fitted.sees(plain)
    assert fitted.sees(plain) != fitted.sees(put(encoded(GRAY), "gray.png"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_08_16_bit_gray(fitted, put, kind):
    """Gray of 16 bits, of which 12 are used: scaled to its range, not saturated."""
    deep = RNG.integers(100, 4096, (40, 40)).astype(np.uint16)
    deep.flat[:2] = 100, 4095
    scaled = np.rint((deep - 100.0) / 3995 * 255).astype(np.uint8)
    path = put(encoded(deep, kind), "deep")
    assert fitted.sees(path) == fitted.sees(put(encoded(scaled), "scaled.png"))
    saturated = np.minimum(deep, 255).astype(np.uint8)
    assert fitted.sees(path) != fitted.sees(put(encoded(saturated), "saturated.png"))


def test_case_09_float_tiff(fitted, put):
    """A TIFF of floats, from -1 to 3: scaled to its range."""
    values = (GRAY / 255.0 * 4 - 1).astype(np.float32)
    values.flat[:2] = -1, 3
    scaled = np.rint((values.astype(np.float64) + 1) / 4 * 255).astype(np.uint8)
    path = put(encoded(values, "TIFF"), "float.tif")
    assert fitted.sees(path) == fitted.sees(put(encoded(scaled), "scaled.png"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_case_09_float_tiff_that_is_not_finite(fitted, put, value):
    """A TIFF with a pixel that is NaN or infinite: ImageError."""
    values = GRAY.astype(np.float32)
    values[3, 3] = value
    fitted.refuses_image(put(encoded(values, "TIFF")), ImageError, "NaN or infinite; replace")


def test_case_10_rgba(fitted, put):
    """A transparent image: laid on black."""
    alpha = np.where(GRAY < 128, 0, 255).astype(np.uint8)
    black = COLOR * (alpha > 0)[..., None]
    path = put(encoded(np.dstack([COLOR, alpha])), "rgba.png")
    assert fitted.sees(path) == fitted.sees(put(encoded(black.astype(np.uint8)), "black.png"))
    assert fitted.sees(path) != fitted.sees(put(encoded(COLOR), "opaque.png"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
def test_case_11_several_images(fitted, put, kind):
    """An animated or multi-page file: ImageError that says how to declare one image."""
    pages = {"save_all": True, "append_images": [Image.fromarray(OTHER)]}
    path = put(encoded(GRAY, kind, **pages), "several")
    error = fitted.refuses_image(path, ImageError, "holds 2 images; declare which .* frame=0")
    check_image_error(error, path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_11_declared_image(cohort, labels, image_options, put, kind):
    """A multi-page file where a frame is declared: that image is used."""
    pages = {"save_all": True, "append_images": [Image.fromarray(OTHER)]}
    path = put(encoded(GRAY, kind, **pages), "several")
    plain = put(encoded(GRAY), "plain.png")
    X = cohort[["image", "alp"]]
    classifier = FusionClassifier(**image_options, image_options={"frame": 0})
    several, single = (X.assign(image=[file, *X["image"][1:]]) for file in (path, plain))
    expected = classifier.fit(single, labels).predict_proba(single)
    np.testing.assert_array_equal(classifier.fit(several, labels).predict_proba(several), expected)


TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_case_12_exif_rotation(fitted, put, kind, orientation):
    """An image that its EXIF entry turns: turned upright."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    stored = put(encoded(GRAY, kind), "stored")
    turned = put(encoded(GRAY, kind, exif=exif), "turned")
    upright = Image.open(stored).transpose(TURNS[orientation])
    assert fitted.sees(turned) == fitted.sees(put(encoded(upright), "upright.png"))
    assert fitted.sees(turned) != fitted.sees(stored)


# 13 to 15: sizes


def png_that_claims(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 10_000)
    blocks = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_block(*block) for block in blocks)


def tiff_of_one_tile(side, tile_side, payload):
    """A deflated TIFF whose one tile may be far larger than the image."""
    entries = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1)]
    entries += [(322, tile_side), (323, tile_side), (324, 8), (325, len(payload))]
    payload += b"\0" * (len(payload) % 2)
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(payload)) + payload + directory + b"\0" * 4


@pytest.mark.parametrize("side", [9000, 60_000, 2**31 - 1])
def test_case_13_bomb_by_its_header(fitted, put, side):
    """A few bytes that claim a giant image: ImageError, before memory is taken."""
    fitted.refuses_image(put(png_that_claims(side, side)), ImageError, "allowed|cannot hold")


def test_case_13_bomb_in_a_tile(fitted, put):
    """A small TIFF whose one tile unpacks to a gigabyte: ImageError, before it is unpacked."""
    sound = put(tiff_of_one_tile(16, 256, zlib.compress(b"\7" * 256**2)), "sound.tif")
    fitted.sees(sound)
    bomb = put(tiff_of_one_tile(16, 2**15, zlib.compress(b"\0" * 2**20)), "bomb.tif")
    fitted.refuses_image(bomb, ImageError, "tiles of 32768 x 32768 pixels are too large")


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_case_13_text_that_would_unpack_to_much(fitted, put, kind):
    """An image with a text or profile that unpacks to 100 MB: read, the text is never unpacked."""
    data, content = encoded(GRAY), b"a\0\0" + zlib.compress(b"x" * 10**8)
    path = put(data[:33] + png_block(kind, content) + data[33:])
    assert fitted.sees(path) == fitted.sees(put(data, "plain.png"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_14_over_pillows_warning_size(fitted, put, kind, monkeypatch):
    """An image over Pillow's warning size: ImageError, no warning, whatever limit is set."""
    options = {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}
    path = put(encoded(Image.new("1", (9500, 9500)), kind, **options))
    for limit in (Image.MAX_IMAGE_PIXELS, None, 10**9):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        error = fitted.refuses_image(path, ImageError, "9500 x 9500 pixels, more than the 89478485")
        check_image_error(error, path, cause=False)


def test_case_14_lower_limit_of_pillow(fitted, put, monkeypatch):
    """An image over a limit of Pillow that the user has lowered: ImageError."""
    path = put(encoded(np.kron(GRAY, np.ones((10, 10), np.uint8))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    fitted.refuses_image(path, ImageError, "400 x 400 pixels, more than the 100000 allowed")


def test_case_15_below_the_declared_minimum(cohort, labels, image_options, put):
    """An image smaller than the declared `minimum_side`: ImageError, in fit and predict."""
    path = put(encoded(GRAY[:20]))
    classifier = FusionClassifier(**image_options, image_options={"minimum_side": 32})
    X = cohort[["image", "alp"]]
    bad = X.assign(image=[*X["image"][:ROW], path, *X["image"][ROW + 1 :]])
    classifier.fit(X, labels)
    for call in (lambda: classifier.predict(bad), lambda: classifier.fit(bad, labels)):
        with pytest.raises(ImageError, match=r"40 x 20 .* minimum_side=32") as caught:
            call()
        check_image_error(caught.value, path, cause=False)


def test_image_error_crosses_processes_whole(fitted, put):
    error = fitted.refuses_image(put(b""), ImageError, "empty")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.row) == (str(error), error.path, ROW)
