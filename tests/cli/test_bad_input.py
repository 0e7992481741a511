"""What the command says of bad tables and options: the cell or file, what to try, and no more."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.utils import Bunch

from skosfusion.cli import _predictions as predictions
from skosfusion.cli import _units as units
from skosfusion.cli import main

from ..datasets.workbooks import change_part, write_xlsx
from .conftest import OF_MODEL

POSITIVE = ["--positive", "osteosarcoma"]
OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "EncryptedPackage".encode("utf-16-le")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return a table in order, and make the folder with its images the current one."""
    monkeypatch.chdir(tmp_path)
    rng, n = np.random.default_rng(0), 24
    (tmp_path / "images").mkdir()
    for i in range(n):
        pixels = rng.integers(0, 255, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"scan{i}.png")
    return pd.DataFrame(
        {
            "image": [f"scan{i}.png" for i in range(n)],
            "patient_id": [f"P-{i // 2:03}" for i in range(n)],
            "gender": ["f", "m"] * (n // 2),
            "age": [str(10 + i) for i in range(n)],
            "crp": [f"{i}.5" for i in range(n)],
            "diagnosis": [("osteosarcoma", "trauma")[i // 2 % 2] for i in range(n)],
        },
        dtype="str",
    )


def rows_of(table):
    return [list(table.columns), *table.to_numpy().tolist()]


def check(capsys, *arguments):
    """Check tables alone; return exit code, record and what was said."""
    code = main(["check", *arguments, "--no-images", "--image-folder", "images", "--json"])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out), captured.err


def encrypted(rows):
    with open("t.xlsx", "wb") as file:
        file.write(OLE + bytes(3000))


def with_formula(rows):
    rows[3][3] = "=1+1"
    write_xlsx("t.xlsx", rows)


def with_merged_cells(rows):
    import openpyxl

    book = openpyxl.load_workbook(write_xlsx("t.xlsx", rows))
    book.active.merge_cells("B2:B3")
    book.save("t.xlsx")


def with_two_headers(rows):
    write_xlsx("t.xlsx", [rows[0], ["", "", "", "Jahre", "mg/l", ""], *rows[1:]])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (encrypted, ["'t.xlsx'", "workbook under a password", "remove the password"]),
        (with_formula, ["'t.xlsx'", "formulas without a value (1 cell (D4))", "save it"]),
        (with_merged_cells, ["'t.xlsx'", "merged cells (1 range (B2:B3))", "unmerge them"]),
        (with_two_headers, ["'t.xlsx'", "'Jahre', 'mg/l'", "leave one row of names"]),
    ],
)
def test_a_workbook_that_is_no_plain_table(table, capsys, change, said):
    change(rows_of(table))
    code, record, _ = check(capsys, "t.xlsx", *POSITIVE)
    assert code == 3
    (problem,) = record["problems"]
    for part in said:
        assert part in problem
    assert main(["ablation", "t.xlsx", "--image-folder", "images", *POSITIVE, "--out", "o"]) == 3
    assert said[1] in capsys.readouterr().err


def test_macros_are_ignored_and_said(table, capsys):
    write_xlsx("t.xlsm", rows_of(table))
    change_part("t.xlsm", "xl/vbaProject.bin", lambda _: OLE)
    code, _, said = check(capsys, "t.xlsm", *POSITIVE)
    assert code == 0
    assert "macros ignored" in said


def test_ages_in_months_and_the_option_that_reads_them(table, capsys):
    table.loc[3, "age"] = "30 Monate"
    table.to_csv("t.csv", index=False)
    code, record, _ = check(capsys, "t.csv", *POSITIVE)
    assert code == 3
    (problem,) = record["problems"]
    assert "'30 Monate' in column 'age', row 3" in problem
    assert "--age-unit" in problem
    assert check(capsys, "t.csv", *POSITIVE, "--age-unit", "Monate")[0] == 0
    assert main(["check", "t.csv", "--birth-date", "a", "--date", "b", "--age-unit", "M"]) == 2
    assert "--birth-date and --age-unit exclude each other" in capsys.readouterr().err


def test_record_numbers_that_differ_in_spelling_are_the_only_problem(table, capsys):
    table[["image", "patient_id", "diagnosis"]].to_csv("images.csv", index=False)
    records = table.drop_duplicates("patient_id")[["patient_id", "gender", "age", "crp"]]
    numbers = records["patient_id"].str.replace("-", "").str.lower()
    records.assign(patient_id=numbers).to_csv("records.csv", index=False)
    options = ["--clinical-table", "records.csv", *POSITIVE]
    code, record, _ = check(capsys, "images.csv", *options)
    assert code == 3
    (problem,) = record["problems"]
    assert "'P-000' and 'p000'" in problem
    assert "'records.csv'" in problem
    # Some show what is meant; a list of all patients belongs into no log.
    assert "P-011" not in problem


