import csv
import importlib.util
import json
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch

from skosfusion import check_leakage, validate_by_site, write_report
from skosfusion.evaluation import evaluate_scores

from .conftest import FOLD, GROUPS, N_PATIENTS, Y

HOSTILE = "<script>alert(1)</script>"
FORMULA = '=cmd("calc")'
LATEX = r"\input{/etc/passwd}"


class Page(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.targets, self.texts = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.targets += [v for n, v in attributes if n in ("src", "href", "action", "data")]
        self.targets += [n for n, _ in attributes if n.startswith("on")]

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def written(folder, evaluation, **options):
    """Write a report; return its page, its record, and all that is in any of its files."""
    files = write_report(folder, evaluation, **options)
    everything = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert {path for path in folder.rglob("*") if path.is_file()} == set(files)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    return page, json.loads((folder / "evidence.json").read_text(encoding="utf-8")), everything


@pytest.fixture
def no_pictures(monkeypatch):
    find_spec = importlib.util.find_spec
    for name in ("skosfusion.report._pictures",):
        module = importlib.import_module(name)
        monkeypatch.setattr(
            module, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name)
        )


pytestmark = pytest.mark.usefixtures("no_pictures")


def test_the_page_stands_alone_and_answers_first(evaluate, cohort, tmp_path):
    evaluation = evaluate()
    settings = {"rows": {"Baseline": {"inputs": []}, "All": {"inputs": ["alp", "ldh"]}}, "seed": 3}
    page, record, _ = written(tmp_path, evaluation, cohort=cohort, settings=settings)
    assert not page.tags & {"script", "link", "iframe", "object", "form", "base"}
    assert all(target.startswith("#") for target in page.targets)
    line = evaluation.differences.loc[("All", "auc")]
    expected = (
        f"Adding alp and ldh (row All) changes AUC by {line['difference']:+.3f} "
        f"[{line['low']:.3f}, {line['high']:.3f}] by patient; with training uncertainty "
        f"[{line['low_training']:.3f}, {line['high_training']:.3f}]: better."
    )
    assert expected in record["answers"]["Does it help?"]
    assert page.text.index(expected) < page.text.index("Patient flow")
    assert "80 patients, 160 images; patients with each label: sprain 40, sarcoma 40." in page.text
    assert "Leaks: not looked for." in page.text
    assert "No site was left out" in page.text
    assert not record["synthetic"]
    found = {(line["row"], line["metric"]): line for line in record["differences"]}
    assert found["All", "auc"]["low"] == line["low"]
    assert record["tables"]["claim"]["rows"][27] == [
        "28", "metrics", "answered here: Rows with intervals"
    ]  # fmt: skip
    assert len(record["tables"]["claim"]["rows"]) == 44
    assert record["tables"]["tripod"]["rows"][0] == ["1", "title", "yours to write"]


def test_a_null_result_is_told_as_one(evaluate, tmp_path):
    page, record, _ = written(tmp_path, evaluate(strength=0.3))
    first, second, *_ = record["answers"]["Does it help?"]
    assert first == (
        "Of 1 row compared with Baseline by AUC, 0 shown to be better, 0 shown to be worse, "
        "1 not shown."
    )
    assert second.endswith(": not shown.")
    assert "better" not in page.text.replace("0 shown to be better", "").replace('"better"', "")


def test_what_training_does_not_bear_is_not_shown(evaluate, tmp_path):
    evaluation = evaluate()
    line = evaluation.differences.loc[("All", "auc")]
    assert line["low"] > 0
    evaluation.differences.loc[("All", "auc"), ["low_training", "verdict"]] = [-0.1, "not shown"]
    _, record, _ = written(tmp_path, evaluation)
    assert re.search(r"\[-0\.100, .*\]: not shown\.$", record["answers"]["Does it help?"][1])


def test_one_test_set_says_nothing_of_training(tmp_path):
    score = np.random.default_rng(0).normal(3.0 * Y)
    noise = np.random.default_rng(1).normal(size=len(Y))
    evaluation = evaluate_scores(
        Y, {"Baseline": noise, "All": score}, groups=GROUPS, fold=None, baseline="Baseline",
        n_resamples=100, random_state=0,
    )  # fmt: skip
    _, record, _ = written(tmp_path, evaluation)
    sentence = record["answers"]["Does it help?"][1]
    assert sentence.endswith(
        "training uncertainty is not known: better, for these trained models only."
    )


