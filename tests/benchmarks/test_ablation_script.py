import json

from skosfusion.cli import main

from .._helpers.scripts import BENCHMARKS, ablation

SMALL = [
    "--patients", "20", "--epochs", "2", "--folds", "2", "--weights", "none", "--image-size", "32",
    "--rows", "Baseline", "All",
]  # fmt: skip


def test_the_script_and_the_command_give_the_same_table_to_the_byte(tmp_path):
    home = ["--data-home", str(tmp_path / "home")]
    assert ablation.main([*SMALL, *home, "--out", str(tmp_path / "script")]) == 0
    assert main(["ablation", *SMALL, *home, "--out", str(tmp_path / "command")]) == 0
    tables = [(tmp_path / name / "ablation.csv").read_bytes() for name in ("script", "command")]
    assert tables[0] == tables[1]
    names = {path.name for path in (tmp_path / "script").iterdir()}
    assert names >= {"ablation.csv", "ablation.json", "ablation.png", "predictions.csv", "parts"}


def test_differences_by_patient_are_printed_and_kept(tmp_path, capsys):
    home = ["--data-home", str(tmp_path / "home")]
    assert ablation.main([*SMALL, *home, "--out", str(tmp_path / "script")]) == 0
    said = capsys.readouterr().out
    for part in ("difference", "with training", "verdict", "always naming the larger class"):
        assert part in said
    record = json.loads((tmp_path / "script" / "ablation.json").read_bytes())
    assert record.keys() >= {"cohort", "folds", "leakage", "leaking_patients", "rows", "settings"}
    assert record["run"].keys() == {"options", "digest"}
    assert {"auc", "difference", "low", "high", "verdict"} <= set(record["by_patient"]["All"])


def test_what_the_script_does_not_know_goes_to_the_command(monkeypatch):
    handed = []
    monkeypatch.setattr("skosfusion.cli.main", lambda arguments: handed.append(arguments) or 7)
    for more in (["--image-table", "t.csv"], ["--rows", "X=age"], ["--folds", "1"]):
        assert ablation.main([*SMALL, *more]) == 7
        assert handed[-1] == ["ablation", *SMALL, *more]


def test_the_script_is_short():
    assert len((BENCHMARKS / "ablation.py").read_text().splitlines()) <= 150
