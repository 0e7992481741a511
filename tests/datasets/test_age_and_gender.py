"""Ages from dates of birth and in months; genders in any words."""

import datetime

import numpy as np
import pandas as pd
import pytest

from skosfusion import make_clinical_transformer
from skosfusion.datasets import AgeColumn, GenderColumn, load_cohort

BIRTH = AgeColumn("Geburtsdatum", date="Aufnahmedatum")
DAYS = ["2020-03-14", "2021-01-31", "2020-12-01"]


@pytest.fixture
def load(folder, images):
    """Load three images of two patients with one column of ages or genders."""
    images = images.assign(diagnosis=["ill", "ill", "well"])

    def load(columns, **more):
        more = {
            name: pd.Series(cells, dtype=object) if isinstance(cells, list) else cells
            for name, cells in more.items()
        }
        return load_cohort(images.assign(**more), image_folder=folder, columns=columns).data

    return load


def born(load, births, images=DAYS, column=BIRTH):
    return load({"age": column}, Geburtsdatum=births, Aufnahmedatum=images)["age"]


def years(births, images=DAYS):
    days = np.array(images, dtype="datetime64[D]") - np.array(births, dtype="datetime64[D]")
    return days.astype(float) / 365.25


class TestBirthDates:
    @pytest.mark.parametrize(
        "births",
        [
            ["2009-03-14", "2001-12-24", "1950-01-02"],
            ["14.03.2009", "24.12.2001", "2.1.1950"],
            ["14/03/2009", "24/12/2001", "02/01/1950"],
            ["3/14/2009", "12/24/2001", "1/2/1950"],
            ["20090314", "20011224", "19500102"],
            ["2009年3月14日", "2001年12月24日", "1950年1月2日"],
            ["2009/03/14", "2001.12.24", "1950-01-02"],
            ["14.03.2009 08:15", "24.12.2001", " 2.1.1950 "],
            ["2009-03-14T08:15:00", "2001-12-24 00:00:00", "1950-01-02"],
            [datetime.date(2009, 3, 14), datetime.datetime(2001, 12, 24), "1950-01-02"],
            pd.to_datetime(["2009-03-14", "2001-12-24", "1950-01-02"]),
        ],
        ids=lambda births: str(births[0]),
    )
    def test_dates_in_many_forms_become_years(self, load, births):
        expected = years(["2009-03-14", "2001-12-24", "1950-01-02"])
        np.testing.assert_allclose(born(load, births), expected)

    def test_result_is_float_and_reaches_the_transformer(self, load):
        data = load({"age": BIRTH}, Geburtsdatum="2009-03-14", Aufnahmedatum="2020-03-14")
        assert data["age"].dtype == np.float64
        made = make_clinical_transformer(gender=None, kits={})
        assert made.fit_transform(data)["age"].tolist() == pytest.approx([0.11] * 3, abs=1e-4)

    def test_each_column_has_its_own_form(self, load):
        got = born(
            load, ["14.03.2009", "1.2.2003", "4.5.2006"], ["20200314", "20200101", "20210101"]
        )
        expected = years(
            ["2009-03-14", "2003-02-01", "2006-05-04"], ["2020-03-14", "2020-01-01", "2021-01-01"]
        )
        np.testing.assert_allclose(got, expected)

    @pytest.mark.parametrize("date", ["2020-12-31", datetime.date(2020, 12, 31)])
    def test_one_date_for_all(self, load, date):
        births = ["2009-03-14", "2001-12-24", "1950-01-02"]
        column = AgeColumn("Geburtsdatum", date=date)
        got = load({"age": column}, Geburtsdatum=births)["age"]
        np.testing.assert_allclose(got, years(births, ["2020-12-31"] * 3))

    def test_dates_may_be_in_two_tables(self, folder, images, records):
        records["born"] = ["2009-03-14", "2001-12-24"]
        images["taken"] = DAYS
        column = AgeColumn("born", date="taken")
        cohort = load_cohort(images, records, image_folder=folder, columns={"age": column})
        expected = years(["2001-12-24", "2001-12-24", "2009-03-14"])
        np.testing.assert_allclose(cohort.data["age"], expected)
        assert "Columns not read: none" in cohort.DESCR.replace("ages", "") or (
            "born" not in cohort.DESCR.partition("not read")[2]
        )

    def test_order_that_nothing_tells_must_be_declared(self, load):
        births = ["3.4.2009", "5.6.2001", "7.8.1950"]
        message = (
            r"column 'Geburtsdatum' holds dates such as '3.4.2009', whose first number may be the "
            r"day or the month.*AgeColumn\(column='Geburtsdatum', date='Aufnahmedatum', "
            r"date_format='%d.%m.%Y'\)"
        )
        with pytest.raises(ValueError, match=message):
            born(load, births)
        column = AgeColumn("Geburtsdatum", date="Aufnahmedatum", date_format="%d.%m.%Y")
        expected = years(["2009-04-03", "2001-06-05", "1950-08-07"])
        np.testing.assert_allclose(born(load, births, column=column), expected)

    def test_two_orders_are_refused(self, load):
        message = "holds '14/03/2009', where the day comes first, and '3/14/2009'"
        with pytest.raises(ValueError, match=message):
            born(load, ["14/03/2009", "3/14/2009", "1/1/2001"])

    @pytest.mark.parametrize(
        ("cell", "what"),
        [
            ("14.03.09", "has a year of two digits"),
            ("31.02.2009", "is no day"),
            ("2009-13-01", "is no day"),
            ("yesterday", "is not a date"),
            ("2009", "is not a date"),
            (2009, r"\(int\) is not a date"),
            (39886.0, r"\(float\) is not a date"),
            (b"2009-03-14", r"\(bytes\) is not a date"),
            (["2009-03-14"], r"\(list\) is not a date"),
            ("x" * 100_000, "is not a date"),
        ],
        ids=lambda value: repr(value)[:16],
    )
    def test_what_is_no_date_is_refused_with_row_and_remedy(self, load, cell, what):
        message = rf"column 'Geburtsdatum', row 1: .* {what}.*; correct it, leave it empty"
        with pytest.raises(ValueError, match=message) as caught:
            born(load, ["14.03.2009", cell, "1.2.2003"])
        assert len(str(caught.value)) < 500

    def test_text_must_be_in_the_declared_form(self, load):
        column = AgeColumn("Geburtsdatum", date="Aufnahmedatum", date_format="%d.%m.%Y")
        with pytest.raises(ValueError, match=r"row 1: '14/03/2009' is not written as '%d.%m.%Y'"):
            born(load, ["1.2.2009", "14/03/2009", "2009-01-01"], column=column)

    @pytest.mark.parametrize(
        ("birth", "what"),
        [
            ("2030-01-01", "2030-01-01 of row 1 .* is after the image of 2021-01-31"),
            ("1890-01-01", "1890-01-01 of row 1 .* is more than 120 years before the image of"),
        ],
    )
    def test_ages_that_cannot_be_are_refused(self, load, birth, what):
        with pytest.raises(ValueError, match=rf"the date of birth {what}"):
            born(load, ["2009-03-14", birth, "2001-12-24"])

    def test_missing_dates_are_missing_ages(self, load):
        got = born(load, ["2009-03-14", "", None])
        assert got.isna().tolist() == [False, True, True]
        message = r"column 'Aufnahmedatum' has no date of the image in 1 row \(0\)"
        with pytest.warns(UserWarning, match=message):
            got = born(load, ["2009-03-14", "2001-12-24", ""], ["", *DAYS[1:]])
        assert got.isna().tolist() == [True, False, True]

    @pytest.mark.parametrize(
        "births",
        [["14.03.2009", "24.12.2001", "1.2.2003"], pd.to_datetime(DAYS)],
        ids=["text", "dates"],
    )
    def test_dates_without_a_date_of_the_image_say_what_to_declare(self, load, births):
        message = (
            r"declare columns=\{'age': AgeColumn\(column='age', date='DATE'\)\}|AgeColumn\(date"
        )
        with pytest.raises((ValueError, TypeError), match=message):
            load({}, age=births)

    @pytest.mark.parametrize(
        "options",
        [
            {"date": "age"},
            {"date": ["a"]},
            {"date": "2020-13-01"},
            {"date_format": "%d.%m.%Y"},
            {"date": "taken", "date_format": "dd.mm.yyyy"},
            {"date": "taken", "date_format": "%d.%m.%y"},
            {"date": "taken", "unit": "years"},
            {"date": "taken", "decimal": ","},
            {"date": "taken", "censored": "limit"},
        ],
        ids=str,
    )
    def test_value_out_of_its_set_is_refused(self, options):
        with pytest.raises(ValueError, match="is not allowed; allowed: "):
            AgeColumn(**options)


