import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import BSpline
from sklearn.base import clone
from sklearn.preprocessing import SplineTransformer

from skosfusion.preprocessing import AgeScaler, SplineBasis, make_clinical_transformer

KITS = {"alp": ("alp", 40, 150), "crp": ("crp", None, 5)}


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    n_rows = 80
    frame = pd.DataFrame(
        {
            "image": [f"{row}.png" for row in range(n_rows)],
            "gender": random.choice(["F", "M"], n_rows),
            "age": random.uniform(4, 81, n_rows),
            "alp": random.lognormal(5, 0.8, n_rows),
            "crp": random.lognormal(1, 1.5, n_rows),
        }
    )
    frame.loc[[3, 9], "alp"] = np.nan
    frame.loc[5, "gender"] = None
    return frame


@pytest.fixture
def spline():
    return make_clinical_transformer(kits=KITS, encoding="spline")


def columns_of(name):
    return [name, *(f"{name}_sp_{number}" for number in range(5)), f"{name}_missing"]


def by_hand(values, is_missing, train):
    """The encoding of the issue, from the normalized values, in NumPy and SciPy alone."""
    filled = np.where(is_missing, np.median(values[train & ~is_missing]), values)
    curve = np.arcsinh(filled)
    low, high = curve[train].min(), curve[train].max()
    step = (high - low) / 3
    knots = low + step * np.arange(-3, 7)
    basis = []
    for number in range(5):
        piece = BSpline.basis_element(knots[number : number + 5], extrapolate=False)
        inside = np.clip(curve, low, high)
        # scipy's pieces are open at the right end.
        value = np.nan_to_num(piece(np.minimum(inside, knots[number + 4] - 1e-12)))
        value = np.where(inside < knots[number], 0, value)
        for end, is_beyond in ((low, curve < low), (high, curve > high)):
            slope = (
                np.nan_to_num(piece.derivative()(end))
                if knots[number] <= end <= knots[number + 4]
                else 0
            )
            value = np.where(is_beyond, value + slope * (curve - end), value)
        basis.append(value)
    columns = np.column_stack([curve, *basis, is_missing])
    mean, deviation = columns[train].mean(0), columns[train].std(0)
    return np.clip((columns - mean) / np.where(deviation > 0, deviation, 1), -4, 4)


def test_it_is_what_its_words_say(spline, table):
    train = np.arange(len(table)) < 60
    table.loc[70, "alp"] = 1e5  # far beyond the knots
    table.loc[71, "alp"] = 0.0
    found = spline.fit(table[train]).transform(table)[columns_of("alp")]
    values = (table["alp"].to_numpy() - 40) / 110
    expected = by_hand(np.nan_to_num(values), np.isnan(values), train)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_the_paper_encoding_is_the_default_and_as_it_was(table):
    default = make_clinical_transformer(kits=KITS).fit_transform(table)
    assert list(default.columns) == ["image", "gender", "age", "alp", "crp"]
    np.testing.assert_allclose(default["age"], table["age"] / 100, rtol=1e-6)
    np.testing.assert_allclose(default["crp"], table["crp"] / 5, rtol=1e-6)
    assert default["alp"][3] == default["alp"].median()


def test_names_tell_the_input(spline, table):
    names = list(spline.fit_transform(table).columns)
    expected = ["image", "gender", "gender_missing"]
    for name in ("age", "alp", "crp"):
        expected += columns_of(name)
    assert names == expected
    assert names == list(spline.get_feature_names_out())


def test_all_that_belongs_to_a_value_goes_with_it(spline, table):
    names = spline.set_params(alp="drop").fit_transform(table).columns
    assert not [name for name in names if name.startswith("alp")]


def test_what_is_missing_changes_nothing_else_in_the_row(spline, table):
    whole = spline.fit(table).transform(table)
    gap = spline.transform(table.assign(alp=np.nan))
    others = [name for name in whole if not name.startswith("alp")]
    pd.testing.assert_frame_equal(gap[others], whole[others])
    assert (gap["alp_missing"] > 0).all()
    assert (whole["alp_missing"].drop([3, 9]) < 0).all()


def test_no_value_is_far_from_0(spline, table):
    spline.fit(table)
    wild = spline.transform(table.assign(alp=1e9, crp=1e9, age=120))
    assert wild.drop(columns="image").abs().max().max() <= 4
    assert (wild.dtypes.drop("image") == np.float32).all()


def test_means_and_knots_are_those_of_the_rows_to_fit(spline, table):
    half = table[:40]
    alone = spline.fit(half).transform(half)
    together = spline.transform(table)[:40]
    pd.testing.assert_frame_equal(alone, together)
    other = clone(spline).fit(table.assign(alp=table["alp"] * 3)).transform(half)
    assert not np.allclose(other["alp_sp_1"], alone["alp_sp_1"])


@pytest.mark.parametrize(
    ("missing", "has_indicator"), [(None, True), ("indicator", True), ("impute", False)]
)
def test_indicators_are_there_unless_declared_otherwise(missing, has_indicator, table):
    spline = make_clinical_transformer(kits=KITS, encoding="spline", missing=missing)
    assert ("alp_missing" in spline.fit_transform(table)) == has_indicator


