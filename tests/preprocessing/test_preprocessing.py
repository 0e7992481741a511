import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from skosfusion.preprocessing import AgeScaler, GenderEncoder, KitRangeScaler
from skosfusion.preprocessing._gender_words import FEMALE, MALE

TRANSFORMERS = {
    "gender": (GenderEncoder, ["F", "M", "f"]),
    "age": (AgeScaler, [4, 40, 81]),
    "lab": (lambda: KitRangeScaler(low=40, high=150), [30, 95, 400]),
}


def frame(name, values, **more):
    return pd.DataFrame({name: values, **more})


def kit(values, low=40.0, high=150.0):
    return pd.DataFrame({"alp": values, "alp_low": low, "alp_high": high})


class TestEvery:
    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_output_is_float32(self, kind):
        make, values = TRANSFORMERS[kind]
        assert make().fit_transform(frame("x", values)).dtype == np.float32

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_pandas_output_keeps_name_and_index(self, kind):
        make, values = TRANSFORMERS[kind]
        out = make().set_output(transform="pandas").fit_transform(frame("x", values, z=values))
        assert out.columns.tolist() == ["x", "z"]

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_column_without_values_is_refused_by_name(self, kind):
        make, values = TRANSFORMERS[kind]
        with pytest.raises(ValueError, match=r"column 'empty' has no value in any of the 3 rows"):
            make().fit(frame("full", values, empty=[None, np.nan, ""]))

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_missing_values_stay_nan_and_are_counted(self, kind):
        make, values = TRANSFORMERS[kind]
        cells = [*values, None, np.nan, pd.NA, "", " NA ", "n/a", "NaN", "none", "NULL"]
        transformer = make()
        out = transformer.fit_transform(frame("x", cells))
        np.testing.assert_array_equal(np.isnan(out[:, 0]), [False] * 3 + [True] * 9)
        np.testing.assert_array_equal(transformer.n_missing_, [9])

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    @pytest.mark.parametrize("garbage", [{"a": 1}, [1], True, 1j, b"1"])
    def test_cells_that_are_no_values_are_refused(self, kind, garbage):
        make, values = TRANSFORMERS[kind]
        cells = pd.Series([*values, garbage], dtype=object)
        with pytest.raises((TypeError, ValueError), match=r"column 'x', row 3"):
            make().fit(frame("x", cells))

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_one_dimension_is_refused_with_the_remedy(self, kind):
        make, values = TRANSFORMERS[kind]
        with pytest.raises(ValueError, match="Reshape your data"):
            make().fit(values)

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_list_array_and_frame_give_the_same(self, kind):
        make, values = TRANSFORMERS[kind]
        expected = make().fit_transform(frame("x", values))
        for X in ([[v] for v in values], np.array(values, dtype=object)[:, None]):
            np.testing.assert_array_equal(make().fit_transform(X), expected)

    @pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "Int64", "Float64", "object"])
    @pytest.mark.parametrize("kind", ["age", "lab"])
    def test_numeric_dtype_does_not_matter(self, kind, dtype):
        make, _ = TRANSFORMERS[kind]
        cells = pd.Series([30, 95, 120])
        expected = make().fit_transform(frame("x", cells))
        got = make().fit_transform(frame("x", cells.astype(dtype)))
        np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("dtype", ["str", "string", "category"])
    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_text_dtype_does_not_matter(self, kind, dtype):
        make, values = TRANSFORMERS[kind]
        expected = make().fit_transform(frame("x", [*values, None]))
        cells = pd.Series([*map(str, values), None]).astype(dtype)
        np.testing.assert_array_equal(make().fit_transform(frame("x", cells)), expected)

    @pytest.mark.parametrize("kind", ["age", "lab"])
    def test_numeric_text_is_a_number(self, kind):
        make, _ = TRANSFORMERS[kind]
        expected = make().fit_transform([[60.0], [3.5], [100.0]])
        got = make().fit_transform([["60"], [" 3.5 "], ["1e2"]])
        np.testing.assert_array_equal(got, expected)

    @pytest.mark.parametrize("kind", ["age", "lab"])
    @pytest.mark.parametrize("text", ["six", "?", "1_000", "0x10", "٣", "1 2"])
    def test_other_text_is_refused_with_place_and_remedy(self, kind, text):
        make, _ = TRANSFORMERS[kind]
        with pytest.raises(ValueError, match=r"column 'x', row 1 .*na_values=") as caught:
            make().fit(frame("x", ["12", text]))
        assert repr(text) in str(caught.value)

    @pytest.mark.parametrize("kind", ["age", "lab"])
    @pytest.mark.parametrize("infinity", [np.inf, -np.inf, "1e999"])
    def test_infinity_is_refused_with_place(self, kind, infinity):
        make, _ = TRANSFORMERS[kind]
        with pytest.raises(ValueError, match=r"infinite value \S+ in column 'x', row 1"):
            make().fit(frame("x", [50.0, infinity]))

    @pytest.mark.parametrize("kind", TRANSFORMERS)
    def test_bad_value_is_refused_in_transform_too(self, kind):
        make, values = TRANSFORMERS[kind]
        transformer = make().fit(frame("x", values))
        with pytest.raises(ValueError, match=r"column 'x', row 1"):
            transformer.transform(frame("x", [values[0], "six"]))


