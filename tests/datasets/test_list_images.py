"""Image tables out of the names of folders."""

import logging
import os

import pytest

from skosfusion._utils.files import OUTPUT_MARK
from skosfusion.datasets import list_images

PATHS = ["OS/017/ap.jpg", "OS/017/lateral.JPG", "OS/9/a.tif", "NOS/018/ap.png"]


@pytest.fixture
def make(tmp_path):
    """Make empty files below a folder."""

    def make(*paths, folder=tmp_path / "images"):
        for name in paths:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return folder

    return make


def test_labels_and_patients_are_the_names_of_folders(make):
    table = list_images(make(*PATHS))
    assert table.columns.tolist() == ["image", "diagnosis", "patient_id"]
    assert table["image"].tolist() == sorted(PATHS)
    assert table["diagnosis"].tolist() == ["NOS", "OS", "OS", "OS"]
    assert table["patient_id"].tolist() == ["018", "017", "017", "9"]


@pytest.mark.parametrize("levels", [["site"], ("a", "b", "c")])
def test_levels_may_be_others(make, levels):
    folder = make("/".join(["x", "y", "z"][: len(levels)]) + "/i.png")
    table = list_images(folder, levels)
    assert table.loc[0, list(levels)].tolist() == ["x", "y", "z"][: len(levels)]


def test_hidden_files_and_those_of_systems_are_skipped(make, caplog):
    hidden = [".DS_Store", "OS/Thumbs.db", "OS/017/._ap.jpg", "__MACOSX/OS/017/ap.jpg"]
    hidden += [".git/x/y/z.png", "OS/017/@eaDir/ap.jpg", "OS/017/thumbs/ap.jpg"]
    with caplog.at_level(logging.INFO, logger="skosfusion"):
        table = list_images(make(*PATHS, *hidden))
    assert len(table) == len(PATHS)
    assert table.attrs == {"skosfusion: other files": {}}
    assert not caplog.records


def test_other_files_are_counted_and_said(make, caplog):
    with caplog.at_level(logging.INFO, logger="skosfusion"):
        table = list_images(make(*PATHS, "records.xlsx", "OS/017/a.dcm", "NOS/b.DCM", "README"))
    assert table.attrs["skosfusion: other files"] == {".xlsx": 1, ".dcm": 2, "without suffix": 1}
    assert "4 images listed, and other files left out: 2 .dcm, 1 .xlsx" in caplog.text


def test_a_folder_without_images_is_refused_with_what_is_there(make):
    with pytest.raises(ValueError, match=r"there is no image in .*; other files: 1 .dcm; give the"):
        list_images(make("OS/017/a.dcm"))


@pytest.mark.parametrize(
    ("path", "found"),
    [("OS/ap.jpg", r"1 folder \('OS'\)"), ("OS/017/left/ap.jpg", "3 folders"), ("ap.jpg", "0 f")],
)
def test_wrong_depth_names_the_file_and_the_levels(make, path, found):
    message = rf"image '{path}' in .* lies in {found}.* levels=\('diagnosis', 'patient_id'\) are 2"
    with pytest.raises(ValueError, match=message):
        list_images(make(*PATHS, path))


def test_links_out_of_the_folder_are_refused(make, tmp_path):
    folder, outside = make(*PATHS), make("secret.png", folder=tmp_path / "elsewhere")
    os.symlink(outside / "secret.png", folder / "OS/017/link.png")
    with pytest.raises(ValueError, match=r"'OS/017/link.png' in .* link out of the image folder"):
        list_images(folder)
    os.remove(folder / "OS/017/link.png")
    os.symlink(outside, folder / "OS/018")
    with pytest.raises(ValueError, match=r"'OS/018' in .* link out of the image folder"):
        list_images(folder)


def test_links_in_a_circle_are_refused(make):
    folder = make(*PATHS)
    os.symlink(folder / "OS", folder / "OS/017/loop")
    with pytest.raises(ValueError, match="link to a folder, which is not followed"):
        list_images(folder)


def test_links_to_images_inside_are_taken(make):
    folder = make(*PATHS)
    os.symlink(folder / "OS/017/ap.jpg", folder / "OS/9/same.jpg")
    assert len(list_images(folder)) == len(PATHS) + 1


def test_names_that_are_no_unicode_are_refused(make):
    folder = make(*PATHS)
    os.close(os.open(os.fsencode(folder) + b"/OS/017/\xff.png", os.O_CREAT | os.O_WRONLY))
    with pytest.raises(ValueError, match="is not valid Unicode"):
        list_images(folder)


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_is_no_image(make, kind):
    folder = make(*PATHS)
    path = folder / "OS/017/odd.png"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    assert len(list_images(folder)) == len(PATHS)


@pytest.mark.parametrize(
    "levels", ["diagnosis", (), ("a", "a"), ("image", "a"), ("", "a"), (None, "a")], ids=str
)
def test_levels_out_of_their_set_are_refused(make, levels):
    with pytest.raises(ValueError, match=r"levels=.* is not allowed"):
        list_images(make(*PATHS), levels)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist or is not a folder"):
        list_images(tmp_path / "nowhere")


def test_results_of_the_command_are_no_images(tmp_path):
    for name in ("OS/1/ap.png", "NOS/2/ap.png", "results/ablation.png", "results/report/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "results" / OUTPUT_MARK).touch()
    assert list_images(tmp_path)["image"].tolist() == ["NOS/2/ap.png", "OS/1/ap.png"]
