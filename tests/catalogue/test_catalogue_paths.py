"""Cases 16 to 25 of the catalogue: paths of images, missing images, and other formats."""

import os
import socket
import stat
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skosfusion.datasets import ImageColumn, exclude_screenshots, load_cohort
from skosfusion.exceptions import ImageError

from .._helpers.image_files import encoded
from .refusals import ROW
from .small_images import COLOR, GRAY, check_image_error, with_cells

needs_links = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and devices")


# 16 to 22: paths


NAMES = ["räntgen ünïcode 膝.png", "with many   spaces.png", "a'b\"c.png", "e\u0301.png", "#%&.png"]


@pytest.mark.parametrize("name", NAMES)
def test_case_16_unicode_and_spaces(fitted, folder, table, name):
    """A path with unicode, spaces or quotes: works from the table to the prediction."""
    (folder / name).write_bytes(encoded(GRAY))
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
    with pytest.raises(ValueError, match=r"column 'image', row 1: .* is not valid Unicode"):
        load_cohort(with_cells(table, "image", cells), image_folder=folder)


def test_case_17_directory(fitted, tmp_path):
    """A folder in place of a file: ImageError."""
    error = fitted.refuses_image(str(tmp_path), ImageError, "this is a folder, not a file")
    check_image_error(error, str(tmp_path))


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
    columns = {"image": ImageColumn(outside_links="allow")}
    load = lambda: load_cohort(table, image_folder=folder, columns=columns)  # noqa: E731
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
    (tmp_path / "outside" / "knee.png").write_bytes(encoded(GRAY))
    if of == "file":
        (folder / "link.png").symlink_to(tmp_path / "outside" / "knee.png")
        table.loc[1, "image"] = "link.png"
    else:
        (folder / "link").symlink_to(tmp_path / "outside")
        table.loc[1, "image"] = "link/knee.png"
    with pytest.raises(ValueError, match=r"row 1: .* link .* outside .*outside_links='allow'"):
        load_cohort(table, image_folder=folder)
    columns = {"image": ImageColumn(outside_links="allow")}
    assert len(load_cohort(table, image_folder=folder, columns=columns).data) == 3


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
    columns = {"image": ImageColumn(outside_links="allow")}
    with pytest.raises(ValueError, match="outside"):
        load_cohort(table, image_folder=folder, columns=columns)


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
    with pytest.raises(ValueError, match=r"empty in 1 row \(1\).*ImageColumn\(missing='keep'\)"):
        load_cohort(with_cells(table, "image", ["a.png", cell, "c.png"]), image_folder=folder)


class BytesPath:
    def __fspath__(self):
        return b"a.png"


@pytest.mark.parametrize("cell", [3, 2.5, True, b"a.png", ("a.png",), {"a": 1}, BytesPath()])
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
            load_cohort(
                table.assign(image=cell),
                image_folder=folder,
                columns={"image": ImageColumn(missing=policy)},
            )


def test_case_24_all_that_is_left_is_missing(folder, table):
    """No image in any row that is used, as all the others are screenshots: ValueError."""
    table = table.assign(image=["a.png", None, None])
    kept = exclude_screenshots(table, "a*")
    columns = {"image": ImageColumn(missing="keep")}
    with pytest.raises(ValueError, match="'image' has no image in any row"):
        load_cohort(kept, image_folder=folder, columns=columns)


@pytest.mark.parametrize("cell", [None, np.nan, "", "NA", "?"])
def test_case_24_some_images_missing(folder, table, cell):
    """Some images missing: kept as NaN where that is declared, and counted in DESCR."""
    table = with_cells(table, "image", ["a.png", cell, "c.png"])
    columns = {"image": ImageColumn(missing="keep")}
    cohort = load_cohort(table, image_folder=folder, columns=columns, na_values=["?"])
    assert cohort.data["image"].isna().tolist() == [False, True, False]
    assert cohort.data["image"].drop(1).tolist() == [str(folder / n) for n in ("a.png", "c.png")]
    assert cohort.target.tolist() == [0, 1, 0]
    assert "2 images of 3 patients" in cohort.DESCR
    assert "Missing values: image 1" in cohort.DESCR


def test_case_24_wrong_policy():
    """A policy for missing images that does not exist: ValueError that names the choices."""
    with pytest.raises(ValueError, match=r"missing='drop' .* 'error' or 'keep'"):
        ImageColumn(missing="drop")


FOREIGN = {
    "EPS": encoded(COLOR, "EPS"),
    "PSD": b"8BPS\0\1" + b"\0" * 60,
    "JPEG 2000": encoded(GRAY, "JPEG2000"),
    "GIF": encoded(GRAY, "GIF"),
    "WebP": encoded(GRAY, "WEBP"),
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
