import hashlib
import json
import re
import tomllib

import pytest

from skosfusion.cli import _main, main
from skosfusion.cli._configuration import for_other_rows
from skosfusion.cli._output import Output


def parsed(arguments):
    return _main._parse(arguments, Output())


@pytest.fixture
def study_file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'image-table = ["table.csv"]\nimage_folder = "images"\nepochs = 7\nrows = ["All"]\n'
        'positive = "tumor*"\nlabel-conflicts = "keep"\nmodel = "m.safetensors"\n'
        'out = "results"\n[kit]\ncrp = "CRP,,5"\n[gender-value]\nweiblich = "female"\n'
    )
    return path


def test_a_file_holds_the_options_by_their_names_and_paths_beside_it(study_file, tmp_path):
    options = parsed(["ablation", "--config", str(study_file)])
    assert options.image_table == [str(tmp_path / "table.csv")]
    assert options.image_folder == str(tmp_path / "images")
    assert options.out == tmp_path / "results"
    assert (options.epochs, options.rows, options.positive) == (7, ["All"], ["tumor*"])
    assert (options.kit, options.gender_value) == (["crp=CRP,,5"], ["weiblich=female"])
    digest = hashlib.sha256(study_file.read_bytes()).hexdigest()
    assert options.configuration == {"file": "study.toml", "sha256": digest}


def test_one_file_serves_all_commands(study_file, tmp_path):
    assert parsed(["fit", "--config", str(study_file)]).model == str(tmp_path / "m.safetensors")
    options = parsed(["predict", "mine.safetensors", "--config", str(study_file)])
    assert (options.model, options.kit) == ("mine.safetensors", ["crp=CRP,,5"])


def test_where_it_runs_may_differ_and_what_it_does_may_not(study_file, capsys):
    base = ["ablation", "--config", str(study_file)]
    assert str(parsed([*base, "--out", "there"]).out) == "there"
    assert parsed([*base, "--epochs", "7", "--folds", "3"]).folds == 3
    for arguments in (["--epochs", "8"], ["other.csv"], ["--kit", "crp=CRP,0,5"]):
        assert main([*base, *arguments]) == 2
        said = capsys.readouterr().err
        assert "contradict each other" in said
        assert "study.toml" in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch = 3", "'epoch' is not an option; did you mean 'epochs'?"),
        ('epochs = "many"', "invalid int value: 'many'"),
        ("epochs = [1, 2]", "epochs = [1, 2] is not a number or a text"),
        ("report = 1", "is not true or false"),
        ("kit = 5", "is not a list of texts"),
        ("positive = [[1]]", "is not a list of texts"),
        ('config = "x"', "'config' is not an option"),
        ("epochs = ", "--config"),
        ('rows = ["-x"]', "is not a list of texts"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(line, message, tmp_path, capsys, monkeypatch):
    path = tmp_path / "study.toml"
    path.write_text(line + "\n")
    monkeypatch.setattr("skosfusion.cli._ablation.run", lambda *_: {})
    assert main(["ablation", "--config", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(tmp_path, capsys):
    assert main(["ablation", "--config", str(tmp_path / "no.toml")]) == 2
    assert "there is no such file" in capsys.readouterr().err
    assert main(["ablation", "--config", str(tmp_path)]) == 2
    assert "folder" in capsys.readouterr().err


def test_what_is_written_repeats_the_run(study_file, tmp_path):
    written = tmp_path / "deeper" / "again.toml"
    written.parent.mkdir()
    base = ["ablation", "--config", str(study_file), "--positive", "tumor*"]
    first = parsed(
        [*base, "--seed", "4", "--na-value", 'a "b" ü\\', "--write-config", str(written)]
    )
    assert tomllib.loads(written.read_text())["image-folder"] == "../images"
    second = parsed(["ablation", "--config", str(written)])
    for options in (first, second):
        vars(options).pop("configuration")
        vars(options).pop("config")
        vars(options).pop("write_config")
        options.image_table = [str((tmp_path / path).resolve()) for path in options.image_table]
        options.image_folder = str((tmp_path / options.image_folder).resolve())
        options.out = options.out.resolve()
    assert vars(first) == vars(second)
    assert second.seed == 4


def test_the_record_and_the_report_name_the_file_and_the_engine(study, tmp_path):
    folder, _, common = study
    path = folder / "study.toml"
    path.write_text(
        'image-table = "table.csv"\nweights = "none"\nepochs = 12\nfolds = 2\nimage-size = 32\n'
        'batch-size = 8\nrows = ["Baseline"]\nreport = true\nengine = "eager"\n'
    )
    out = tmp_path / "out"
    assert main(["ablation", "--config", str(path), *common, "--out", str(out)]) == 0
    record = json.loads((out / "ablation.json").read_text())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["configuration"] == {"file": "study.toml", "sha256": digest}
    page = (out / "report" / "report.html").read_text()
    assert digest in page
    assert record["settings"]["engine_used"] == "eager"
    assert re.search(r"<t[dh][^>]*>engine</t[dh]>\s*<td[^>]*>eager</td>", page)


def test_other_rows_take_no_table_of_the_file():
    in_file = {"image_table": ["a"], "clinical_table": ["b"], "image_folder": "c", "sheet": ["d"]}
    in_file |= {"column": ["age=e"]}
    assert for_other_rows({"out": "x"}, in_file) == in_file
    new = for_other_rows({"image_table": ["n"]}, in_file)
    assert new == {"image_folder": "c", "column": ["age=e"]}
    new = for_other_rows({"image_table": ["n"], "image_folder": "m"}, in_file)
    assert new == {"column": ["age=e"]}
