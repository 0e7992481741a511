"""Cases 94, 96 to 98, 103, 104 and 106 of the catalogue: words and formats of tables."""

import bz2
import gzip
import io
import lzma
import re
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

from skosfusion.datasets import KitColumn, PatientColumn, TargetColumn, load_cohort
from skosfusion.datasets._near_names import nearest_names
from skosfusion.exceptions import TableError
from skosfusion.model_selection import check_leakage

LONG_LABELS = ["1234567890123456789", "1234567890123456781", "1234567890123456789"]
LONG = [110101199003074257, 110101199003074258, 110101199003074259]


def declared(message, option):
    """Return what a message tells to type for `columns`, the one that holds this option."""
    import skosfusion.datasets as datasets

    texts = re.findall(r"columns=(\{'\w+': .*?\)\})", message)
    text = next(text for text in texts if option in text)
    return eval(text, vars(datasets))  # noqa: S307


def with_labels(table, *labels):
    return table.assign(diagnosis=pd.Series(labels, dtype=object))


# 94: record numbers


@pytest.mark.parametrize(
    "numbers",
    [
        np.array(LONG, float),
        np.array([1, 2, 2**24], np.float32),
        ["1.2E+15", "1.3E+15", "7"],
        ["1,2E+15", "7", "8"],
        ["1.10101199003074e+17", "7", "8"],
        ["########", "7", "8"],
        ["#REF!", "7", "8"],
        [str(number // 1000 * 1000 + 1000 * i) for i, number in enumerate(LONG)],
    ],
    ids=[
        "float64",
        "float32",
        "spreadsheet",
        "comma",
        "str(float)",
        "hashes",
        "error",
        "fifteen digits",
    ],
)
def test_case_94_record_numbers_that_lost_their_digits(folder, table, numbers):
    """Record numbers whose last digits a float or spreadsheet has lost: ValueError, `dtype=str`."""
    table["patient_id"] = numbers
    with pytest.raises(ValueError, match=r"'patient_id' of the image table.*dtype=str") as caught:
        load_cohort(table, image_folder=folder)
    columns = declared(str(caught.value), "lost_digits")
    assert columns == {"patient_id": PatientColumn(lost_digits="allow")}
    table["diagnosis"] = 1  # patients have become one
    load_cohort(table, image_folder=folder, columns=columns)


def test_case_94_the_remedy(folder, table):
    """The table read again as text: all digits are there."""
    path = folder / "table.csv"
    table.assign(patient_id=LONG).to_csv(path, index=False)
    cohort = load_cohort(pd.read_csv(path, dtype=str), image_folder=folder)
    assert cohort.groups.tolist() == [str(number) for number in LONG]
    assert load_cohort(path).groups.tolist() == cohort.groups.tolist()


def test_case_94_in_groups(folder, table):
    """Patients given as floats that have lost digits: ValueError in check_leakage, too."""
    X = pd.DataFrame({"image": [str(folder / "a.png")] * 3})
    with pytest.raises(ValueError, match="lost its last digits"):
        check_leakage(X, np.array(LONG, float), [([0], [1, 2])])


@pytest.mark.parametrize(
    "numbers",
    [
        ["12E4", "1E5", "3e1f"],
        [2**53 + 1, 2**60, 7],
        [17.0, 1e15, 3.0],
        ["1.5", "2", "3"],
        ["110101199003074000", "110101199003075000", "7"],  # by chance
    ],
)
def test_case_94_sound_record_numbers(folder, table, numbers):
    """Record numbers with letters, long whole numbers, and floats that hold them: taken."""
    assert len(set(load_cohort(table.assign(patient_id=numbers), image_folder=folder).groups)) == 3


# 96, 97: labels

SPELLINGS = {
    "case": ["yes", "no", "Yes"],
    "inner space": ["high grade", "no", "high  grade"],
    "no-break space": ["high grade", "no", "high\u00a0grade"],
    "invisible": ["yes", "no", "yes\u200b"],
    "hyphen": ["non-tumor", "x", "non tumor"],
    "another hyphen": ["non-tumor", "x", "non\u2011tumor"],
    "underscore": ["high_grade", "x", "high grade"],
    "full width": ["ABC", "x", "\uff21\uff22\uff23"],
    "accent": ["n\u00e9ant", "x", "ne\u0301ant"],
    "full stop": ["Osteosarcoma", "x", "Osteosarcoma."],
    "number": ["1", "x", "1.0"],
    "quotes": ["yes", "x", '"yes"'],
    "ligature": ["fibroma", "x", "\ufb01broma"],
    "Cyrillic letter": ["tumor", "x", "tum\u043er"],
    "leading zero": ["01", "x", "1"],
    "leading zero among numbers": ["007", "8", "7"],
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_case_96_spellings_of_a_label(folder, table, kind):
    """Labels that differ in spelling only: ValueError with the list; merged where declared."""
    table = with_labels(table, *SPELLINGS[kind])
    with pytest.raises(ValueError, match="differ in spelling only") as caught:
        load_cohort(table, image_folder=folder)
    assert all(repr(SPELLINGS[kind][place]) in str(caught.value) for place in (0, 2))
    merged = load_cohort(table, image_folder=folder, columns=declared(str(caught.value), "'merge'"))
    assert len(merged.target_names) == 2
    kept = load_cohort(table, image_folder=folder, columns=declared(str(caught.value), "'keep'"))
    assert len(kept.target_names) == 3


@pytest.mark.parametrize(
    "labels", [["1.10", "1.1", "2"], ["2E65", "2E66", "2E65"], LONG_LABELS, ["10", "1E1", "x"]]
)
def test_case_96_codes_that_a_number_would_confuse(folder, table, labels):
    """Codes that differ, and would not as numbers: classes of their own; `positive` is exact."""
    table = with_labels(table, *labels)
    cohort = load_cohort(table, image_folder=folder)
    assert sorted(map(str, cohort.target_names)) == sorted(set(labels))
    columns = {"target": TargetColumn("diagnosis", positive=labels[0])}
    target = load_cohort(table, image_folder=folder, columns=columns).target
    assert target.tolist() == [int(label == labels[0]) for label in labels]


@pytest.mark.parametrize("labels", [["0", "1", "1"], ["1.0", "0", "1"], ["2.5", "3", "2.5"]])
def test_case_96_numbers_stay_numbers(folder, table, labels):
    """Labels that are written as plain numbers: those numbers."""
    target = load_cohort(with_labels(table, *labels), image_folder=folder).target
    assert target.tolist() == [float(label) for label in labels]


def test_case_96_categories(folder, table):
    """Categories that differ in outer space only: the same; merged, they stay categories."""
    table["diagnosis"] = pd.Categorical(["yes", "yes ", "no"])
    with pytest.raises(ValueError, match="spelling only: 'yes'"):
        load_cohort(table, image_folder=folder)
    columns = {"target": TargetColumn(spellings="merge")}
    merged = load_cohort(table, image_folder=folder, columns=columns).frame["diagnosis"]
    assert merged.cat.categories.tolist() == ["no", "yes"]


@pytest.mark.parametrize("labels", [["a+", "a-", "a"], ["HER2+", "HER2-", "x"], ["I", "II", "III"]])
def test_case_96_other_labels(folder, table, labels):
    """Labels that differ in more than spelling: taken as they are."""
    cohort = load_cohort(with_labels(table, *labels), image_folder=folder)
    assert cohort.target.tolist() == labels


@pytest.mark.parametrize(
    ("positive", "labels", "target"),
    [
        ("malignant", ["Malignant", "non-malignant", "benign"], [1, 0, 0]),
        ("ICU", ["ICU", "no ICU", "icu "], [1, 0, 1]),
        ("1", ["1", "10", "2"], [1, 0, 0]),
        ("0", [0.0, 1.0, 10.0], [1, 0, 0]),
        (1, [1, 10, 2], [1, 0, 0]),
        (["grade 2", "grade 3"], ["grade 1", "Grade-2", "grade 3"], [0, 1, 1]),
        ("covid*", ["COVID-19", "covid", "other covid"], [1, 1, 0]),
        ("a.b*", ["a.b", "axb", "a.bc"], [1, 0, 1]),
    ],
)
def test_case_97_positive_is_a_whole_label(folder, table, positive, labels, target):
    """`positive` is a whole label, a list, or a pattern with "*"; DESCR shows the mapping."""
    columns = {"target": TargetColumn(positive=positive)}
    cohort = load_cohort(with_labels(table, *labels), image_folder=folder, columns=columns)
    assert cohort.target.tolist() == target
    zero, one = re.search(r"Labels: 0 \(.*?\): (.*); 1 \(.*?\): (.*)", cohort.DESCR).groups()
    for label, value in zip(labels, target, strict=True):
        assert f"{str(label)!r} 1" in (one if value else zero)


@pytest.mark.parametrize("positive", ["*", ["a", "b", "c"], "tumor", "left", ["a", "typo"]])
def test_case_97_all_or_none_positive(folder, table, positive):
    """All labels positive, or none: ValueError that shows each label and what it would be."""
    columns = {"target": TargetColumn(positive=positive)}
    table = with_labels(table, "a", "b", "c")
    with pytest.raises(ValueError, match=r"positive=.*'a': \d \(1 rows\), 'b': \d"):
        load_cohort(table, image_folder=folder, columns=columns)


def test_case_97_part_of_labels(folder, table):
    """A text that is part of labels only: ValueError with the labels to declare, which works."""
    table = with_labels(table, "tumor left", "Tumor right", "bruise")
    with pytest.raises(ValueError, match="it is part of 2 labels") as caught:
        load_cohort(table, image_folder=folder, columns={"target": TargetColumn(positive="tumor")})
    for option in ("('tumor left'", "'*tumor*'"):
        columns = declared(str(caught.value), option)
        assert load_cohort(table, image_folder=folder, columns=columns).target.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "negated",
    [
        "no ICU",
        "NOT ICU",
        "ICU: negative",
        "kein ICU",
        "non-ICU",
        "no sign of ICU",
        "ICU ruled out",
        "ICU-free",
        "ICUfrei",
        "negative for ICU",
        "no definite ICU",
        "denies ICU",
        "ICU: no",
        "ICU=0",
        "nonICU",
        "r/o ICU",
        "unlikely ICU",
    ],
)
def test_case_97_pattern_that_matches_its_opposite(folder, table, negated):
    """A pattern that counts "no ICU" as positive: a warning with the labels."""
    columns = {"target": TargetColumn(positive="*ICU*")}
    with pytest.warns(UserWarning, match=f"1 label \\({negated!r}\\).* 1 of 3 rows"):
        load_cohort(with_labels(table, "ICU", negated, "x"), image_folder=folder, columns=columns)


def test_case_97_pattern_beside_a_negation(folder, table):
    """A pattern beside a "non" that belongs to another word: no warning."""
    columns = {"target": TargetColumn(positive="*carcinoma*")}
    table = with_labels(table, "non-small cell carcinoma", "carcinoma", "x")
    assert load_cohort(table, image_folder=folder, columns=columns).target.tolist() == [1, 1, 0]


@pytest.mark.parametrize("label", ["unknown", "?", "TODO", "n.d.", "#N/A!"])
@pytest.mark.parametrize("positive", [None, "ill"])
def test_case_97_label_that_is_not_known(folder, table, label, positive):
    """A label that says "unknown": a warning, with the line that leaves its rows out."""
    table = with_labels(table, "ill", label, "well")
    columns = {"target": TargetColumn(positive=positive)}
    with pytest.warns(UserWarning, match="in 1 of 3 rows") as caught:
        load_cohort(table, image_folder=folder, columns=columns)
    [line] = re.findall(r"table = (.*)$", str(caught[0].message))
    left = eval(line, {"table": table})  # noqa: S307
    assert len(load_cohort(left, image_folder=folder, columns=columns).data) == 2


@pytest.mark.parametrize("label", ["none", "None", "null", "NA"])
def test_case_97_label_that_reads_as_missing(folder, table, label):
    """A label such as "none": ValueError that says so; its line makes it a class."""
    table = with_labels(table, "ICU", label, label)
    with pytest.raises(ValueError, match=f"1 text \\('{label}'\\) there is read as miss") as caught:
        load_cohort(table, image_folder=folder)
    line = re.search(r"= (table\[.*\))\)", str(caught.value))[1]
    table["diagnosis"] = eval(line, {"table": table})  # noqa: S307
    cohort = load_cohort(table, image_folder=folder)
    assert list(cohort.target_names) == ["ICU", "no finding"]


# 98: names of columns


@pytest.mark.parametrize(
    "names",
    [
        ["Age", "Gender", "ALP", "ALP_low", "ALP_high"],
        ["age ", " gender", "alp ", "alp low", "alp-high"],
        ["Age (years)", "Sex", "ALP [U/l]", "ALP_LOW", "ALP_HIGH"],
        ["AGE\u200b", "Geschlecht", "A.L.P.", "Alp Low", "Alp High"],
        ["age_at_diagnosis", "PatientSex", "Alk. Phos.", "ALP_min", "ALP_max"],
        ["Alter [Jahre]", "Geschl.", "ALP (U/l)", "ALP LLN", "ALP ULN"],
    ],
)
def test_case_98_near_names(folder, table, names):
    """Columns whose names are nearly ours: a warning with what to declare, and DESCR says so."""
    table = table.assign(
        **dict(zip(names, ([14] * 3, list("FMF"), [100] * 3, 40, 150), strict=True))
    )
    with pytest.warns(UserWarning, match="nearly") as caught:
        cohort = load_cohort(table, image_folder=folder)
    assert "Inputs: none\nInputs not found: gender, age, alp, ldh" in cohort.DESCR
    columns = {}
    for warning in caught:
        columns |= eval(re.search(r"columns=(\{.*?\}) to read", str(warning.message))[1])  # noqa: S307
    cohort = load_cohort(table, image_folder=folder, columns=columns)
    assert "Inputs: gender, age, alp" in cohort.DESCR
    assert cohort.data[["age", "alp", "alp_high"]].to_numpy().tolist() == [[14, 100, 150]] * 3
    nothing = {"gender": None, "age": None, "alp": None}
    assert load_cohort(table, image_folder=folder, columns=nothing).kits == {}


@pytest.mark.parametrize("name", ["gendre", "Gneder", "genders"])
def test_case_98_names_with_a_typo(folder, table, name):
    """A letter left out, doubled or exchanged: a warning with what to declare."""
    with pytest.warns(UserWarning, match=f"{name}.*nearly|nearly.*{name}"):
        load_cohort(table.assign(**{name: list("FMF")}), image_folder=folder)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(("alp", column) for column in ("S-ALP", "ALKP", "\u0430lp", "ALP (serum)")),
        *(("ldh", column) for column in ("LD", "P-LDH")),
        ("age", "Age at Dx"),
    ],
)
def test_case_98_names_of_laboratories(name, column):
    """What laboratories call a column, or one with a Cyrillic letter: near."""
    assert nearest_names(name, [column, "grade"]) == [column]