def test_without_a_baseline_nothing_is_said_to_help(evaluate, tmp_path):
    _, record, _ = written(tmp_path, evaluate(baseline=None))
    assert record["answers"]["Does it help?"][0].startswith("No row was declared as baseline")


def test_a_metric_without_a_better_side_says_nothing_of_help(evaluate, tmp_path):
    _, record, everything = written(tmp_path, evaluate(metrics=["expected_observed"]))
    sentence = record["answers"]["Does it help?"][0]
    assert sentence.startswith("Of the metrics that were evaluated none is better the higher")
    assert "no row beside" not in everything


def test_the_positive_class_has_its_name(evaluate, cohort, tmp_path):
    page, _, _ = written(tmp_path, evaluate(), cohort=cohort)
    assert "Positive class: sarcoma (1). Threshold: 0.5." in page.text
    named = np.array(["benign", "sarcoma"])[Y]
    page, _, _ = written(tmp_path, evaluate(y=named))
    assert "Positive class: sarcoma. Threshold: 0.5." in page.text


def test_tables_can_be_scrolled_by_keyboard_below_their_captions(evaluate, tmp_path):
    write_report(tmp_path, evaluate())
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<caption" not in page
    regions = re.findall(r'<div class="scroll"[^>]*>', page)
    assert len(regions) == page.count("<table") > 3
    assert all('tabindex="0" aria-labelledby="table-' in region for region in regions)
    assert len(set(re.findall(r' id="([^"]*)"', page))) == len(re.findall(r' id="', page))


def test_one_row_has_none_beside_it(tmp_path):
    evaluation = evaluate_scores(
        Y, {"All": np.random.default_rng(0).normal(Y)}, groups=GROUPS, fold=FOLD, baseline="All",
        n_resamples=50, random_state=0,
    )  # fmt: skip
    _, record, _ = written(tmp_path, evaluation)
    assert record["answers"]["Does it help?"][0].startswith("There is no row beside the baseline")


@pytest.mark.parametrize("labels", [(-1, 1), (-2.5, 0.5), ("-1", "+1")])
def test_numbers_as_labels_stay_numbers(labels, evaluate, tmp_path):
    written(tmp_path, evaluate(y=np.array(labels)[Y]))
    lines = pd.read_csv(tmp_path / "predictions.csv")
    assert set(lines["label"]) == {float(label) for label in labels}


def test_the_synthetic_cohort_is_named_on_the_first_screen(evaluate, cohort, tmp_path):
    cohort.DESCR = "Synthetic osteosarcoma cohort\n\nEverything here is SYNTHETIC."
    page, record, _ = written(tmp_path, evaluate(), cohort=cohort)
    assert record["synthetic"]
    assert page.text.index("The cohort is SYNTHETIC") < page.text.index("Does it help?")


def test_hostile_texts_are_shown_and_do_nothing(evaluate, cohort, tmp_path):
    evaluation = evaluate(
        names=("Base", f"{FORMULA} {HOSTILE} {LATEX} & 5 % $x$ a_b #1 {{}} ~^ | `x`"),
        subgroups={f"site {HOSTILE}": np.where(np.arange(160) < 80, FORMULA, LATEX)},
    )
    cohort.data[HOSTILE] = np.where(Y == 1, LATEX, "[0] *bold*")
    cohort.target_names = ["@SUM(1)", "\x1b[31mred\u202e"]
    cohort.flow = pd.DataFrame({"reason": [f"{HOSTILE} | b\n# c"], "n_images": [160]})
    shortcuts = Bunch(
        table=pd.DataFrame(
            [[HOSTILE, 80, 0.9, 0.8, 0.95, True, LATEX]],
            columns=["what", "n", "auc", "low", "high", "warns", "note"],
        ),
        time=pd.DataFrame([[FORMULA, 9, 2]], columns=["what", "n_known", "n_after"]),
    )
    settings = {HOSTILE: {"deep": LATEX}, "weights": "/home/mueller/private/w.pt"}
    settings["estimator"] = (
        "Model(memory='C:\\Users\\Anna mueller\\m', to=PosixPath('/a b/mueller/c'))"
    )
    settings["[1pt]"] = 1
    settings["folder"] = "/home/anna/the mueller study/x y.csv"
    page, _, everything = written(
        tmp_path, evaluation, cohort=cohort, shortcuts=shortcuts, settings=settings,
        title=f"{HOSTILE}{FORMULA}",
    )  # fmt: skip
    assert "script" not in page.tags
    assert HOSTILE in page.text
    markdown = (tmp_path / "report.md").read_text()
    assert "<" not in markdown
    assert "\n# c" not in markdown
    tables = "\n".join(path.read_text() for path in (tmp_path / "tables").glob("*.tex"))
    assert r"\input" not in tables
    assert r"\textbackslash{}input\{/etc/passwd\}" in tables.replace(".../passwd", "/etc/passwd")
    assert r"\& 5 \% \$x\$ a\_b \#1 \{\} \textasciitilde{}\textasciicircum{}" in tables
    assert not re.search(r"(?m)^[\[*]", tables)
    lines = list(csv.reader((tmp_path / "predictions.csv").read_text().splitlines()))
    assert lines[0][4].startswith("'=cmd")
    assert {line[1] for line in lines[1:]} == {"'@SUM(1)", "[31mred"}
    assert "mueller" not in everything
    assert "memory='.../m', to=PosixPath('.../c')" in page.text
    assert ".../w.pt" in everything
    assert not re.search("[\x1b\u202e]", everything)


