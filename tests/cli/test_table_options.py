"""Options of how tables are read, through the command to the cohort."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion.cli import main
from skosfusion.cli._output import Output
from skosfusion.cli._parser import make_parser
from skosfusion.cli._tables import load

N = 24


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(N):
        pixels = rng.integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"scan{i}.png")
    return pd.DataFrame(
        {
            "image": [f"scan{i}.png" for i in range(N)],
            "patient_id": [f"K{i // 2:03}" for i in range(N)],
            "age": [f"{10 + i // 2}.5" for i in range(N)],
            "diagnosis": [("tumor", "kein Befund")[i // 2 % 2] for i in range(N)],
        },
        dtype="str",
    )


def load_by(arguments, command="ablation"):
    """Load the cohort of a command line."""
    return load(options_of(arguments, command), Output())


def options_of(arguments, command="ablation"):
    options = make_parser()[1][command].parse_args(list(map(str, arguments)))
    options.image_table = options.tables
    return options


def test_separator_decimal_and_encoding_are_as_declared(table, tmp_path):
    table["age"] = table["age"].str.replace(".", ",")
    table["diagnosis"] = table["diagnosis"].str.replace("kein Befund", "Knöchel heil")
    table.to_csv(tmp_path / "t.txt", sep="|", index=False, encoding="cp1252")
    options = ["--separator", "|", "--decimal", ",", "--encoding", "cp1252", "--positive", "tumor"]
    cohort = load_by([tmp_path / "t.txt", *options])
    assert cohort.data["age"].tolist() == [10.5 + i // 2 for i in range(N)]
    assert "'Knöchel heil' 12" in cohort.DESCR
    with pytest.raises(ValueError, match="UTF-8"):
        load_by([tmp_path / "t.txt", *options[:4], "--encoding", "utf-8", "--positive", "tumor"])


def test_sheets_of_both_tables_are_as_declared(table, tmp_path):
    pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    patients = table.drop_duplicates("patient_id")[["patient_id", "age"]]
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"note": ["read me"]}).to_excel(book, sheet_name="Info", index=False)
        table.drop(columns="age")[:10].to_excel(book, sheet_name="2019", index=False)
        table.drop(columns="age")[10:].to_excel(book, sheet_name="2020", index=False)
        patients.to_excel(book, sheet_name="Klinik", index=False)
    cohort = load_by(
        [
            tmp_path / "t.xlsx", "--sheet", "2019", "--sheet", "2020",
            "--clinical-table", tmp_path / "t.xlsx", "--clinical-sheet", "Klinik",
            "--positive", "tumor",
        ]
    )  # fmt: skip
    assert cohort.data["age"].tolist() == [10.5 + i // 2 for i in range(N)]
    with pytest.raises(ValueError, match="'2021'"):
        load_by([tmp_path / "t.xlsx", "--sheet", "2021", "--positive", "tumor"])


def test_texts_that_mean_missing_are_as_declared(table, tmp_path):
    table.loc[3, "age"] = "not done"
    table.to_csv(tmp_path / "t.csv", index=False)
    cohort = load_by([tmp_path / "t.csv", "--na-value", "not done", "--positive", "tumor"])
    assert cohort.data["age"].isna().tolist() == [i == 3 for i in range(N)]


def test_screenshots_are_left_out_by_their_names(table, tmp_path):
    (tmp_path / "scan4.png").rename(tmp_path / "scan4_shot.png")
    table.loc[4, "image"] = "scan4_shot.png"
    table.to_csv(tmp_path / "t.csv", index=False)
    cohort = load_by([tmp_path / "t.csv", "--screenshots", "*shot*", "--positive", "tumor"])
    assert len(cohort.data) == N - 1
    assert not cohort.data["image"].str.endswith("shot.png").any()


@pytest.mark.parametrize(("missing", "column"), [("indicator", True), ("impute", False)])
def test_missing_values_become_what_is_declared(table, tmp_path, missing, column):
    from skosfusion.cli._cohort import clinical_transformer

    table.loc[3, "age"] = ""
    table.to_csv(tmp_path / "t.csv", index=False)
    options = options_of([tmp_path / "t.csv", "--missing", missing, "--positive", "tumor"])
    cohort = load(options, Output())
    out = clinical_transformer(cohort.inputs, options).fit_transform(cohort.data)
    assert any("missing" in name for name in out.columns) == column
    assert not out.drop(columns="image").isna().any(axis=None)


def test_missing_values_may_be_an_error(table, tmp_path, capsys):
    table.loc[3, "age"] = ""
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = ["check", str(tmp_path / "t.csv"), "--positive", "tumor", "--no-images"]
    assert main(arguments) == 0
    assert main([*arguments, "--missing", "error"]) == 3
    assert "row 3" in capsys.readouterr().out


def test_the_robust_recipe_makes_its_own_model(table, tmp_path, capsys):
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = [str(tmp_path / "t.csv"), "--positive", "tumor", "--weights", "none"]
    arguments += ["--image-size", "32", "--epochs", "2", "--data-home", str(tmp_path / "home")]
    models = {}
    for recipe in ("paper", "robust"):
        path = tmp_path / f"{recipe}.safetensors"
        assert main(["fit", *arguments, "--recipe", recipe, "--model", str(path)]) == 0
        from skosfusion import load_model

        models[recipe] = load_model(path)[-1]
    assert models["robust"].head != models["paper"].head


def test_rows_without_an_image_are_left_out_and_counted(table, tmp_path, capsys):
    table.loc[[3, 5], "image"] = ["", "gone"]
    (tmp_path / "scan7.png").write_bytes(b"no image")
    table["image"] = table["image"].str.removesuffix(".png")
    table.to_csv(tmp_path / "t.csv", index=False)
    arguments = [str(tmp_path / "t.csv"), "--suffix", ".png", "--positive", "tumor"]
    assert main(["check", *arguments, "--no-images"]) == 3
    said = capsys.readouterr().out
    assert said.count("--unusable-images exclude") == 2
    cohort = load_by([*arguments, "--unusable-images", "exclude"])
    assert len(cohort.data) == N - 3
    assert cohort.flow["n_images"].tolist() == [N, N - 2, N - 3, N - 3]
    assert "no image, or no such file" in cohort.DESCR


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd"])
def test_a_path_out_of_the_folder_is_never_left_out_in_silence(table, tmp_path, name):
    table.loc[3, "image"] = name
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match=r"row 3: .* is outside the image folder"):
        load_by([tmp_path / "t.csv", "--positive", "tumor", "--unusable-images", "exclude"])
