"""Write `reliability.md` from the results of the tests.

python -m pytest --junitxml=results.xml
python docs/make_reliability.py results.xml
"""

import argparse
import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from importlib.metadata import version
from pathlib import Path

DOCS = Path(__file__).parent
PAGE = DOCS / "reliability.md"
TESTS = DOCS.parent / "tests"
CATALOGUE = "tests.catalogue.test_catalogue_"
CONFORMANCE = "tests.test_conformance"
N_CASES = 73

HEAD = """\
# Reliability

Made by `docs/make_reliability.py` from the results of the tests; not written by hand.
"""
CATALOGUE_HEAD = """\
## What bad input gets: {n_handled} of {n_cases} cases

A case counts if all its tests pass (`tests/catalogue/`). "Error" means the type named, raised
before any training, with value, row and column or file, and the remedy in its message; what was
fitted before predicts the same bits afterwards, and what was on disk is still there. Rows are
positions, counted from 0.

| case | what a user gets | tests passed |
|---|---|---|
"""
CHECKS_HEAD = """\

## scikit-learn's estimator checks

`parametrize_with_checks` of scikit-learn {version}, with array API dispatch switched on for the
check that asks for it. No tag switches a check off. With images, an adapter draws each row of a
check's array as an image, so that the same checks run through files, encoder, training and
prediction (`tests/_helpers/rows_as_images.py`).

| estimator | passed | expected failures |
|---|---|---|
"""
FAILURES_HEAD = """\

### Expected failures and why

"""
REST = """\

## What else is tried

- Killed processes, processes that race, mutated files, and processes against threads:
  `tests/stress/`, with counts in its [README](../tests/stress/README.md). CI runs a short form of
  each.
- Properties of every normalization, and arbitrary tables, images and model files, by hypothesis:
  `tests/preprocessing/test_preprocessing.py`, `tests/datasets/test_fuzz_tables.py`,
  `tests/persistence/test_fuzz_model_files.py`, `tests/images/test_image_files.py`.
"""


def read_results(path):
    """Read the outcome of each test.

    Parameters
    ----------
    path : path-like
        What ``pytest --junitxml`` wrote: a file of our own.

    Returns
    -------
    dict of (str, str) to list of (str, str)
        By module and test function: outcome ("passed", "xfail", "skipped" or "failed") and the
        name with its parameters, or the reason of an expected failure.
    """
    results = defaultdict(list)
    for case in ElementTree.parse(path).getroot().iter("testcase"):  # noqa: S314 - our own file
        name, outcome = case.get("name"), "passed"
        if case.find("failure") is not None or case.find("error") is not None:
            outcome = "failed"
        skipped = case.find("skipped")
        if skipped is not None:
            outcome = "xfail" if skipped.get("type") == "pytest.xfail" else "skipped"
        reason = "" if skipped is None else skipped.get("message", "")
        results[case.get("classname"), name.split("[")[0]].append((outcome, name, reason))
    return results


def read_docstrings(folder):
    """Read the first line of each test's docstring.

    Parameters
    ----------
    folder : Path
        The tests.

    Returns
    -------
    dict of (str, str) to str
        By module and test function, in the order in which they stand.
    """
    docstrings = {}
    for file in sorted(folder.rglob("test_*.py")):
        module = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = ast.get_docstring(node) or ""
                docstrings[module, node.name] = text.partition("\n")[0]
    return docstrings


def make_catalogue(results, docstrings):
    """Write the table of the catalogue's cases.

    Parameters
    ----------
    results : dict
        From `read_results`.
    docstrings : dict
        From `read_docstrings`.

    Returns
    -------
    text : str
        The section.
    unhandled : list of int
        Cases without a test, or with one that did not pass.
    """
    rows, unhandled = [], []
    for number in range(1, N_CASES + 1):
        tests = [
            key
            for key in docstrings
            if key[0].startswith(CATALOGUE) and key[1].startswith(f"test_case_{number:02d}_")
        ]
        outcomes = Counter(outcome for key in tests for outcome, *_ in results.get(key, ()))
        n_tests = sum(outcomes.values())
        texts = list(dict.fromkeys(docstrings[key].rstrip(".") for key in tests))
        rows.append(f"| {number} | {'; '.join(texts)} | {outcomes['passed']} of {n_tests} |\n")
        if not outcomes["passed"] or outcomes["passed"] < n_tests - outcomes["skipped"]:
            unhandled.append(number)
    head = CATALOGUE_HEAD.format(n_handled=N_CASES - len(unhandled), n_cases=N_CASES)
    return head + "".join(rows), unhandled


def make_checks(results, docstrings):
    """Write the tables of scikit-learn's checks.

    Parameters
    ----------
    results : dict
        From `read_results`.
    docstrings : dict
        From `read_docstrings`.

    Returns
    -------
    text : str
        The section.
    failed : list of str
        Checks that failed or were left out unexpectedly.
    """
    rows, reasons, failed = [], defaultdict(lambda: defaultdict(set)), []
    for (module, function), text in docstrings.items():
        runs = results.get((module, function), ())
        if module != CONFORMANCE or not any("-check_" in name for _, name, _ in runs):
            continue
        outcomes = Counter(outcome for outcome, *_ in runs)
        subject = text.rstrip(".")
        for outcome, name, reason in runs:
            check = re.search(r"-(check_\w+)", name)[1]
            if outcome == "xfail":
                reasons[reason][subject].add(check)
            elif outcome != "passed":
                failed.append(f"{function}: {check}")
        rows.append(f"| {subject} | {outcomes['passed']} of {len(runs)} | {outcomes['xfail']} |\n")
    text = CHECKS_HEAD.format(version=version("scikit-learn")) + "".join(rows) + FAILURES_HEAD
    for reason, subjects in reasons.items():
        for subject, checks in subjects.items():
            text += f"- {subject}: {reason}: {', '.join(f'`{c}`' for c in sorted(checks))}\n"
    return text, failed


def main(arguments=None):
    """Write the page, or compare it with the results.

    Parameters
    ----------
    arguments : list of str or None, default=None
        Command line without the program's name; None takes the real one.
    """
    parser = argparse.ArgumentParser(description="Write docs/reliability.md from test results.")
    parser.add_argument("results", help="file written by pytest --junitxml")
    parser.add_argument("--check", action="store_true", help="compare only, and fail if it differs")
    options = parser.parse_args(arguments)
    results, docstrings = read_results(options.results), read_docstrings(TESTS)
    catalogue, unhandled = make_catalogue(results, docstrings)
    checks, failed = make_checks(results, docstrings)
    if unhandled or failed:
        sys.exit(f"cases that are not handled: {unhandled}; checks that failed: {failed}")
    page = HEAD + "\n" + catalogue + checks + REST
    if not options.check:
        PAGE.write_text(page, encoding="utf-8")
        return
    written = PAGE.read_text(encoding="utf-8")
    # Another scikit-learn has other checks; they have passed, and that is enough then.
    same_checks = f"scikit-learn {version('scikit-learn')}," in written
    if catalogue not in written or (same_checks and written != page):
        sys.exit(f"{PAGE.name} is not what the tests say; run docs/make_reliability.py again")
    print(f"catalogue: {N_CASES} of {N_CASES} cases; all checks as expected")


if __name__ == "__main__":
    main()
