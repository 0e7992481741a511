"""What holds for any values: of each normalization, and of the transformer of a whole table."""

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from sklearn.base import clone

from skosfusion.preprocessing import (
    AgeScaler,
    GenderEncoder,
    KitRangeScaler,
    make_clinical_transformer,
)
from skosfusion.preprocessing._gender_words import gender_of_words

# A training table with a missing value in each column.
TRAIN = pd.DataFrame(
    {
        "image": [f"{i}.png" for i in range(8)],
        "gender": ["F", "M", None, "f", "male", "female", "M", "F"],
        "age": [4, 81, 33.5, np.nan, 60, 12, 25, 47],
        "alp": [90, 460, np.nan, 40, 150, 77, 61.5, 300],
        "alp_low": 40.0,
        "alp_high": [130.0, 150] * 4,
        "ldh": [130, 210, 190, 240, np.nan, 500, 120, 166],
        "ldh_low": 120.0,
        "ldh_high": 250.0,
    }
)
FITTED = make_clinical_transformer(missing="indicator").fit(TRAIN)
CLINICAL = ["gender", "age", "alp", "ldh"]

LAB = st.one_of(st.none(), st.floats(0, 5000), st.integers(0, 5000))
ROWS = st.fixed_dictionaries(
    {
        "image": st.sampled_from(["a.png", "b.png"]),
        "gender": st.sampled_from(["F", "M", "female", " Male ", None, "NA", ""]),
        "age": st.one_of(st.none(), st.floats(0, 120), st.integers(0, 120)),
        "alp": LAB,
        "alp_low": st.floats(0, 100),
        "alp_high": st.floats(101, 300),
        "ldh": LAB,
        "ldh_low": st.floats(0, 150),
        "ldh_high": st.floats(151, 400),
    }
)
TABLES = st.lists(ROWS, min_size=1, max_size=8).map(
    lambda rows: pd.DataFrame({name: [row[name] for row in rows] for name in TRAIN.columns})
)
SCALERS = {
    "gender": (GenderEncoder(), ["gender"]),
    "age": (AgeScaler(), ["age"]),
    "alp": (KitRangeScaler(), ["alp", "alp_low", "alp_high"]),
    "fixed limits": (KitRangeScaler(low=40, high=150), ["alp"]),
}
FITTED_SCALERS = {
    name: (clone(scaler).fit(TRAIN[columns]), columns)
    for name, (scaler, columns) in SCALERS.items()
}
each_scaler = pytest.mark.parametrize("kind", SCALERS)
few = settings(deadline=None, max_examples=20)


