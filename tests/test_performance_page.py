"""The tables of the page on performance are those of the JSON files of the benchmarks."""

import importlib.util
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = "# Page\n\nText.\n<!-- figures: predict -->\nold\n<!-- end -->\nMore.\n"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("make_performance", DOCS / "make_performance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def record():
    row = {"what": "one", "median": 1234.4, "low": 1, "high": 2, "unit": "ms", "ratio": 0.5}
    row |= {"ratio to": "other", "target": "at most 1 x", "met": True}
    machine = {"processor": "P", "vector unit": "V", "torch threads": 2, "native bf16": True}
    return {
        "quick": False, "machine": machine, "versions": {"torch": "2"}, "settings": {"a_b": 3},
        "rows": [row, row | {"what": "two", "met": False}, row | {"median": None}],
        "notes": ["Note."],
    }  # fmt: skip


def test_tables_are_made_and_text_stays(script, record, tmp_path):
    (tmp_path / "predict.json").write_text(json.dumps(record))
    page = script.make_page(PAGE, tmp_path)
    assert page.startswith("# Page\n\nText.\n<!-- figures: predict -->\n")
    assert page.endswith("<!-- end -->\nMore.\n")
    assert "P, V with native bf16, 2 threads; torch 2; a b 3." in page
    assert "| one | 1,234 (1 to 2) ms | 0.5 x other | at most 1 x (met) |" in page
    assert "| two | 1,234 (1 to 2) ms | 0.5 x other | at most 1 x (**not met**) |" in page
    assert page.count("\n| ") == 3
    assert script.make_page(page, tmp_path) == page


def test_a_quick_run_is_refused(script, record, tmp_path):
    (tmp_path / "predict.json").write_text(json.dumps(record | {"quick": True}))
    with pytest.raises(SystemExit, match="quick run"):
        script.make_page(PAGE, tmp_path)


def test_the_page_is_that_of_its_figures(script):
    text = script.PAGE.read_text(encoding="utf-8")
    assert "<!-- figures: " in text
    assert script.make_page(text) == text
