"""What `skosfusion check` takes undeclared columns for."""

import numpy as np
import pandas as pd
import pytest

from skosfusion.cli._guesses import guess_columns, option_name

BONES = ["hand", "ulna", "radius", "humerus", "tibia", "fibula", "femur", "hip bone", "knee-joint"]
KINDS = ["osteochondroma", "osteosarcoma", "osteofibroma", "giant cell tumor"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(8):
        (tmp_path / "images" / f"img{i}.png").touch()
    return tmp_path


def table(columns, n=8):
    """Make a table of text with an image column and others."""
    cells = {"image_id": [f"img{i}" for i in range(n)]} | columns
    return pd.DataFrame(cells, dtype="str")


def options(guesses, name):
    return [value for option, value in guesses.options if option == name]


def taken(guesses):
    return {guess.column: guess.taken_for for guess in guesses.taken}


def bone_table():
    """Draw a table in the layout of BTXRD: no patient, columns of 0 and 1."""
    columns = {"center": ["1", "1", "2", "2", "2", "2", "3", "3"]}
    columns |= {"age": ["14", "14", "30", "30", "8", "8", "61", "61"]}
    columns |= {"gender": ["F", "F", "M", "M", "F", "F", "M", "M"]}
    site = [0, 0, 4, 4, 6, 6, 2, 2]
    kind = [1, 1, 0, 0, 1, 1, 3, 3]
    columns |= {bone: [str(int(s == i)) for s in site] for i, bone in enumerate(BONES)}
    columns |= {k: [str(int(s == i)) for s in kind] for i, k in enumerate(KINDS)}
    views = ["frontal", "lateral", "oblique"]
    columns |= {v: [str(int(i % 3 == j)) for i in range(8)] for j, v in enumerate(views)}
    return table(columns)


def test_image_is_found_with_suffix_in_a_folder_below(folder):
    guesses = guess_columns(table({}), folder=folder)
    assert guesses.options == [
        ("--column", "image=image_id"),
        ("--suffix", ".png"),
        ("--image-folder", str(folder / "images")),
    ]


def test_names_that_leave_the_folder_are_no_images(folder):
    cells = table({}).assign(image_id=["../images/img0.png"] * 8)
    guesses = guess_columns(cells, folder=folder / "images")
    assert not options(guesses, "--column")
    assert "no column names files" in guesses.questions[0]


@pytest.mark.parametrize(
    ("patient", "gender", "age"),
    [
        ("Patienten-ID", "Geschlecht", "Alter (Jahre)"),
        ("患者ID", "性别", "年龄"),
        ("Patient Number", "Sex", "Age_years"),
        ("id_paciente", "Sexo", "Edad"),
    ],
)
def test_headings_of_several_languages(folder, patient, gender, age):
    columns = {patient: list("11223344"), gender: list("abababab"), age: list("12345678")}
    guesses = guess_columns(table(columns), folder=folder)
    assert set(options(guesses, "--column")) == {
        "image=image_id",
        f"patient_id={patient}",
        f"gender={gender}",
        f"age={age}",
    }


def test_two_columns_for_one_role_are_asked_about(folder):
    columns = {"patient": list("11223344"), "MRN": list("11223344")}
    guesses = guess_columns(table(columns), folder=folder)
    assert any("'patient', 'MRN' may each be the patient" in text for text in guesses.questions)


def test_birth_dates_need_a_date_of_the_image(folder):
    births = ["14.03.2009"] * 8
    without = guess_columns(table({"Geburtsdatum": births}), folder=folder)
    assert any("--birth-date Geburtsdatum --date COLUMN" in text for text in without.questions)
    columns = {"Geburtsdatum": births, "Aufnahmedatum": ["01.02.2020"] * 8}
    guesses = guess_columns(table(columns), folder=folder)
    assert ("--birth-date", "Geburtsdatum") in guesses.options
    assert ("--date", "Aufnahmedatum") in guesses.options


def test_bones_of_a_table_without_patients(folder):
    guesses = guess_columns(bone_table(), folder=folder, target="osteosarcoma", roles={"target"})
    assert options(guesses, "--one-hot") == [f"bone={','.join(BONES)}"]
    said = taken(guesses)
    assert said["osteochondroma, ..., giant cell tumor"] == "not read"
    assert said["frontal, ..., oblique"] == "not read"
    assert said["center"] == "kept, no input"
    (question,) = guesses.questions
    assert "4 rows agree with the row before (rows 0 and 1, 2 and 3, 4 and 5)" in question
    assert f"--same-patient 'gender,age,center,{','.join(BONES)}'" in question
    assert "--no-patients" in question


def test_what_tells_the_label_is_not_an_input(folder):
    labels = np.array([0, 0, 1, 1, 2, 2, 0, 0]) > 0
    site = [0, 0, 1, 1, 2, 2, 0, 0]
    columns = {f"bone {i}": [str(int(s == i)) for s in site] for i in range(3)}
    columns["same"] = ["yes" if label else "no" for label in labels]
    guesses = guess_columns(
        table(columns), folder=folder, roles={"target"}, labels=labels.astype(int)
    )
    assert taken(guesses)["bone 0, ..., bone 2"] == "not read"
    assert taken(guesses)["same"] == "not read"
    other = guess_columns(table(columns), folder=folder, roles={"target"})
    assert options(other, "--one-hot") == ["bone=bone 0,bone 1,bone 2"]
    assert options(other, "--keep") == ["same"]


def test_numbers_are_inputs_and_times_are_not(folder):
    numbers = ["1", "2,5", "<3", "4", "5", "6", "", "7"]
    columns = {"crp_val": numbers, "crp_offset": numbers, "empty": [""] * 8}
    guesses = guess_columns(table(columns), folder=folder, roles={"target"})
    assert options(guesses, "--number") == ["crp=crp_val"]
    assert options(guesses, "--censored") == ["limit"]
    assert options(guesses, "--keep") == ["crp_offset"]
    assert taken(guesses)["empty"] == "left out"


def test_limits_of_a_laboratory_value(folder):
    columns = {"GGT": list("12345678"), "GGT_low": ["0"] * 8, "GGT_high": ["9"] * 8}
    guesses = guess_columns(table(columns), folder=folder, roles={"target"})
    assert options(guesses, "--kit") == ["ggt=GGT,GGT_low,GGT_high"]
    assert not options(guesses, "--number")


def test_labels_are_asked_for(folder):
    columns = {"tumor": list("01010101"), "death_offset": ["3", "", "", "", "5", "", "", ""]}
    guesses = guess_columns(table(columns), folder=folder)
    (question,) = [text for text in guesses.questions if "labels" in text]
    assert "--target COLUMN (such as 'tumor')" in question
    assert (
        "--positive-if-present COLUMN where a value means yes (such as 'death_offset')" in question
    )


@pytest.mark.parametrize(
    ("column", "name"),
    [("d-dimer_val", "d_dimer"), ("CRP (mg/l)", "crp_mg_l"), ("a__b", "a_b"), ("性别", "性别")],
)
def test_names_of_options(column, name):
    assert option_name(column) == name
