"""Labels out of columns of 0 and 1, and out of whether there is a value; suffixes of images."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skosfusion.datasets import ImageColumn, TargetColumn, exclude_screenshots, load_cohort


@pytest.fixture
def load(folder, images):
    """Load three images of two patients with one column of labels."""

    def load(labels, column="event", patients=("1", "2", "3"), **more):
        table = images.assign(patient_id=patients, event=pd.Series(labels, dtype=object))
        return load_cohort(table, image_folder=folder, columns={"target": column, **more})

    return load


class TestDigits:
    @pytest.mark.parametrize(
        "labels",
        [["0", "1", "0"], [0, 1, 0], [0.0, 1.0, 0.0], ["0.0", "1.0", "0.0"], ["0", "1.0", " 0 "]],
        ids=str,
    )
    def test_a_column_of_0_and_1_needs_no_declaration(self, load, labels):
        cohort = load(labels)
        assert cohort.target.tolist() == [0, 1, 0]
        assert [float(name) for name in cohort.target_names] == [0, 1]


class TestPresence:
    @pytest.mark.parametrize("labels", [["", "-2.0", "NA"], [None, 0, np.nan], ["", "0", None]])
    def test_a_value_is_1_and_none_is_0(self, load, labels):
        cohort = load(labels, TargetColumn("event", present=True))
        assert cohort.target.tolist() == [0, 1, 0]
        assert cohort.target.dtype == np.int64
        assert cohort.target_names == ["no event", "event"]
        expected = "Labels: 0 (no event): empty cells 2; 1 (event): cells with a value 1"
        assert expected in cohort.DESCR
        assert cohort.frame["event"].tolist() == [0, 1, 0]

    @pytest.mark.parametrize(
        ("labels", "what"),
        [
            (["1", "2", "3"], "has a value in every row"),
            (["", None, "NA"], "is empty in every row"),
        ],
    )
    def test_one_class_is_refused(self, load, labels, what):
        with pytest.raises(ValueError, match=rf"column 'event' {what}, so that .*present=True"):
            load(labels, TargetColumn("event", present=True))

    @pytest.mark.parametrize("word", ["no", "Nein ", "-", "unknown", "0"])
    def test_values_that_say_that_there_is_none_are_noted(self, load, word):
        message = rf"column 'event' says '{word}' in 1 row \(1\), which counts as a value"
        with pytest.warns(UserWarning, match=message):
            load(["1", word, ""], TargetColumn("event", present=True))

    def test_0_among_other_numbers_is_a_value(self, load):
        load(["-2", "0", ""], TargetColumn("event", present=True))

    def test_patients_with_both_are_refused(self, load):
        with pytest.raises(ValueError, match=r"different labels, for 1 patient \(1\)"):
            load(["3", "", ""], TargetColumn("event", present=True), patients=("1", "1", "2"))

    @pytest.mark.parametrize("cell", [["x"], {"x": 1}, b"x"], ids=repr)
    def test_any_cell_is_read_or_refused(self, load, cell):
        assert load(["", cell, ""], TargetColumn("event", present=True)).target.tolist() == [
            0,
            1,
            0,
        ]

    def test_it_goes_with_no_positive_label(self):
        with pytest.raises(ValueError, match=r"present=True .* False, or True without positive"):
            TargetColumn("event", positive="x", present=True)
        with pytest.raises(ValueError, match="present='yes' is not allowed"):
            TargetColumn("event", present="yes")


class TestSuffix:
    @pytest.fixture
    def load(self, folder, images):
        def load(names, **options):
            table = images.assign(image=names, patient_id=["1", "2", "3"], diagnosis=[0, 1, 0])
            columns = {"image": ImageColumn(**options)}
            return load_cohort(table, image_folder=folder, columns=columns).data["image"]

        return load

    def test_it_is_put_behind_names_without_one(self, load, folder):
        got = load(["a", "b.png", "c"], suffix=".png")
        assert got.tolist() == [str(folder / name) for name in ("a.png", "b.png", "c.png")]

    def test_points_of_an_identifier_are_no_suffix(self, load, folder):
        Image.new("L", (8, 6)).save(folder / "1.2.840.png")
        assert load(["1.2.840", "a", "b"], suffix=".png")[0] == str(folder / "1.2.840.png")

    def test_a_missing_suffix_is_proposed(self, load):
        message = (
            r"column 'image', row 0: image 'a' is not there, but 'a.png' is; so are 2 more rows "
            r"\(1, 2\); declare columns=\{'image': ImageColumn\(suffix='.png'\)\}"
        )
        with pytest.raises(FileNotFoundError, match=message):
            load(["a", "b", "c"])

    def test_another_suffix_is_proposed(self, load, folder):
        Image.new("L", (8, 6)).save(folder / "d.jpg")
        with pytest.raises(FileNotFoundError, match=r"'d' is not there, but 'd.jpg' is; declare"):
            load(["a", "b", "d"], suffix=".png")

    def test_several_suffixes_are_to_be_written_out(self, load, folder):
        Image.new("L", (8, 6)).save(folder / "d.jpg")
        message = (
            r"the files end in '.png' \(2 files\) and '.jpg' \(1 files\): write the whole name"
        )
        with pytest.raises(FileNotFoundError, match=message):
            load(["a", "b", "d"])

    def test_a_name_that_no_file_has_is_refused_as_ever(self, load):
        with pytest.raises(FileNotFoundError, match=r"no such image file \(row 1\)"):
            load(["a", "zzz", "b"], suffix=".png")

    @pytest.mark.parametrize("name", ["../a", "/etc/passwd"])
    def test_no_suffix_leads_out_of_the_folder(self, load, name):
        with pytest.raises(ValueError, match="is outside the image folder"):
            load(["a", name, "b"], suffix=".png")

    @pytest.mark.parametrize("suffix", ["png", "", ".", "./x", ".p/../x", 3, "." + "x" * 50])
    def test_value_out_of_its_set_is_refused(self, suffix):
        with pytest.raises(ValueError, match=r"suffix=.* is not allowed"):
            ImageColumn(suffix=suffix)

    def test_screenshots_are_found_by_the_name_in_the_column(self, images):
        table = images.assign(image=["a", "b_screen", "c"])
        kept = exclude_screenshots(table, "*_screen", image=ImageColumn(suffix=".png"))
        assert kept["image"].tolist() == ["a", "c"]