class TestEachScaler:
    @each_scaler
    @few
    @given(table=TABLES, data=st.data())
    def test_rows_are_normalized_one_by_one(self, kind, table, data):
        scaler, columns = FITTED_SCALERS[kind]
        rows = data.draw(st.lists(st.sampled_from(range(len(table))), min_size=1))
        expected = scaler.transform(table[columns])[rows]
        np.testing.assert_array_equal(scaler.transform(table[columns].iloc[rows]), expected)

    @each_scaler
    @few
    @given(table=TABLES, dtype=st.sampled_from(["object", "category", "str", "string[python]"]))
    def test_dtype_does_not_matter(self, kind, table, dtype):
        scaler, columns = FITTED_SCALERS[kind]
        cells = table[columns].map(lambda cell: None if pd.isna(cell) else cell)
        got = scaler.transform(cells.astype(object).astype(dtype))
        np.testing.assert_array_equal(got, scaler.transform(table[columns]))

    @each_scaler
    @few
    @given(table=TABLES)
    def test_missing_stays_missing_and_nothing_else_becomes_so(self, kind, table):
        scaler, columns = FITTED_SCALERS[kind]
        is_missing = table[columns[0]].isna() | table[columns[0]].isin(["NA", ""])
        got = scaler.transform(table[columns])
        np.testing.assert_array_equal(np.isnan(got[:, 0]), is_missing)

    @each_scaler
    @few
    @given(table=TABLES)
    def test_the_rows_of_the_fit_do_not_matter(self, kind, table):
        scaler, columns = FITTED_SCALERS[kind]
        other = clone(scaler).fit(TRAIN[columns].iloc[[0, 1]])
        got = other.transform(table[columns])
        np.testing.assert_array_equal(got, scaler.transform(table[columns]))

    @pytest.mark.parametrize("kind", ["age", "alp", "fixed limits"])
    @few
    @given(table=TABLES)
    def test_inverse_gives_the_values_back(self, kind, table):
        scaler, columns = FITTED_SCALERS[kind]
        normalized = table[columns].assign(
            **{columns[0]: scaler.transform(table[columns])[:, 0].astype(float)}
        )
        back = scaler.inverse_transform(normalized)[:, 0]
        np.testing.assert_allclose(back, table[columns[0]].astype(float), rtol=1e-5, atol=1e-3)

    @pytest.mark.parametrize("kind", ["age", "alp", "fixed limits"])
    @few
    @given(values=st.lists(st.floats(0, 120), min_size=2, max_size=10))
    def test_order_of_values_is_kept(self, kind, values):
        scaler, columns = FITTED_SCALERS[kind]
        X = pd.DataFrame(dict.fromkeys(columns, 0.0), index=range(len(values)))
        X = X.assign(**{columns[0]: np.sort(values)})
        if kind == "alp":
            X = X.assign(alp_low=40.0, alp_high=150.0)
        assert (np.diff(scaler.transform(X)[:, 0]) >= 0).all()

    @few
    @given(ages=st.lists(st.integers(0, 120), min_size=1, max_size=8))
    @pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "Int64", "Float32"])
    def test_numeric_dtype_does_not_matter(self, ages, dtype):
        for kind in ("age", "fixed limits"):
            scaler, columns = FITTED_SCALERS[kind]
            X = pd.DataFrame({columns[0]: ages})
            np.testing.assert_array_equal(scaler.transform(X.astype(dtype)), scaler.transform(X))


class TestGenderEncoder:
    @few
    @given(
        word=st.sampled_from(["f", "female", "m", "male"]),
        left=st.sampled_from(["", " ", "\t", "\u00a0"]),
        upper=st.lists(st.booleans(), min_size=6, max_size=6),
    )
    def test_case_and_white_space_do_not_matter(self, word, left, upper):
        letters = [c.upper() if up else c for c, up in zip(word, upper, strict=False)]
        spelled = left + "".join(letters) + left
        got = GenderEncoder().fit_transform([[spelled]])
        assert got[0, 0] == (0.5 if word.startswith("f") else -0.5)

    @few
    @given(text=st.text(max_size=8))
    @example(text="\x00")
    @example(text="f\x00")
    def test_any_text_is_female_male_missing_or_refused(self, text):
        encoder = GenderEncoder().fit([["f"]])
        spelled = text.strip().casefold()
        if spelled in gender_of_words():
            assert encoder.transform([[text]])[0, 0] in (0.5, -0.5)
        elif spelled in ("", "na", "n/a", "<na>", "nan", "none", "null"):
            assert np.isnan(encoder.transform([[text]])[0, 0])
        else:
            with pytest.raises(ValueError, match="unknown gender"):
                encoder.transform([[text]])

    def test_there_is_no_way_back(self):
        assert not hasattr(GenderEncoder(), "inverse_transform")