class TestPartsOfYears:
    @pytest.mark.parametrize(
        ("cell", "part", "unit", "age"),
        [
            ("3 Monate", "months", "Monate", 0.25),
            ("6 months", "months", "months", 0.5),
            ("6 months old", "months", "months old", 0.5),
            ("006M", "months", "M", 0.5),
            ("5 Wo", "weeks", "Wo", 35 / 365.25),
            ("10 d", "days", "d", 10 / 365.25),
            ("9个月", "months", "个月", 0.75),
        ],
    )
    def test_they_are_refused_and_read_where_declared(self, load, cell, part, unit, age):
        message = rf"'{cell}' in column 'age', row 1 .*: it is an age in {part}, not in years"
        with pytest.raises(ValueError, match=message) as caught:
            load({}, age=["14", cell, "15"])
        assert f"AgeColumn(unit={unit!r})" in str(caught.value)
        got = load({"age": AgeColumn(unit=unit)}, age=["14", cell, "15"])["age"]
        np.testing.assert_allclose(got, [14, age, 15])

    def test_units_that_no_cell_has_are_refused(self, load):
        with pytest.raises(ValueError, match="unit='months' is declared, and no cell of column"):
            load({"age": AgeColumn(unit="months")}, age=["36", "48", "60"])

    def test_the_transformer_says_so_too(self):
        made = make_clinical_transformer(image=None, gender=None, kits={})
        with pytest.raises(ValueError, match=r"in months, .*AgeColumn\(\.\.\., unit='Monate'\)"):
            made.fit(pd.DataFrame({"age": ["14", "3 Monate"]}))


