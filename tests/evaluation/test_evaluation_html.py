"""What a notebook shows of an evaluation."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from skosfusion import evaluate_scores
from skosfusion.evaluation import Evaluation

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def found():
    y, rng = np.arange(160) % 2, np.random.default_rng(0)
    rows = {"All": rng.normal(2 * y), EVIL: rng.normal(y), "Baseline": rng.normal(size=160)}
    return evaluate_scores(
        y, rows, groups=None, fold=np.arange(160) // 2 % 4, baseline="Baseline",
        n_resamples=50, random_state=0,
    )  # fmt: skip


def test_it_shows_metrics_differences_and_notes(found):
    html = found._repr_html_()
    line = found.table.loc["All"]
    assert f"{line['auc']:.3g} ({line['auc_low']:.3g} to {line['auc_high']:.3g})" in html
    assert "<td>better</td>" in html
    assert "Differences from Baseline" in html
    assert "Intervals: 95%, 50 replicates." in html
    assert "Evaluation of 160 patients, 3 rows" in html
    assert "auc low" not in html


def test_foreign_texts_are_escaped(found):
    found.baseline = found.unit = EVIL
    found.DESCR += EVIL
    found.table[EVIL] = EVIL
    html = found._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5


def test_it_names_no_patient():
    y = np.arange(80) % 2
    patients = np.array([f"record-{number}" for number in range(80)])
    found = evaluate_scores(y, y - 0.5 + np.sin(np.arange(80)), groups=patients, fold=None,
                            n_resamples=20, random_state=0)  # fmt: skip
    html = found._repr_html_()
    assert "record-" not in html
    assert "Differences" not in html


def test_tables_that_are_empty_or_gone(found):
    found.differences = pd.DataFrame()
    assert "Differences" not in found._repr_html_()
    found.table = found.table[:0]
    assert "0 rows" in found._repr_html_()
    del found["table"]
    assert found._repr_html_() is None
    assert Evaluation()._repr_html_() is None


def test_figures_that_are_not_known_are_said_so(found):
    found.table.loc["All", ["auc", "auc_low", "auc_high"]] = np.nan
    assert "<td>All</td><td>n/a</td>" in found._repr_html_()


def test_it_is_a_bunch_that_can_be_copied_and_sent(found):
    assert isinstance(found, Bunch)
    for again in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert type(again) is Evaluation
        assert again.table.equals(found.table)
        assert again._repr_html_() == found._repr_html_()
