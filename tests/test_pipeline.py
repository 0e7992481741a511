"""A plain pipeline: a refused fit never leaves an old classifier behind a new first step."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from skosfusion import load_model, make_fusion_pipeline, save_model
from skosfusion.exceptions import WeightsError

from ._helpers import tiny


@pytest.fixture
def target(cohort):
    return cohort["diagnosis"].to_numpy()


@pytest.fixture(params=["fitted", "loaded"])
def fitted(request, pipeline, cohort, target, tmp_path):
    pipeline.fit(cohort, target)
    if request.param == "fitted":
        return pipeline
    save_model(pipeline, tmp_path / "model.safetensors")
    return load_model(tmp_path / "model.safetensors", trusted=[tiny.TinyEncoder])


@pytest.fixture
def other(cohort):
    """The cohort in other units: the first step learns other values to impute."""
    return cohort.assign(alp=3 * cohort["alp"])


def test_it_is_a_pipeline_of_scikit_learn():
    assert type(make_fusion_pipeline()) is Pipeline


def test_refused_labels_leave_nothing_that_predicts(fitted, cohort, other, target):
    for labels in (np.zeros(len(other)), target[:-1]):
        with pytest.raises(ValueError, match=r"class|number|sample"):
            fitted.fit(other, labels)
        with pytest.raises(NotFittedError):
            fitted.predict_proba(cohort)


def test_refused_images_leave_nothing_that_predicts(fitted, cohort, other, target):
    with pytest.raises(FileNotFoundError):
        fitted.fit(other.assign(image="/nowhere.png"), target)
    with pytest.raises(NotFittedError):
        fitted.predict_proba(cohort)


def test_refused_parameters_leave_nothing_that_predicts(fitted, cohort, other, target):
    fitted.set_params(classifier__max_epochs=0)
    with pytest.raises(ValueError, match="max_epochs=0 is not allowed"):
        fitted.fit(other, target)
    with pytest.raises(NotFittedError):
        fitted.predict_proba(cohort)


def test_refused_weights_leave_nothing_that_predicts(fitted, cohort, other, target):
    fitted.set_params(classifier__weights="/nowhere.pth")
    with pytest.raises(WeightsError, match="nowhere"):
        fitted.fit(other, target)
    with pytest.raises(NotFittedError):
        fitted.predict_proba(cohort)


def test_a_refused_first_step_leaves_the_pipeline_whole(fitted, cohort, other, target):
    few = cohort.assign(alp=np.nan, gender=None)
    expected = fitted.predict_proba(few)
    refused = other.assign(age=other["age"].astype(object).where(other.index != 3, "six"))
    with pytest.raises(ValueError, match="row 3"):
        fitted.fit(refused, target)
    np.testing.assert_array_equal(fitted.predict_proba(few), expected)


def test_it_fits_again_after_a_refusal(fitted, cohort, target):
    expected = fitted.predict_proba(cohort)
    with pytest.raises(ValueError, match="class"):
        fitted.fit(cohort, np.zeros(len(cohort)))
    np.testing.assert_array_equal(fitted.fit(cohort, target).predict_proba(cohort), expected)


def test_recipes_are_what_the_page_says():
    paper, robust = (make_fusion_pipeline(recipe=name) for name in ("paper", "robust"))
    classifier = robust[-1]
    solved = ("linear", "global", 0.01, "all")
    assert (
        classifier.head,
        classifier.feature_scaling,
        classifier.C,
        classifier.frozen_epochs,
    ) == solved
    assert "basis" in robust["clinical"].get_params()["age"].named_steps
    assert paper.get_params()["classifier__head"] == "mlp"
    assert "basis" not in paper["clinical"].get_params()["age"].named_steps