class TestGenders:
    def test_values_become_female_male_and_missing(self, load):
        column = GenderColumn("Geschlecht", values={"W": "female", "d": None})
        got = load({"gender": column}, Geschlecht=["w ", "männlich", "D"])["gender"]
        assert got.tolist()[:2] == ["female", "male"]
        assert got.isna().tolist() == [False, False, True]

    def test_values_go_before_the_usual_words(self, load):
        column = GenderColumn("Sexo", values={"h": "male", "m": "female"})
        got = load({"gender": column}, Sexo=["H", "M", ""])["gender"]
        assert got.tolist()[:2] == ["male", "female"]

    def test_codes_may_be_numbers(self, load):
        column = GenderColumn("sex", values={1: "male", "2": "female"})
        assert load({"gender": column}, sex=[1, 2.0, "1"])["gender"].tolist() == [
            *["male", "female", "male"]
        ]

    def test_without_values_the_text_is_kept(self, load):
        assert load({}, gender=["女", "男", "女"])["gender"].tolist() == ["女", "男", "女"]

    def test_unknown_values_are_refused_with_both_remedies(self, load):
        message = (
            r"unknown gender 'divers' in column 'sex', row 1 \(and in 1 more row \(2\)\); "
            r"known are 'f', 'female', .*GenderColumn\(column='sex', "
            r"values=\{'w': 'female', 'divers': 'female'\}\).*--gender-value divers=female"
        )
        column = GenderColumn("sex", values={"w": "female"})
        with pytest.raises(ValueError, match=message):
            load({"gender": column}, sex=["w", "divers", "Divers "])

    def test_m_beside_a_declared_man_must_be_declared_too(self, load):
        column = GenderColumn("sex", values={"v": "male"})
        message = r"both 'm' and 'v', .*values=\{'v': 'male', 'm': 'female'\}"
        with pytest.raises(ValueError, match=message):
            load({"gender": column}, sex=["V", "M", "V"])
        column = GenderColumn("sex", values={"v": "male", "m": "female"})
        assert load({"gender": column}, sex=["V", "M", "V"])["gender"].tolist() == [
            *["male", "female", "male"]
        ]

    @pytest.mark.parametrize("cell", [b"F", ["F"], {"F"}, datetime.date(2020, 1, 1)], ids=repr)
    def test_cells_of_another_kind_are_refused(self, load, cell):
        column = GenderColumn("sex", values={"w": "female"})
        with pytest.raises(TypeError, match="column 'sex', row 1 must hold text or a number"):
            load({"gender": column}, sex=["w", cell, "m"])

    def test_a_huge_text_is_not_shown_in_full(self, load):
        column = GenderColumn("sex", values={"w": "female"})
        with pytest.raises(ValueError, match="unknown gender") as caught:
            load({"gender": column}, sex=["w", "x" * 100_000, "m"])
        assert len(str(caught.value)) < 800

    @pytest.mark.parametrize(
        "values",
        [{}, "w", {"w": "woman"}, {"w": 0.5}, {b"w": "female"}, {"w": "female", "W ": "male"}],
        ids=str,
    )
    def test_value_out_of_its_set_is_refused(self, values):
        with pytest.raises(ValueError, match=r"values=.* is not allowed; allowed: "):
            GenderColumn("sex", values=values)

    def test_repr_is_what_one_would_type(self):
        column = GenderColumn("sex", values={"w": "female", 9: None})
        assert eval(repr(column)) == column  # noqa: S307
        assert hash(column) == hash(GenderColumn("sex", values={"w": "female", 9: None}))
