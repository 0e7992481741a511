"""What pruning removes from a cache folder, and what it leaves alone."""

import os
import time

import pytest

from skosfusion._utils import kept_files
from skosfusion._utils.kept_files import SUFFIX, KeptFiles

KEY, NAME = bytes(32), "ab" * 32 + SUFFIX


class Things(KeptFiles):
    """One file a value, in folders of two letters."""

    kind = "things"

    def put(self, name=NAME, content=b"1234"):
        self._write(self.folder / name[:2] / name, content)
        return self.folder / name[:2] / name


@pytest.fixture
def things(tmp_path):
    return Things(tmp_path / "cache", KEY, parameter="memory")


def test_only_folders_and_files_named_by_digests_are_pruned(things):
    kept = things.put()
    others = [kept.with_name("knee" + SUFFIX), things.folder.parent / "knees" / NAME]
    others.append(things.folder.parent / NAME)
    for other in others:
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(b"mine")
    assert Things.prune(things.folder.parents[1], 0) == 0
    assert not kept.exists()
    assert all(other.exists() for other in others)


def test_links_are_not_followed(things, tmp_path):
    kept = things.put()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / NAME).write_bytes(b"mine")
    (things.folder / "cd").symlink_to(outside)
    (things.folder.parent / ("cd" * 32)).symlink_to(outside)
    link = kept.with_name("cd" * 32 + SUFFIX)
    link.symlink_to(outside / NAME)
    assert Things.prune(things.folder.parents[1], 0) == 0
    assert (outside / NAME).exists()
    assert link.is_symlink()


def test_what_may_stay_stays_and_the_oldest_goes_first(things):
    files = [things.put(letter * 64 + SUFFIX) for letter in "cab"]
    for age, path in enumerate(files):
        os.utime(path, (time.time() - age, time.time() - age))
    assert Things.prune(things.folder.parents[1], 8) == 8
    assert [path.exists() for path in files] == [True, True, False]
    assert Things.prune(things.folder.parents[1], 7) == 4


def test_unfinished_files_of_killed_processes_are_swept(things):
    things.put()
    part = things.folder / f".{NAME}.tmp"
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    Things.prune(things.folder.parents[1], 100)
    assert not part.exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_that_another_process_removes_first_does_no_harm(when, things, monkeypatch):
    things.put()
    look = kept_files._age_and_size

    def remove(entry):
        if when == "before":
            os.unlink(entry)
        found = look(entry)
        if when == "after":
            os.unlink(entry)
        return found

    monkeypatch.setattr(kept_files, "_age_and_size", remove)
    assert Things.prune(things.folder.parents[1], 0) == 0


def test_a_file_as_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"memory='.*file' is not a folder"):
        Things(tmp_path / "file", KEY, parameter="memory")