@pytest.mark.parametrize("name", ["../secret.png", os.path.abspath("/etc/passwd")])
def test_a_path_that_leaves_the_folder(table, capsys, name):
    table.loc[2, "image"] = name
    table.to_csv("t.csv", index=False)
    code, record, _ = check(capsys, "t.csv", *POSITIVE)
    assert code == 3
    (problem,) = record["problems"]
    assert f"row 2: image '{name}' is outside the image folder" in problem
    assert "--image-folder" in problem


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--no-patients", "--column", "patient_id=patient_id"], "names one; leave one of them"),
        (["--same-patient", "age", "--column", "patient_id=patient_id"], "--same-patient is for"),
        (["--kit", "crp=crp,,5", "--number", "crp"], "both name 'crp'"),
        (["--gender-value", "w=frau"], "'frau' is not allowed"),
    ],
)
def test_options_that_contradict_each_other_are_no_problem_of_the_table(
    table, capsys, options, said
):
    table.to_csv("t.csv", index=False)
    code, _, err = check(capsys, "t.csv", *options)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        ("t.csv", ["--sheet", "A"], "sheet='A' is not allowed"),
        ("t.xlsx", ["--separator", ";"], "separator=';' is not allowed"),
        (".", [], "--image-folder . --folders diagnosis/patient_id"),
    ],
)
def test_options_that_a_table_has_no_use_for(table, capsys, file, options, said):
    table.to_csv("t.csv", index=False)
    write_xlsx("t.xlsx", rows_of(table))
    code, record, _ = check(capsys, file, *POSITIVE, *options)
    assert code == 3
    assert said in record["problems"][0]


def test_a_separator_is_for_the_texts_among_several_tables(table, capsys):
    table[["image", "patient_id", "diagnosis"]].to_csv("images.csv", index=False, sep="|")
    records = table.drop_duplicates("patient_id")[["patient_id", "gender", "age", "crp"]]
    write_xlsx("records.xlsx", rows_of(records))
    options = ["--clinical-table", "records.xlsx", "--separator", "|", *POSITIVE]
    assert check(capsys, "images.csv", *options)[0] == 0


def test_cells_that_are_wrong_in_one_way_are_said_once(table, capsys):
    table.to_csv("t.csv", index=False)
    assert main(["check", "t.csv", "--image-folder", "images", "--decimal", ",", *POSITIVE]) == 3
    said = capsys.readouterr().out
    assert said.count("cannot read") == 1
    assert "and 23 more of this kind" in said


def test_an_output_that_cannot_be_a_folder(table, capsys):
    table.to_csv("t.csv", index=False)
    assert main(["ablation", "t.csv", *POSITIVE, "--out", "t.csv"]) == 2
    assert "--out t.csv cannot be a folder to write to" in capsys.readouterr().err


def test_each_table_is_read_once(table, capsys, monkeypatch):
    from skosfusion.datasets import _read_table, _tables

    table.to_csv("t.csv", index=False)
    read, paths = _read_table.read_file, []
    for module in (_read_table, _tables):
        monkeypatch.setattr(
            module, "read_file", lambda path, *a, **k: paths.append(path) or read(path, *a, **k)
        )
    assert check(capsys, "t.csv", *POSITIVE)[0] == 0
    assert paths == ["t.csv"]


def test_screenshots_are_left_out(table, capsys):
    table.to_csv("t.csv", index=False)
    code, record, said = check(capsys, "t.csv", *POSITIVE, "--screenshots", "scan2*.png")
    assert code == 0
    assert "19 images of" in said
    assert "--screenshots 'scan2*.png'" in record["command_line"]


def test_numbers_are_read_in_one_way_where_there_are_no_ages(table, capsys):
    table["crp"] = ["<5", *table["crp"][1:]]
    table.drop(columns="age").to_csv("t.csv", index=False)
    code, record, _ = check(capsys, "t.csv", *POSITIVE)
    assert code == 0
    assert "--censored limit" in record["command_line"]


