"""Folders may name a person: titles and settings show base names alone."""

from pathlib import Path, PureWindowsPath

import pytest

from skosfusion.report._paths import base_names

from .test_write_report import no_pictures, written  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("weights/Mueller/best.pt", ".../best.pt"),
        ("Anna Mueller/best model.pt", ".../best model.pt"),
        ("/data/Anna Mueller/run 1", ".../run 1"),
        (r"C:\Users\Anna Mueller\x.csv", ".../x.csv"),
        ("Mueller/results", ".../results"),
        ("../Mueller/results/", ".../results"),
        (Path("Anna Mueller/cache"), ".../cache"),
        (PureWindowsPath(r"Mueller\cache"), ".../cache"),
        ("weights Anna Mueller/best.pt", ".../best.pt"),
        ("Images of /data/Anna Mueller/x, five folds", "Images of .../x, five folds"),
        ("Evaluation, on data/Anna Mueller/a.csv", "Evaluation, on .../a.csv"),
        ("Of ~/Anna Mueller/x and ./Mueller/y", "Of .../y"),
        ("Runs: a/Mueller/b and others", "Runs: .../b and others"),
        ({"memory": Path("Anna Mueller/cache")}, "{'memory': PosixPath('.../cache')}"),
        (["Mueller/a.csv", 3], "['.../a.csv', 3]"),
        ("mg/dl", "mg/dl"),
        ("ALP/ULN", "ALP/ULN"),
        ("Ward and/or clinic: all", "Ward and/or clinic: all"),
        ("from 2020/01/02 on, weekly", "from 2020/01/02 on, weekly"),
        ("no path", "no path"),
        (Path("no_folder"), "no_folder"),
        (0.5, "0.5"),
    ],
)  # fmt: skip
def test_base_names(value, shown):
    assert base_names(value) == shown


def test_no_folder_of_title_and_settings_is_in_any_file(evaluate, tmp_path):
    settings = {
        "weights": "Anna Mueller/best model.pt",
        "model": {"memory": Path("Mueller/cache"), "options": {"file": "x/Mueller/y z.pt"}},
        "estimator": "Pipeline(memory=PosixPath('Mueller/cache'), weights='a/Mueller/b.pt')",
    }
    title = "Evaluation of data/Anna Mueller/table.csv"
    page, record, everything = written(tmp_path, evaluate(), title=title, settings=settings)
    assert "Mueller" not in everything
    assert record["title"] == ".../table.csv"
    assert "best model.pt" in page.text
    assert "PosixPath('.../cache')" in page.text
