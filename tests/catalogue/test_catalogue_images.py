"""Cases 1 to 25 of the catalogue: image files, as a user of classifier and loader meets them."""

import hashlib
import io
import os
import pickle
import socket
import stat
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from .refusals import ROW
from skosfusion import FusionClassifier
from skosfusion.datasets import load_cohort
from skosfusion.exceptions import ImageError
from skosfusion.images import read_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 40)).astype(np.uint8)
OTHER = GREY.T[::-1].copy()
COLOUR = RNG.integers(0, 256, (40, 40, 3)).astype(np.uint8)
EXIF_ORIENTATION = 274
KINDS = ["PNG", "JPEG", "TIFF", "BMP"]

needs_links = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and devices")


def encoded(pixels, kind="PNG", **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_block(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def flipped(data, bit):
    data = bytearray(data)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def check_image_error(error, path, *, cause=True):
    """An ImageError carries path, row and, where a decoder or the system spoke, the cause."""
    assert error.path == path
    assert error.row == ROW
    assert (error.__cause__ is not None) == cause


@pytest.fixture
def folder(tmp_path):
    """Image folder with three pictures."""
    path = tmp_path / "images"
    path.mkdir()
    for name in "abc":
        (path / f"{name}.png").write_bytes(encoded(GREY))
    return path


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png"],
            "patient_id": ["1", "2", "3"],
            "diagnosis": [0, 1, 0],
        }
    )


def with_cells(table, column, cells):
    return table.assign(**{column: pd.Series(cells, dtype=object)})


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
    put(encoded(GREY), "knee.png")
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
    data = encoded(GREY, "JPEG", **options)
    path = put(data[: int(share * len(data))])
    check_image_error(fitted.refuses_image(path, ImageError, "damaged or cut off"), path)


def test_case_04_truncated_jpeg_that_pillow_verifies(fitted, put):
    """A JPEG without its end marker, which Pillow's `verify` passes: ImageError."""
    path = put(encoded(GREY, "JPEG")[:-2])
    Image.open(path).verify()
    fitted.refuses_image(path, ImageError, "ends before its end marker")


def test_case_04_truncated_although_pillow_is_told_to_be_lenient(fitted, put, monkeypatch):
    """A cut JPEG while LOAD_TRUNCATED_IMAGES of Pillow is set: ImageError."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = put(encoded(GREY, "JPEG")[:-200])
    Image.open(path).load()
    fitted.refuses_image(path, ImageError, "damaged or cut off")


def test_case_04_file_that_shrinks_while_it_is_read(fitted, put, monkeypatch):
    """A file that another program shortens while it is read: ImageError."""
    path, real = put(encoded(GREY)), os.fstat

    def fstat(descriptor):
        status = real(descriptor)
        if os.path.samestat(status, os.stat(path)):
            os.truncate(path, 100)
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    fitted.refuses_image(path, ImageError, "damaged or cut off")


def test_case_05_png_without_its_tail(fitted, put):
    """A PNG without its last block, which Pillow's `load` passes: ImageError."""
    path = put(encoded(GREY)[:-12])
    Image.open(path).load()
    check_image_error(fitted.refuses_image(path, ImageError, "damaged or cut off"), path)


@pytest.mark.parametrize("n_left", [30, 300, 1000])
def test_case_05_png_cut_anywhere(fitted, put, n_left):
    """A PNG cut short: ImageError."""
    fitted.refuses_image(put(encoded(GREY)[:n_left]), ImageError, "damaged or cut off")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_case_06_flipped_bit_of_a_png(fitted, put, share):
    """A flipped bit in a PNG, which has checksums: ImageError."""
    data = encoded(GREY)
    path = put(flipped(data, int(8 * share * len(data))))
    check_image_error(fitted.refuses_image(path, ImageError, "damaged or cut off"), path)


def test_case_06_flipped_bit_beside_the_pixels(fitted, put):
    """A flipped bit in a PNG where no pixel is, which Pillow does not notice: ImageError."""
    data = encoded(GREY)
    data = data[:33] + png_block(b"tEXt", b"Comment\0left knee") + data[33:]
    fitted.sees(put(data))
    path = put(data.replace(b"left knee", b"loft knee"))
    fitted.refuses_image(path, ImageError, "checksum of its block b'tEXt' is wrong")