@pytest.mark.parametrize("name", ["stage", "image_age_group", "page", "msex", "alpha", "low"])
def test_case_98_other_names(folder, table, name):
    """Columns of other names: no warning."""
    load_cohort(table.assign(**{name: 1}), image_folder=folder)


def test_case_98_columns_that_are_used(folder, table):
    """A near name that is declared for something else: no warning."""
    columns = {"alkaline": KitColumn("ALP", 40, 120)}
    load_cohort(table.assign(ALP=[50, 60, 70]), image_folder=folder, columns=columns)


# 103: formats

ROWS = "image;patient_id;age;diagnosis\na.png;007;14,5;ja\nb.png;008;15;n\u00f6\n"


def zipped(name, text):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return target.getvalue()


COMMA = ROWS.replace(",", ".").replace(";", ",")
FILES = {
    "semicolon": ROWS.encode(),
    "byte order mark": b"\xef\xbb\xbf" + ROWS.encode(),
    "sep line": b"sep=,\n" + COMMA.encode(),
    "sep line of semicolons": b'"sep=;"\r\n' + ROWS.encode(),
    "tab": COMMA.replace(",", "\t").encode(),
    "bar": COMMA.replace(",", "|").encode(),
    "windows": ROWS.encode("cp1252"),
    "windows with commas": COMMA.encode("cp1252"),
    "utf-16": COMMA.replace(",", "\t").encode("utf-16"),
    "utf-16 without mark": COMMA.encode("utf-16-le"),
    "gzip": gzip.compress(ROWS.encode()),
    "gzip of commas": gzip.compress(COMMA.encode()),
    "bz2": bz2.compress(ROWS.encode()),
    "xz": lzma.compress(ROWS.encode()),
    "zip": zipped("table.csv", ROWS),
    "zip of commas": zipped("export/Table.TXT", COMMA),
}

