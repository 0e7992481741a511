import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EpochScoring
from torch import nn

from skosfusion import FusionClassifier, load_model, save_model


def clinical_only(**parameters):
    defaults = {"max_epochs": 5, "batch_size": 32, "random_state": 0, "verbose": 0}
    return FusionClassifier(**(defaults | parameters))


@pytest.fixture(scope="module")
def fitted(table):
    return clinical_only(max_epochs=20, lr=0.1).fit(*table)


def logits_of(classifier, X):
    return torch.cat(list(classifier.forward_iter(X))).double().numpy()


def softmax(values):
    return values


def test_two_classes_have_the_log_odds_of_the_second(fitted, table):
    log_odds = fitted.decision_function(table[0])
    assert log_odds.dtype == np.float64
    assert log_odds.shape == (len(table[0]),)
    logits = logits_of(fitted, table[0])
    np.testing.assert_array_equal(log_odds, logits[:, 1] - logits[:, 0])
    np.testing.assert_allclose(expit(log_odds), fitted.predict_proba(table[0])[:, 1], atol=1e-6)
    np.testing.assert_array_equal(
        fitted.classes_[(log_odds > 0).astype(int)], fitted.predict(table[0])
    )


def test_more_classes_have_logits_less_their_log_sum_exp(table):
    X, y = table
    y = np.where(X[:, 0] > 0.5, 2, y)
    classifier = clinical_only().fit(X, y)
    values = classifier.decision_function(X)
    assert values.shape == (len(X), 3)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, log_softmax(logits_of(classifier, X), axis=1), rtol=1e-12)
    np.testing.assert_allclose(np.exp(values).sum(axis=1), 1, rtol=1e-12)


def test_log_odds_stay_finite_and_distinct_where_probabilities_are_1(fitted, table):
    far = table[0][fitted.decision_function(table[0]) > 0][:5] * np.linspace(50, 90, 5)[:, None]
    far = far.astype(np.float32)
    assert (fitted.predict_proba(far)[:, 1] == 1).all()
    log_odds = fitted.decision_function(far)
    assert np.isfinite(log_odds).all()
    assert len(np.unique(log_odds)) == 5


def test_one_row_and_many_give_the_same_bits(fitted, table):
    together = fitted.decision_function(table[0])
    alone = [fitted.decision_function(table[0][[row]])[0] for row in range(5)]
    np.testing.assert_array_equal(together[:5], alone)


@pytest.mark.parametrize("parameters", [{"head": "linear"}, {"fusion": "gated"}])
def test_both_heads_and_gated_fusion_have_them_with_images(
    image_options, frame, target, parameters
):
    options = image_options | {"frozen_epochs": "all"} | parameters
    classifier = FusionClassifier(**options).fit(frame, target)
    probability = classifier.predict_proba(frame)[:, 1]
    np.testing.assert_allclose(expit(classifier.decision_function(frame)), probability, atol=1e-6)


@pytest.mark.parametrize("own", [None, nn.Softmax(dim=1), softmax], ids=["None", "module", "own"])
def test_a_nonlinearity_of_ones_own_has_none(table, own):
    classifier = clinical_only(predict_nonlinearity=own)
    assert not hasattr(classifier, "decision_function")
    with pytest.raises(AttributeError) as caught:
        classifier.fit(*table).decision_function(table[0])
    assert "use predict_proba" in str(caught.value.__cause__)


def test_what_the_fit_used_decides_and_not_what_is_set_now(fitted, table):
    later = clone(fitted).fit(*table).set_params(predict_nonlinearity=None)
    np.testing.assert_array_equal(
        later.decision_function(table[0]), fitted.decision_function(table[0])
    )


def test_another_loss_keeps_them(table):
    classifier = clinical_only(criterion=nn.MultiMarginLoss).fit(*table)
    probability = classifier.predict_proba(table[0])[:, 1]
    np.testing.assert_allclose(
        expit(classifier.decision_function(table[0])), probability, atol=1e-6
    )


def test_logits_that_are_not_finite_are_an_error_with_their_row(fitted, table):
    X = table[0][:40].copy()
    X[35] = 3e38
    with pytest.raises(FloatingPointError, match="for row 35"):
        fitted.decision_function(X)


def test_scikit_learn_finds_them_through_a_pipeline(table):
    X, y = table
    pipeline = make_pipeline(StandardScaler(), clinical_only())
    assert cross_val_score(pipeline, X, y, cv=3, scoring="roc_auc").min() > 0.8
    pipeline.fit(X, y)
    expected = roc_auc_score(y, pipeline.decision_function(X))
    assert get_scorer("roc_auc")(pipeline, X, y) == expected


def test_calibration_fits_its_sigmoid_to_log_odds(table):
    X, y = table
    calibrated = CalibratedClassifierCV(clinical_only(), cv=3).fit(X, y)
    inner = calibrated.calibrated_classifiers_[0]
    sigmoid = inner.calibrators[0]
    log_odds = inner.estimator.decision_function(X)
    expected = expit(-(sigmoid.a_ * log_odds + sigmoid.b_))
    np.testing.assert_allclose(inner.predict_proba(X)[:, 1], expected, rtol=1e-6)


def test_scoring_callbacks_read_them(table):
    scoring = EpochScoring("roc_auc", name="auc", on_train=True, lower_is_better=False)
    classifier = clinical_only(callbacks=[scoring]).fit(*table)
    assert classifier.history_[-1, "auc"] > 0.8


def test_a_loaded_model_has_the_same(fitted, table, tmp_path):
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        loaded.decision_function(table[0]), fitted.decision_function(table[0])
    )


def test_probabilities_keep_their_bits(fitted, table):
    logits = torch.cat(list(fitted.forward_iter(table[0])))
    expected = torch.softmax(logits, dim=-1).numpy()
    np.testing.assert_array_equal(fitted.predict_proba(table[0]), expected)
