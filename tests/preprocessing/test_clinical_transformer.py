import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skosfusion.preprocessing import (
    AgeScaler,
    ClinicalTransformer,
    KitRangeScaler,
    MissingValues,
    make_clinical_transformer,
)

LAB = {"alp": ("alp", "alp_low", "alp_high")}


@pytest.fixture(name="X")
def make_table():
    return pd.DataFrame(
        {
            "image": ["a.png", "b.png", None, "d.png", "e.png"],
            "gender": ["F", None, "F", "M", "f"],
            "age": [10.0, 20.0, np.nan, 30.0, 40.0],
            "alp": [150.0, np.nan, 40.0, 260.0, 95.0],
            "alp_low": 40.0,
            "alp_high": 150.0,
            "ldh": [200.0, 100.0, 300.0, np.nan, 250.0],
            "ldh_low": 100.0,
            "ldh_high": 300.0,
        }
    )


def test_output_has_the_names_of_the_steps(X):
    out = make_clinical_transformer().fit_transform(X)
    assert out.columns.tolist() == ["image", "gender", "age", "alp", "ldh"]


def test_feature_names_are_those_of_the_output(X):
    transformer = make_clinical_transformer(missing="indicator").fit(X)
    names = transformer.get_feature_names_out().tolist()
    assert names == transformer.transform(X).columns.tolist()


def test_steps_have_the_documented_names():
    steps = [name for name, *_ in make_clinical_transformer().transformers]
    assert steps == ["image", "gender", "age", "alp", "ldh"]


def test_clinical_columns_are_float32(X):
    out = make_clinical_transformer().fit_transform(X)
    assert (out.dtypes.drop("image") == np.float32).all()


def test_image_paths_are_untouched(X):
    out = make_clinical_transformer().fit_transform(X)
    pd.testing.assert_series_equal(out["image"], X["image"])


def test_values_are_normalized(X):
    out = make_clinical_transformer().fit_transform(X).iloc[0]
    np.testing.assert_allclose(out.drop("image").astype(float), [0.5, 0.1, 1, 0.5])


def test_columns_of_other_names_give_the_names_of_the_steps(X):
    X = X.rename(columns={"gender": "sex", "age": "years"}).assign(o2=[95, 100, 90, None, 99])
    transformer = make_clinical_transformer(
        gender="sex", age="years", kits={"saturation": ("o2", 95, 100)}
    )
    assert transformer.fit_transform(X).columns.tolist() == [
        "image",
        "gender",
        "age",
        "saturation",
    ]


@pytest.mark.parametrize("step", ["image", "gender", "age"])
def test_none_leaves_a_step_out(X, step):
    out = make_clinical_transformer(**{step: None}).fit_transform(X)
    assert set(out.columns) == {"image", "gender", "age", "alp", "ldh"} - {step}


def test_empty_kits_leave_all_laboratory_values_out(X):
    out = make_clinical_transformer(kits={}).fit_transform(X)
    assert out.columns.tolist() == ["image", "gender", "age"]


def test_missing_values_are_imputed_from_the_training_rows_alone(X):
    transformer = make_clinical_transformer().fit(X)
    gone = X.assign(gender=None, age=np.nan, alp=np.nan, ldh=np.nan)
    expected = [0.5, 0.25, np.median([1, 0, 2, 0.5]), np.median([0.5, 0, 1, 0.75])]
    out = transformer.transform(gone).drop(columns="image")
    np.testing.assert_allclose(out, np.tile(expected, (len(X), 1)))


def test_missing_gender_is_never_between_the_two(X):
    X["gender"] = ["F", "M", None, "M", "F"]
    out = make_clinical_transformer().fit_transform(X)
    assert out["gender"].tolist() == [0.5, -0.5, -0.5, -0.5, 0.5]


def test_indicator_marks_what_was_missing(X):
    out = make_clinical_transformer(missing="indicator").fit_transform(X)
    np.testing.assert_array_equal(out["alp_missing"], [0, 1, 0, 0, 0])
    assert out["alp_missing"].dtype == np.float32


def test_indicator_columns_are_there_even_if_nothing_was_missing_in_fit(X):
    transformer = make_clinical_transformer(missing="indicator", kits=LAB).fit(X.dropna())
    np.testing.assert_array_equal(transformer.transform(X)["alp_missing"], [0, 1, 0, 0, 0])