class TestGenderEncoder:
    def test_female_is_plus_and_male_minus_one_half_in_any_spelling(self):
        X = [["F"], [" female "], ["FEMALE"], ["m"], ["Male"]]
        expected = np.array([[0.5], [0.5], [0.5], [-0.5], [-0.5]], dtype=np.float32)
        np.testing.assert_array_equal(GenderEncoder().fit_transform(X), expected)

    def test_unknown_value_is_an_error_with_value_place_and_allowed_ones(self):
        with pytest.raises(ValueError, match=r"'diverse' in column 'sex', row 1; .*'female'"):
            GenderEncoder().fit(frame("sex", ["F", "diverse"]))

    @pytest.mark.parametrize(("unknown", "code"), [("missing", np.nan), ("zero", 0.0)])
    def test_unknown_value_follows_the_declared_policy(self, unknown, code):
        out = GenderEncoder(unknown=unknown).fit_transform([["F"], ["diverse"]])
        np.testing.assert_array_equal(out[:, 0], np.array([0.5, code], dtype=np.float32))

    def test_error_shows_the_text_of_an_array_plainly(self):
        with pytest.raises(ValueError, match=r"unknown gender 'diverse' in column 0, row 1"):
            GenderEncoder().fit(np.array([["F"], ["diverse"]]))

    def test_missing_value_is_an_error_on_demand(self):
        with pytest.raises(ValueError, match=r"missing gender nan in column 'sex', row 1"):
            GenderEncoder(missing="error").fit(frame("sex", ["F", np.nan]))

    def test_codes_may_be_numbers(self):
        encoder = GenderEncoder(female=(2,), male=("1",))
        out = encoder.fit_transform(frame("sex", [2, "1", 1.0, "2 "]))
        np.testing.assert_array_equal(out[:, 0], [0.5, -0.5, -0.5, 0.5])

    def test_a_declared_spelling_is_a_gender_even_if_it_usually_means_missing(self):
        encoder = GenderEncoder(female=("NA",), male=("m",))
        out = encoder.fit_transform(frame("sex", ["na", "m", None]))
        np.testing.assert_array_equal(out[:, 0], [0.5, -0.5, np.nan])

    @pytest.mark.parametrize(
        "params",
        [
            {"missing": "drop"},
            {"unknown": None},
            {"female": "f"},
            {"male": ()},
            {"female": ("x",), "male": ("X ",)},
        ],
    )
    def test_parameter_out_of_its_set_is_refused_by_name(self, params):
        with pytest.raises(ValueError, match=rf"{list(params)[-1]}=.* is not allowed; allowed: "):
            GenderEncoder(**params).fit([["F"], ["M"]])


class TestWordsOfOtherLanguages:
    @pytest.mark.parametrize(
        ("female", "male"),
        [
            ("weiblich", "Männlich"),
            ("Frau", "Mann"),
            ("femme", "homme"),
            ("F", "H"),
            ("Mujer", "Hombre"),
            ("Femenino", "Masculino"),
            ("femmina", "maschio"),
            ("KADIN", "erkek"),
            ("女", "男"),
            ("女性", "男性"),
        ],
    )
    def test_usual_words_need_no_declaration(self, female, male):
        out = GenderEncoder().fit_transform(frame("sex", [f" {female}", male.upper()]))
        np.testing.assert_array_equal(out[:, 0], [0.5, -0.5])

    @pytest.mark.parametrize("letter", ["w", "k", "e", "d", "v", "n"])
    def test_other_letters_need_one(self, letter):
        message = (
            rf"unknown gender '{letter}' in column 'sex', row 1; .*GenderColumn\('sex', "
            rf"values=\{{'{letter}': 'female'\}}\).*--gender-value {letter}=female"
        )
        with pytest.raises(ValueError, match=message):
            GenderEncoder().fit(frame("sex", ["F", letter]))

    @pytest.mark.parametrize("man", ["h", "Hombre", "varón"])
    def test_m_beside_a_man_of_spain_may_be_a_woman(self, man):
        message = r"column 'sex' holds both 'm' and .*'mujer'.*--gender-value \S+=male"
        with pytest.raises(ValueError, match=message):
            GenderEncoder().fit(frame("sex", [man, "M"]))
        encoder = GenderEncoder().fit(frame("sex", ["M", "F"]))
        with pytest.raises(ValueError, match=message):
            encoder.transform(frame("sex", [man, "M"]))

    def test_m_that_is_declared_female_has_one_meaning(self):
        encoder = GenderEncoder(female=("m",), male=("h",))
        np.testing.assert_array_equal(
            encoder.fit_transform(frame("sex", ["H", "M"]))[:, 0], [-0.5, 0.5]
        )

    def test_no_word_is_in_both_lists(self):
        assert not {*FEMALE} & {*MALE}

    def test_errors_name_what_was_declared(self):
        with pytest.raises(ValueError, match=r"allowed are \['1', '2'\], in any case"):
            GenderEncoder(female=(1,), male=(2,)).fit(frame("sex", ["weiblich"]))


