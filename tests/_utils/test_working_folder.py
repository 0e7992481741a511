"""Relative paths of work that was sent to another process."""

import copy
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.reduction import ForkingPickler

import joblib
import pytest

from skosfusion._utils import working_folder
from skosfusion._utils.working_folder import SendersFolder, resolved


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders, the first of them that of this process."""
    monkeypatch.setattr(working_folder, "_arrived", None)
    folders = [tmp_path / name for name in ("own", "sender's", "other")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    return folders


def test_in_the_main_process_paths_stay_as_they_are(folders):
    assert resolved("a.png") == "a.png"
    assert resolved(folders[1] / "a.png") == str(folders[1] / "a.png")


def test_the_senders_folder_counts_until_the_task_moves_by_itself(folders, monkeypatch):
    _, senders, other = folders
    working_folder._arrive(os.getppid(), str(senders))
    assert resolved("a.png") == str(senders / "a.png")
    assert resolved("/a.png") == "/a.png"
    monkeypatch.chdir(other)
    assert resolved("a.png") == "a.png"


def test_results_that_come_back_say_nothing(folders):
    working_folder._arrive(os.getpid() + 1, str(folders[1]))
    assert resolved("a.png") == "a.png"


def test_a_sender_whose_folder_is_gone_says_nothing(folders):
    working_folder._arrive(os.getppid(), None)
    assert resolved("a.png") == "a.png"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles_hold_no_folder(copied, folders):
    assert isinstance(copied(SendersFolder()), SendersFolder)
    assert str(folders[0]).encode() not in pickle.dumps(SendersFolder())
    assert str(folders[0]).encode() in bytes(ForkingPickler.dumps(SendersFolder()))
    assert joblib.hash(SendersFolder()) == joblib.hash(SendersFolder())


def where(sent, path):
    return resolved(path), sent


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_a_pool_that_is_kept_follows_its_user(start, folders, monkeypatch):
    with ProcessPoolExecutor(1, mp_context=get_context(start)) as pool:
        first, _ = pool.submit(where, SendersFolder(), "a.png").result()
        assert os.path.join(folders[0], first) == str(folders[0] / "a.png")
        monkeypatch.chdir(folders[1])
        second, _ = pool.submit(where, SendersFolder(), "a.png").result()
    assert second == str(folders[1] / "a.png")
    assert resolved("a.png") == "a.png"
