"""`skosfusion fit --ablation`: the model of a row, recalibrated by its scores out of fold."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from skosfusion import Recalibration, evaluate_scores, load_model, load_recalibration
from skosfusion.cli import main

from .conftest import OF_MODEL

FOLDS = ["--folds", "2"]
ROWS = ["--rows", "Baseline", "Some=age+ldh"]


@pytest.fixture(scope="module")
def ablation(study, tmp_path_factory):
    """The folder of an ablation with labels that the scores cannot tell apart without error."""
    _, table, common = study
    place = tmp_path_factory.mktemp("ablation")
    noisy = table.assign(diagnosis=np.arange(len(table)) // 2 % 3 == 0).astype({"diagnosis": int})
    noisy.to_csv(place / "noisy.csv", index=False)
    arguments = [str(place / "noisy.csv"), *common, *OF_MODEL]
    out = place / "out"
    assert main(["ablation", *arguments, *FOLDS, *ROWS, "--out", str(out)]) == 0
    return out, arguments


def lean(scores, labels):
    """Make scores that tell the labels, with errors."""
    noise = np.random.default_rng(0).normal(size=len(labels))
    return np.asarray(scores) + np.asarray(labels) + noise


@pytest.fixture(autouse=True)
def slope(monkeypatch):
    """Scores of random weights say nothing, and their slope may be below 0: make it one above."""
    from skosfusion.cli import _recalibrate

    evaluate = _recalibrate.evaluate_scores

    def leaning(y, scores, **options):
        return evaluate(y, {row: lean(x, y) for row, x in scores.items()}, **options)

    monkeypatch.setattr(_recalibrate, "evaluate_scores", leaning)


def fit(arguments, out, model, *more):
    return main(["fit", *arguments, "--ablation", str(out), "--model", str(model), *more])


def test_a_model_is_recalibrated_as_python_does_it(ablation, tmp_path, capsys):
    out, arguments = ablation
    path = tmp_path / "m.safetensors"
    assert fit(arguments, out, path, "--row", "Some", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["inputs"] == ["image", "age", "ldh"]
    scores = pd.read_csv(out / "predictions.csv", dtype={"Some": "str"}).astype({"Some": float})
    evaluation = evaluate_scores(
        scores["label"],
        {"Some": lean(scores["Some"], scores["label"])},
        groups=scores["patient"],
        fold=scores["fold"],
        are_log_odds=True,
        random_state=0,
    )
    expected = Recalibration.from_evaluation(evaluation)
    assert load_recalibration(path) == expected
    assert record["recalibration"] == vars(expected)

    table = pd.read_csv(arguments[0], dtype={"patient_id": "str"}).drop(columns="diagnosis")
    table.to_csv(tmp_path / "new.csv", index=False)
    common = arguments[1:5]
    predicted = tmp_path / "p.csv"
    assert main(["predict", str(path), str(tmp_path / "new.csv"), *common, "--out",
                 str(predicted)]) == 0  # fmt: skip
    found = pd.read_csv(predicted, dtype={"recalibrated": "str"}).astype({"recalibrated": float})
    data = table.assign(image=common[1] + "/" + table["image"])
    log_odds = load_model(path).decision_function(data)
    assert np.array_equal(found["recalibrated"], expected.probabilities(log_odds)[:, 1])
    assert np.abs(found["recalibrated"] - found["probability"]).max() > 0.01
    of_patient = np.log(found["patient_probability"] / (1 - found["patient_probability"]))
    np.testing.assert_allclose(
        found["patient_recalibrated"], expected.probabilities(of_patient)[:, 1], rtol=1e-6
    )


def test_without_a_name_the_row_is_the_last(ablation, tmp_path, capsys):
    out, arguments = ablation
    assert fit(arguments, out, tmp_path / "m.safetensors", "--json") == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == ["image", "age", "ldh"]


@pytest.mark.parametrize(
    ("more", "message", "code"),
    [
        (["--row", "Sone"], "--row 'Sone' is none of 'Baseline', 'Some'; did you mean 'Some'?", 2),
        (["--row", "Some", "--inputs", "age"], "--inputs age are not those of row 'Some'", 2),
        (["--epochs", "3"], "is of other options: --epochs 2 there, 3 here", 2),
        (["--missing", "indicator"], "--missing None there, indicator here", 2),
    ],
)
def test_what_does_not_belong_to_the_ablation_is_refused(
    ablation, tmp_path, capsys, more, message, code
):
    out, arguments = ablation
    assert fit(arguments, out, tmp_path / "m.safetensors", *more) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m.safetensors").exists()


def test_other_tables_are_refused(ablation, study, tmp_path, capsys):
    out, arguments = ablation
    table = pd.read_csv(arguments[0], dtype={"patient_id": "str"})
    table.loc[0, "age"] += 1
    table.to_csv(tmp_path / "t.csv", index=False)
    code = fit([str(tmp_path / "t.csv"), *arguments[1:]], out, tmp_path / "m.safetensors")
    assert code == 3
    assert "is of other tables, images, weights or versions" in capsys.readouterr().err


def test_tables_and_results_may_lie_elsewhere(ablation, tmp_path):
    out, arguments = ablation
    moved = shutil.copytree(out, tmp_path / "elsewhere")
    table = shutil.copy(arguments[0], tmp_path / "t.csv")
    assert fit([str(table), *arguments[1:]], moved, tmp_path / "m.safetensors") == 0


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"run": {}}'])
def test_a_folder_without_a_record_is_refused(ablation, tmp_path, capsys, content):
    _, arguments = ablation
    if content is not None:
        (tmp_path / "ablation.json").write_bytes(content)
    assert fit(arguments, tmp_path, tmp_path / "m.safetensors") == 2
    assert "must be the --out of a finished skosfusion ablation" in capsys.readouterr().err


def test_lines_that_are_lost_are_noticed(ablation, tmp_path, capsys):
    out, arguments = ablation
    moved = shutil.copytree(out, tmp_path / "out")
    lines = (moved / "predictions.csv").read_text().splitlines()
    (moved / "predictions.csv").write_text("\n".join(lines[:-1]))
    assert fit(arguments, moved, tmp_path / "m.safetensors") == 2
    assert "has 47 lines for 48 images" in capsys.readouterr().err
    (moved / "predictions.csv").unlink()
    assert fit(arguments, moved, tmp_path / "m.safetensors") == 2


def test_scores_of_split_patients_are_refused(ablation, tmp_path, capsys):
    out, arguments = ablation
    moved = shutil.copytree(out, tmp_path / "out")
    record = json.loads((moved / "ablation.json").read_text())
    record["run"]["options"]["image_wise"] = True
    (moved / "ablation.json").write_text(json.dumps(record))
    assert fit(arguments, moved, tmp_path / "m.safetensors") == 2
    assert "it has split images, not patients" in capsys.readouterr().err


def test_a_row_needs_an_ablation(ablation, tmp_path, capsys):
    _, arguments = ablation
    assert main(["fit", *arguments, "--model", str(tmp_path / "m"), "--row", "Some"]) == 2
    assert "--row needs --ablation, too" in capsys.readouterr().err
