import json

import numpy as np
import pandas as pd
import pytest

from skosfusion.cli import prepare

from .._helpers.scripts import interpretability, measures

SMALL = ["--epochs", "2", "--folds", "2", "--weights", "none", "--patients", "12"]
SMALL += ["--backbone", "mobilenet_v3_small"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data_home"))


@pytest.fixture(scope="module")
def run(home, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    options = ["--data-home", home, "--out", str(out), "--examples", "2", "--random-models", "2"]
    return out, interpretability.main([*SMALL, *options])


def test_it_writes_tables_images_and_a_record(run):
    out, tables = run
    assert set(tables) == {
        "predictions", "localization", "gradient_ratios", "modality_importance",
    }  # fmt: skip
    for name in tables:
        assert (out / f"{name}.csv").stat().st_size > 0
    record = json.loads((out / "interpretability.json").read_text())
    assert "SYNTHETIC" in record["title"]
    assert record["leaking_patients"] == 0
    assert (out / "clinical_gradients.png").stat().st_size > 10_000
    drawn = {path.stem for path in out.glob("*.png")} - {"clinical_gradients"}
    with_rows = {
        name
        for name in ("right", "false_negatives", "false_positives", "corrected", "worsened")
        if tables["predictions"][name].any()
    }
    assert drawn == with_rows != set()


def test_localization_is_that_of_all_tumors_out_of_fold(run):
    _, tables = run
    table = tables["localization"]
    assert list(table.index) == ["Baseline", "All", "random weights, mean of 2"]
    n_tumors = (tables["predictions"]["label"] == "osteosarcoma").sum()
    assert (table["images"] == n_tumors).all()
    chance = table["chance (box area)"]
    assert chance.max() - chance.min() < 1e-9
    assert 0.05 < chance.iloc[0] < 0.4
    np.testing.assert_allclose(table["hit / chance"][:2], (table["hit rate"] / chance)[:2])
    random = table.loc["random weights, mean of 2"]
    assert random["hit / chance, lowest"] <= random["hit / chance"]
    assert random["hit / chance"] <= random["hit / chance, highest"]


def test_models_with_random_weights_have_learned_nothing(run, home, tmp_path):
    options = interpretability.parse([*SMALL, "--data-home", home, "--random-models", "1"])
    prepared = prepare(options)
    seen = []
    measure = measures.GradCAM

    class Remembering(measure):
        def transform(self, X):
            seen.append(self.estimator)
            return super().transform(X)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "GradCAM", Remembering)
        measures.random_localization(prepared, options)
    classifier = seen[0][-1]
    trained = {name: value.clone() for name, value in classifier.module_.state_dict().items()}
    classifier.history_ = None
    classifier.initialize()
    for name, value in classifier.module_.state_dict().items():
        assert (value == trained[name]).all(), name


def test_own_tables_have_no_boxes(home, tmp_path):
    from skosfusion.datasets import make_osteosarcoma_cohort

    cohort = make_osteosarcoma_cohort(n_patients=12, image_size=64, data_home=home)
    folder, name = zip(*cohort.frame["image"].str.rsplit("/", n=1), strict=True)
    cohort.frame.assign(image=name).to_csv(tmp_path / "images.csv", index=False)
    tables = interpretability.main(
        [
            "--image-table", str(tmp_path / "images.csv"), "--image-folder", folder[0],
            "--positive", "osteosarcoma*", "--epochs", "1", "--folds", "2", "--weights", "none",
            "--backbone", "mobilenet_v3_small", "--rows", "Baseline", "ALP=alp",
            "--data-home", home, "--out", str(tmp_path / "out"),
            "--kit", "alp=alp,alp_low,alp_high",
        ]
    )  # fmt: skip
    assert "localization" not in tables
    assert list(tables["gradient_ratios"]) == ["alp"]
    assert list(tables["modality_importance"].index) == ["image", "laboratory"]
    lines = json.loads((tmp_path / "out" / "interpretability.json").read_text())["lines"]
    assert any("no boxes" in line for line in lines)
    assert isinstance(pd.read_csv(tmp_path / "out" / "predictions.csv"), pd.DataFrame)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "Baseline"], "two rows are compared"),
        (["--examples", "0"], "1 to 40"),
        (["--random-models", "-1"], "0 or more"),
        (["--folds", "1"], "at least 2 folds"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message, capsys):
    with pytest.raises(SystemExit):
        interpretability.parse(options)
    assert message in capsys.readouterr().err
