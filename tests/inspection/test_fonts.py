"""Letters that matplotlib's own font lacks have a font of this machine, or are named."""

import matplotlib as mpl
import pytest

from skosfusion.inspection import choose_fonts
from skosfusion.inspection._plot import _fonts


@pytest.fixture
def figure():
    from matplotlib import pyplot as plt

    figure, _ = plt.subplots()
    yield figure
    plt.close(figure)


def test_a_font_that_has_the_letter_stands_behind_the_usual_one(figure, tmp_path):
    text = figure.axes[0].set_title("a \u1d81 b")
    assert choose_fonts(figure) == set()
    assert text.get_fontfamily() == [*mpl.rcParams["font.family"], "STIXGeneral"]
    figure.savefig(tmp_path / "f.png")  # a warning is an error here


def test_letters_without_a_font_are_named(figure, monkeypatch):
    monkeypatch.setattr(_fonts, "_fonts", list)
    text = figure.axes[0].set_title("a 发病 b")
    before = text.get_fontfamily()
    assert choose_fonts(figure) == {"发", "病"}
    assert text.get_fontfamily() == before


def test_plain_letters_are_left_alone(figure):
    text = figure.axes[0].set_title("größer ± 5 µg, Кость")
    before = text.get_fontfamily()
    assert choose_fonts(figure) == set()
    assert text.get_fontfamily() == before
