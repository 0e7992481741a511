"""Cases 126, 128 and 129: copies of private images, and the folders that hold them."""

import os
import stat
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion import FusionClassifier
from skosfusion._utils import private_folders
from skosfusion.datasets import _screenshots, crop_screenshots
from skosfusion.images import ImageStore, read_image

from .._helpers.image_files import encoded
from .small_images import GRAY, OTHER

posix = pytest.mark.skipif(os.name != "posix", reason="permissions are another matter there")
BOX = (2, 3, 30, 32)
INSIDE = GRAY[3:32, 2:30]


@pytest.fixture
def original(put):
    return put(encoded(GRAY), "a.png")


@pytest.fixture
def crop(tmp_path):
    def crop(box=BOX):
        table = pd.DataFrame({"image": ["a.png"]})
        cropped = crop_screenshots(
            table, "*", box, image_folder=tmp_path, data_home=tmp_path / "home"
        )
        return cropped["image"][0]

    return crop


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def pixels(path):
    return np.asarray(Image.open(path))


def test_case_126_copy_of_the_bytes_that_were_hashed(original, crop, put, monkeypatch):
    """An image replaced while its copy is made: the copy shows the image that it is named after."""
    real = _screenshots.read_file

    def read(path, **where):
        found = real(path, **where)
        put(encoded(OTHER), "a.png")
        return found

    monkeypatch.setattr(_screenshots, "read_file", read)
    np.testing.assert_array_equal(pixels(crop()), INSIDE)
    np.testing.assert_array_equal(pixels(crop()), OTHER[3:32, 2:30])


@pytest.mark.parametrize("damage", ["other", "cut", "empty", "text", "flipped", "another copy"])
def test_case_126_changed_copy(original, crop, put, damage):
    """A copy that was changed, damaged or exchanged: made anew."""
    path = crop()
    copy = Path(path)
    whole = copy.read_bytes()
    if damage == "another copy":
        put(encoded(OTHER), "a.png")
        content = Path(crop()).read_bytes()
        put(encoded(GRAY), "a.png")
    else:
        content = {
            "other": encoded(OTHER),
            "cut": whole[:-20],
            "empty": b"",
            "text": b"no image",
            "flipped": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
        }[damage]
    copy.write_bytes(content)
    assert crop() == path
    assert copy.read_bytes() == whole
    np.testing.assert_array_equal(pixels(path), INSIDE)


def test_case_126_whole_copy_is_kept(original, crop, monkeypatch):
    """A copy that is as it was made: not made again, and read as any image."""
    path = crop()
    monkeypatch.setattr(_screenshots, "write_atomically", None)
    assert crop() == path
    np.testing.assert_array_equal(read_image(path, image_size=None)[0], INSIDE)


def test_case_126_copies_of_two_boxes(original, crop):
    """One image cropped at two boxes: two copies, each of its box."""
    crop()
    np.testing.assert_array_equal(pixels(crop((0, 0, 9, 9))), GRAY[:9, :9])
    np.testing.assert_array_equal(pixels(crop()), INSIDE)


@posix
@pytest.mark.parametrize("rights", [0o600, 0o640, 0o644, 0o400, 0o777])
def test_case_128_rights_of_a_copy(original, crop, rights):
    """A copy of a private image: not more readable than the image, nor is an earlier one."""
    path = crop()
    os.chmod(original, rights)
    assert crop() == path
    assert mode(path) & ~rights & 0o077 == 0
    os.unlink(path)
    assert mode(crop()) == rights & 0o644 | 0o600


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_case_128_folders_are_private(cohort, labels, image_options, tmp_path, umask, crop, put):
    """Folders of features, pixels and copies: for their owner alone, whatever the umask."""
    memory = tmp_path / "deep" / "memory"
    put(encoded(GRAY), "a.png")
    before = os.umask(umask)
    try:
        options = image_options | {"backbone": "resnet18", "frozen_epochs": "all", "max_epochs": 1}
        FusionClassifier(**options, memory=memory).fit(cohort[["image", "alp"]], labels)
        ImageStore().read(cohort["image"], folder=memory)
        crop()
    finally:
        os.umask(before)
    folders = [folder for folder, *_ in os.walk(tmp_path / "deep")]
    folders += [folder for folder, *_ in os.walk(tmp_path / "home")]
    assert {"features", "images", "cropped"} <= {os.path.basename(folder) for folder in folders}
    assert {mode(folder) for folder in folders} == {0o700}


@posix
def test_case_128_rights_of_an_own_folder_stay(original, tmp_path):
    """A folder that the user has made: its rights are left alone."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory").chmod(0o750)
    ImageStore().read([original], folder=tmp_path / "memory")
    assert mode(tmp_path / "memory") == 0o750
    assert mode(tmp_path / "memory" / "images") == 0o700


@pytest.fixture
def others_gid(monkeypatch):
    """As if no group were the user's own."""
    monkeypatch.setattr(private_folders, "_is_private_group", lambda gid: False)


@posix
@pytest.mark.parametrize("rights", [0o777, 0o1777, 0o770, 0o2770])
@pytest.mark.parametrize("below", [".", "images"])
def test_case_129_folder_that_others_can_write(original, tmp_path, others_gid, rights, below):
    """A cache folder that other users can write: one warning, whose remedy ends it."""
    folder = tmp_path / "memory"
    (folder / below).mkdir(parents=True)
    (folder / below).chmod(rights)
    store = ImageStore()
    with pytest.warns(UserWarning, match="can be written by .*chmod go-w") as seen:  # noqa: PT031
        for size in (8, 16, 32):
            store.read([original], folder=folder, image_size=size)
    assert len(seen) == 1
    assert repr(str((folder / below).resolve()))[1:-1] in str(seen[0].message)
    private_folders._WARNED.clear()
    (folder / below).chmod(rights & ~0o022)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.read([original], folder=folder, image_size=64)


@posix
def test_case_129_folder_of_copies(original, crop, tmp_path):
    """A folder of cropped copies that every user can write: a warning."""
    (tmp_path / "home" / "cropped").mkdir(parents=True)
    (tmp_path / "home" / "cropped").chmod(0o777)
    with pytest.warns(UserWarning, match="can be written by every user"):
        crop()


@posix
def test_case_129_folder_of_another_user(original, tmp_path, monkeypatch):
    """A cache folder that belongs to another user: a warning with that user's number."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(private_folders, "_SYSTEM", ())
    with pytest.warns(UserWarning, match="belongs to another user"):
        ImageStore().read([original], folder=tmp_path)


@posix
@pytest.mark.parametrize(
    ("members", "is_private"), [([], True), (["me"], True), (["other"], False)]
)
def test_case_129_group_of_ones_own(original, tmp_path, monkeypatch, members, is_private):
    """A cache folder that its group can write: a warning, unless the user is alone in the group."""
    monkeypatch.setattr("pwd.getpwuid", lambda uid: types.SimpleNamespace(pw_name="me"))
    group = types.SimpleNamespace(gr_name="me", gr_mem=members)
    monkeypatch.setattr("grp.getgrgid", lambda gid: group)
    assert private_folders._is_private_group(7) is is_private


@posix
@pytest.mark.parametrize("rights", [0o700, 0o755, 0o750])
def test_case_129_no_false_alarm(original, tmp_path, others_gid, rights):
    """A cache folder that only its owner can write, or that is not there yet: no warning."""
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory").chmod(rights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageStore().read([original], folder=tmp_path / "memory")
        ImageStore().read([original], folder=tmp_path / "new" / "memory")
