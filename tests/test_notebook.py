"""The notebook of the documentation: its cells run one after the other, and it is kept clean."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"

# As a notebook does: the last expression of a cell is shown, by its HTML where it has one.
RUN = """
import ast, json, sys
space = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    tree = ast.parse(source)
    shown = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        shown = ast.Expression(tree.body.pop().value)
    exec(compile(tree, f"cell {number}", "exec"), space)
    if shown is not None:
        value = eval(compile(shown, f"cell {number}", "eval"), space)
        html = getattr(value, "_repr_html_", lambda: None)()
        print(f"cell {number}: {type(value).__name__} {html is not None}")
"""


@pytest.fixture(scope="module")
def notebook():
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def sources(notebook, kind):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_it_is_kept_without_outputs(notebook):
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    for cell in notebook["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    names = [cell["id"] for cell in notebook["cells"]]
    assert len(set(names)) == len(names)


def test_it_says_at_once_that_the_cohort_is_synthetic(notebook):
    assert "**The cohort is synthetic**" in sources(notebook, "markdown")[0]


def test_its_links_lead_somewhere(notebook):
    links = [
        part.partition(")")[0]
        for text in sources(notebook, "markdown")
        for part in text.split("](")[1:]
    ]
    assert links
    assert all((NOTEBOOK.parent / link).is_file() for link in links)


def test_its_cells_run_in_their_order(notebook, tmp_path):
    cells = json.dumps(sources(notebook, "code"))
    environment = os.environ | {"MPLBACKEND": "Agg", "SKOSFUSION_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-W", "error", "-c", RUN]
    run = subprocess.run(  # noqa: S603
        command, input=cells, env=environment, cwd=tmp_path, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    shown = run.stdout.splitlines()
    for line in ("Cohort True", "Evaluation True", "DataFrame True"):
        assert any(text.endswith(line) for text in shown), line
    assert {path.name for path in tmp_path.iterdir()} <= {"data"}