@pytest.mark.parametrize("block", [b"IDAT", b"tEXt"])
def test_case_06_flipped_bit_of_a_checksum(fitted, put, block):
    """A flipped bit in the checksum of a PNG's pixels or of a text in it: ImageError."""
    data = encoded(GREY)
    data = data[:33] + png_block(b"tEXt", b"knee") + data[33:]
    end = data.index(block) + 4 + int.from_bytes(data[data.index(block) - 4 :][:4])
    path = put(flipped(data, 8 * end + 3))
    fitted.refuses_image(path, ImageError, f"the checksum of its block {block!r} is wrong")


@pytest.mark.parametrize("kind", KINDS)
def test_case_06_flipped_bit_and_a_manifest(folder, table, kind):
    """A flipped bit in any format, with a SHA-256 column: ImageError with both digests."""
    data = encoded(GREY, kind)
    (folder / "b.png").write_bytes(data)
    table = table.assign(sha256=digests(folder))
    load_cohort(table, image_folder=folder)
    damaged = flipped(data, 8 * len(data) - 4000)
    (folder / "b.png").write_bytes(damaged)
    if kind != "PNG":
        read_image(folder / "b.png")  # the format itself cannot tell
    with pytest.raises(ImageError, match="changed or damaged") as caught:
        load_cohort(table, image_folder=folder)
    assert (caught.value.row, caught.value.path) == (1, str(folder / "b.png"))
    assert hashlib.sha256(damaged).hexdigest() in str(caught.value)
    assert table["sha256"][1] in str(caught.value)


def test_case_06_manifest_column_of_another_name(folder, table):
    """A manifest in a column of another name, digests in capitals: checked once it is declared."""
    table = table.assign(checksum=[f" {digest.upper()} " for digest in digests(folder)])
    columns = {"sha256": "checksum"}
    assert len(load_cohort(table, image_folder=folder, columns=columns).data) == 3
    (folder / "c.png").write_bytes(encoded(OTHER))
    assert len(load_cohort(table, image_folder=folder).data) == 3
    with pytest.raises(ImageError, match=r"row 2.*column 'checksum'"):
        load_cohort(table, image_folder=folder, columns=columns)


@pytest.mark.parametrize("digest", ["abc", "g" * 64, "a" * 63, "a" * 65, 7, b"a" * 64])
def test_case_06_malformed_digest(folder, table, digest):
    """A cell of the manifest that is no digest: ValueError with the cell and its row."""
    cells = digests(folder)
    cells[1] = digest
    with pytest.raises(ValueError, match=r"'sha256', row 1: .* is no SHA-256 digest"):
        load_cohort(with_cells(table, "sha256", cells), image_folder=folder)


@pytest.mark.parametrize("digest", [None, "", "NA"])
def test_case_06_missing_digest(folder, table, digest):
    """An image without a digest in the manifest: ValueError with its row."""
    cells = digests(folder)
    cells[1] = digest
    with pytest.raises(ValueError, match=r"'sha256' of the image table is empty in 1 row \(1\)"):
        load_cohort(with_cells(table, "sha256", cells), image_folder=folder)


def test_case_06_manifest_counts_the_rows_of_the_users_table(folder, table):
    """A changed file behind rows that were left out: the row of the user's own table."""
    table = table.assign(sha256=digests(folder), image=["a.png", None, "c.png"])
    table.loc[0, "sha256"] = None
    (folder / "c.png").write_bytes(encoded(OTHER))
    options = {"screenshot_pattern": "a.png", "missing_images": "keep"}
    with pytest.raises(ImageError, match=r"row 2\)"):
        load_cohort(table, image_folder=folder, **options)


# 7 to 12: pictures of every kind


