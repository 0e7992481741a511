"""Numbers and categories, ranges with one end, and spellings of gender."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skosfusion.preprocessing import (
    CategoryEncoder,
    Clipper,
    KitRangeScaler,
    NumberReader,
    make_clinical_transformer,
)


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "age": [10, 20, 30, 40],
            "bmi": ["21.5", 30, None, 24],
            "site": ["knee", "hip ", None, "knee"],
        }
    )


def make(**params):
    return make_clinical_transformer(image=None, gender=None, kits={}, **params)


class TestNumbers:
    def test_they_are_z_scores_of_the_rows_to_fit(self, table):
        found = make(numbers=["bmi"]).fit_transform(table)
        values = np.array([21.5, 30, 24])
        expected = (values - values.mean()) / values.std()
        np.testing.assert_allclose(found["bmi"][[0, 1, 3]], expected, rtol=1e-5)
        assert found["bmi"][2] == pytest.approx(np.median(expected), rel=1e-5)

    def test_they_may_have_names_of_their_own(self, table):
        found = make(numbers={"mass": "bmi"}, missing="indicator").fit_transform(table)
        assert list(found.columns) == ["age", "age_missing", "mass", "mass_missing"]

    def test_an_infinite_one_is_refused_with_its_row(self, table):
        with pytest.raises(ValueError, match=r"column 'bmi', row 1"):
            make(numbers=["bmi"]).fit(table.assign(bmi=[1.0, np.inf, 2.0, 3.0]))

    def test_a_column_without_any_is_refused(self, table):
        with pytest.raises(ValueError, match="column 'bmi' has no value in any of the 4 rows"):
            make(numbers=["bmi"]).fit(table.assign(bmi=np.nan))

    def test_negative_ones_are_numbers_too(self):
        read = NumberReader().fit_transform([[-3], ["4.5"]])
        assert read.tolist() == [[-3.0], [4.5]]


class TestCategories:
    def test_each_is_a_column(self, table):
        found = make(categories=["site"]).fit_transform(table)
        assert list(found.columns) == ["age", "site_hip", "site_knee"]
        # The missing one is filled in with the most frequent.
        assert found["site_knee"].tolist() == [1, 0, 1, 1]
        assert found["site_hip"].tolist() == [0, 1, 0, 0]

    def test_a_missing_one_may_be_marked(self, table):
        found = make(categories=["site"], missing="indicator").fit_transform(table)
        assert found["site_missing"].tolist() == [0, 0, 1, 0]
        assert found["site_knee"].tolist() == [1, 0, 0, 1]

    def test_a_missing_one_may_be_an_error(self, table):
        table["age"] = 10
        with pytest.raises(
            ValueError, match=r"column 'site' is missing in row 2.*missing='impute'"
        ):
            make(categories=["site"], missing="error").fit(table)

    def test_a_new_one_is_an_error_with_row_and_remedy(self, table):
        fitted = make(categories=["site"]).fit(table)
        with pytest.raises(
            ValueError,
            match=r"'site', row 2 has the category 'kne'.*'hip', 'knee'.*unknown_category='ignore'",
        ) as caught:
            fitted.transform(table.assign(site=["hip", "knee", "kne", "hip"]))
        assert "did you mean 'knee'" in str(caught.value).casefold()

    def test_a_new_one_may_be_none_of_them(self, table):
        fitted = make(categories=["site"], unknown_category="ignore").fit(table)
        found = fitted.transform(table.assign(site="spine"))
        assert (found[["site_hip", "site_knee"]] == 0).all().all()

    def test_numbers_and_texts_of_one_spelling_are_one(self):
        encoder = CategoryEncoder(name="ward").fit(
            pd.DataFrame({"ward": [2, "2", 2.0, " 3", True]})
        )
        assert encoder.categories_.tolist() == ["2", "3", "True"]

    def test_categories_that_differ_in_spelling_only_are_refused(self):
        frame = pd.DataFrame({"ward": ["Knee", "hip", "knee ", "knee"]})
        with pytest.raises(
            ValueError, match=r"'Knee' and 'knee'.*spelling only.*replace\('knee', 'Knee'\)"
        ):
            CategoryEncoder(name="ward").fit(frame)

    def test_a_cell_that_says_none_is_missing_and_said_so_once(self):
        frame = pd.DataFrame({"ward": ["a", "None", "b", "none"]})
        encoder = CategoryEncoder(name="ward", missing="indicator")
        with pytest.warns(UserWarning, match=r"says 'none' in 2 of 4 rows, the first is row 1"):
            encoder.fit(frame)
        assert encoder.n_missing_ == 2
        clone(encoder).fit(frame)

    def test_cells_must_be_one_value(self):
        frame = pd.DataFrame({"ward": ["a", ["b"]]})
        with pytest.raises(TypeError, match=r"column 'ward', row 1 holds \['b'\]"):
            CategoryEncoder(name="ward").fit(frame)

    def test_one_column_at_a_time(self):
        with pytest.raises(ValueError, match="takes exactly one column, got 2"):
            CategoryEncoder(name="ward").fit(pd.DataFrame({"a": ["x"], "b": ["y"]}))

    def test_without_any_it_is_refused(self):
        with pytest.raises(ValueError, match="column 'ward' has no value in any of the 2 rows"):
            CategoryEncoder(name="ward").fit(pd.DataFrame({"ward": [None, ""]}))

    @pytest.mark.parametrize("params", [{"unknown": "drop"}, {"missing": "drop"}])
    def test_policies_are_checked(self, params):
        with pytest.raises(ValueError, match="='drop' is not allowed"):
            CategoryEncoder(name="ward", **params).fit(pd.DataFrame({"ward": ["a"]}))

    def test_the_spline_encoding_makes_them_z_scores(self, table):
        found = make(categories=["site"], encoding="spline").fit_transform(table)
        np.testing.assert_allclose(found[["site_hip", "site_knee"]].mean(), 0, atol=1e-6)


class TestNames:
    @pytest.mark.parametrize(
        "params",
        [
            {"numbers": ["age"]},
            {"numbers": ["a__b"]},
            {"categories": ["gender"]},
            {"numbers": ["bmi", "bmi"]},
            {"numbers": "bmi"},
            {"numbers": {"bmi": 3}},
            {"categories": [3]},
        ],
    )
    def test_names_that_cannot_be_are_refused(self, params):
        with pytest.raises(ValueError, match="is not allowed; allowed"):
            make(**params)

    def test_one_name_for_two_inputs_is_refused(self):
        with pytest.raises(ValueError, match="'bmi' is in both numbers and categories"):
            make(numbers=["bmi"], categories=["bmi"])

    def test_a_column_that_is_not_there_is_named(self, table):
        with pytest.raises(ValueError, match="X has no column 'BMI', which 'BMI' is made of"):
            make(numbers=["BMI"]).fit(table)


class TestRangesWithOneEnd:
    def test_an_upper_end_makes_a_ratio(self):
        assert KitRangeScaler(high=5).fit_transform(
            [[0.0], [5], [71]]
        ).ravel().tolist() == pytest.approx([0, 1, 14.2])

    def test_a_lower_end_makes_a_ratio(self):
        assert KitRangeScaler(low=80).fit_transform([[40.0], [80]]).ravel().tolist() == [0.5, 1]

    @pytest.mark.parametrize(
        "params", [{"high": 5}, {"low": 5}, {"high": 5, "allow_negative": True}]
    )
    def test_a_value_below_0_is_an_error_with_its_row(self, params):
        scaler = KitRangeScaler(**params)
        with pytest.raises(ValueError, match=r"-1 in column 0, row 1.*give both ends of the range"):
            scaler.fit([[3.0], [-1.0]])
        with pytest.raises(ValueError, match="row 0"):
            clone(scaler).fit([[3.0], [4.0]]).transform([[-1.0]])

    def test_values_beyond_the_assay_take_its_limit(self):
        scaler = KitRangeScaler(high=5, censored="limit").fit([["<2"], [10.0], [np.inf]])
        assert scaler.transform([["<2"], [np.inf]]).ravel().tolist() == pytest.approx([0.4, 2])

    def test_it_is_undone(self):
        scaler = KitRangeScaler(high=5).fit([[3.0], [10.0]])
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform([[3.0]])), [[3.0]])

    @pytest.mark.parametrize("params", [{"high": 0}, {"low": -1}, {"high": np.inf}, {"high": "5"}])
    def test_an_end_must_be_above_0(self, params):
        with pytest.raises(
            ValueError, match=r"\(low, high\)=.* is not allowed.*one above 0 and None"
        ):
            KitRangeScaler(**params).fit([[3.0]])

    def test_several_columns_may_share_it(self):
        found = (
            KitRangeScaler(high=5)
            .set_output(transform="pandas")
            .fit_transform(pd.DataFrame({"a": [5.0], "b": [10.0]}))
        )
        assert found.to_dict("records") == [{"a": 1.0, "b": 2.0}]


class TestGenderSpellings:
    def test_further_spellings_are_known(self):
        frame = pd.DataFrame({"gender": ["w", "M", "2", 1]})
        spellings = {"w": "female", "2": "female", "1": "male"}
        made = make_clinical_transformer(image=None, age=None, kits={}, gender_spellings=spellings)
        assert made.fit_transform(frame)["gender"].tolist() == [0.5, -0.5, 0.5, -0.5]

    @pytest.mark.parametrize("spellings", [{"w": "woman"}, ["w"], {"w": 0.5}])
    def test_they_say_female_or_male(self, spellings):
        with pytest.raises(
            ValueError, match=r"gender_spellings=.* is not allowed.*'female', 'male'"
        ):
            make_clinical_transformer(gender_spellings=spellings)

    def test_a_spelling_of_the_other_gender_is_refused(self):
        with pytest.raises(ValueError, match=r"gender_spellings\['F'\]='male'.*'female', which"):
            make_clinical_transformer(image=None, age=None, kits={}, gender_spellings={"F": "male"})

    def test_the_remedy_for_an_unknown_one_works(self):
        table = pd.DataFrame({"gender": ["w", "M"]})
        with pytest.raises(ValueError, match=r"gender_spellings=\{'w': 'female'\}"):
            make_clinical_transformer(image=None, age=None, kits={}).fit(table)
        made = make_clinical_transformer(
            image=None, age=None, kits={}, gender_spellings={"w": "female"}
        )
        assert made.fit_transform(table)["gender"].tolist() == [0.5, -0.5]


class TestRespelledCategories:
    @pytest.mark.parametrize("unknown", ["ignore", "error"])
    @pytest.mark.parametrize("text", ["Knee", "KNEE", "kn\u200bee", "knee  joint"])
    def test_a_new_spelling_is_refused_whatever_the_policy(self, table, unknown, text):
        table["site"] = ["knee", "hip", "knee joint", "knee"]
        fitted = make(categories=["site"], unknown_category=unknown).fit(table)
        with pytest.raises(ValueError, match=r"column 'site', row 1"):
            fitted.transform(table.assign(site=["knee", text, "hip", "hip"]))

    @pytest.mark.parametrize("twin", ["kne\u200be", "KNEE", "\uff4bnee"])
    def test_twins_in_training_are_refused(self, table, twin):
        with pytest.raises(ValueError, match="differ in spelling only"):
            make(categories=["site"]).fit(table.assign(site=["knee", twin, "hip", "hip"]))

    def test_composed_and_decomposed_letters_are_twins(self, table):
        with pytest.raises(ValueError, match="differ in spelling only"):
            make(categories=["site"]).fit(table.assign(site=["\u00e9", "e\u0301", "a", "b"]))

    def test_what_is_new_in_fact_is_none_of_them(self, table):
        fitted = make(categories=["site"], unknown_category="ignore").fit(table)
        found = fitted.transform(table.assign(site="spine"))
        assert (found[["site_hip", "site_knee"]] == 0).all(axis=None)

    def test_a_long_text_is_no_category(self, table):
        with pytest.raises(ValueError, match=r"row 2 holds a text of 20000 characters"):
            make(categories=["site"]).fit(table.assign(site=["a", "b", "x" * 20_000, "a"]))


class TestNamesOfOutputs:
    @pytest.mark.parametrize(
        ("params", "words"),
        [
            ({"numbers": ["bmi", "bmi_missing"], "missing": "indicator"}, "'bmi_missing'.*'bmi'"),
            ({"numbers": ["age_missing"], "missing": "indicator"}, "'age_missing'.*'age'"),
            ({"numbers": ["bmi", "bmi_sp_0"], "encoding": "spline"}, "'bmi_sp_0'.*'bmi'"),
        ],
    )
    def test_an_input_with_the_name_of_an_output_is_refused(self, params, words):
        with pytest.raises(ValueError, match=f"{words}.*another name"):
            make(**params)

    def test_they_are_free_where_no_such_output_is(self, table):
        table["bmi_missing"] = [1.0, 2, 3, 4]
        assert "bmi_missing" in make(numbers=["bmi", "bmi_missing"]).fit_transform(table)

    def test_a_category_called_missing_is_refused(self, table):
        with pytest.raises(ValueError, match=r"category 'missing'.*replace\('missing'"):
            make(categories=["site"], missing="indicator").fit(table.assign(site="missing"))

    def test_a_number_with_the_name_of_a_category_gets_a_remedy(self, table):
        table["site_hip"] = [1.0, 2, 3, 4]
        with pytest.raises(ValueError, match=r"two inputs make columns of one name.*numbers="):
            make(categories=["site"], numbers=["site_hip"]).fit(table)


class TestUnitsOfOpenRanges:
    @pytest.mark.parametrize("values", [[95.0, 105, 98], [20.0, 25, 31]])
    def test_above_a_lower_end_nothing_is_too_high(self, values, recwarn):
        KitRangeScaler(30, None).fit(np.reshape(values, (-1, 1)))
        assert not recwarn.list

    def test_a_tenth_of_a_lower_end_is_another_unit(self):
        with pytest.warns(UserWarning, match=r"0\.108 times the lower end.*about 0\.1"):
            KitRangeScaler(120, None).fit([[12.0], [13.0], [14.0]])


def test_an_absent_column_names_all_parameters(table):
    with pytest.raises(ValueError, match=r"'height'.*kits=, numbers= or categories="):
        make(numbers=["height"]).fit(table)


@pytest.mark.parametrize("categories", [np.array([["a", "b"]]), np.array([1, 2])])
def test_a_planted_state_of_categories_is_refused(table, categories):
    fitted = CategoryEncoder(name="site").fit(table[["site"]])
    with pytest.raises(ValueError, match="not a list of texts"):
        CategoryEncoder.__new__(CategoryEncoder).__setstate__(
            fitted.__getstate__() | {"categories_": categories}
        )


@pytest.mark.parametrize("limit", ["4", float("nan"), -1.0])
def test_a_planted_limit_is_refused(limit):
    state = Clipper().fit([[1.0]]).__getstate__() | {"limit": limit}
    with pytest.raises(ValueError, match=r"limit=.*a number above 0"):
        Clipper.__new__(Clipper).__setstate__(state)
