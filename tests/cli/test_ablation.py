import json
import os
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.utils import Bunch

from skosfusion import ABLATIONS, ablation_param_grid, ablation_table
from skosfusion.cli import _cohort as data
from skosfusion.cli import _files as files
from skosfusion.cli import _patients as patients
from skosfusion.cli import _predictions as predictions
from skosfusion.cli import _results as report
from skosfusion.cli import _units as units
from skosfusion.cli import main
from skosfusion.cli._errors import DataProblemError, UsageError
from skosfusion.cli._options import check_ablation_options
from skosfusion.cli._output import Output
from skosfusion.cli._parser import make_parser
from skosfusion.cli._tables import load
from skosfusion.model_selection import _cross_val_scores


def parse(arguments):
    parser, commands = make_parser()
    options = parser.parse_args(["ablation", *arguments])
    check_ablation_options(commands["ablation"], options)
    return options


def run(arguments):
    """Run the command, and return the table that it wrote."""
    assert main(["ablation", *arguments]) == 0
    last = len(arguments) - arguments[::-1].index("--out")
    return pd.read_csv(f"{arguments[last]}/ablation.csv", index_col="row")


SMALL = ["--epochs", "2", "--folds", "2", "--weights", "none", "--image-size", "64"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return str(tmp_path_factory.mktemp("data_home"))


@pytest.fixture(scope="module")
def first_run(home, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    embedded = ["--patients", "20", "--data-home", home, "--out", str(out), *SMALL]
    return out, embedded, run(embedded)


def test_the_embedded_cohort_gives_eight_rows_and_three_files(first_run):
    out, _, table = first_run
    assert list(table.index) == list(ABLATIONS)
    assert (table["n_patients"] == 20).all()
    assert {path.name for path in out.glob("ablation.*")} == {
        "ablation.csv", "ablation.json", "ablation.png"
    }  # fmt: skip
    record = json.loads((out / "ablation.json").read_text())
    assert record["leaking_patients"] == 0
    assert record["leakage"] == {
        "leaks": False,
        "leaking_patients_by_fold": [0, 0],
        "leaking_images": 0,
        "patients_with_two_labels": 0,
        "repeated_images": [],
    }
    assert {"torch", "skosfusion"} <= record["versions"].keys()
    assert record["settings"]["seed"] == 0
    assert len(record["folds"]["f1"]["All"]) == 2


def test_run_again_it_reads_what_is_done_and_gives_the_same_table(first_run, monkeypatch):
    out, arguments, table = first_run
    parts = sorted((out / "parts").rglob("*.json"))
    assert len(parts) == 16
    for part in parts[::2]:
        part.unlink()
    parts[1].write_text("{ half a fi")
    calls = []
    fit_one = _cross_val_scores._fit_one

    def counted(*args):
        calls.append(args)
        return fit_one(*args)

    monkeypatch.setattr(_cross_val_scores, "_fit_one", counted)
    again = run(arguments)
    assert len(calls) == 9
    pd.testing.assert_frame_equal(again, table)


def test_a_report_has_comparators_and_names_the_cohort_synthetic(home, tmp_path, capsys):
    arguments = [
        "--patients", "26", "--data-home", home, "--out", str(tmp_path), "--folds", "2",
        "--weights", "none", "--epochs", "30", "--batch-size", "8", "--rows", "Baseline", "All",
        "--image-size", "64",
    ]  # fmt: skip
    before = run(arguments)
    capsys.readouterr()
    table = run([*arguments, "--report"])
    printed = capsys.readouterr().out
    assert list(table.index)[2:] == ["Clinical only", "Logistic regression", "Majority class"]
    pd.testing.assert_frame_equal(table.loc[["Baseline", "All"]], before)
    assert table.loc["Majority class", "recall"] == 0
    assert "are kept as" not in printed
    page = (tmp_path / "report" / "report.html").read_text()
    assert "The cohort is SYNTHETIC" in page
    assert "Adding gender, age, alp and ldh (row All) changes AUC by" in page
    record = json.loads((tmp_path / "ablation.json").read_text())
    evidence = json.loads((tmp_path / "report" / "evidence.json").read_text())
    found = {line["row"]: line["auc"] for line in evidence["metrics"]}
    assert {row: line["auc"] for row, line in record["by_patient"].items()} == found
    assert f"{found['Logistic regression']:.4f} [" in printed
    assert "patient0" not in page


def test_a_row_whose_classes_weigh_the_same(home, tmp_path):
    arguments = [
        "--patients", "26", "--data-home", home, "--out", str(tmp_path), "--folds", "2",
        "--weights", "none", "--epochs", "3", "--batch-size", "8", "--rows", "All",
    ]  # fmt: skip
    table = run([*arguments, "--class-weighted"])
    assert list(table.index) == ["All", "All inputs, class-weighted", "Majority class"]
    scores = pd.read_csv(tmp_path / "predictions.csv")
    assert (scores["All"] != scores["All inputs, class-weighted"]).any()


def test_scores_that_are_refused_cost_the_figures_by_patient_only(capsys):
    result = Bunch(
        y=[0, 1, 0, 1], groups=list("abcd"), fold=[0, 0, 1, 1], scores={"A": [0.1, 0.9, 0.2, 0.8]}
    )
    options = parse(["--report"])
    assert patients.evaluate(result, {"A": ()}, options, Output()) is None
    assert "no figures by patient: row 'A'" in capsys.readouterr().out
    assert patients.evaluate(result, {"A": ()}, parse(["--image-wise"]), Output()) is None


def test_what_a_killed_run_left_unfinished_is_removed_an_hour_later(first_run):
    out, arguments, _ = first_run
    part = next((out / "parts").rglob("*.json"))
    unfinished = [
        part.with_name(f".x.json.{'0' * 32}.tmp"),
        out / f".ablation.csv.{'0' * 32}.tmp",
    ]
    young = part.with_name(f".y.json.{'0' * 32}.tmp")
    for path in [*unfinished, young]:
        path.write_text("{ half a fi")
    for path in unfinished:
        os.utime(path, (time.time() - 7200,) * 2)
    run(arguments)
    assert not any(path.exists() for path in unfinished)
    assert young.exists()
    young.unlink()


def test_predictions_are_kept_under_pseudonyms_and_the_key_apart(first_run, home):
    out, arguments, _ = first_run
    cohort = load(parse(arguments), Output())
    lines = pd.read_csv(out / "predictions.csv")
    assert list(lines.columns) == ["patient", "image", "label", "fold", *ABLATIONS]
    assert len(lines) == len(cohort.data)
    assert set(lines["patient"]) == {f"P{number:04d}" for number in range(1, 21)}
    assert lines["patient"].is_monotonic_increasing
    assert (lines.groupby("patient")["fold"].max() == lines.groupby("patient")["fold"].min()).all()
    path = out / "predictions-key.csv"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    key = pd.read_csv(path).set_index("patient")["pseudonym"]
    labels = lines.groupby("patient")["label"].max()
    for patient, label in zip(cohort.groups, cohort.target, strict=True):
        assert labels[key[patient]] == label
    record = json.loads((out / "ablation.json").read_text())
    for row in ABLATIONS:
        right = (lines[row] > 0) == lines["label"]
        assert right.groupby(lines["fold"]).mean().tolist() == record["folds"]["accuracy"][row]
    before = (out / "predictions.csv").read_bytes(), path.read_bytes()
    run(arguments)
    assert ((out / "predictions.csv").read_bytes(), path.read_bytes()) == before


def test_pseudonyms_are_drawn_and_a_damaged_key_is_drawn_anew(tmp_path):
    patients = [f"p{number}" for number in range(200)]
    scores = {"All": np.arange(200.0)[:, None]}
    result = Bunch(groups=patients, y=np.ones(200), fold=np.zeros((200, 1)), scores=scores)
    drawn = []
    for damage in (None, "patient\np0\n", "pseudonym,patient\nP0001,p0\nP0001,p1\n"):
        if damage is not None:
            (tmp_path / "predictions-key.csv").write_text(damage)
        predictions.write_predictions(tmp_path, result)
        drawn.append(pd.read_csv(tmp_path / "predictions.csv")["All"].tolist())
    assert len(set(map(tuple, drawn))) == 3
    assert all(sorted(one) == scores["All"][:, 0].tolist() for one in drawn)


def test_predictions_of_another_run_are_kept_with_their_key(first_run, tmp_path):
    _, arguments, _ = first_run
    arguments = [*arguments, "--rows", "Baseline", "--out", str(tmp_path)]
    run(arguments)
    before = (tmp_path / "predictions.csv").read_bytes()
    run([*arguments, "--epochs", "1"])
    kept = sorted(tmp_path.glob("predictions-*.csv"))
    assert len(kept) == 3
    assert before in [path.read_bytes() for path in kept]


def test_a_row_scores_the_same_in_a_shorter_run(first_run, tmp_path):
    _, arguments, table = first_run
    alone = run([*arguments, "--rows", "Baseline", "Age", "--out", str(tmp_path)])
    pd.testing.assert_frame_equal(alone, table.loc[["Baseline", "Age"]])


def test_other_settings_do_not_meet_old_parts(first_run):
    out, arguments, _ = first_run
    before = len(list((out / "parts").iterdir()))
    run([*arguments, "--epochs", "1", "--rows", "Baseline"])
    assert len(list((out / "parts").iterdir())) == before + 1


def test_results_of_other_options_in_one_folder_are_kept_and_said(first_run, tmp_path, capsys):
    _, arguments, table = first_run
    arguments = [*arguments, "--rows", "Baseline", "Age", "--out", str(tmp_path)]
    run(arguments)
    first = {path.name: path.read_bytes() for path in tmp_path.glob("ablation*.[cj]s*")}
    capsys.readouterr()
    run([*arguments, "--jobs", "2"])
    assert "results of another run" not in capsys.readouterr().out
    assert sorted(tmp_path.glob("ablation-*")) == []
    run([*arguments, "--epochs", "1"])
    printed = capsys.readouterr().out
    kept = sorted(tmp_path.glob("ablation-*"))
    assert [path.suffix for path in kept] == [".csv", ".json", ".png"]
    assert all(str(path) in printed for path in kept)
    assert kept[0].read_bytes() == first["ablation.csv"]
    assert json.loads((tmp_path / "ablation.json").read_text())["settings"]["epochs"] == 1
    back = run(arguments)
    pd.testing.assert_frame_equal(back, table.loc[["Baseline", "Age"]])
    assert len(list(tmp_path.glob("ablation-*"))) == 6


def test_a_table_that_nobody_knows_is_kept_too(first_run, tmp_path, capsys):
    (tmp_path / "ablation.csv").write_text("row,accuracy\nmine,1.0\n")
    run([*first_run[1], "--rows", "Baseline", "--out", str(tmp_path)])
    (kept,) = tmp_path.glob("ablation-*")
    assert kept.read_text() == "row,accuracy\nmine,1.0\n"
    assert str(kept) in capsys.readouterr().out


def test_what_is_renamed_half_is_renamed_the_next_time(tmp_path):
    for name in ("csv", "json", "png"):
        (tmp_path / f"ablation.{name}").write_text('{"run": {"options": 1}}')
    (_, csv), (_, png), (_, record) = files.set_aside(tmp_path, "ablation", {"options": 2})
    for path in (png, record):
        os.replace(path, tmp_path / f"ablation{path.suffix}")
    assert len(files.set_aside(tmp_path, "ablation", {"options": 2})) == 2
    assert {path.name for path in tmp_path.iterdir()} == {csv.name, png.name, record.name}


def test_parts_belong_to_the_bytes_of_the_images_and_to_the_kits(bunch, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(os.path.dirname(bunch.data["image"].iloc[0]), folder)
    bunch.data["image"] = [str(folder / os.path.basename(path)) for path in bunch.data["image"]]
    before = units._digest({}, bunch)
    path = bunch.data["image"].iloc[5]
    state = os.stat(path)
    content = bytearray((folder / os.path.basename(path)).read_bytes())
    content[-20] ^= 1
    with open(path, "wb") as file:
        file.write(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert os.stat(path).st_size == state.st_size
    changed = units._digest({}, bunch)
    assert changed != before
    os.utime(path)
    assert units._digest({}, bunch) == changed
    bunch.kits = bunch.kits | {"alp": ("alp", 40, 120)}
    assert units._digest({}, bunch) != changed


def test_size_and_stages_stand_in_the_title(first_run, tmp_path):
    _, arguments, _ = first_run
    two_stages = ["--image-size", "32", "--frozen-epochs", "1", "--rows", "Baseline"]
    run([*arguments, *two_stages, "--out", str(tmp_path)])
    title = json.loads((tmp_path / "ablation.json").read_text())["title"]
    assert "random weights, images of 32 x 32 pixels, encoder fixed for 1 epochs" in title


def test_an_image_wise_split_is_called_leaking(first_run, capsys):
    out, arguments, _ = first_run
    run([*arguments, "--image-wise", "--rows", "Baseline"])
    record = json.loads((out / "ablation.json").read_text())
    assert record["leaking_patients"] > 0
    assert record["leakage"]["leaks"] is True
    assert max(record["leakage"]["leaking_patients_by_fold"]) <= record["leaking_patients"]
    assert "LEAKING" in record["title"]
    printed = capsys.readouterr().out
    assert "LEAKING" in printed
    assert (
        f"in both the training and the test set: {record['leaking_patients']} patients (P00"
        in printed
    )


def test_it_says_that_the_cohort_is_synthetic(first_run, capsys):
    run([*first_run[1], "--rows", "Baseline"])
    printed = capsys.readouterr().out
    assert "SYNTHETIC" in printed
    assert "no figure here is medical" in printed


def test_own_tables_run_with_options_only(cohort, home, tmp_path):
    table = cohort.rename(columns={"patient_id": "record", "gender": "sex", "alp": "ALP"})
    table["finding"] = np.where(table.pop("diagnosis"), "osteosarcoma, tibia", "sprain")
    folder = table["image"].str.rsplit("/", n=1).str[0].iloc[0]
    table["image"] = table["image"].str.rsplit("/", n=1).str[1]
    table.to_csv(tmp_path / "table.csv", index=False)
    arguments = [
        "--image-table", str(tmp_path / "table.csv"), "--image-folder", folder,
        "--column", "patient_id=record", "--column", "gender=sex",
        "--kit", "alp=ALP,40,130", "--target", "finding", "--positive", "osteosarcoma*",
        "--rows", "Baseline", "Laboratory=alp", "All=gender+age+alp",
        "--data-home", home, "--out", str(tmp_path / "out"), *SMALL,
    ]  # fmt: skip
    result = run(arguments)
    assert list(result.index) == ["Baseline", "Laboratory", "All"]
    assert (result["n_images"] == 48).all()
    assert not any(column.startswith("paper") for column in result)


@pytest.fixture
def bunch(cohort):
    return Bunch(
        data=cohort.drop(columns="diagnosis"),
        target=cohort["diagnosis"].to_numpy(),
        groups=cohort["patient_id"].to_numpy(),
        kits={"alp": (), "ldh": ()},
    )


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_the_parts_are_the_grid_search(backend, pipeline, bunch, tmp_path):
    rows = {"Baseline": (), "ALP": ("alp",), "All": ("gender", "age", "alp", "ldh")}
    folds = data.make_folds(parse(["--folds", "3"]), bunch)
    parts = units.run_units(
        pipeline, bunch, rows, folds, settings={}, folder=tmp_path, jobs=2, backend=backend
    ).cv_results
    search = GridSearchCV(
        pipeline, ablation_param_grid(rows), cv=folds, scoring=list(units.METRICS), refit=False
    ).fit(bunch.data, bunch.target)
    pd.testing.assert_frame_equal(ablation_table(parts, rows), ablation_table(search, rows))


@pytest.fixture
def own_table(cohort, tmp_path):
    """A user's table beside its images, and the options that read it."""
    folder = cohort["image"].iloc[0].rsplit("/", 1)[0]
    table = cohort.assign(image=cohort["image"].str.rsplit("/", n=1).str[1])
    path = tmp_path / "table.csv"
    options = ["--image-table", str(path), "--image-folder", folder, "--rows", "Baseline", "All"]
    return table, path, [*options, "--out", str(tmp_path / "out"), *SMALL]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("gender", "unknown", r"'unknown'.*row 40(?s:.*)--na-value"),
        ("age", 130, "130.*row 40"),
        ("alp_high", 10, "row 40"),
    ],
)
def test_a_bad_value_is_named_with_the_row_of_the_table_before_anything_runs(
    column, value, message, own_table, home, capsys
):
    table, path, options = own_table
    table[column] = table[column].astype(object)
    table.loc[table["patient_id"] == table.loc[40, "patient_id"], column] = value
    table.to_csv(path, index=False)
    assert main(["ablation", *[*options, "--data-home", home]]) == 3
    assert re.search(message, capsys.readouterr().err)


def test_an_input_without_values_in_a_fold_is_named(own_table, home, capsys):
    table, path, options = own_table
    table["ldh"] = table["ldh"].where(table["patient_id"] == table.loc[0, "patient_id"])
    table.to_csv(path, index=False)
    assert main(["ablation", *[*options, "--data-home", home]]) == 3
    assert re.search("input 'ldh' has 2 values in all", capsys.readouterr().err)


def test_unusable_images_stop_the_run_or_are_left_out(own_table, home, tmp_path, capsys):
    table, path, options = own_table
    broken = tmp_path / "images"
    shutil.copytree(options[3], broken)
    (broken / table.loc[7, "image"]).write_bytes(b"not an image")
    options[3] = str(broken)
    table.to_csv(path, index=False)
    assert main(["ablation", *[*options, "--data-home", home]]) == 3
    assert re.search(r"row 7(?s:.*)--unusable-images exclude", capsys.readouterr().err)
    assert "encoding" not in capsys.readouterr().out
    result = run([*options, "--data-home", home, "--unusable-images", "exclude"])
    assert (result["n_images"] == len(table) - 1).all()
    assert "left out 1 of 48 images" in capsys.readouterr().out


def test_an_image_of_two_patients_is_a_warning_and_the_run_goes_on(
    own_table, home, tmp_path, capsys
):
    table, path, options = own_table
    images = tmp_path / "images"
    shutil.copytree(options[3], images)
    options[3] = str(images)
    for row in range(4, len(table), 4):
        shutil.copy(images / table.loc[0, "image"], images / table.loc[row, "image"])
    table.to_csv(path, index=False)
    run([*options, "--data-home", home])
    printed = capsys.readouterr().out
    assert "WARNING: images in both the training and the test set: 1;" in printed
    assert printed.index("WARNING") < printed.index("encoding the images")
    record = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert (record["leaking_patients"], record["leakage"]["leaking_images"]) == (0, 1)
    rows = [line["row"] for line in record["leakage"]["repeated_images"]]
    assert rows == list(range(0, len(table), 4))
    assert record["leakage"]["repeated_images"][1] == {
        "image_id": 0, "row": 4, "several_names": True, "several_patients": True,
        "several_labels": False, "in_both": True,
    }  # fmt: skip


def test_a_failing_part_stops_the_run_with_its_cause(pipeline, bunch, tmp_path):
    pipeline.set_params(classifier__max_epochs=0)
    folds = data.make_folds(parse(["--folds", "2"]), bunch)
    with pytest.raises(ValueError, match="max_epochs=0"):
        units.run_units(
            pipeline,
            bunch,
            {"A": ()},
            folds,
            settings={},
            folder=tmp_path,
            jobs=2,
            backend="threading",
        )


def test_folds_keep_patients_together_unless_asked_otherwise(bunch):
    by_patient = data.make_folds(parse([]), bunch)
    by_image = data.make_folds(parse(["--image-wise"]), bunch)
    assert data.find_leaks(parse([]), bunch, by_patient, Output()).n_leaking_patients == 0
    assert data.find_leaks(parse([]), bunch, by_image, Output()).n_leaking_patients > 0


def test_a_fold_with_one_class_is_refused_before_training(bunch):
    bunch.target = np.zeros(len(bunch.target), int)
    bunch.target[bunch.groups == "p000"] = 1
    with pytest.raises(UsageError, match=r"one class only; use fewer --folds"):
        data.make_folds(parse(["--folds", "3"]), bunch)


def test_labels_that_are_not_binary_ask_for_the_positive_ones(bunch):
    bunch.target = np.array(["benign", "malignant"])[bunch.target]
    with pytest.raises(DataProblemError, match=r"--positive LABEL"):
        data.make_folds(parse([]), bunch)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "Everything"], "neither NAME=input"),
        (["--rows", "X=weight"], "uses 'weight'; the inputs are gender, age, alp, ldh"),
    ],
)
def test_unknown_rows_and_inputs_are_named(arguments, message, bunch):
    with pytest.raises(UsageError, match=message):
        data.choose_rows(parse(arguments).rows, bunch)


def test_default_rows_follow_the_inputs_there_are(bunch):
    assert data.choose_rows(None, bunch) is ABLATIONS
    bunch.kits = {"saturation": ()}
    rows = data.choose_rows(None, bunch)
    assert list(rows) == ["Baseline", "Gender", "Age", "Saturation", "All"]


def test_the_papers_table_is_copied_right():
    assert report.PAPER.keys() == ABLATIONS.keys()
    assert report.PAPER["All"] == (0.9719, 0.9826, 0.9549, 0.9685)
    assert report.PAPER["Baseline"] == (0.9435, 0.9588, 0.9144, 0.9357)