def test_every_row_of_latex_has_as_many_cells_as_its_head(evaluate, cohort, tmp_path):
    write_report(tmp_path, evaluate(), cohort=cohort)
    for path in (tmp_path / "tables").glob("*.tex"):
        rows = [line for line in path.read_text().splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_no_record_number_is_in_any_file(evaluate, cohort, tmp_path):
    leaking = check_leakage(
        cohort.frame if "frame" in cohort else cohort.data, cohort.groups,
        [(np.arange(100), np.arange(60, 160))], target=cohort.target, image=None, on_leak="ignore",
    )  # fmt: skip
    assert leaking.n_leaking_patients
    cohort.data["ward"] = np.where(np.arange(160) < 80, "north", "seen by KH-7003")
    evaluation = evaluate(
        names=("Baseline", "All of KH-7001"), subgroups={"who": np.where(Y, "KH-7002", "other")}
    )
    page, _, everything = written(
        tmp_path, evaluation, cohort=cohort, leakage=leaking, settings={"note": "KH-7004 is odd"}
    )
    assert not re.search(r"KH-7\d\d\d", everything)
    assert "[withheld]" in page.text
    assert "20 patients" in page.text
    assert "not checked: repeated images" not in page.text


def test_names_of_patients_that_stand_alone_are_withheld(tmp_path):
    names = np.array([f"Doe, J. {n}" for n in range(N_PATIENTS)])[np.repeat(range(N_PATIENTS), 2)]
    score = np.random.default_rng(0).normal(2.0 * Y)
    evaluation = evaluate_scores(
        Y, score, groups=names, fold=FOLD, n_resamples=100, random_state=0,
        subgroups={"who": np.where(Y, "Doe, J. 7", "others")},
    )  # fmt: skip
    *_, everything = written(tmp_path, evaluation)
    assert "Doe, J" not in everything


def test_parts_of_a_check_that_were_not_done_are_told(evaluate, cohort, tmp_path):
    found = check_leakage(cohort.data, cohort.groups, target=None, image=None, on_leak="ignore")
    page, record, _ = written(tmp_path, evaluate(), leakage=found)
    rows = dict(record["tables"]["leakage"]["rows"])
    assert rows["in both the training and the test set"] == "not checked"
    assert rows["near images of different patients"] == "not checked"
    assert rows["patients that differ in spelling only"] == "0 pairs"
    assert "none found; not checked: in both the training and the test set" in page.text


def test_predictions_are_those_of_the_evaluation_under_other_names(evaluate, tmp_path):
    evaluation = evaluate()
    write_report(tmp_path, evaluation)
    lines = pd.read_csv(tmp_path / "predictions.csv")
    assert set(lines["patient"]) == {f"P{n:04d}" for n in range(1, N_PATIENTS + 1)}
    assert lines["patient"].is_monotonic_increasing
    assert sorted(lines["All"]) == sorted(evaluation.scores["All"][:, 0])
    of_score = dict(zip(evaluation.scores["All"][:, 0], evaluation.y, strict=True))
    assert [of_score[score] for score in lines["All"]] == lines["label"].tolist()
    assert lines["All"].tolist() != evaluation.scores["All"][:, 0].tolist()


@pytest.mark.parametrize(("n_few", "masked"), [(3, True), (5, False), (4, True)])
def test_few_patients_are_masked_and_cannot_be_had_by_subtraction(
    n_few, masked, evaluate, cohort, tmp_path
):
    patient = np.repeat(np.arange(N_PATIENTS), 2)
    site = np.where(patient < n_few, "tiny", np.where(patient < 30, "middle", "large"))
    cohort.data["site"] = site
    _, record, everything = written(tmp_path, evaluate(subgroups={"site": site}), cohort=cohort)
    rows = {row[1]: row[2:] for row in record["tables"]["subgroups"]["rows"]}
    assert rows["tiny"][0] == ("<5" if masked else "5")
    assert rows["large"][0] == "50"
    assert rows["middle"][0] == ("masked" if masked else "25")
    if masked:
        assert set(rows["tiny"][1:]) == {"masked"}
        assert f"tiny & {n_few}" not in everything
    table = {row[0]: row[1:] for row in record["tables"]["table_one"]["rows"]}
    # Of 3 to 5 patients, each class has fewer than 5.
    assert table["site: tiny"][:3] == ["<5", "<5", "masked"]
    assert table["site: middle"][:3] == ["masked"] * 3
    assert table["site: large"][0] == "25 (62 %)"
    assert table["site: missing"][2] == "0 (0 %)"


def test_missing_values_of_few_patients_are_masked(evaluate, cohort, tmp_path):
    cohort.data.loc[:3, "alp"] = np.nan
    cohort.data.loc[:59, "age"] = np.nan
    _, record, _ = written(tmp_path, evaluate(), cohort=cohort)
    table = {row[0]: row[1:] for row in record["tables"]["table_one"]["rows"]}
    assert table["alp: missing"] == ["<5", "<5", "masked", ""]
    assert table["age: missing"] == ["15", "15", "30", ""]
    sentence = next(s for s in record["answers"]["What could be wrong with it?"] if "Missing" in s)
    assert sentence == "Missing values, share of patients: age 38 %, alp in a few."


def test_differences_of_patients_are_standardized(evaluate, cohort, tmp_path):
    _, record, _ = written(tmp_path, evaluate(), cohort=cohort)
    table = {row[0]: row for row in record["tables"]["table_one"]["rows"]}
    one, other = (cohort.data["alp"][::2][Y[::2] == label] for label in (0, 1))
    smd = (other.mean() - one.mean()) / np.sqrt((one.var() + other.var()) / 2)
    assert table["alp"][-1] == f"{smd:.2f}"
    women = (cohort.data["gender"] == "F")[::2]
    p, q = (women[Y[::2] == label].mean() for label in (0, 1))
    smd = abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert table["gender: F"][-1] == f"{smd:.2f}"
    assert "alp_low" not in str(table)


def test_age_bands_and_sex_are_subgroups_by_default(evaluate, cohort, tmp_path):
    _, record, _ = written(tmp_path, evaluate(), cohort=cohort)
    rows = record["tables"]["subgroups"]["rows"]
    assert [row[1] for row in rows] == ["0 to 17", "18 to 39", "40 to 64", "F", "M"]
    women = cohort.data["gender"] == "F"
    expected = evaluate(subgroups={"sex": cohort.data["gender"]}).subgroups
    value = expected.loc[("sex", "F", "All"), "auc"]
    assert rows[3][2] == str(women[::2].sum())
    assert rows[3][3].startswith(f"{value:.3f} [")


def test_a_subgroup_of_one_class_has_no_figure(evaluate, tmp_path):
    levels = np.where((np.arange(160) < 60) & (Y == 1), "sick", "mixed")
    _, record, _ = written(tmp_path, evaluate(subgroups={"part": levels}))
    rows = {row[1]: row[2:] for row in record["tables"]["subgroups"]["rows"]}
    assert rows["sick"] == ["15", *["too few patients of a class"] * 3]
    assert rows["mixed"][1].startswith("0.")


def test_three_classes(cohort, tmp_path):
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(N_PATIENTS) % 3, 2)
    scores = {
        name: strength * np.eye(3)[y] + random.normal(size=(160, 3))
        for name, strength in (("Baseline", 0.2), ("All", 3.0))
    }
    evaluation = evaluate_scores(
        y, scores, groups=GROUPS, fold=FOLD, baseline="Baseline", n_resamples=100, random_state=0
    )
    cohort.target, cohort.target_names = y, ["a", "b", "c"]
    page, record, _ = written(tmp_path, evaluation, cohort=cohort)
    assert "a 27, b 27, c 26" in page.text
    assert "Row All instead of Baseline changes AUC by +0." in page.text
    assert record["tables"]["table_one"]["columns"][3] == "c (n = 26)"
    heads = pd.read_csv(tmp_path / "predictions.csv").columns
    assert list(heads[3:6]) == ["Baseline: a", "Baseline: b", "Baseline: c"]
    assert "calibration" not in record["tables"]