class TestAgeScaler:
    def test_years_are_divided_by_100(self):
        out = AgeScaler().fit_transform([[4], [81]])
        np.testing.assert_array_equal(out, np.array([[0.04], [0.81]], dtype=np.float32))

    @pytest.mark.parametrize("limit", [0, 120])
    def test_limits_of_the_range_are_included(self, limit):
        AgeScaler().fit([[limit]])

    @pytest.mark.parametrize("age", [-1, 120.5])
    def test_age_outside_the_range_is_refused_with_place(self, age):
        with pytest.raises(ValueError, match=rf"age {age} in column 'age', row 1 .* 0 to 120 year"):
            AgeScaler().fit(frame("age", [50, age, 50]))

    @pytest.mark.parametrize(("factor", "unit"), [(12, "months"), (365.25, "days")])
    def test_error_says_which_unit_the_ages_seem_to_have(self, factor, unit):
        years = np.array([9.0, 14.0, 20.0, 45.0, 81.0])
        with pytest.raises(ValueError, match=f"ages in {unit}: divide them by {factor}"):
            AgeScaler().fit(frame("age", years * factor))

    def test_one_wrong_age_is_not_called_a_unit(self):
        with pytest.raises(ValueError, match="row 1") as caught:
            AgeScaler().fit(frame("age", [50, 400, 60]))
        assert "months" not in str(caught.value)

    def test_range_can_be_changed_or_left_out(self):
        AgeScaler(valid_range=(18, 130)).fit([[125]])
        AgeScaler(valid_range=None).fit([[-3], [1000]])

    @pytest.mark.parametrize(
        "params",
        [
            {"scale": 0},
            {"scale": "100"},
            {"scale": np.inf},
            {"valid_range": (10, 5)},
            {"valid_range": 120},
            {"valid_range": (0, np.nan)},
        ],
    )
    def test_parameter_out_of_its_set_is_refused_by_name(self, params):
        with pytest.raises(ValueError, match=rf"{next(iter(params))}=.* is not allowed; allowed: "):
            AgeScaler(**params).fit([[10]])

    @pytest.mark.filterwarnings("ignore:column 0 holds 99:UserWarning")  # as a missing value
    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(0, 120), min_size=1, max_size=20))
    def test_inverse_gives_the_ages_back(self, ages):
        X = np.array(ages)[:, None]
        scaler = AgeScaler().fit(X)
        back = scaler.inverse_transform(scaler.transform(X))
        np.testing.assert_allclose(back, X, rtol=1e-6, atol=1e-6)

    def test_too_large_result_is_refused_rather_than_infinite(self):
        with pytest.raises(ValueError, match=r"column 'age', row 0 is too large"):
            AgeScaler(valid_range=None, scale=1e-9).fit_transform(frame("age", [1e38]))