def test_missing_values_are_an_error_on_demand_in_fit(X):
    with pytest.raises(ValueError, match=r"column 'gender' is missing in 1 of 5 rows, .* row 1"):
        make_clinical_transformer(missing="error").fit(X)


def test_missing_values_are_an_error_on_demand_in_transform(X):
    transformer = make_clinical_transformer(missing="error", gender=None, age=None, kits=LAB)
    transformer.fit(X.dropna())
    with pytest.raises(ValueError, match=r"column 'alp' is missing in 1 of 5 rows"):
        transformer.transform(X)


def test_count_of_missing_values_is_kept(X):
    transformer = make_clinical_transformer().fit(X)
    assert transformer.named_transformers_["alp"]["scale"].n_missing_ == 1


def test_column_without_values_is_refused_by_name(X):
    with pytest.raises(ValueError, match="column 'ldh' has no value"):
        make_clinical_transformer().fit(X.assign(ldh=np.nan))


def test_missing_column_is_refused_by_name_in_fit(X):
    with pytest.raises(ValueError, match="'alp_low'"):
        make_clinical_transformer().fit(X.drop(columns="alp_low"))


def test_missing_column_is_refused_by_name_in_transform(X):
    with pytest.raises(ValueError, match="'alp_low'"):
        make_clinical_transformer().fit(X).transform(X.drop(columns="alp_low"))


def test_order_of_columns_and_further_columns_do_not_matter(X):
    transformer = make_clinical_transformer().fit(X)
    shuffled = X.assign(note="x")[["note", *X.columns[::-1]]]
    pd.testing.assert_frame_equal(transformer.transform(shuffled), transformer.transform(X))


def test_repeated_index_values_do_no_harm(X):
    out = make_clinical_transformer().fit_transform(X.set_axis([7, 7, 7, 8, 8]))
    expected = make_clinical_transformer().fit_transform(X)
    np.testing.assert_array_equal(out["alp"], expected["alp"])
    assert out.index.tolist() == [7, 7, 7, 8, 8]


def test_dropped_step_is_gone(X):
    transformer = make_clinical_transformer().set_params(alp="drop")
    assert transformer.fit_transform(X).columns.tolist() == ["image", "gender", "age", "ldh"]


def test_image_alone_is_left_if_all_else_is_dropped(X):
    transformer = make_clinical_transformer().set_params(
        gender="drop", age="drop", alp="drop", ldh="drop"
    )
    pd.testing.assert_frame_equal(transformer.fit_transform(X), X[["image"]])


def test_grid_search_can_drop_inputs(X):
    X = pd.concat([X, X], ignore_index=True)
    pipeline = Pipeline(
        [("clinical", make_clinical_transformer(image=None)), ("model", LogisticRegression())]
    )
    grid = [{}, {"clinical__alp": ["drop"]}, {"clinical__alp": ["drop"], "clinical__ldh": ["drop"]}]
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(X, [0, 1] * 5)
    widths = []
    for params in search.cv_results_["params"]:
        fitted = clone(pipeline).set_params(**params).fit(X, [0, 1] * 5)
        widths.append(fitted["model"].n_features_in_)
    assert widths == [4, 3, 2]


@pytest.mark.parametrize("copy", [clone, lambda x: pickle.loads(pickle.dumps(x))])
def test_copy_gives_the_same(X, copy):
    transformer = make_clinical_transformer(missing="indicator")
    expected = transformer.fit_transform(X)
    pd.testing.assert_frame_equal(copy(transformer).fit_transform(X), expected)


def test_fitted_transformer_survives_a_pickle(X):
    transformer = make_clinical_transformer().fit(X)
    loaded = pickle.loads(pickle.dumps(transformer))
    pd.testing.assert_frame_equal(loaded.transform(X), transformer.transform(X))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"missing": "drop"}, "missing='drop' is not allowed"),
        ({"image": 3}, "image=3 is not allowed"),
        ({"kits": ["alp"]}, "kits=.* is not allowed"),
        ({"kits": {"age": ("a", 1, 2)}}, "name of a kit='age'"),
        ({"kits": {"a__b": ("a", 1, 2)}}, "name of a kit='a__b'"),
        ({"kits": {"a": ("a", 1)}}, r"kits\['a'\]="),
        ({"kits": {"a": ("a", 1, "high")}}, r"kits\['a'\]="),
        ({"kits": {"a": ("a", None, None)}}, r"kits\['a'\]="),
        ({"image": None, "gender": None, "age": None, "kits": {}}, "all left out"),
    ],
)
def test_argument_out_of_its_set_is_refused(params, message):
    with pytest.raises(ValueError, match=message):
        make_clinical_transformer(**params)


