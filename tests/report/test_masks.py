"""Counts of few patients: neither shown nor to be had by subtraction."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.utils import Bunch

from skosfusion import validate_by_site
from skosfusion.datasets import exclude_rows, exclusion_flow
from skosfusion.report import _masks
from skosfusion.report._checks import flow
from skosfusion.report._given import Given

from .conftest import GROUPS, N_PATIENTS, Y
from .test_write_report import no_pictures, written  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("no_pictures")


def consistent(texts, total):
    """Return all counts that a reader of these texts and their sum holds possible."""
    ways = []
    for text in texts:
        if text == _masks.FEW:
            ways.append(range(1, _masks.FEWEST))
        elif text == _masks.MASKED:
            ways.append([n for n in range(total + 1) if not _masks.is_few(n)])
        else:
            ways.append([int(text)])
    return [counts for counts in itertools.product(*ways) if sum(counts) == total]


@given(st.lists(st.integers(0, 15), min_size=2, max_size=4))
def test_a_count_of_a_few_could_be_any_of_these(counts):
    shown = _masks.masked_parts(dict(enumerate(counts)))
    assert not any(text.isdigit() and _masks.is_few(int(text)) for text in shown.values())
    if _masks.FEW not in shown.values():
        return
    possible = consistent(shown.values(), sum(counts))
    for place, text in shown.items():
        if text == _masks.FEW:
            assert {one[place] for one in possible} == {1, 2, 3, 4}


@given(st.lists(st.integers(0, 15), min_size=2, max_size=4))
def test_where_too_few_are_there_nothing_tells_which(counts):
    shown = _masks.masked_parts(dict(enumerate(counts)))
    few = {place for place, n in enumerate(counts) if _masks.is_few(n)}
    if few and _masks.FEW not in shown.values():
        assert all(text == _masks.MASKED for place, text in shown.items() if counts[place])


@pytest.mark.parametrize("counts", [(1, 1, 40), (4, 4, 40), (2, 0, 40), (1, 6)])
def test_sums_at_the_ends_of_what_few_may_be(counts):
    shown = _masks.masked_parts(dict(enumerate(counts)))
    hidden = [counts[place] for place, text in shown.items() if not text.isdigit()]
    # Two of 1 alone would be known by their sum of 2, two of 4 by 8.
    assert 40 in hidden or len(counts) == 2
    assert shown[0] == ("<5" if len(counts) == 3 else "masked")


def test_levels_of_table_one_are_masked_by_class():
    texts = _masks.masked_levels({"a": [1, 30], "b": [0, 2], "c": [40, 30], "d": [20, 20]})
    assert texts["a"] == ["<5", "masked", "masked"]
    assert texts["b"] == ["masked", "<5", "masked"]
    assert texts["d"] == ["masked", "masked", "masked"]
    assert texts["c"] == ["40", "30", "70"]


def test_a_class_of_few_patients_is_told_nowhere(evaluate, cohort, tmp_path):
    y = np.where(np.repeat(np.arange(N_PATIENTS) < 3, 2), 1, 0)
    cohort.target = y
    page, record, _ = written(
        tmp_path, evaluate(y=y, metrics=["auc", "brier"]), cohort=cohort
    )  # fmt: skip
    assert record["tables"]["table_one"]["columns"][1:3] == [
        "sprain (n = masked)",
        "sarcoma (n = <5)",
    ]
    sentence = record["answers"]["On whom was it measured?"][0]
    assert sentence.endswith("patients with each label: sprain masked, sarcoma <5.")
    assert "Always saying" not in page.text


def test_images_of_a_hidden_site_are_hidden(evaluate, tmp_path):
    patient = np.repeat(np.arange(N_PATIENTS), 2)
    site = np.where(patient < 4, "tiny", np.where(patient < 30, "north", "south"))
    X = pd.DataFrame({"x": np.random.default_rng(0).normal(Y)})
    sites = validate_by_site(
        LogisticRegression(),
        X,
        Y,
        ablations={"one": {}, "two": {"C": 0.1}},
        site=site,
        groups=GROUPS,
    )
    _, record, _ = written(tmp_path, evaluate(), sites=sites)
    for row in ("one", "two"):
        rows = {line[1]: line for line in record["tables"]["sites"]["rows"] if line[0] == row}
        assert rows["tiny"][2:] == ["<5", "masked", "masked", "masked"]
        assert rows["north"][2:4] == ["masked", "masked"]
        assert rows["north"][4].startswith("0.")
        assert rows["south"][2:4] == ["50", "100"]


def flow_rows(evaluation, *exclusions):
    """Return the flow of 40 patients with two images, of whom some are left out."""
    table = pd.DataFrame({"image": map(str, range(80)), "patient_id": np.repeat(range(40), 2)})
    for number, n_images in enumerate(exclusions):
        table = exclude_rows(table, np.arange(len(table)) < n_images, f"reason {number}")
    nothing = dict.fromkeys(("leakage", "shortcuts", "sites", "gallery", "settings"))
    cohort = Bunch(flow=exclusion_flow(table), groups=None)
    return flow(Given(evaluation, cohort=cohort, **nothing)).tables[0].rows


@pytest.mark.parametrize(
    ("exclusions", "expected"),
    [
        # images, patients, images left out, patients left out
        ((20,), [["80", "40", "0", "0"], ["60", "30", "20", "10"]]),
        ((4,), [["masked", "masked", "0", "0"], ["76", "38", "masked", "masked"]]),
        # One image of a patient who stays: the patients are not few.
        ((1,), [["masked", "40", "0", "0"], ["79", "40", "masked", "0"]]),
        (
            (4, 40),
            [
                ["80", "40", "0", "0"],
                ["masked", "masked", "<5", "<5"],
                ["36", "18", "masked", "masked"],
            ],
        ),
        # Six images of three patients.
        (
            (6, 40, 20),
            [
                ["80", "40", "0", "0"],
                ["masked", "masked", "masked", "<5"],
                ["masked", "masked", "40", "20"],
                ["14", "7", "masked", "masked"],
            ],
        ),
    ],
)
def test_few_who_were_left_out_are_masked_and_cannot_be_subtracted(evaluate, exclusions, expected):
    assert [row[1:5] for row in flow_rows(evaluate(), *exclusions)] == expected


def test_records_of_few_are_masked(evaluate):
    steps = exclusion_flow(pd.DataFrame({"image": ["a"], "patient_id": ["1"]}))
    steps["excluded_records"] = 3
    nothing = dict.fromkeys(("leakage", "shortcuts", "sites", "gallery", "settings"))
    given_ = Given(evaluate(), cohort=Bunch(flow=steps, groups=None), **nothing)
    assert flow(given_).tables[0].rows[0][5] == "<5"
