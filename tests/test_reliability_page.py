"""The page on reliability says what the results of the tests say."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "make_reliability.py"
CATALOGUE = '''
def test_case_01_missing():
    """A file that is not there: refused."""

def test_case_01_empty():
    """An empty file: refused.

    More of it.
    """

def test_case_02_folder():
    """A folder: refused."""

def test_without_a_case():
    """Something else."""
'''
CONFORMANCE = '''
def test_scalers():
    """Scalers."""

def test_of_something_else():
    """Not by scikit-learn."""
'''
IMAGES, CHECKS = "tests.catalogue.test_catalogue_images", "tests.test_conformance"
EXPECTED_FAILURE = '<skipped type="pytest.xfail" message="rows are lists"/>'
SKIPPED = '<skipped type="pytest.skip" message="no CUDA"/>'


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script, with a catalogue of two cases and a page of its own."""
    spec = importlib.util.spec_from_file_location("make_reliability", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    catalogue = tmp_path / "tests" / "catalogue"
    catalogue.mkdir(parents=True)
    (catalogue / "test_catalogue_images.py").write_text(CATALOGUE)
    (tmp_path / "tests" / "test_conformance.py").write_text(CONFORMANCE)
    monkeypatch.setattr(script, "TESTS", tmp_path / "tests")
    monkeypatch.setattr(script, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(script, "N_CASES", 2)
    return script


@pytest.fixture
def run(script, tmp_path):
    """Run the script on results; what is given by name takes the place of "passed"."""

    def run(*options, **outcomes):
        tests = {
            "test_case_01_missing[a]": IMAGES,
            "test_case_01_missing[b]": IMAGES,
            "test_case_01_empty": IMAGES,
            "test_case_02_folder": IMAGES,
            "test_without_a_case": IMAGES,
            "test_scalers[Age-check_fit]": CHECKS,
            "test_scalers[Age-check_dtype]": CHECKS,
            "test_of_something_else": CHECKS,
        }
        cases = "".join(
            f'<testcase classname="{module}" name="{name}">{outcome}</testcase>'
            for name, module in tests.items()
            if (outcome := outcomes.get(name.split("[")[-1].strip("]"), "")) is not None
        )
        path = tmp_path / "results.xml"
        path.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        script.main([str(path), *options])
        return script.PAGE.read_text()

    return run


def test_each_case_has_what_its_tests_say_and_how_many_passed(run):
    page = run()
    assert "2 of 2 cases" in page
    assert "| 1 | A file that is not there: refused; An empty file: refused | 3 of 3 |" in page
    assert "| 2 | A folder: refused | 1 of 1 |" in page
    assert "Something else" not in page


@pytest.mark.parametrize("outcome", ["<failure/>", "<error/>", EXPECTED_FAILURE])
def test_a_case_is_not_handled_unless_all_its_tests_pass(run, script, outcome):
    with pytest.raises(SystemExit, match=r"not handled: \[1\]"):
        run(b=outcome)
    assert not script.PAGE.exists()


def test_a_case_without_a_test_is_not_handled(run):
    with pytest.raises(SystemExit, match=r"not handled: \[2\]"):
        run(test_case_02_folder=None)


def test_a_skipped_test_does_not_count_against_its_case(run):
    assert "An empty file: refused | 2 of 3 |" in run(b=SKIPPED)


def test_an_expected_failure_of_a_check_is_listed_with_its_reason(run):
    page = run(**{"Age-check_dtype": EXPECTED_FAILURE})
    assert "| Scalers | 1 of 2 | 1 |" in page
    assert "- Scalers: rows are lists: `check_dtype`" in page
    assert "Not by scikit-learn" not in page


@pytest.mark.parametrize("outcome", ["<failure/>", "<error/>", SKIPPED])
def test_a_check_that_fails_or_is_left_out_stops_the_page(run, outcome):
    with pytest.raises(SystemExit, match=r"checks that failed: \['test_scalers: check_fit'\]"):
        run(**{"Age-check_fit": outcome})


def test_a_page_of_other_results_is_noticed(run, script):
    run()
    run("--check")
    page = script.PAGE.read_text()
    for old, new in (("3 of 3", "4 of 4"), ("| Scalers | 2 of 2", "| Scalers | 3 of 3")):
        script.PAGE.write_text(page.replace(old, new))
        with pytest.raises(SystemExit, match=r"page\.md is not what the tests say"):
            run("--check")
        assert script.PAGE.read_text() != page


def test_checks_of_another_scikit_learn_may_be_others(run, script, monkeypatch):
    run()
    monkeypatch.setattr(script, "version", lambda name: "99.0")
    run("--check", **{"Age-check_dtype": EXPECTED_FAILURE})