class TestClinicalTransformer:
    def test_the_factory_makes_the_public_class(self):
        made = make_clinical_transformer()
        assert type(made) is ClinicalTransformer
        assert repr(clone(made)).startswith("ClinicalTransformer(transformers=[('image'")

    def test_its_signature_is_that_of_a_column_transformer(self):
        theirs = {*ColumnTransformer([]).get_params()} - {"force_int_remainder_cols"}
        assert {*ClinicalTransformer([]).get_params()} == theirs

    def test_an_earlier_fit_is_kept_where_a_table_is_refused(self, X):
        transformer = make_clinical_transformer().fit(X)
        expected = transformer.transform(X)
        with pytest.raises(ValueError, match="age 300 in column 'age', row 0"):
            transformer.fit(X.assign(age=300.0))
        pd.testing.assert_frame_equal(transformer.transform(X), expected)

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_nothing_of_a_fit_that_fails_is_left(self, error, X, monkeypatch):
        def fail(self, X, y=None):
            raise error

        transformer, fresh = make_clinical_transformer().fit(X), make_clinical_transformer()
        before = [dict(vars(transformer)), dict(vars(fresh))]
        monkeypatch.setattr(AgeScaler, "fit", fail)
        for one in (transformer, fresh):
            with pytest.raises(error):
                one.fit(X.assign(further=1.0))
        after = [vars(transformer), vars(fresh)]
        assert [{*state} for state in after] == [{*state} for state in before]
        assert all(after[0][name] is value for name, value in before[0].items())

    @pytest.mark.parametrize(
        ("spoil", "error", "message"),
        [
            (lambda X: X.to_numpy(), TypeError, "X must be a pandas DataFrame"),
            (lambda X: X[:0], ValueError, "needs at least one row"),
            (lambda X: X.rename(columns={"alp": "age"}), ValueError, "2 columns named 'age'"),
            (lambda X: X.rename(columns={"age": "ages"}), ValueError, "did you mean 'ages'"),
        ],
    )
    def test_a_table_to_transform_is_checked_as_in_fit(self, spoil, error, message, X):
        transformer = make_clinical_transformer().fit(X)
        for method in (transformer.transform, transformer.fit):
            with pytest.raises(error, match=message):
                method(spoil(X))

    def test_a_table_to_transform_may_lack_what_is_dropped(self, X):
        transformer = make_clinical_transformer().set_params(age="drop").fit(X)
        assert "age" not in transformer.transform(X.drop(columns="age"))

    def test_steps_of_ones_own_are_taken(self, X):
        steps = [("lab", KitRangeScaler(100, 300), ["ldh"]), ("off", "drop", ["age"])]
        out = ClinicalTransformer(steps).set_output(transform="pandas").fit_transform(X)
        assert out.columns.tolist() == ["ldh"]

    def test_a_table_that_is_not_a_frame_is_refused(self, X):
        with pytest.raises(TypeError, match="X must be a pandas DataFrame"):
            make_clinical_transformer().fit(X.to_numpy())


class TestMissingValues:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"missing": "drop"}, "missing='drop' is not allowed"),
            ({"strategy": "mean"}, "strategy='mean' is not allowed"),
        ],
    )
    def test_parameter_out_of_its_set_is_refused(self, params, message):
        with pytest.raises(ValueError, match=message):
            MissingValues(name="age", **params).fit([[1.0]])

    def test_it_takes_one_column(self):
        with pytest.raises(ValueError, match=r"exactly one column, got 2: \[0, 1\]"):
            MissingValues(name="age").fit([[1.0, 2.0]])

    def test_missing_value_in_an_array_is_refused_with_position(self):
        with pytest.raises(ValueError, match=r"column 0 is missing in 1 of 2 rows, first in row 1"):
            MissingValues(name="age", missing="error").fit([[1.0], [np.nan]])