class TestKitRangeScaler:
    @few
    @given(table=TABLES, exponent=st.integers(-6, 6))
    def test_unit_of_the_kit_does_not_matter(self, table, exponent):
        scaler, columns = FITTED_SCALERS["alp"]
        expected = scaler.transform(table[columns])
        # A power of two keeps the bits, a power of ten the value up to rounding.
        in_other_unit = table[columns].astype(float) * 2.0**exponent
        np.testing.assert_array_equal(scaler.transform(in_other_unit), expected)
        in_other_unit = table[columns].astype(float) * 10.0**exponent
        np.testing.assert_allclose(scaler.transform(in_other_unit), expected, rtol=1e-5, atol=1e-5)

    @few
    @given(table=TABLES)
    def test_limits_in_columns_and_as_numbers_agree(self, table):
        values = table[["alp"]]
        in_columns = values.assign(low=40, high=150.0)
        expected = KitRangeScaler(low=40, high=150).fit(TRAIN[["alp"]]).transform(values)
        scaler = KitRangeScaler().fit(TRAIN[["alp"]].assign(low=40, high=150.0))
        np.testing.assert_array_equal(scaler.transform(in_columns), expected)


class TestClinicalTransformer:
    @few
    @given(table=TABLES, data=st.data())
    def test_rows_are_transformed_one_by_one(self, table, data):
        rows = data.draw(st.lists(st.sampled_from(range(len(table))), min_size=1))
        expected = FITTED.transform(table).iloc[rows]
        pd.testing.assert_frame_equal(FITTED.transform(table.iloc[rows]), expected)

    @few
    @given(table=TABLES, data=st.data())
    def test_order_of_columns_and_further_ones_do_not_matter(self, table, data):
        columns = data.draw(st.permutations([*table.columns, "note"]))
        got = FITTED.transform(table.assign(note="x")[columns])
        pd.testing.assert_frame_equal(got, FITTED.transform(table))

    @few
    @given(
        order=st.permutations(range(len(TRAIN))), columns=st.permutations(TRAIN.columns.tolist())
    )
    def test_order_in_the_fit_does_not_matter(self, order, columns):
        other = clone(FITTED).fit(TRAIN.iloc[order][columns])
        pd.testing.assert_frame_equal(other.transform(TRAIN), FITTED.transform(TRAIN))

    @few
    @given(table=TABLES, dtype=st.sampled_from(["object", "category", "str", "string[python]"]))
    def test_dtype_does_not_matter(self, table, dtype):
        names = [name for name in table.columns if name != "image"]
        cells = table[names].map(lambda cell: None if pd.isna(cell) else cell)
        other = table.assign(**cells.astype(object).astype(dtype))
        pd.testing.assert_frame_equal(FITTED.transform(other), FITTED.transform(table))

    @pytest.mark.parametrize("backend", ["numpy_nullable", "pyarrow"])
    @few
    @given(table=TABLES)
    def test_nullable_and_arrow_tables_give_the_same(self, backend, table):
        if backend == "pyarrow":
            pytest.importorskip("pyarrow")
        got = FITTED.transform(table.convert_dtypes(dtype_backend=backend))
        expected = FITTED.transform(table)
        pd.testing.assert_frame_equal(got.drop(columns="image"), expected.drop(columns="image"))
        assert got["image"].tolist() == expected["image"].tolist()

    @few
    @given(table=TABLES, exponent=st.integers(-6, 6))
    def test_unit_of_a_kit_does_not_matter(self, table, exponent):
        columns = ["alp", "alp_low", "alp_high"]
        other = table.assign(**table[columns].astype(float) * 2.0**exponent)
        pd.testing.assert_frame_equal(FITTED.transform(other), FITTED.transform(table))

    @few
    @given(table=TABLES)
    def test_the_output_is_finite_and_says_what_was_missing(self, table):
        out = FITTED.transform(table)
        clinical = out.drop(columns="image")
        assert np.isfinite(clinical.to_numpy()).all()
        for name in CLINICAL:
            is_missing = table[name].isna() | table[name].isin(["NA", ""])
            assert out[f"{name}_missing"].tolist() == is_missing.tolist()

    @few
    @given(table=TABLES)
    def test_the_given_table_is_not_changed(self, table):
        copy = table.copy(deep=True)
        FITTED.transform(table)
        pd.testing.assert_frame_equal(table, copy)
