"""How tables and folders belong together, as `skosfusion check` guesses it."""

import json

import pandas as pd
import pytest

from skosfusion.cli import main
from skosfusion.cli._guesses import Guesses, _date_format, ask_for_positive, guess_columns
from skosfusion.cli._layouts import named_in, side_by_side
from skosfusion.cli._options import check_table_options
from skosfusion.cli._output import Output
from skosfusion.cli._parser import make_parser
from skosfusion.cli._tables import load_without_labels

from . import exports

IMAGES = pd.DataFrame(
    {"file": ["a", "b", "c", "d"], "patient": ["1", "1", "2", "3"], "label": ["x", "x", "y", "x"]},
    dtype="str",
)
RECORDS = pd.DataFrame({"patient": ["3", "2", "1"], "told": ["p", "q", "p"]}, dtype="str")


@pytest.mark.parametrize(
    ("images", "clinical"),
    [([IMAGES], [RECORDS]), ([RECORDS, IMAGES], []), ([IMAGES, RECORDS], [])],
)
def test_tables_stand_side_by_side_by_patient(images, clinical):
    cells = side_by_side(images, clinical, "patient")
    told = cells.sort_values("file").set_index("file")["told"]
    assert told.to_dict() == {"a": "p", "b": "p", "c": "q", "d": "p"}


def test_tables_of_the_same_columns_stand_below_each_other():
    cells = side_by_side([IMAGES], [RECORDS[:1], RECORDS[1:]], "patient")
    assert cells["told"].tolist() == ["p", "p", "q", "p"]


def test_what_tells_the_label_is_found_in_another_table(tmp_path):
    cells = side_by_side([pd.concat([IMAGES] * 5)], [RECORDS], "patient")
    guesses = guess_columns(
        cells, folder=tmp_path, roles={"target"}, target="label", labels=cells["label"]
    )
    assert {guess.column: guess.taken_for for guess in guesses.taken}["told"] == "not read"


def test_the_larger_class_alone_is_no_way_to_tell(tmp_path):
    labels = pd.Series(["0"] * 199 + ["1"])
    cells = pd.DataFrame({"ward": ["a", "b"] * 100}, dtype="str")
    guesses = guess_columns(cells, folder=tmp_path, roles={"target"}, labels=labels)
    assert {guess.column: guess.taken_for for guess in guesses.taken}["ward"] == "kept, no input"


def test_a_column_of_names():
    tables = [IMAGES, RECORDS]
    assert named_in({"1", "2", "3"}, tables) == (1.0, "patient")
    assert named_in({"z"}, tables) == (0.0, None)


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (["12.03.2021"], ["31.01.1990"], "%d.%m.%Y"),
        (["12.03.2021"], ["03.02.1990"], "%d.%m.%Y"),
        (["12/03/2021"], ["01/31/1990"], "%m/%d/%Y"),
        (["12/03/2021"], ["31/01/1990"], "%d/%m/%Y"),
        (["12/03/2021"], ["03/02/1990"], None),
        (["31.03.2021"], ["30.02.1990"], None),
        (["2021-03-12"], ["1990-01-02"], None),
        (["12/03/2021"], ["03.02.1990"], None),
    ],
)
def test_the_order_of_day_and_month(one, other, found):
    options = _date_format(pd.Series(one, dtype="str"), pd.Series(other, dtype="str"))
    assert options == (() if found is None else ("--date-format", found))


def test_rows_without_a_1_are_a_category(tmp_path):
    columns = {f"bone {i}": [str(int(i == k)) for k in (0, 1, 2, 9)] for i in range(3)}
    columns["x,y"] = ["0", "0", "0", "0"]
    guesses = guess_columns(pd.DataFrame(columns, dtype="str"), folder=tmp_path, roles={"target"})
    assert ("--one-hot-none", "other") in guesses.options
    (value,) = [value for option, value in guesses.options if option == "--one-hot"]
    assert value == 'bone_0_or_other=bone 0,bone 1,bone 2,"x,y"'


def test_positive_labels_are_asked_for_where_they_are_texts():
    guesses = Guesses()
    ask_for_positive(pd.Series(["0", "1", None]), "y", guesses)
    assert guesses.questions == []
    ask_for_positive(pd.Series(["no", "a; b", "no", None]), "y", guesses)
    (question,) = guesses.questions
    assert "--positive no (2 rows), --positive 'a; b' (1 rows)" in question


def test_new_rows_may_stand_in_several_sheets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exports.german(tmp_path)
    arguments = ["predict", "m", "Export.xlsx", "--sheet", "Bilder", "--sheet", "Klinik"]
    arguments += ["--column", "image=Datei", "--column", "patient_id=Patienten-ID"]
    arguments += ["--column", "gender=Geschlecht", "--number", "ap=AP [U/l]"]
    arguments += ["--image-folder", "Bilder", "--keep", "gone"]
    parser, commands = make_parser()
    options = parser.parse_args(arguments)
    check_table_options(commands["predict"], options)
    cohort = load_without_labels(options, Output())
    assert len(cohort.data) == 24


def test_sheets_that_share_no_heading_are_asked_about(tmp_path, capsys):
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        IMAGES.to_excel(book, sheet_name="A", index=False)
        pd.DataFrame({"z": [1]}).to_excel(book, sheet_name="B", index=False)
    assert main(["check", str(tmp_path / "t.xlsx"), "--json"]) == 3
    record = json.loads(capsys.readouterr().out)
    assert record["questions"] == [
        "which sheets of 't.xlsx' hold the tables? --sheet NAME: 'A', 'B'"
    ]
    assert record["problems"] == []


def test_folders_may_be_named_by_the_user(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exports.folders(tmp_path, n=6)
    arguments = ["check", "--folders", "diagnosis/patient_id", "--image-folder", "."]
    arguments += ["--clinical-table", "OS.xlsx", "--clinical-table", "NOS.xlsx"]
    assert main([*arguments, "--positive", "OS", "--folds", "2", "--json", "--no-images"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert "--column 'patient_id=编号'" in record["command_line"]
    assert "--column 'age=年龄'" in record["command_line"]
