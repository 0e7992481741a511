"""`skosfusion check`: all problems in one run, and the command line that would run."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion.cli import main
from skosfusion.cli._cohort import choose_rows, inputs_of
from skosfusion.cli._output import Output
from skosfusion.cli._tables import load

from .test_ablation import parse


@pytest.fixture
def study(tmp_path):
    """A table and images of a hospital, under names of its own."""
    rng = np.random.default_rng(0)
    n = 60
    (tmp_path / "images").mkdir()
    for i in range(n):
        pixels = rng.integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"scan{i}.png")
    table = pd.DataFrame(
        {
            "image_id": [f"scan{i}" for i in range(n)],
            "Patienten-ID": [f"K{i // 2:03}" for i in range(n)],
            "Geschlecht": [("weiblich", "männlich")[i // 2 % 2] for i in range(n)],
            "Alter": [str(10 + i // 2) for i in range(n)],
            "CRP_val": [f"{rng.uniform(1, 90):.1f}" for _ in range(n)],
            "projection": [("AP", "PA")[i % 2] for i in range(n)],
            "Befund": [("Osteosarkom", "kein Tumor")[i // 4 % 2] for i in range(n)],
        },
        dtype="str",
    )
    return tmp_path, table


def check(capsys, folder, table, *options):
    """Run the command with --json; return its exit code and record."""
    table.to_csv(folder / "table.csv", index=False)
    code = main(["check", str(folder / "table.csv"), *options, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_line_that_is_proposed_is_accepted(study, capsys):
    code, record = check(capsys, *study, "--target", "Befund", "--positive", "Osteosarkom")
    assert code == 0
    assert not record["problems"]
    line = record["command_line"].replace("\\\n", " ")
    for option in (
        "--column image=image_id",
        "--suffix .png",
        "--column patient_id=Patienten-ID",
        "--column gender=Geschlecht",
        "--column age=Alter",
        "--number crp=CRP_val",
        "--keep projection",
    ):
        assert option in line
    again = main(["check", *shlex.split(line)[2:], "--json"])
    second = json.loads(capsys.readouterr().out)
    assert again == 0
    assert second["command_line"] == record["command_line"]


def test_all_problems_are_listed_in_one_run(study, capsys):
    folder, table = study
    table.loc[3, "Alter"] = "3 Monate"
    table.loc[5, "CRP_val"] = "viel"
    table.loc[7, "image_id"] = "nowhere"
    table.loc[9, "Geschlecht"] = "unbestimmt"
    table.loc[11, "Befund"] = ""
    table.loc[12, "Patienten-ID"] = ""
    (folder / "images" / "scan20.png").write_bytes(b"no image")
    code, record = check(capsys, folder, table, "--target", "Befund", "--positive", "Osteosarkom")
    assert code == 3
    said = "\n".join(record["problems"])
    for part in ("3 Monate", "'viel'", "nowhere", "unbestimmt", "'Befund'", "'Patienten-ID'"):
        assert part in said
    assert len(record["problems"]) >= 6


def test_an_image_that_cannot_be_read_is_a_problem_with_its_row(study, capsys):
    folder, table = study
    (folder / "images" / "scan20.png").write_bytes(b"no image")
    options = ["--target", "Befund", "--positive", "Osteosarkom"]
    code, record = check(capsys, folder, table, *options)
    assert code == 3
    assert len(record["problems"]) == 1
    assert "scan20.png" in record["problems"][0]
    code, record = check(capsys, folder, table, *options, "--no-images")
    assert (code, record["problems"]) == (0, [])
    code, record = check(capsys, folder, table, *options, "--unusable-images", "exclude")
    assert (code, record["problems"]) == (0, [])
    assert "--unusable-images exclude" in record["command_line"]
    main(["check", str(folder / "table.csv"), *options, "--unusable-images", "exclude"])
    assert "left out 1 of 60 images" in capsys.readouterr().out


def test_labels_are_asked_for(study, capsys):
    code, record = check(capsys, study[0], study[1].rename(columns={"Befund": "Text 7"}))
    assert code == 3
    assert any("which column holds the labels" in text for text in record["questions"])


def test_tables_are_checked_without_torch(study):
    folder, table = study
    table.to_csv(folder / "table.csv", index=False)
    program = (
        "import sys; from skosfusion.cli import main; "
        f"main(['check', {str(folder / 'table.csv')!r}, '--target', 'Befund', '--positive', "
        "'Osteosarkom']); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120)  # noqa: S603
    assert done.returncode == 0, done.stderr[-500:]


def test_ten_planted_problems_are_listed_in_one_run(tmp_path, capsys):
    rng = np.random.default_rng(0)
    n = 3000
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "scan.png").touch()
    table = pd.DataFrame(
        {
            "image": "scan.png",
            "patient_id": [f"P{i // 2:04}" for i in range(n)],
            "gender": [("female", "male")[i // 2 % 2] for i in range(n)],
            "age": [str(5 + i // 2 % 80) for i in range(n)],
            "crp": [f"{value:.1f}" for value in rng.uniform(1, 90, n)],
            "weight": [f"{value:.1f}" for value in rng.uniform(40, 90, n)],
            "alp": [f"{value:.0f}" for value in rng.uniform(40, 190, n)],
            "alp_low": "40",
            "alp_high": "130",
            "diagnosis": [("tumor", "benign")[i // 2 % 2] for i in range(n)],
        },
        dtype="str",
    )
    planted = {
        ("image", 10, "gone.png"): "no such image file (row 10)",
        ("image", 20, "../secret.png"): "column 'image', row 20: image '../secret.png' is outside",
        ("image", 70, ""): "column 'image' of the image table 'table.csv' is empty in 1 row (70)",
        ("age", 30, "14 apples"): "cannot read '14 apples' in column 'age', row 30",
        ("gender", 41, "neither"): "unknown gender 'neither' in column 'gender', row 41",
        ("crp", 50, "<5"): "cannot read '<5' in column 'crp', row 50",
        ("weight", 60, "heavy"): "cannot read 'heavy' in column 'weight', row 60",
        ("diagnosis", 80, ""): "column 'diagnosis' of the image table 'table.csv' is empty in 1",
        ("diagnosis", 91, "tumor"): "different labels, for 1 patient (P0045)",
        ("alp_low", 100, "400"): "normal range of column 'alp', row 100 has L=400",
    }
    for column, row, cell in planted:
        table.loc[row, column] = cell
    options = ["--image-folder", str(tmp_path / "images"), "--positive", "tumor", "--no-images"]
    options += ["--kit", "crp=crp,,5", "--number", "weight=weight"]
    code, record = check(capsys, tmp_path, table, *options)
    assert code == 3
    assert len(record["problems"]) == len(planted)
    for message in planted.values():
        assert sum(message in problem for problem in record["problems"]) == 1, message


def test_a_kit_of_our_name_stays_beside_a_declared_one(study, capsys):
    folder, table = study
    table = table.assign(alp="90", alp_low="40", alp_high="130")
    options = ["--target", "Befund", "--positive", "Osteosarkom", "--kit", "crp=CRP_val,,5"]
    code, record = check(capsys, folder, table, *options)
    assert code == 0
    guessed = {guess["column"]: guess["taken_for"] for guess in record["columns"]}
    assert guessed["alp"] == "laboratory value"
    line = shlex.split(record["command_line"].replace("\\\n", " "))[1:]
    arguments = ["check", *line[1:], "--no-images", "--json"]
    assert main(arguments) == 0
    capsys.readouterr()
    cohort = load(parse(line[1:]), Output())
    assert inputs_of(cohort) == ["gender", "age", "crp", "alp"]
    assert list(choose_rows(None, cohort))[-1] == "All"
