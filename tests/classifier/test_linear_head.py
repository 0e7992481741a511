import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info, threadpool_limits

from skosfusion import GradCAM, clinical_gradients, load_model, save_model
from skosfusion.classifier import _linear_head

from .._helpers.clinical import clinical_only
from .._helpers.tiny import TinyEncoder


@pytest.fixture
def linear():
    return clinical_only(head="linear", C=0.5)


@pytest.fixture
def linear_with_images(classifier):
    return classifier.set_params(head="linear", frozen_epochs="all", C=0.1)


def by_scikit_learn(X, y, C=0.5, **params):
    regression = LogisticRegression(C=C, tol=1e-10, max_iter=100_000, **params)
    return regression.fit(np.asarray(X, np.float64), y)


def test_it_is_logistic_regression(linear, table):
    expected = by_scikit_learn(*table).predict_proba(table[0])
    np.testing.assert_allclose(linear.fit(*table).predict_proba(table[0]), expected, atol=2e-6)


def test_it_takes_more_than_two_classes(linear):
    X, y = load_wine(return_X_y=True)
    X = scale(X)
    expected = by_scikit_learn(X, y).predict_proba(X)
    np.testing.assert_allclose(linear.fit(X, y).predict_proba(X), expected, atol=2e-6)


def test_it_stands_on_the_features_of_the_encoder(linear_with_images, frame, target):
    fitted = linear_with_images.fit(frame, target)
    features = fitted.image_inputs().features(frame["image"].tolist())
    assert features.shape[1] == fitted.module_.n_features
    values = np.hstack([features, frame[["age", "alp"]]])
    expected = by_scikit_learn(values, target, C=0.1).predict_proba(values)
    np.testing.assert_allclose(fitted.predict_proba(frame), expected, atol=1e-5)


def test_strength_is_a_parameter_for_searches(linear, table):
    search = GridSearchCV(linear, {"C": [1e-4, 1.0]}, cv=3, scoring="neg_log_loss")
    search.fit(*table)
    assert search.best_params_ == {"C": 1.0}
    norms = [
        float(clone(linear).set_params(C=C).fit(*table).module_.head[0].weight.detach().norm())
        for C in (1e-4, 1.0)
    ]
    assert norms[0] < 0.1 * norms[1]


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_a_weight_of_2_is_a_row_twice(linear, table, class_weight):
    X, y = table
    weights = np.arange(len(y)) % 3
    linear.set_params(class_weight=class_weight)
    weighted = clone(linear).fit(X, y, sample_weight=weights).predict_proba(X)
    repeated = clone(linear).fit(np.repeat(X, weights, 0), np.repeat(y, weights)).predict_proba(X)
    np.testing.assert_allclose(weighted, repeated, atol=2e-6)
    doubled = clone(linear).fit(X, y, sample_weight=2.0 * weights).predict_proba(X)
    assert np.abs(doubled - weighted).max() > 1e-3


def test_class_weights_are_those_of_scikit_learn(linear, table):
    X, y = table[0][:90], table[1][:90]
    for weight in ("balanced", {0: 5.0, 1: 1.0}):
        expected = by_scikit_learn(X, y, class_weight=weight).predict_proba(X)
        fitted = clone(linear).set_params(class_weight=weight).fit(X, y)
        np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=2e-6)


def test_it_is_solved_in_one_thread(linear, table, monkeypatch):
    seen = []

    class Spy(LogisticRegression):
        def fit(self, *arguments, **keywords):
            seen.append([p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"])
            return super().fit(*arguments, **keywords)

    monkeypatch.setattr(_linear_head, "LogisticRegression", Spy)
    with threadpool_limits(2, user_api="blas"):
        linear.fit(*table)
    assert set(seen[0]) == {1}


@pytest.mark.filterwarnings("ignore:lbfgs failed")
def test_one_that_does_not_converge_says_what_to_do(linear, table, monkeypatch):
    monkeypatch.setattr(_linear_head, "_MOST_STEPS", 2)
    with pytest.warns(ConvergenceWarning, match="one scale.*lower C=") as caught:
        linear.fit(*table)
    assert any("linear head" in str(warning.message) for warning in caught)


def test_workers_give_the_same_to_the_bit(linear, table):
    scores = [
        cross_val_score(linear, *table, cv=4, scoring="neg_log_loss", n_jobs=n_jobs)
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def test_threads_leave_the_number_of_threads_as_it_was(linear, table):
    before = [pool["num_threads"] for pool in threadpool_info()]
    with joblib.parallel_backend("threading", n_jobs=4):
        joblib.Parallel()(joblib.delayed(clone(linear).fit)(*table) for _ in range(12))
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_model_files_keep_it(linear_with_images, frame, target, tmp_path):
    fitted = linear_with_images.set_params(feature_scaling="global").fit(frame, target)
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))


def test_heatmaps_and_gradients_explain_it(linear_with_images, frame, target):
    fitted = linear_with_images.fit(frame, target)
    maps = GradCAM(fitted).transform(frame)
    assert len(maps) == len(frame)
    gradients = clinical_gradients(fitted, frame).importances
    weight = fitted.module_.head[0].weight[1, -2:].detach().numpy()
    np.testing.assert_allclose(gradients, np.tile(weight, (len(frame), 1)), rtol=1e-5)


def test_its_history_says_how_it_ended(linear, table):
    fitted = linear.fit(*table)
    (epoch,) = fitted.history_.to_list()
    probability = fitted.predict_proba(table[0])[np.arange(len(table[1])), table[1]]
    assert epoch["train_loss"] == pytest.approx(-np.log(probability).mean(), rel=1e-4)
    assert epoch["steps"] > 1


def test_rows_of_weight_0_may_be_anything(linear, table):
    X, y = table
    weights = np.ones(len(y))
    weights[:10] = 0
    flipped = np.where(weights > 0, y, 1 - y)
    results = [
        clone(linear).fit(X, z, sample_weight=weights).predict_proba(X) for z in (y, flipped)
    ]
    np.testing.assert_array_equal(*results)


def test_nothing_is_drawn_and_no_warning_is_given(linear, table):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear.set_params(C=1e6).fit(*table)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_cannot_go_on(linear, table):
    with pytest.raises(ValueError, match=r"partial_fit cannot go on.*call fit with all samples"):
        linear.partial_fit(*table)


def test_nor_after_a_change_of_the_head(linear, table):
    fitted = linear.fit(*table).set_params(head="mlp")
    with pytest.raises(ValueError, match=r"fitted to convergence.*call fit"):
        fitted.partial_fit(*table)