def test_case_07_cmyk(fitted, put):
    """A CMYK picture: converted, as Pillow converts it to RGB."""
    cmyk = Image.fromarray(COLOUR).convert("CMYK")
    plain = put(encoded(cmyk.convert("RGB")), "plain.png")
    assert fitted.sees(put(encoded(cmyk, "TIFF"), "cmyk.tif")) == fitted.sees(plain)
    assert fitted.sees(plain) != fitted.sees(put(encoded(GREY), "grey.png"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_08_16_bit_grey(fitted, put, kind):
    """Grey of 16 bits, of which 12 are used: scaled to its range, not saturated."""
    deep = RNG.integers(100, 4096, (40, 40)).astype(np.uint16)
    deep.flat[:2] = 100, 4095
    scaled = np.rint((deep - 100.0) / 3995 * 255).astype(np.uint8)
    path = put(encoded(deep, kind), "deep")
    assert fitted.sees(path) == fitted.sees(put(encoded(scaled), "scaled.png"))
    saturated = np.minimum(deep, 255).astype(np.uint8)
    assert fitted.sees(path) != fitted.sees(put(encoded(saturated), "saturated.png"))


def test_case_09_float_tiff(fitted, put):
    """A TIFF of floats, from -1 to 3: scaled to its range."""
    values = (GREY / 255.0 * 4 - 1).astype(np.float32)
    values.flat[:2] = -1, 3
    scaled = np.rint((values.astype(np.float64) + 1) / 4 * 255).astype(np.uint8)
    path = put(encoded(values, "TIFF"), "float.tif")
    assert fitted.sees(path) == fitted.sees(put(encoded(scaled), "scaled.png"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_case_09_float_tiff_that_is_not_finite(fitted, put, value):
    """A TIFF with a pixel that is NaN or infinite: ImageError."""
    values = GREY.astype(np.float32)
    values[3, 3] = value
    fitted.refuses_image(put(encoded(values, "TIFF")), ImageError, "NaN or infinite; replace")


def test_case_10_rgba(fitted, put):
    """A transparent picture: laid on black."""
    alpha = np.where(GREY < 128, 0, 255).astype(np.uint8)
    black = COLOUR * (alpha > 0)[..., None]
    path = put(encoded(np.dstack([COLOUR, alpha])), "rgba.png")
    assert fitted.sees(path) == fitted.sees(put(encoded(black.astype(np.uint8)), "black.png"))
    assert fitted.sees(path) != fitted.sees(put(encoded(COLOUR), "opaque.png"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "MPO"])
def test_case_11_several_pictures(fitted, put, kind):
    """An animated or multi-page file: ImageError that says how to declare one picture."""
    pages = {"save_all": True, "append_images": [Image.fromarray(OTHER)]}
    path = put(encoded(GREY, kind, **pages), "several")
    error = fitted.refuses_image(path, ImageError, "holds 2 pictures; declare which .* frame=0")
    check_image_error(error, path)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_11_declared_picture(cohort, labels, image_options, put, kind):
    """A multi-page file where a frame is declared: that picture is used."""
    pages = {"save_all": True, "append_images": [Image.fromarray(OTHER)]}
    path = put(encoded(GREY, kind, **pages), "several")
    plain = put(encoded(GREY), "plain.png")
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
    """A picture that its EXIF entry turns: turned upright."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    stored = put(encoded(GREY, kind), "stored")
    turned = put(encoded(GREY, kind, exif=exif), "turned")
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
    """A deflated TIFF whose one tile may be far larger than the picture."""
    entries = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1)]
    entries += [(322, tile_side), (323, tile_side), (324, 8), (325, len(payload))]
    payload += b"\0" * (len(payload) % 2)
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(payload)) + payload + directory + b"\0" * 4


@pytest.mark.parametrize("side", [9000, 60_000, 2**31 - 1])
def test_case_13_bomb_by_its_header(fitted, put, side):
    """A few bytes that claim a giant picture: ImageError, before memory is taken."""
    fitted.refuses_image(put(png_that_claims(side, side)), ImageError, "allowed|cannot hold")


def test_case_13_bomb_in_a_tile(fitted, put):
    """A small TIFF whose one tile unpacks to a gigabyte: ImageError, before it is unpacked."""
    sound = put(tiff_of_one_tile(16, 256, zlib.compress(b"\7" * 256**2)), "sound.tif")
    fitted.sees(sound)
    bomb = put(tiff_of_one_tile(16, 2**15, zlib.compress(b"\0" * 2**20)), "bomb.tif")
    fitted.refuses_image(bomb, ImageError, "tiles of 32768 x 32768 pixels are too large")


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP", b"iTXt"])
def test_case_13_text_that_would_unpack_to_much(fitted, put, kind):
    """A picture with a text or profile that unpacks to 100 MB: read, the text is never unpacked."""
    data, content = encoded(GREY), b"a\0\0" + zlib.compress(b"x" * 10**8)
    path = put(data[:33] + png_block(kind, content) + data[33:])
    assert fitted.sees(path) == fitted.sees(put(data, "plain.png"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_case_14_over_pillows_warning_size(fitted, put, kind, monkeypatch):
    """A picture over Pillow's warning size: ImageError, no warning, whatever limit is set."""
    options = {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {}
    path = put(encoded(Image.new("1", (9500, 9500)), kind, **options))
    for limit in (Image.MAX_IMAGE_PIXELS, None, 10**9):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        error = fitted.refuses_image(path, ImageError, "9500 x 9500 pixels, more than the 89478485")
        check_image_error(error, path, cause=False)


def test_case_14_lower_limit_of_pillow(fitted, put, monkeypatch):
    """A picture over a limit of Pillow that the user has lowered: ImageError."""
    path = put(encoded(np.kron(GREY, np.ones((10, 10), np.uint8))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    fitted.refuses_image(path, ImageError, "400 x 400 pixels, more than the 100000 allowed")


def test_case_15_below_the_declared_minimum(cohort, labels, image_options, put):
    """A picture smaller than the declared `minimum_side`: ImageError, in fit and predict."""
    path = put(encoded(GREY[:20]))
    classifier = FusionClassifier(**image_options, image_options={"minimum_side": 32})
    X = cohort[["image", "alp"]]
    bad = X.assign(image=[*X["image"][:ROW], path, *X["image"][ROW + 1 :]])
    classifier.fit(X, labels)
    for call in (lambda: classifier.fit(bad, labels), lambda: classifier.predict(bad)):
        with pytest.raises(ImageError, match=r"40 x 20 .* minimum_side=32") as caught:
            call()
        check_image_error(caught.value, path, cause=False)


# 16 to 22: paths


NAMES = ["räntgen ünïcode 膝.png", "with many   spaces.png", "a'b\"c.png", "e\u0301.png", "#%&.png"]


@pytest.mark.parametrize("name", NAMES)
def test_case_16_unicode_and_spaces(fitted, folder, table, name):
    """A path with unicode, spaces or quotes: works from the table to the prediction."""
    (folder / name).write_bytes(encoded(GREY))
    table.loc[1, "image"] = name
    path = load_cohort(table, image_folder=folder).data["image"][1]
    assert path == str(folder / name)
    assert fitted.sees(path) == fitted.sees(str(folder / "a.png"))


@pytest.mark.parametrize("make", [Path, np.str_, str], ids=["pathlib", "numpy", "str"])
def test_case_16_path_objects(fitted, folder, table, make):
    """A path object or NumPy text in place of plain text: works."""
    got = load_cohort(with_cells(table, "image", map(make, table["image"])), image_folder=folder)
    assert got.data["image"].tolist() == [str(folder / name) for name in table["image"]]
    assert fitted.sees(make(folder / "a.png")) == fitted.sees(str(folder / "a.png"))


@pytest.mark.parametrize(
    "dtype", ["object", "str", "string[python]", "string[pyarrow]", "category", "large_string"]
)
def test_case_16_dtypes_of_the_image_column(fitted, folder, table, dtype):
    """A column of paths of any text or category dtype: works."""
    if dtype == "large_string":
        pyarrow = pytest.importorskip("pyarrow")
        dtype = pd.ArrowDtype(pyarrow.large_string())
    X = fitted.X.assign(image=fitted.X["image"].astype(dtype))
    np.testing.assert_array_equal(fitted.estimator.predict_proba(X), fitted.probabilities)
    table = table.assign(image=table["image"].astype(dtype))
    assert len(load_cohort(table, image_folder=folder).data) == 3


def test_case_16_name_that_is_no_text(folder, table):
    """A name with bytes that are no Unicode: ValueError with its row."""
    cells = ["a.png", "\udcff.png", "c.png"]
    with pytest.raises(ValueError, match=r"column 'image', row 1: .* no valid Unicode"):
        load_cohort(with_cells(table, "image", cells), image_folder=folder)


def test_case_17_directory(fitted, tmp_path):
    """A folder in place of a file: ImageError."""
    error = fitted.refuses_image(str(tmp_path), ImageError, "this is a folder, not a file")
    check_image_error(error, str(tmp_path), cause=False)


def within_seconds(function, path, seconds=20):
    """Call in a thread, so that a hang on a pipe fails the test instead of stopping it."""
    failures = []

    def call():
        try:
            function()
        except BaseException as failure:  # noqa: BLE001 - it is raised again below
            failures.append(failure)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    hangs = thread.is_alive()
    if hangs:  # somebody at the other end of the pipe sets its readers free
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        thread.join(seconds)
    assert not hangs, "the call hangs"
    if failures:
        raise failures[0]


@pytest.fixture(params=["pipe", "socket", "device"])
def special_file(request, folder, monkeypatch):
    if os.name == "nt":
        pytest.skip("needs links, pipes and devices")
    path = folder / "c.png"
    path.unlink()
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "socket":
        monkeypatch.chdir(folder)  # a socket's path may have about 100 bytes
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("c.png")
    else:
        path.symlink_to("/dev/zero")
    return path


def test_case_18_pipe_socket_or_device(fitted, special_file):
    """A pipe, socket or device in place of a file: ImageError at once, it is never opened."""
    within_seconds(
        lambda: fitted.refuses_image(str(special_file), ImageError, "a socket, a pipe or a device"),
        special_file,
    )


def test_case_18_in_the_loader(folder, table, special_file):
    """A pipe, socket or device in a table to load: ImageError at once."""
    load = lambda: load_cohort(table, image_folder=folder, outside_links="allow")  # noqa: E731
    with pytest.raises(ImageError, match=r"row 2\): this is a socket, a pipe or a device"):
        within_seconds(load, special_file)


def test_case_18_that_takes_the_place_of_a_file(fitted, folder, monkeypatch):
    """A pipe that takes a file's place just before it is opened: ImageError, no hang."""
    if os.name == "nt":
        pytest.skip("needs pipes")
    real, path = os.stat, str(folder / "pipe.png")
    os.mkfifo(path)

    def stat_of_a_file(name, *args, **kwargs):
        return real(folder / "a.png" if name == path else name, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat_of_a_file)
    assert stat.S_ISREG(os.stat(path).st_mode)
    within_seconds(lambda: fitted.refuses_image(path, ImageError, "a pipe or a device"), path)


@pytest.fixture(params=["dangling", "loop", "loop of folders", "cut loop of links"])
def broken_link(request, folder):
    path = folder / "c.png"
    path.unlink()
    if request.param == "dangling":
        path.symlink_to(folder / "nowhere.png")
    elif request.param == "loop":
        path.symlink_to(path)
    elif request.param == "loop of folders":
        (folder / "round").symlink_to(folder / "round")
        path.symlink_to(folder / "round" / "c.png")
    else:
        (folder / "d.png").symlink_to(path)
        path.symlink_to(folder / "d.png")
    return path


@needs_links
def test_case_19_dangling_or_looping_link(fitted, broken_link):
    """A link that leads to nothing or round in circles: ImageError."""
    error = fitted.refuses_image(str(broken_link), ImageError, "leads to no file|cannot be read")
    check_image_error(error, str(broken_link))


@needs_links
def test_case_19_in_the_loader(folder, table, broken_link):
    """A broken link in a table to load: ImageError with its row."""
    with pytest.raises(ImageError, match=r"row 2\): the") as caught:
        load_cohort(table, image_folder=folder)
    assert caught.value.__cause__ is not None


@needs_links
@pytest.mark.parametrize("of", ["file", "folder"])
def test_case_20_link_that_leaves_the_folder(folder, table, tmp_path, of):
    """A link out of the image folder: ValueError with the row, unless links are allowed."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "knee.png").write_bytes(encoded(GREY))
    if of == "file":
        (folder / "link.png").symlink_to(tmp_path / "outside" / "knee.png")
        table.loc[1, "image"] = "link.png"
    else:
        (folder / "link").symlink_to(tmp_path / "outside")
        table.loc[1, "image"] = "link/knee.png"
    with pytest.raises(ValueError, match=r"row 1: .* link .* outside .* outside_links='allow'"):
        load_cohort(table, image_folder=folder)
    assert len(load_cohort(table, image_folder=folder, outside_links="allow").data) == 3


OUTSIDE = ["../a.png", "a/../../b.png", "..", "..\\a.png", "x\\..\\..\\a.png", "C:\\a.png"]


@pytest.mark.parametrize("name", [*OUTSIDE, "\\\\server\\share\\a.png", "absolute"])
def test_case_21_path_that_leaves_the_folder(folder, table, name):
    """A path with ../, or an absolute one, in the table: ValueError "outside" with the row."""
    table.loc[1, "image"] = str(folder / "a.png") if name == "absolute" else name
    with pytest.raises(ValueError, match=r"column 'image', row 1: .* outside the image folder"):
        load_cohort(table, image_folder=folder)


def test_case_21_is_never_lifted_by_allowed_links(folder, table):
    """A path with ../ where links are allowed: ValueError all the same."""
    table.loc[1, "image"] = "../a.png"
    with pytest.raises(ValueError, match="outside"):
        load_cohort(table, image_folder=folder, outside_links="allow")


def test_case_22_nul_in_a_path(fitted, folder, table):
    """A NUL in a path: ValueError with the row."""
    fitted.refuses_image("knee\0.png", ValueError, "null byte")
    table.loc[1, "image"] = "a\0.png"
    with pytest.raises(ValueError, match=r"row 1: .* has a NUL in its name; correct the name"):
        load_cohort(table, image_folder=folder)


# 23 and 24: missing images; 25: other formats


MISSING = [None, np.nan, pd.NA, pd.NaT]


@pytest.mark.parametrize("cell", MISSING, ids=str)
def test_case_23_missing_path(fitted, folder, table, cell):
    """A path that is None, NaN or NA: a missing image, so ValueError with the row."""
    fitted.refuses_image(cell, ValueError, "has no image in 1 of 48 rows, .*leave these rows out")
    with pytest.raises(ValueError, match=r"empty in 1 row \(1\).*missing_images='keep'"):
        load_cohort(with_cells(table, "image", ["a.png", cell, "c.png"]), image_folder=folder)


class BytesPath:
    def __fspath__(self):
        return b"a.png"


@pytest.mark.parametrize(
    "cell", [3, 2.5, True, b"a.png", ("a.png",), {"a": 1}, BytesPath()], ids=repr
)
def test_case_23_path_of_another_type(fitted, folder, table, cell):
    """A path of another type, such as a number or bytes: TypeError with the row."""
    match = rf"column 'image' holds .* \((int|float|bool|bytes|tuple|dict)\) in row {ROW}; it must"
    fitted.refuses_image(cell, TypeError, match)
    with pytest.raises(TypeError, match=r"column 'image', row 1: .* of type str"):
        load_cohort(with_cells(table, "image", ["a.png", cell, "c.png"]), image_folder=folder)


@pytest.mark.parametrize("cell", [None, "NA"])
def test_case_24_all_images_missing(fitted, folder, table, cell):
    """No image in any row: ValueError, whatever is declared."""
    fitted.refuses(fitted.X.assign(image=None), ValueError, "no image in 48 of 48 rows")
    for policy in ("error", "keep"):
        with pytest.raises(ValueError, match=r"in any row|is empty in 3 rows"):
            load_cohort(table.assign(image=cell), image_folder=folder, missing_images=policy)


def test_case_24_all_that_is_left_is_missing(folder, table):
    """No image in any row that is used, as all the others are screenshots: ValueError."""
    table = table.assign(image=["a.png", None, None])
    options = {"missing_images": "keep", "screenshot_pattern": "a*"}
    with pytest.raises(ValueError, match="'image' has no image in any row"):
        load_cohort(table, image_folder=folder, **options)


@pytest.mark.parametrize("cell", [None, np.nan, "", "NA", "?"])
def test_case_24_some_images_missing(folder, table, cell):
    """Some images missing: kept as NaN where that is declared, and counted in DESCR."""
    table = with_cells(table, "image", ["a.png", cell, "c.png"])
    options = {"missing_images": "keep", "na_values": ["?"]}
    cohort = load_cohort(table, image_folder=folder, **options)
    assert cohort.data["image"].isna().tolist() == [False, True, False]
    assert cohort.data["image"].drop(1).tolist() == [str(folder / n) for n in ("a.png", "c.png")]
    assert cohort.target.tolist() == [0, 1, 0]
    assert "2 images of 3 patients" in cohort.DESCR
    assert "Missing values: image 1" in cohort.DESCR


def test_case_24_wrong_policy(folder, table):
    """A policy for missing images that does not exist: ValueError that names the choices."""
    with pytest.raises(ValueError, match=r"missing_images='drop' .* 'error' or 'keep'"):
        load_cohort(table, image_folder=folder, missing_images="drop")


FOREIGN = {
    "EPS": encoded(COLOUR, "EPS"),
    "PSD": b"8BPS\0\1" + b"\0" * 60,
    "JPEG 2000": encoded(GREY, "JPEG2000"),
    "GIF": encoded(GREY, "GIF"),
    "WebP": encoded(GREY, "WEBP"),
    "DICOM": b"\0" * 128 + b"DICM" + b"\0" * 60,
    "PDF": b"%PDF-1.7\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_case_25_other_formats(fitted, put, kind):
    """Another format behind an image's name, such as EPS, PSD or JPEG 2000: ImageError."""
    path = put(FOREIGN[kind])
    error = fitted.refuses_image(path, ImageError, "not PNG, JPEG, TIFF or BMP.*convert it to PNG")
    check_image_error(error, path)


def test_image_error_crosses_processes_whole(fitted, put):
    error = fitted.refuses_image(put(b""), ImageError, "empty")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.row) == (str(error), error.path, ROW)