class TestKitRangeScaler:
    def test_formula_holds_row_by_row(self):
        X = kit([40.0, 150.0, 300.0, 20.0], low=[40, 40, 100, 30], high=[150, 150, 300, 130])
        np.testing.assert_allclose(KitRangeScaler().fit_transform(X)[:, 0], [0, 1, 1, -0.1])

    def test_output_is_named_after_the_value(self):
        scaler = KitRangeScaler().fit(kit([50.0]))
        assert scaler.get_feature_names_out().tolist() == ["alp"]

    def test_fixed_limits_apply_to_every_column(self):
        out = KitRangeScaler(low=95, high=100).fit_transform([[90.0, 95.0], [100.0, 97.5]])
        np.testing.assert_allclose(out, [[-1, 0], [1, 0.5]])

    @pytest.mark.parametrize("n_columns", [1, 2, 4])
    def test_other_than_three_columns_are_refused(self, n_columns):
        with pytest.raises(ValueError, match=f"exactly three columns .* got {n_columns}"):
            KitRangeScaler().fit(np.ones((2, n_columns)))

    @pytest.mark.parametrize(
        "params",
        [
            {"low": 0},
            {"high": -1},
            {"low": 2, "high": 1},
            {"low": 1, "high": 1},
            {"low": "1", "high": 2},
            {"low": np.nan, "high": 2},
        ],
    )
    def test_limits_out_of_their_set_are_refused(self, params):
        with pytest.raises(ValueError, match=r"\(low, high\)=.* is not allowed"):
            KitRangeScaler(**params).fit([[1.0, 0.0, 2.0]])

    @pytest.mark.parametrize(("low", "high"), [(150, 40), (40, 40)])
    def test_range_upside_down_is_refused_with_row_and_limits(self, low, high):
        X = kit([50.0, 60.0], low=[40, low], high=[150, high])
        with pytest.raises(ValueError, match=rf"row 1 has L={low} .*H={high} .*never swapped"):
            KitRangeScaler().fit(X)

    def test_negative_value_is_refused_with_place_unless_allowed(self):
        X = kit([50.0, -2.0])
        with pytest.raises(ValueError, match=r"-2 in column 'alp', row 1; .*allow_negative=True"):
            KitRangeScaler().fit(X)
        KitRangeScaler(allow_negative=True).fit(X)

    @pytest.mark.parametrize("limit", ["alp_low", "alp_high"])
    def test_value_without_its_limit_is_refused_with_place(self, limit):
        X = kit([50.0, 60.0])
        X.loc[1, limit] = np.nan
        with pytest.raises(ValueError, match=rf"row 1 has the value 60, .*{limit!r} is missing"):
            KitRangeScaler().fit(X)

    def test_missing_value_may_lack_its_limits(self):
        X = kit([50.0, np.nan], low=[40, np.nan], high=[150, np.nan])
        out = KitRangeScaler().fit_transform(X)
        np.testing.assert_array_equal(np.isnan(out[:, 0]), [False, True])

    @pytest.mark.parametrize("factor", [10, 1000, 0.1, 0.001])
    def test_wrong_unit_is_warned_of_by_column_and_power_of_ten(self, factor):
        X = kit(np.linspace(45, 300, 30) * factor * 95 / 172)
        with pytest.warns(UserWarning, match=rf"'alp' is .* about {factor:g}: .*same unit"):
            KitRangeScaler().fit(X)

    def test_raised_values_of_a_cohort_are_not_called_a_wrong_unit(self):
        values = np.random.default_rng(0).lognormal(np.log(450), 0.6, 200)
        KitRangeScaler().fit(kit(values))

    def test_low_values_inside_a_range_from_zero_are_not_called_a_wrong_unit(self):
        KitRangeScaler(low=0, high=5).fit([[0.1], [0.2], [0.3]])

    @settings(deadline=None, max_examples=50)
    @given(value=st.floats(0, 1e4), low=st.floats(0, 1e3), width=st.floats(1, 1e3))
    def test_inverse_gives_the_value_back(self, value, low, width):
        X = kit([value], low=low, high=low + width)
        scaler = KitRangeScaler()
        normalized = scaler.fit(kit([95.0])).transform(X)
        back = scaler.inverse_transform(X.assign(alp=normalized[:, 0]))
        np.testing.assert_allclose(back[0, 0], value, atol=1e-6 * (1 + abs(value) + low + width))

    def test_inverse_with_fixed_limits_gives_the_values_back(self):
        X = np.array([[90.0, 99.0], [97.0, 100.0]])
        scaler = KitRangeScaler(low=95, high=100).fit(X)
        np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(X)), X)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(0, 300), min_size=2, max_size=20))
    def test_order_of_values_is_kept(self, values):
        X = kit(np.sort(values))
        out = KitRangeScaler().fit(kit([95.0])).transform(X)
        assert (np.diff(out[:, 0]) >= 0).all()

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.floats(0, 300), min_size=1, max_size=20), st.floats(1e-3, 1e3))
    def test_unit_of_the_kit_does_not_matter(self, values, factor):
        scaler = KitRangeScaler().fit(kit([95.0]))
        expected = scaler.transform(kit(values))
        np.testing.assert_allclose(
            scaler.transform(kit(values) * factor), expected, rtol=1e-5, atol=1e-6
        )

    @settings(deadline=None, max_examples=50)
    @given(st.data())
    def test_order_of_rows_does_not_matter(self, data):
        values = data.draw(st.lists(st.floats(0, 300), min_size=1, max_size=20))
        order = data.draw(st.permutations(range(len(values))))
        X, scaler = kit(values), KitRangeScaler().fit(kit([95.0]))
        expected = scaler.transform(X)[order]
        np.testing.assert_array_equal(scaler.transform(X.iloc[order]), expected)