COMPRESSED = {"gzip", "gzip of commas", "bz2", "xz", "zip", "zip of commas"}


def follow(error):
    """Return the table that the line of pandas in an error reads."""
    line = re.search(r"table = (pd\..*?\))(?:;|$)", str(error))[1]
    return eval(line, {"pd": pd})  # noqa: S307


@pytest.mark.parametrize("kind", FILES)
def test_case_103_texts_of_hospitals(folder, kind):
    """Semicolons, tabs, "sep=", Windows, UTF-16: read and said; gzip: the line of pandas works."""
    path = folder / "table.csv"
    path.write_bytes(FILES[kind])
    if kind in COMPRESSED:
        with pytest.raises(ValueError, match=r"read the image table 'table.csv': it is ") as e:
            load_cohort(path)
        cohort = load_cohort(follow(e.value), image_folder=folder)
    else:
        cohort = load_cohort(path)
        assert "Read: table.csv: separated by" in cohort.DESCR
    assert cohort.data["age"].tolist() == [14.5, 15]
    assert cohort.groups.tolist() == ["007", "008"]
    assert cohort.target.tolist() == ["ja", "n\u00f6"]


def test_case_103_archive_of_several_files(folder):
    """A zip archive with more than the table: ValueError that says to unpack it."""
    with zipfile.ZipFile(folder / "table.zip", "w") as archive:
        archive.writestr("table.csv", COMMA)
        archive.writestr("__MACOSX/._table.csv", "x")
    with pytest.raises(ValueError, match="zip archive of 2 files; unpack it"):
        load_cohort(folder / "table.zip")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"PK\x03\x04" + b"\xb3" * 50, "is damaged .*save the workbook again"),
        (b"\xd0\xcf\x11\xe0" + b"0" * 50, r"\.xls; .*pd.read_excel"),
        (b"<html><table>", r"pd.read_html\("),
        (b'[{"image": "a.png"}]', r"pd.read_json\("),
        (b"$FL2@(#) SPSS", r"pd.read_spss\("),
    ],
)
def test_case_103_other_formats(folder, head, said):
    """Old Excel, JSON, SPSS and others under any name: ValueError with the line that reads it."""
    (folder / "table.csv").write_bytes(head)
    with pytest.raises(ValueError, match=said):
        load_cohort(folder / "table.csv")