def test_a_file_of_options_keeps_what_was_guessed_and_new_rows_have_tables_of_their_own(
    table, capsys
):
    named = table.rename(columns={"gender": "Geschlecht"})
    named.assign(ward=["a", "b"] * 12).to_csv("t.csv", index=False)
    options = [*OF_MODEL, "--data-home", "home", "--write-config", "study.toml"]
    code, record, _ = check(capsys, "t.csv", *POSITIVE, *options)
    assert code == 0
    assert "--keep ward" in record["command_line"]
    assert main(["fit", "--config", "study.toml", "--model", "m.safetensors"]) == 0
    new = named.assign(ward=["a", "b"] * 12)[:6].drop(columns=["diagnosis", "ward"])
    new.to_csv("new.csv", index=False)
    predict = ["predict", "m.safetensors", "--config", "study.toml"]
    assert main([*predict, "--out", "all.csv"]) == 0
    assert main([*predict, "--image-table", "new.csv", "--out", "new_out.csv"]) == 0
    columns = ["image", "patient_id", "probability"]
    old, new = (pd.read_csv(name)[columns] for name in ("all.csv", "new_out.csv"))
    pd.testing.assert_frame_equal(old[:6], new)
    capsys.readouterr()
    assert main(["fit", "new.csv", "--config", "study.toml", "--model", "n.safetensors"]) == 2
    assert "contradict each other" in capsys.readouterr().err


def test_a_digest_takes_rows_without_an_image(table):
    data = table.assign(image=[os.path.abspath(f"images/{name}") for name in table["image"]])
    some = data.assign(image=data["image"].where(data.index > 2))
    target = np.zeros(len(data))
    first, second = (
        units._digest({}, Bunch(data=one, target=target, kits={})) for one in (data, some)
    )
    assert first != second


def test_predictions_are_no_formulas(tmp_path):
    scores = {"=cmd|x": np.zeros((2, 1)), "Baseline": np.ones((2, 1))}
    result = Bunch(
        groups=np.array(["@a", "b"], object), scores=scores, y=np.array([0, 1]),
        fold=np.zeros((2, 1), int),
    )  # fmt: skip
    predictions.write_predictions(tmp_path, result)
    head = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert head == "patient,image,label,fold,'=cmd|x,Baseline"
    key = (tmp_path / "predictions-key.csv").read_text()
    assert ",'@a\n" in key
    # Written again, the patients are those of the key.
    predictions.write_predictions(tmp_path, result)
    assert (tmp_path / "predictions-key.csv").read_text() == key


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["weights"], 2, "required: list|verify"),
        (["ablation", "t.csv", "--positive", "tumor", "--backbone", "resnet19"], 2,
         "--backbone resnet19 is not a classification model of torchvision; did you mean"),
        (["ablation", "--config", "bare.toml"], 2, "texts stand in quotes"),
        (["check", "t.csv", "--image-folder", "nowhere", "--positive", "tumor"], 3,
         "the image folder"),
    ],
)  # fmt: skip
def test_messages_say_what_to_type(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bare.toml").write_text("image-table = t.csv")
    rows = range(12)
    for i in rows:
        Image.new("L", (40, 40), 20 * i).save(tmp_path / f"s{i}.png")
    table = pd.DataFrame(
        {"image": [f"s{i}.png" for i in rows], "patient_id": [f"K{i}" for i in rows]}
    )
    table["diagnosis"] = ["tumor", "benign"] * 6
    table.to_csv("t.csv", index=False)
    assert main(arguments) == code
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert said.count(message) == 1
    assert "Errno" not in said
    assert "nowhere/" not in said


def test_images_that_are_not_there_are_looked_for_in_another_folder_first(tmp_path, capsys):
    table = pd.DataFrame({"image": ["a.png"], "patient_id": ["K"], "diagnosis": ["tumor"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert main(["check", str(tmp_path / "t.csv"), "--positive", "tumor", "--no-images"]) == 3
    said = capsys.readouterr().out
    assert "options for this: --image-folder DIR; --suffix .png; --unusable-images exclude" in said


def test_a_column_of_events_may_be_the_label(tmp_path, capsys):
    table = pd.DataFrame({"image": [f"s{i}.png" for i in range(8)], "patient_id": list("abcdefgh")})
    for name in table["image"]:
        (tmp_path / name).touch()
    table["event"] = ["2020-01-01", ""] * 4
    table.to_csv(tmp_path / "t.csv", index=False)
    assert main(["check", str(tmp_path / "t.csv"), "--no-images"]) == 3
    assert "--positive-if-present COLUMN where a value means yes (such as 'event')" in (
        capsys.readouterr().out
    )
