"""What a notebook shows of a cohort."""

import base64
import copy
import io
import pickle
import re
import time
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.utils import Bunch

from skosfusion.datasets import Cohort, KeptColumn, load_cohort, make_osteosarcoma_cohort

from .._helpers import tiny


class Parsed(HTMLParser):
    """Tags, attributes and texts of a document, all tags closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def pictures(html):
    found = re.findall(r"data:image/jpeg;base64,([\w+/=]+)", html)
    return [Image.open(io.BytesIO(base64.b64decode(content))) for content in found]


def make(folder, **columns):
    frame = tiny.make_cohort(folder, n_patients=6).assign(**columns)
    return Cohort(
        data=frame.drop(columns="diagnosis"),
        target=frame["diagnosis"].to_numpy(),
        groups=frame["patient_id"].to_numpy(),
        target_names=["none", "tumor"],
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def test_the_synthetic_cohort_shows_what_is_in_it(folder):
    cohort = make_osteosarcoma_cohort(n_patients=10, image_size=64, data_home=folder)
    html = cohort._repr_html_()
    parsed = Parsed(html)
    text = " ".join(parsed.texts)
    assert f"{len(cohort.data)} rows of 10 patients, synthetic" in text
    for word in ("osteosarcoma", "non-tumor", "gender", "age", "alp", "ldh", "M: "):
        assert word in text, word
    assert "alp_low" not in text
    assert html.count("<svg") == 3
    assert len(pictures(html)) == 6
    assert len(html) < 150_000


def test_neither_record_numbers_nor_files_are_shown(folder):
    cohort = make_osteosarcoma_cohort(n_patients=10, image_size=64, data_home=folder)
    cohort.data["ward"] = [f"ward of {patient}" for patient in cohort.groups]
    html = cohort._repr_html_()
    assert str(folder) not in html
    assert ".png" not in html
    assert not any(patient in html for patient in set(cohort.groups))
    assert "10 different texts" in html


def test_texts_that_differ_in_most_rows_are_counted_only(folder):
    names = [f"Jane Doe {number}" for number in range(12)]
    html = make(folder, name=names)._repr_html_()
    assert "Jane" not in html
    assert "12 different texts" in html


def test_one_of_own_tables_shows_kept_columns_and_what_was_left_out(folder):
    folder = folder.resolve()
    frame = tiny.make_cohort(folder, n_patients=6).assign(hospital=["A", "B"] * 6)
    frame["image"] = [path.rpartition("/")[2] for path in frame["image"]]
    frame.loc[3, "age"] = np.nan
    cohort = load_cohort(frame, image_folder=folder, columns={"site": KeptColumn("hospital")})
    assert isinstance(cohort, Cohort)
    text = " ".join(Parsed(cohort._repr_html_()).texts)
    assert "Kept beside the inputs: site" in text
    assert "1 (8%)" in text


def test_foreign_texts_are_escaped(folder):
    evil = '"><script>alert(1)</script>\u202e'
    cohort = make(folder, **{evil: [evil] * 12})
    cohort.target_names = [evil, "tumor"]
    cohort.kept = pd.DataFrame({evil: [1]})
    cohort.flow = pd.DataFrame({"reason": [evil] * 3, "n_images": 1, "n_patients": 1})
    cohort.DESCR = evil
    html = cohort._repr_html_()
    parsed = Parsed(html)
    assert "script" not in parsed.tags
    assert set(parsed.tags) <= {
        "div", "style", "strong", "table", "caption", "tr", "th", "td", "svg", "rect", "figure",
        "img", "figcaption", "span",
    }  # fmt: skip
    assert not any(name.startswith("on") for _, name, _ in parsed.attributes)
    assert html.count("&lt;script&gt;") >= 6
    assert "\u202e" not in html


def test_broken_images_are_boxes(folder):
    cohort = make(folder)
    paths = cohort.data["image"].tolist()
    (folder / "empty.png").write_bytes(b"")
    content = (folder / "000_0.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    bad = ["empty.png", "cut.png", "none.png"]
    cohort.data["image"] = [str(folder / name) for name in bad] + [None, np.nan, 5] + paths[6:]
    html = cohort._repr_html_()
    assert "no image" in html
    assert html.count("<figure>") == 6
    Parsed(html)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_images_of_any_kind_are_shown(folder, mode):
    values = np.linspace(0, 255, 40 * 20).reshape(40, 20)
    image = Image.fromarray(values.astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray((values * 100).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray(values.astype(np.float32))
    else:
        image = image.convert(mode)
    image.save(folder / "image.tiff")
    cohort = make(folder, image=str(folder / "image.tiff"))
    shown = pictures(cohort._repr_html_())
    assert len(shown) == 6
    assert shown[0].size == (20, 40)
    pixels = np.asarray(shown[0].convert("L"))
    assert pixels.max() > 200 > 50 > pixels.min()


def test_pictures_are_small_and_without_what_files_say(folder):
    noise = np.random.default_rng(0).integers(0, 255, (3000, 2000, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    Image.fromarray(noise).save(folder / "large.jpg", exif=exif, comment=b"Jane Doe")
    cohort = make(folder, image=str(folder / "large.jpg"))
    start = time.monotonic()
    html = cohort._repr_html_()
    assert time.monotonic() - start < 20
    assert len(html) < 150_000
    for shown in pictures(html):
        assert max(shown.size) == 112
        assert not shown.getexif()
        assert "comment" not in shown.info


def test_images_that_are_too_large_or_too_slow_are_boxes(folder, monkeypatch):
    cohort = make(folder)
    monkeypatch.setattr("skosfusion.datasets._html._MOST_PIXELS", 100)
    assert not pictures(cohort._repr_html_())
    monkeypatch.undo()
    monkeypatch.setattr("skosfusion.datasets._html._SECONDS", 0.0)
    assert not pictures(cohort._repr_html_())


def test_wide_and_odd_tables_are_bounded(folder):
    columns = {f"x{number}" * 50: np.arange(12) for number in range(500)}
    columns |= {f"y{number}": ["z" * 10**5] * 12 for number in range(5)}
    cohort = make(folder)
    cohort.data = pd.concat([cohort.data, pd.DataFrame(columns)], axis=1)
    html = cohort._repr_html_()
    assert len(html) < 150_000
    assert "more" in html


def test_any_numbers_are_drawn(folder):
    odd = {
        "equal": 1.0,
        "close": [1.0, np.nextafter(1, 2)] * 6,
        "huge": [-1.7e308, 1.7e308] * 6,
        "none": np.nan,
        "infinite": [np.inf, 1.0] * 6,
        "whole": pd.array([1, None] * 6, dtype="Int64"),
        "yes": [True, False] * 6,
    }
    html = make(folder, **odd)._repr_html_()
    Parsed(html)
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html)


def test_an_empty_table_is_shown(folder):
    cohort = make(folder)
    cohort.data, cohort.target, cohort.groups = cohort.data[:0], cohort.target[:0], np.array([])
    html = cohort._repr_html_()
    assert "0 rows of 0 patients" in html
    Parsed(html)


def test_a_cohort_without_anything_falls_back_to_its_text():
    assert Cohort()._repr_html_() is None
    assert Cohort(data=7)._repr_html_() is None
    assert "7" in repr(Cohort(data=7))


def test_it_is_a_bunch_that_can_be_copied_and_sent(folder):
    cohort = make(folder)
    assert isinstance(cohort, Bunch)
    for again in (copy.copy(cohort), copy.deepcopy(cohort), pickle.loads(pickle.dumps(cohort))):
        assert type(again) is Cohort
        assert again.keys() == cohort.keys()
        assert again.data.equals(cohort.data)
    assert {**cohort}.keys() == cohort.keys()
