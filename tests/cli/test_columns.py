import pytest

from skosfusion import datasets
from skosfusion.cli._columns import declarations, split, target_of
from skosfusion.cli._errors import UsageError
from skosfusion.cli._options import check_table_options
from skosfusion.cli._parser import make_parser


def options_of(*arguments):
    parser, commands = make_parser()
    options = parser.parse_args(["ablation", "t.csv", *arguments])
    check_table_options(commands["ablation"], options)
    return options


def test_columns_and_kits_become_declarations():
    options = options_of(
        "--column", "gender=sex", "--kit", "crp=CRP,,5", "--kit", "ldh=LDH,low,high",
        "--censored", "limit", "--keep", "site", "--keep", "view=projection",
    )  # fmt: skip
    found = declarations(options)
    limit = {"censored": "limit"}
    assert found.pop("age") == datasets.AgeColumn(**limit)
    assert found == {
        "gender": "sex",
        "ldh": datasets.KitColumn("LDH", "low", "high", **limit),
        "crp": datasets.KitColumn("CRP", None, 5.0, **limit),
        "site": datasets.KeptColumn("site"),
        "view": datasets.KeptColumn("projection"),
    }


def test_labels():
    options = options_of("--target", "d", "--positive", "a", "--label-conflicts", "keep")
    expected = datasets.TargetColumn("d", positive="a", label_conflicts="keep")
    assert target_of(options) == expected


@pytest.mark.parametrize(
    ("arguments", "kind", "name", "column", "given"),
    [
        (["--number", "bmi=BMI"], "NumberColumn", "bmi", ("BMI",), {}),
        (["--category", "view=projection"], "CategoryColumn", "view", ("projection",), {}),
        (["--one-hot", "site=femur, tibia"], "OneHotColumn", "site", (("femur", "tibia"),), {}),
        (["--gender-value", "d=female"], "GenderColumn", "gender", (), {"values": {"d": "female"}}),
        (["--suffix", ".png"], "ImageColumn", "image", (), {"suffix": ".png"}),
    ],
)
def test_further_kinds(arguments, kind, name, column, given, monkeypatch):
    made = lambda *args, **options: (args, options)  # noqa: E731
    monkeypatch.setattr(datasets, kind, made, raising=False)
    assert declarations(options_of(*arguments))[name] == (column, given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kit", "crp=CRP"], "write it as NAME=VALUE,LOW,HIGH"),
        (["--kit", "crp"], "write it as NAME=VALUE"),
        (["--column", "gender=a", "--column", "gender=b"], "names 'gender' twice"),
        (["--gender-value", "w=f"], "'f' is not allowed; allowed: female or male"),
        (["--kit", "crp=CRP,,5", "--keep", "crp"], "--kit and --keep both name 'crp'"),
        (["--column", "age=a", "--birth-date", "b", "--date", "d"], "exclude each other"),
    ],
)
def test_what_is_written_wrong_is_said(arguments, message):
    with pytest.raises(UsageError, match=message):
        declarations(options_of(*arguments))


def test_a_column_with_a_comma_stands_in_quotation_marks():
    assert split('"LDH, serum",,248') == ["LDH, serum", "", "248"]
