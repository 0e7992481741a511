"""From an export to the answer: `check`, and then the line that it printed, as it is."""

import json
import shlex

import pandas as pd
import pytest

from skosfusion.cli import main

from . import exports
from .conftest import OF_MODEL

FAST = [*OF_MODEL, "--epochs", "1", "--folds", "2", "--data-home", "home"]
SAME = ["gender", "age", "center", *exports.BONES, *exports.JOINTS]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(capsys, *arguments):
    """Run the check; return exit code, record and the words of the line that it proposes."""
    code = main(["check", *arguments, "--json"])
    record = json.loads(capsys.readouterr().out)
    line = shlex.split(record["command_line"].replace("\\\n", " "))
    assert line[:2] == ["skosfusion", "ablation"]
    return code, record, line[1:]


def run(capsys, line):
    """Run a line that was printed; return its table and what it said to standard error."""
    assert main(line) == 0
    said = capsys.readouterr().err
    return pd.read_csv("ablation-results/ablation.csv", index_col="row"), said


def test_a_csv_of_hannover(folder, capsys):
    exports.hannover(folder)
    code, record, _ = checked(capsys, "data.csv", *FAST)
    assert code == 3
    assert record["problems"] == []
    (question,) = record["questions"]
    assert "--positive-if-present COLUMN" in question
    assert "'icu_admission_offset'" in question
    present = ["--positive-if-present", "icu_admission_offset"]
    code, record, line = checked(capsys, "data.csv", *present, *FAST)
    assert (code, record["questions"], record["problems"]) == (0, [], [])
    table, _ = run(capsys, line)
    assert list(table.index) == ["Baseline", "Gender", "Crp", "All"]
    assert (table["n_patients"] == 16).all()
    title = json.loads((folder / "ablation-results" / "ablation.json").read_text())["title"]
    assert title.startswith("data.csv\n")


def test_a_german_workbook_with_a_report(folder, capsys):
    exports.german(folder)
    code, record, _ = checked(capsys, "Export.xlsx", *FAST)
    assert code == 3
    assert record["problems"] == []
    (question,) = record["questions"]
    assert "--positive 'Osteosarkom; distal' (12 rows)" in question
    told = {guess["column"]: guess for guess in record["columns"]}
    assert told["Export.xlsx"]["taken_for"] == "sheets 'Bilder' and 'Klinik'"
    assert told["Export.xlsx"]["reason"] == "they share a heading; not 'Info'"
    positive = ["--positive", "Osteosarkom; distal", "--report"]
    code, record, line = checked(capsys, "Export.xlsx", *positive, *FAST)
    assert (code, record["questions"], record["problems"]) == (0, [], [])
    assert line[line.index("--date-format") + 1] == "%d.%m.%Y"
    table, _ = run(capsys, line)
    rows = ["Baseline", "Gender", "Age", "Ap_u_l", "Crp", "All"]
    assert list(table.index)[:6] == rows
    report = (folder / "ablation-results" / "report" / "report.md").read_text()
    # What is kept is no input, and is asked whether it tells the label.
    shortcuts = report[report.index("## Audit of shortcuts") :]
    assert "Projektion" in shortcuts[: shortcuts.index("\n## ", 1)]


def test_columns_of_0_and_1_without_patients(folder, capsys):
    exports.btxrd(folder)
    target = ["--target", "osteosarcoma"]
    code, record, _ = checked(capsys, "dataset.xlsx", *target, *FAST)
    assert code == 3
    assert record["problems"] == []
    (question,) = record["questions"]
    assert "12 rows agree with the row before (rows 1 and 2, 4 and 5, 7 and 8)" in question
    assert f"--same-patient '{','.join(SAME)}'" in question
    same = ["--same-patient", ",".join(SAME)]
    code, record, line = checked(capsys, "dataset.xlsx", *target, *same, *FAST)
    assert (code, record["questions"], record["problems"]) == (0, [], [])
    assert f"bone={','.join(exports.BONES + exports.JOINTS)}" in line
    table, said = run(capsys, line)
    assert (table["n_patients"] == 24).all()
    assert "Bone" in table.index
    assert "too few patients have" in said


def test_each_image_is_a_patient_where_that_is_said(folder, capsys):
    exports.btxrd(folder)
    options = ["--target", "osteosarcoma", "--no-patients", *FAST]
    code, record, line = checked(capsys, "dataset.xlsx", *options)
    assert code == 0
    assert any("folds leak" in note for note in record["notes"])
    table, _ = run(capsys, line)
    assert (table["n_patients"] == 36).all()


def test_folders_of_classes_with_a_workbook_each(folder, capsys):
    exports.folders(folder)
    code, record, _ = checked(capsys, "OS.xlsx", "NOS.xlsx", *FAST)
    assert code == 3
    assert record["problems"] == []
    (question,) = record["questions"]
    assert "--positive NOS (18 rows)" in question
    tables = ["OS.xlsx", "NOS.xlsx", "--positive", "OS", "--category", "发病部位"]
    code, record, line = checked(capsys, *tables, *FAST)
    assert (code, record["questions"], record["problems"]) == (0, [], [])
    assert line[line.index("--folders") + 1] == "diagnosis/patient_id"
    assert "patient_id=编号" in line
    table, said = run(capsys, line)
    assert (table["n_patients"] == 24).all()
    assert "发病部位" in table.index
    # No font of the test machine need have these letters.
    assert "Glyph" not in said
    # The charts of the first run lie in the folder of the images now.
    again, _ = run(capsys, line)
    pd.testing.assert_frame_equal(again, table)
