"""scikit-learn's estimator checks; `docs/reliability.md` is made from the outcomes."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skosfusion import AgeScaler, FusionClassifier, GenderEncoder, KitRangeScaler
from skosfusion.preprocessing import Clipper, NumberReader, SplineBasis

from ._helpers.rows_as_images import EveryColumn, FittingGradCAM, rows_as_images

EQUIVALENCE = "check_sample_weight_equivalence_on_dense_data"
ROUNDING = (
    "weights and repeated rows agree but for the rounding of float32 (about 1e-6 of a probability; "
    "the check asks for 1e-7)"
)
STATISTICS = (
    "while the encoder trains, batch normalization averages over images, whatever their weight"
)
NO_KIT = "the check's table is not one of value, lower and upper limit, with the limits in order"
NO_GENDER = "the check's numbers are no genders, and unknown ones are refused by default"
PIPELINES_OWN = "scikit-learn's own Pipeline with a ColumnTransformer fails it, whatever is inside"

# Checks that pass a transformer tables of their own making.
ANY_TABLE = [
    "check_array_api_input",
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimators_dtypes",
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_transformer_data_not_an_array",
    "check_transformer_general",
    "check_transformer_preserve_dtypes",
]
OF_PIPELINES = [
    "check_dont_overwrite_parameters",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimators_overwrite_params",
    "check_fit1d",
    "check_fit2d_predict1d",
]


def clinical_only(**parameters):
    defaults = {"max_epochs": 20, "lr": 0.1, "batch_size": 32, "random_state": 0, "verbose": 0}
    return FusionClassifier(**(defaults | parameters))


def pipeline():
    scaler = KitRangeScaler(low=0, high=1, allow_negative=True)
    clinical = ColumnTransformer([("values", scaler, EveryColumn())])
    return Pipeline([("clinical", clinical), ("classifier", clinical_only())])


def expect(names, reason):
    """Name the checks that fail, and why; one that passes nevertheless is an error."""
    return lambda estimator: dict.fromkeys(names, reason)


@parametrize_with_checks(
    [clinical_only()], expected_failed_checks=expect([EQUIVALENCE], ROUNDING), xfail_strict=True
)
def test_classifier_clinical_only(estimator, check):
    """`FusionClassifier`, clinical values only."""
    check(estimator)


@parametrize_with_checks(
    [rows_as_images()], expected_failed_checks=expect([EQUIVALENCE], STATISTICS), xfail_strict=True
)
def test_classifier_with_images(estimator, check):
    """`FusionClassifier` with an image column, its encoder training."""
    check(estimator)


@parametrize_with_checks(
    [rows_as_images(frozen_epochs="all")],
    expected_failed_checks=expect([EQUIVALENCE], ROUNDING),
    xfail_strict=True,
)
def test_classifier_with_images_and_fixed_encoder(estimator, check):
    """`FusionClassifier` with an image column, its encoder fixed."""
    check(estimator)


@parametrize_with_checks([AgeScaler(valid_range=None)])
def test_age_scaler(estimator, check):
    """`AgeScaler(valid_range=None)`."""
    check(estimator)


@parametrize_with_checks([AgeScaler()])
def test_age_scaler_with_its_range(estimator, check):
    """`AgeScaler()`, which takes no negative ages."""
    check(estimator)


# The checks' data has no unit, so that it may well be ten times its range.
@pytest.mark.filterwarnings("ignore:the median of column")
@parametrize_with_checks([KitRangeScaler(low=0, high=1, allow_negative=True)])
def test_kit_range_scaler(estimator, check):
    """`KitRangeScaler(low, high, allow_negative=True)`."""
    check(estimator)


@pytest.mark.filterwarnings("ignore:the median of column")
@parametrize_with_checks([KitRangeScaler(low=0, high=1)])
def test_kit_range_scaler_without_negative_values(estimator, check):
    """`KitRangeScaler(low, high)`, which takes no negative values."""
    check(estimator)


@parametrize_with_checks(
    [KitRangeScaler()], expected_failed_checks=expect(ANY_TABLE, NO_KIT), xfail_strict=True
)
def test_kit_range_scaler_with_a_range_in_each_row(estimator, check):
    """`KitRangeScaler()`, which takes exactly three columns."""
    check(estimator)


@parametrize_with_checks([KitRangeScaler(high=1)])
@pytest.mark.filterwarnings("ignore:the median of column")
def test_kit_range_scaler_with_one_end(estimator, check):
    """`KitRangeScaler(high)`, a ratio."""
    check(estimator)


@parametrize_with_checks([NumberReader()])
def test_number_reader(estimator, check):
    """`NumberReader()`."""
    check(estimator)


@parametrize_with_checks([SplineBasis()])
def test_spline_basis(estimator, check):
    """`SplineBasis()`."""
    check(estimator)


@parametrize_with_checks([Clipper()])
def test_clipper(estimator, check):
    """`Clipper()`."""
    check(estimator)


@parametrize_with_checks([GenderEncoder(unknown="zero", female=(1,), male=(0,))])
def test_gender_encoder(estimator, check):
    """`GenderEncoder(unknown="zero", female=(1,), male=(0,))`."""
    check(estimator)


@parametrize_with_checks([GenderEncoder(unknown="zero")])
def test_gender_encoder_with_unknown_values(estimator, check):
    """`GenderEncoder(unknown="zero")`."""
    check(estimator)


@parametrize_with_checks(
    [GenderEncoder()], expected_failed_checks=expect(ANY_TABLE, NO_GENDER), xfail_strict=True
)
def test_gender_encoder_that_refuses_unknown_values(estimator, check):
    """`GenderEncoder()`, which refuses unknown values."""
    check(estimator)


@parametrize_with_checks([FittingGradCAM(None)])
def test_gradcam(estimator, check):
    """`GradCAM`, on a model that the adapter fits."""
    check(estimator)


@pytest.mark.filterwarnings("ignore:the median of column")
@parametrize_with_checks(
    [pipeline()], expected_failed_checks=expect(OF_PIPELINES, PIPELINES_OWN), xfail_strict=True
)
def test_pipeline(estimator, check):
    """The pipeline of a ColumnTransformer and the classifier."""
    check(estimator)


def test_no_tag_switches_checks_off():
    tags = [e.__sklearn_tags__() for e in (clinical_only(), AgeScaler(), GenderEncoder())]
    assert not any(tag.no_validation or tag._skip_test or tag.non_deterministic for tag in tags)
    assert all(tag.requires_fit for tag in tags)
    assert (
        clinical_only().__sklearn_tags__().input_tags
        == BaseEstimator().__sklearn_tags__().input_tags
    )


@pytest.mark.parametrize("class_weight", [None, {0: 1, 1: 3}, "balanced"])
def test_weights_and_repeated_rows_agree_but_for_rounding(class_weight):
    X, y = make_classification(60, 5, random_state=0)
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    model = clinical_only(batch_size=-1, class_weight=class_weight)
    weighted = model.fit(X, y, sample_weight=weights).predict_proba(X)
    repeated = model.fit(X.repeat(weights, axis=0), y.repeat(weights)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-4, atol=1e-6)
    assert not np.allclose(weighted, model.fit(X, y).predict_proba(X), atol=1e-3)