def test_one_distinct_number_is_an_error_that_names_it(spline, table):
    with pytest.raises(
        ValueError, match=r"column 'crp' has one distinct number in the 80 rows.*'drop'"
    ):
        spline.fit(table.assign(crp=7.0))
    spline.set_params(crp="drop").fit(table.assign(crp=7.0))
    make_clinical_transformer(kits=KITS).fit(table.assign(crp=7.0))


def test_its_parts_can_be_seen_and_changed(spline, table):
    spline.set_params(alp__basis__spline__n_knots=6)
    assert "alp_sp_6" in spline.fit_transform(table)
    assert [name for name, _ in spline.named_transformers_["alp"].steps] == [
        "scale",
        "missing",
        "asinh",
        "basis",
        "zscore",
        "clip",
    ]


def test_another_encoding_is_refused():
    with pytest.raises(
        ValueError, match=r"encoding='cubic' is not allowed; allowed: .*'paper'.*'spline'"
    ):
        make_clinical_transformer(encoding="cubic")


class TestSplineBasis:
    def test_it_is_scikit_learns(self):
        X = np.random.default_rng(0).normal(size=(50, 2))
        theirs = SplineTransformer(4, 3, extrapolation="linear", include_bias=False).fit(X)
        ours = SplineBasis().fit(X)
        np.testing.assert_array_equal(ours.transform(2 * X), theirs.transform(2 * X))
        assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())

    def test_its_state_is_numbers_and_gives_the_same(self):
        X = np.random.default_rng(0).normal(size=(50, 2))
        fitted = SplineBasis().fit(X)
        state = fitted.__getstate__()
        assert not any(isinstance(value, list) for value in state.values())
        copy = SplineBasis.__new__(SplineBasis)
        copy.__setstate__(state)
        np.testing.assert_array_equal(copy.transform(3 * X), fitted.transform(3 * X))

    @pytest.mark.parametrize(
        "changes",
        [
            {"degree": 10**9},
            {"degree": -1},
            {"degree": "3"},
            {"n_knots": 10**9},
            {"n_knots": 7},
            {"n_features_in_": 5},
            {"n_features_in_": 10**9},
            {"knots_": np.zeros((2, 10))},
            {"knots_": np.full((2, 10), np.nan)},
            {"knots_": np.r_[np.arange(19.0), np.inf].reshape(2, 10)},
            {"n_knots": 101, "knots_": np.arange(2 * 107.0).reshape(2, 107)},
            {"degree": 6, "knots_": np.arange(2 * 16.0).reshape(2, 16)},
            {"knots_": np.arange(20.0).reshape(2, 10)[:, ::-1]},
            {"knots_": np.arange(18.0).reshape(2, 9)},
            {"knots_": np.arange(20).reshape(2, 10)},
        ],
    )
    def test_a_hostile_state_is_refused(self, changes):
        X = np.random.default_rng(0).normal(size=(50, 2))
        state = SplineBasis().fit(X).__getstate__() | changes
        with pytest.raises(ValueError, match=r"allowed: an integer from|are not usable"):
            SplineBasis.__new__(SplineBasis).__setstate__(state)

    def test_a_state_without_knots_is_refused(self):
        state = SplineBasis().fit(np.arange(6.0)[:, None]).__getstate__()
        del state["knots_"]
        with pytest.raises(ValueError, match="has no knots"):
            SplineBasis.__new__(SplineBasis).__setstate__(state)

    @pytest.mark.parametrize(
        ("params", "allowed"),
        [({"n_knots": 101}, "2 to 100"), ({"n_knots": 1}, "2 to 100"), ({"degree": 6}, "0 to 5")],
    )
    def test_a_parameter_out_of_its_set_is_refused_in_fit(self, params, allowed):
        with pytest.raises(ValueError, match=f"integer from {allowed}"):
            SplineBasis(**params).fit(np.arange(6.0)[:, None])

    def test_the_ends_of_the_sets_are_allowed(self):
        values = np.linspace(0, 1, 300)[:, None]
        for params in ({"n_knots": 100}, {"n_knots": 2}, {"degree": 5}, {"degree": 0}):
            fitted = SplineBasis(**params).fit(values)
            copy = SplineBasis.__new__(SplineBasis)
            copy.__setstate__(fitted.__getstate__())
            np.testing.assert_array_equal(copy.transform(values), fitted.transform(values))

    def test_one_row_is_refused_with_the_remedy(self):
        with pytest.raises(ValueError, match=r"1 sample to fit.*encoding='paper'"):
            SplineBasis().fit([[1.0]])

    def test_what_else_a_state_says_does_not_count(self):
        X = np.random.default_rng(0).normal(size=(50, 2))
        fitted = SplineBasis().fit(X)
        state = fitted.__getstate__()
        state |= {"extrapolation": "periodic", "include_bias": True, "n_features_out_": 10**9}
        copy = SplineBasis.__new__(SplineBasis)
        copy.__setstate__(state)
        np.testing.assert_array_equal(copy.transform(X), fitted.transform(X))


def test_a_step_of_ones_own_fits_in(table):
    own = make_clinical_transformer(kits={}, encoding="spline")
    own.set_params(age__scale=AgeScaler(scale=10.0))
    assert "age_sp_0" in own.fit_transform(table)
