import warnings
from types import SimpleNamespace

import pytest

from skosfusion import inspection, write_report


class Drawn:
    """Stands for a Display: keeps what it was made from."""

    calls = ()

    @classmethod
    def from_evaluation(cls, evaluation, **options):
        cls.calls = (*cls.calls, options)
        return cls()

    def plot(self):
        plt = pytest.importorskip("matplotlib.pyplot")
        self.figure_ = plt.figure()
        return self


def test_displays_that_are_there_become_pictures_and_are_closed(evaluate, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    before = plt.get_fignums()
    names = ["Difference", "Curve", "RiskCalibration", "DecisionCurve"]
    for name in (f"{name}Display" for name in names):
        monkeypatch.setattr(inspection, name, type(name, (Drawn,), {}), raising=False)
    write_report(tmp_path, evaluate())
    page = (tmp_path / "report.html").read_text()
    assert page.count('<img src="data:image/png;base64,') == 5
    assert inspection.CurveDisplay.calls == ({"kind": "roc"}, {"kind": "precision_recall"})
    assert inspection.RiskCalibrationDisplay.calls == ({"row": "All"},)
    assert plt.get_fignums() == before


def test_a_figure_of_the_user_stays_open(evaluate, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = plt.figure()
    display = SimpleNamespace(figure_=figure)
    write_report(tmp_path, evaluate(), gallery={"heat <b>map</b>": display})
    assert plt.fignum_exists(figure.number)
    plt.close(figure)
    assert "heat &lt;b&gt;map&lt;/b&gt;" in (tmp_path / "report.html").read_text()


def test_nothing_is_drawn_with_a_record_number_in_it(evaluate, tmp_path):
    pytest.importorskip("matplotlib")
    write_report(tmp_path, evaluate(names=("Baseline", "All but KH-7005")))
    assert "<img" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["\u5168\u90e8", "\u0645\u0631\u064a\u0636"])
def test_letters_that_the_font_lacks_are_boxes_without_a_warning(evaluate, tmp_path, name):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = plt.figure()
    figure.suptitle(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(tmp_path, evaluate(names=("Baseline", name)), gallery={"own": figure})
    plt.close(figure)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert name in page
    if name == "\u5168\u90e8":
        assert "ROC curves; positive: 1; letters that its font has not are boxes" in page


def test_other_warnings_of_a_picture_are_passed_on(evaluate, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")

    class Warns(Drawn):
        def plot(self):
            warnings.warn("odd", UserWarning, stacklevel=2)
            return super().plot()

    monkeypatch.setattr(inspection, "CurveDisplay", Warns)
    with pytest.warns(UserWarning, match="^odd$"):
        write_report(tmp_path, evaluate())


def test_the_main_row_is_one_of_inputs_beside_comparators(evaluate, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(inspection, "RiskCalibrationDisplay", type("Risk", (Drawn,), {}))
    settings = {"rows": {"Baseline": {"inputs": []}, "All": {"inputs": ["alp"]}}}
    evaluation = evaluate(names=("Baseline", "All"))
    evaluation.table.loc["Other"] = evaluation.table.loc["All"]
    evaluation.scores["Other"] = evaluation.scores["All"]
    write_report(tmp_path, evaluation, settings=settings)
    assert inspection.RiskCalibrationDisplay.calls == ({"row": "All"},)