def test_case_103_a_workbook(folder, table):
    """An Excel workbook: read, under any name."""
    pytest.importorskip("openpyxl")
    pytest.importorskip("python_calamine")
    table.assign(patient_id=["007", "008", "009"]).to_excel(folder / "table.xlsx", index=False)
    (folder / "table.xlsx").rename(folder / "table.csv")
    cohort = load_cohort(folder / "table.csv")
    assert cohort.groups.tolist() == ["007", "008", "009"]


def test_case_103_lines_above_the_header(folder):
    """Lines of a title above the names of the columns: ValueError; its line of pandas works."""
    path = folder / "table.csv"
    path.write_text("Report of 2020\n" + COMMA)
    with pytest.raises(ValueError, match="lines of a title") as caught:
        load_cohort(path)
    line = re.search(r"table = (pd\..*?\))", str(caught.value))[1]
    table = eval(line, {"pd": pd, "path": path})  # noqa: S307
    assert len(load_cohort(table, image_folder=folder).data) == 2


# 104, 106: long tables, and all problems at once


def test_case_104_loading_is_linear(folder, monkeypatch):
    """A table of many rows: each file is looked at once, each cell read once."""
    from skosfusion.datasets import _image_files

    calls = []
    monkeypatch.setattr(_image_files, "check_file", lambda path, row: calls.append(path))
    monkeypatch.setattr(pd.Series, "__setitem__", lambda *a: pytest.fail("written cell by cell"))
    n = 4000
    table = pd.DataFrame(
        {
            "image": ["a.png", "b.png"] * (n // 2),
            "patient_id": [str(i // 3) for i in range(n)],
            "diagnosis": [(i // 3) % 2 for i in range(n)],
        }
    )
    real, seen = _image_files.os.path.realpath, []
    monkeypatch.setattr(
        _image_files.os.path, "realpath", lambda path: seen.append(path) or real(path)
    )
    assert len(load_cohort(table, image_folder=folder).data) == n
    assert len(calls) == 2
    assert len(seen) <= 3


def test_case_104_many_short_rows(folder):
    """A file of many short rows: it takes a few times its size, not sixty times."""
    import tracemalloc

    path = folder / "table.csv"
    path.write_text("image,patient_id,diagnosis\n" + "a.png,1,x\n" * 300_000)
    tracemalloc.start()
    from skosfusion.datasets._tables import open_table

    open_table(path, "image table", frozenset())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30 * path.stat().st_size


def test_case_106_all_problems_in_one_go(folder, table):
    """Several problems of a table: one error that lists them all."""
    table = table.assign(age=["six", "3,5", "12"], alp=[1, 2, "5 U/l"], alp_low=0, alp_high="x")
    table["image"] = ["a.png", "gone.png", "../c.png"]
    with pytest.raises(TableError) as caught:
        load_cohort(table, image_folder=folder)
    text = str(caught.value)
    for part in ("'six'", "'3,5'", "'5 U/l'", "'x'", "gone.png", "outside the image folder"):
        assert part in text
    assert text.startswith("6 problems:")
    assert len(caught.value.problems) == 6


def test_case_106_in_both_tables(folder, table):
    """Problems of both tables and of their join: in the same list."""
    records = pd.DataFrame({"patient_id": ["1", "1", "2"], "age": ["x", "3", "4"], "note": 1})
    with pytest.raises(ValueError, match="4 problems") as caught:
        load_cohort(table.assign(image=["a.png", "b.png", 3]), records, image_folder=folder)
    for part in ("several records", "no record for 1 patient", "column 'age'", "of type str"):
        assert part in str(caught.value)


def test_case_106_problems_of_one_kind(folder, table):
    """Many cells or files of one kind: one problem with the count, or an error of their type."""
    with pytest.raises(ValueError, match=r"decimal comma.* so are 2 more rows \(1, 2\)"):
        load_cohort(table.assign(age=["3,5", "4,25", "5,5"]), image_folder=folder)
    with pytest.raises(FileNotFoundError, match="3 problems") as caught:
        load_cohort(table.assign(image=["x.png", "y.png", "z.png"]), image_folder=folder)
    assert len(caught.value.problems) == 3


def test_sound_tables_give_no_warning(folder, table):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_cohort(
            table.assign(age=[9.5, 71, 12], alp=[90, 999, 99], alp_low=40, alp_high=130),
            image_folder=folder,
        )