def test_sites_are_pooled_and_few_patients_masked(evaluate, tmp_path):
    patient = np.repeat(np.arange(N_PATIENTS), 2)
    site = np.where(patient < 4, "tiny", np.where(patient < 40, "north", "south"))
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(Y)})
    sites = validate_by_site(LogisticRegression(), X, Y, site=site, groups=GROUPS)
    page, record, _ = written(tmp_path, evaluate(), sites=sites)
    rows = {row[1]: row for row in record["tables"]["sites"]["rows"]}
    assert rows["tiny"][2:5] == ["<5", "masked", "masked"]
    assert rows["south"][2:4] == ["40", "80"]
    assert "sites left out in turn: mean AUC" in page.text


def test_a_gallery_is_said_and_loses_what_is_beside_the_pixels(evaluate, tmp_path):
    note = PngInfo()
    note.add_text("PatientName", "Mueller")
    path = tmp_path / "Mueller.png"
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(path, pnginfo=note)
    folder = tmp_path / "out"
    page, _, everything = written(folder, evaluate(), gallery=[path])
    assert page.text.index("PICTURES OF PATIENTS") < page.text.index("Does it help?")
    picture = next(target for target in page.targets if target.startswith("data:image/png"))
    assert "Mueller" not in everything
    import base64

    assert b"Mueller" not in base64.b64decode(picture.partition(",")[2])
    page, *_ = written(folder, evaluate())
    assert "PICTURES OF PATIENTS" not in page.text
    with pytest.raises(TypeError, match="picture 0 is a int"):
        write_report(folder, evaluate(), gallery=[3])


