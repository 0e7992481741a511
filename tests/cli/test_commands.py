import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion import load_model, load_summary, patient_scores
from skosfusion.cli import _fitted, main
from skosfusion.cli._lock import locked
from skosfusion.cli._parser import COMMANDS
from skosfusion.cli._remedies import with_options

from .conftest import OF_MODEL


def run_python(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603


def test_help_and_errors_of_options_load_neither_torch_nor_pandas():
    code = (
        "import sys\nfrom skosfusion.cli import main\n"
        "main(['--help']); main(['predict', '--help']); main(['fit', '--epochs', 'x'])\n"
        "sys.exit('torch' in sys.modules or 'pandas' in sys.modules or 'numpy' in sys.modules)"
    )
    assert run_python(code).returncode == 0


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "skosfusion", "--version"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    assert done.stdout.startswith("skosfusion ")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_and_exit_codes(command, capsys):
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "examples:\n  skosfusion" in printed
    assert "exit codes:" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ablation", "--epoch", "x"], "argument --epochs: invalid int value: 'x'"),
        (["ablation", "--fodls", "2"], "did you mean '--folds'?"),
        (["ablation", "--folds", "1"], "at least 2 folds"),
        (["ablation", "--jobs", "0"], "at least 1"),
        (["ablation", "--kit", "crp=CRP,,5"], "--kit is about your own tables, and no TABLE"),
        (["ablation", "t.csv", "--folders", "diagnosis"], "--folders needs --image-folder"),
        (["ablation", "t.csv", "--same-patient", "a", "--no-patients"], "exclude each other"),
        (["ablation", "t.csv", "--birth-date", "born"], "--birth-date needs --date"),
        (["ablation", "t.csv", "--rows", "All"], "the table 't.csv' does not exist"),
        (["fit", "t.csv"], "--model FILE is needed"),
        (["predict", "m.safetensors"], "no TABLE is given"),
        (["predcit"], "invalid choice: 'predcit'"),
        (["weights", "check"], "invalid choice: 'check'"),
    ],
)
def test_wrong_options_say_what_is_right(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = main(arguments)
    said = capsys.readouterr().err
    assert code == (3 if "does not exist" in message else 2)
    assert message in said
    assert "Traceback" not in said


def test_a_model_is_fitted_with_a_summary_and_no_name_of_a_patient(model, study):
    _, table, _ = study
    fitted = load_model(model)
    assert fitted[-1].fitted_params_["max_epochs"] == 2
    assert load_summary(model).n_patients == table["patient_id"].nunique()
    assert b"p001" not in model.read_bytes()


def test_inputs_of_a_model_can_be_chosen(study, tmp_path, capsys):
    folder, _, common = study
    arguments = ["fit", str(folder / "table.csv"), *common, *OF_MODEL]
    model = tmp_path / "m.safetensors"
    code = main([*arguments, "--model", str(model), "--inputs", "age", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert (code, record["inputs"], record["classes"]) == (0, ["image", "age"], [0, 1])
    assert main([*arguments, "--model", str(model), "--inputs", "weight"]) == 2
    assert "is none of gender, age, alp, ldh" in capsys.readouterr().err
    assert main([*arguments, "--model", str(tmp_path / "no" / "m.safetensors")]) == 2


def predict(model, table, common, out, *more):
    code = main(["predict", str(model), str(table), *common, "--out", str(out), *more])
    return code, pd.read_csv(out, dtype={"probability": "str"}) if code == 0 else None


def test_predictions_are_those_of_python_to_the_bit_whatever_the_parts(
    model, study, tmp_path, monkeypatch, capsys
):
    folder, table, common = study
    data = table.drop(columns="diagnosis").assign(
        image=[os.path.join(common[1], name) for name in table["image"]]
    )
    expected = load_model(model).predict_proba(data)[:, 1]
    scores = load_model(model).decision_function(data)
    monkeypatch.setattr(_fitted, "_ROWS_AT_ONCE", 8)
    sizes = []
    chunks = _fitted.chunks
    monkeypatch.setattr(
        "skosfusion.cli._predict.chunks",
        lambda fitted, n: sizes.extend(parts := list(chunks(fitted, n, 8))) or parts,
    )
    code, found = predict(model, folder / "new.csv", common, tmp_path / "p.csv")
    assert code == 0
    assert len(sizes) == 6
    assert np.array_equal(found["probability"].to_numpy(np.float32), expected)
    assert found["patient_id"].tolist() == table["patient_id"].tolist()
    assert found["image"].tolist() == table["image"].tolist()
    assert (found["label"] == (expected > 0.5)).all()
    patients, joined = patient_scores(scores, data["patient_id"])
    of_patient = dict(zip(patients, 1 / (1 + np.exp(-joined)), strict=True))
    np.testing.assert_allclose(
        found["patient_probability"], [of_patient[name] for name in found["patient_id"]]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv"]


def test_what_lies_outside_of_training_is_said(model, study, tmp_path, capsys):
    _, table, common = study
    table = table.drop(columns="diagnosis")
    table.loc[5, "alp"] = 100_000
    table.to_csv(tmp_path / "new.csv", index=False)
    code, found = predict(model, tmp_path / "new.csv", common, tmp_path / "p.csv")
    assert code == 0
    assert "alp" in found["warnings"][5]
    assert "outside of what the model was trained on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "empty", [["gender"], ["age"], ["ldh"], ["ldh", "ldh_low", "ldh_high"]], ids=lambda e: e[-1]
)
def test_an_input_without_any_value_is_missing_as_python_has_it(
    model, study, tmp_path, capsys, empty
):
    _, table, common = study
    table = table.drop(columns="diagnosis").assign(**dict.fromkeys(empty, ""))
    table.to_csv(tmp_path / "new.csv", index=False)
    code, found = predict(model, tmp_path / "new.csv", common, tmp_path / "p.csv")
    assert code == 0
    kinds = {"gender": "object"} if empty == ["gender"] else dict.fromkeys(empty, "float64")
    data = table.assign(
        image=common[1] + "/" + table["image"],
        **{name: pd.Series(np.nan, index=table.index, dtype=kind) for name, kind in kinds.items()},
    )
    expected = load_model(model).predict_proba(data)[:, 1]
    assert np.array_equal(found["probability"].to_numpy(np.float32), expected)
    assert all("usual: never missing" in text for text in found["warnings"])


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_an_input_of_the_model_without_a_column_is_named_with_its_option(
    model, study, tmp_path, capsys, command
):
    _, table, common = study
    table.drop(columns=["age", "alp", "alp_low", "alp_high"]).to_csv(
        tmp_path / "new.csv", index=False
    )
    out = tmp_path / "out"
    assert main([command, str(model), str(tmp_path / "new.csv"), *common, "--out", str(out)]) == 3
    said = capsys.readouterr().err
    assert "was fitted with 'age', 'alp', of which the table has no column" in said
    assert "--column age=COLUMN, --kit alp=VALUE,LOW,HIGH" in said


def test_predict_never_writes_over_what_it_reads(model, study, tmp_path, capsys):
    folder, _, common = study
    before = (folder / "new.csv").read_bytes(), model.read_bytes()
    for out in (folder / "new.csv", model, tmp_path, tmp_path / "no" / "p.csv"):
        assert (
            main(["predict", str(model), str(folder / "new.csv"), *common, "--out", str(out)]) == 2
        )
    assert ((folder / "new.csv").read_bytes(), model.read_bytes()) == before


def test_a_table_that_is_wrong_is_a_problem_of_data_with_options_to_try(
    model, study, tmp_path, capsys
):
    _, table, common = study
    table.drop(columns="diagnosis").rename(columns={"image": "file"}).to_csv(
        tmp_path / "new.csv", index=False
    )
    assert predict(model, tmp_path / "new.csv", common, tmp_path / "p.csv")[0] == 3
    said = capsys.readouterr().err
    assert "--column image=COLUMN" in said
    assert "no label is needed" not in said
    assert not (tmp_path / "p.csv").exists()


def test_a_formula_is_no_formula_in_the_output(model, study, tmp_path):
    _, table, common = study
    table = table.drop(columns="diagnosis").assign(patient_id="=cmd|x")
    table.to_csv(tmp_path / "new.csv", index=False)
    code, found = predict(model, tmp_path / "new.csv", common, tmp_path / "p.csv")
    assert code == 0
    assert (found["patient_id"] == "'=cmd|x").all()


def test_a_file_that_is_no_model_fails_without_a_traceback(study, tmp_path, capsys):
    folder, _, common = study
    (tmp_path / "m.safetensors").write_bytes(b"no model")
    code, _ = predict(tmp_path / "m.safetensors", folder / "new.csv", common, tmp_path / "p.csv")
    assert code == 1
    assert "Traceback" not in capsys.readouterr().err


def test_heatmaps_have_the_size_of_the_original_and_names_that_say_nothing(
    model, study, tmp_path, capsys
):
    _, table, common = study
    images = tmp_path / "images"
    images.mkdir()
    for name in table["image"][:3]:
        Image.open(os.path.join(common[1], name)).resize((70, 50)).save(images / name)
    table[:3].drop(columns="diagnosis").to_csv(tmp_path / "new.csv", index=False)
    arguments = ["explain", str(model), str(tmp_path / "new.csv"), "--image-folder", str(images)]
    out = tmp_path / "out"
    code = main([*arguments, "--out", str(out), "--kind", "both", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert (code, record["n_heatmaps"]) == (0, 6)
    index = pd.read_csv(out / "index.csv")
    assert index["image"].tolist() == table["image"][:3].tolist()
    for row, line in index.iterrows():
        assert line["overlay"] == f"heatmap_{row:05d}.png"
        with Image.open(out / line["overlay"]) as overlay, Image.open(out / line["raw"]) as raw:
            assert (overlay.size, overlay.mode) == ((70, 50), "RGB")
            assert (raw.size, raw.mode) == ((70, 50), "L")
    assert main([*arguments, "--out", str(out)]) == 2
    assert "another run" in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path / "o"), "--explain-label", "2"]) == 2


def test_weights_are_listed_and_a_damaged_file_fails_the_check(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path / "hub"))
    (folder / "resnet18-f37072fd.pth").write_bytes(b"not these weights")
    (folder / "mine.pth").write_bytes(b"mine")
    assert main(["weights", "list", "--json"]) == 0
    files = {Path(f["path"]).name: f for f in json.loads(capsys.readouterr().out)["files"]}
    assert files["resnet18-f37072fd.pth"]["backbones"] == ["resnet18"]
    assert files["resnet18-f37072fd.pth"]["n_bytes"] == 17
    assert files["resnet18-f37072fd.pth"]["state"].startswith("DAMAGED")
    assert files["mine.pth"]["backbones"] == []
    assert main(["weights", "verify"]) == 1
    assert "resnet18-f37072fd.pth" in capsys.readouterr().err
    (folder / "resnet18-f37072fd.pth").unlink()
    assert main(["weights", "verify"]) == 0


def test_a_folder_in_use_is_refused_and_free_again_afterwards(tmp_path, capsys):
    arguments = ["ablation", "--out", str(tmp_path), "--patients", "1"]
    with locked(tmp_path):
        assert main(arguments) == 1
    said = capsys.readouterr().err
    assert "in use by another run" in said
    with locked(tmp_path):
        pass


def test_json_is_one_object_when_a_command_fails_too(tmp_path, capsys):
    for arguments in (["fit", "--json"], ["ablation", "--json", "--nonsense"]):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        record = json.loads(captured.out)
        assert record["exit_code"] == 2
        assert record["error"] in captured.err


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("declare GenderColumn('sex', values={'x': 'female'})", "--gender-value"),
        ("use columns={'target': TargetColumn('d', positive=...)}", "--positive"),
        (
            "use columns={'target': TargetColumn('d', label_conflicts='keep')}",
            "--label-conflicts keep",
        ),
        ("declare na_values=('?',)", "--na-value"),
        ("columns={'crp': KitColumn('CRP', 0, 5, censored='limit')}", "--censored limit"),
        ("name the column that holds it with columns={'patient_id': ...}", "--same-patient"),
    ],
)
def test_remedies_of_python_are_said_as_options(text, option):
    assert option in with_options(text).partition("\noptions for this: ")[2]


def test_a_message_that_names_the_option_is_left_alone():
    assert with_options("--folds 9 is too many") == "--folds 9 is too many"
    assert with_options("use --na-value; na_values") == "use --na-value; na_values"


def test_an_interrupt_is_exit_code_130(monkeypatch, capsys):
    def interrupted(options, output):
        raise KeyboardInterrupt

    monkeypatch.setattr("skosfusion.cli._ablation.run", interrupted)
    assert main(["ablation"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_what_saving_needs_is_missed_before_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    assert main(["fit", "--patients", "20", "--model", str(tmp_path / "m.safetensors")]) == 1
    said = capsys.readouterr()
    assert "pip install 'skosfusion[skops]'" in said.err
    assert "drawing the cohort" not in said.out