def test_files_of_an_earlier_report_go_and_others_stay(evaluate, cohort, tmp_path):
    write_report(tmp_path, evaluate(), cohort=cohort)
    assert (tmp_path / "tables" / "table_one.tex").exists()
    (tmp_path / "tables" / "mine.tex").write_text("mine")
    write_report(tmp_path, evaluate())
    assert not (tmp_path / "tables" / "table_one.tex").exists()
    assert (tmp_path / "tables" / "mine.tex").exists()


def test_a_report_that_cannot_be_made_leaves_the_last_one(evaluate, tmp_path):
    write_report(tmp_path, evaluate())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(FileNotFoundError):
        write_report(tmp_path, evaluate(strength=0.1), gallery=["nowhere.png"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("evaluation", {"table": 1}), ("cohort", 3), ("leakage", []), ("sites", "north"),
     ("shortcuts", {}), ("gallery", "a.png"), ("settings", [1]), ("title", " ")],
)  # fmt: skip
def test_what_is_not_right_is_named(name, value, evaluate, tmp_path):
    options = {"evaluation": evaluate(), name: value}
    with pytest.raises(ValueError, match=rf"{name}.*allowed"):
        write_report(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_numbers_that_are_not_defined_are_json(evaluate, tmp_path):
    evaluation = evaluate()
    evaluation.table.loc["All", ["auc_low", "brier"]] = np.nan, np.inf
    page, record, _ = written(tmp_path, evaluation)
    line = next(line for line in record["metrics"] if line["row"] == "All")
    assert line["auc_low"] is None
    assert line["brier"] is None
    assert "no interval" in page.text
    assert "nan" not in page.text.split()


def test_torch_and_matplotlib_are_not_loaded_for_a_report_without_pictures(evaluate, tmp_path):
    loaded = "matplotlib.pyplot" in sys.modules
    page, *_ = written(tmp_path, evaluate())
    assert "img" not in page.tags
    assert ("matplotlib.pyplot" in sys.modules) == loaded


@pytest.mark.parametrize("text", ["seen 007.55.07 twice", "Doe,  John 007", "MRN_1007", "1234570"])
def test_record_numbers_are_withheld_in_every_spelling(text):
    from types import SimpleNamespace

    from skosfusion.report._given import Given

    groups = np.array(["007.55.07", "Doe, John 007", "mrn_1007", "1234570.0"])
    evaluation = SimpleNamespace(groups=groups, y=np.array([0, 1, 0, 1]))
    others = dict.fromkeys(("cohort", "leakage", "shortcuts", "sites", "gallery", "settings"))
    shown = Given(evaluation, **others).text(text)
    assert "007" not in shown
    assert "1234570" not in shown
    assert "withheld" in shown
