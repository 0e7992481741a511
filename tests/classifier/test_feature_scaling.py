import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.dataset import ValidSplit

from skosfusion import load_model, save_model
from skosfusion.classifier import _feature_scale

from .._helpers.tiny import TinyEncoder


@pytest.fixture
def scaling(classifier):
    return classifier.set_params(feature_scaling="global", frozen_epochs="all")


def scale_of(features, weights=None):
    mean = np.average(features, axis=0, weights=weights)
    variances = np.average((features - mean) ** 2, axis=0, weights=weights)
    return mean, np.sqrt(variances.mean())


def assert_scaled_by(fitted, features, weights=None):
    mean, scale = scale_of(features.astype(np.float64), weights)
    np.testing.assert_allclose(fitted.module_.feature_mean, mean, rtol=1e-5)
    assert float(fitted.module_.feature_scale) == pytest.approx(scale, rel=1e-5)


def test_it_is_the_mean_and_one_number(scaling, frame, target, monkeypatch):
    monkeypatch.setattr(_feature_scale, "_ROWS_AT_ONCE", 7)
    fitted = scaling.fit(frame, target)
    assert_scaled_by(fitted, fitted.image_inputs().features(frame["image"].tolist()))


def test_weights_count(scaling, frame, target):
    weights = np.arange(len(frame)) % 4 + 0.5
    fitted = scaling.fit(frame, target, sample_weight=weights)
    assert_scaled_by(fitted, fitted.image_inputs().features(frame["image"].tolist()), weights)


def test_validation_samples_do_not_count(scaling, frame, target):
    half = np.arange(len(frame)) // 4 % 2
    splits = [(np.flatnonzero(half == 0), np.flatnonzero(half == 1))]
    scaling.set_params(train_split=ValidSplit(splits))
    fitted = scaling.fit(frame, target, groups=np.arange(len(frame)))
    features = fitted.image_inputs().features(frame["image"].tolist())
    assert_scaled_by(fitted, features[half == 0])


def test_rows_without_an_image_are_at_the_mean(scaling, frame, target):
    frame["image"] = frame["image"].astype(object)
    frame.loc[::3, "image"] = None
    fitted = scaling.set_params(missing_images="zero").fit(frame, target)
    has_image = frame["image"].notna()
    features = fitted.image_inputs().features(frame["image"][has_image].tolist())
    assert_scaled_by(fitted, features)
    clinical = torch.tensor(frame[["age", "alp"]].to_numpy(np.float32)[:1])
    with torch.no_grad():
        head_alone = fitted.module_.head(
            torch.cat([torch.zeros(1, fitted.module_.n_features), clinical], dim=1)
        ).softmax(dim=1)
    np.testing.assert_allclose(fitted.predict_proba(frame[:1]), head_alone, rtol=1e-5)


def test_it_makes_no_difference_what_unit_features_have(scaling, frame, target, monkeypatch):
    first = clone(scaling).fit(frame, target).predict_proba(frame)
    load = type(scaling).image_inputs
    inputs = load(clone(scaling).fit(frame, target)).__class__
    monkeypatch.setattr(inputs, "_features", _eightfold(inputs._features))
    second = clone(scaling).fit(frame, target).predict_proba(frame)
    np.testing.assert_allclose(second, first, atol=1e-5)


def _eightfold(features):
    return lambda *args, **kwargs: 8 * features(*args, **kwargs)


def test_model_files_keep_it(scaling, frame, target, tmp_path):
    fitted = scaling.fit(frame, target)
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    np.testing.assert_array_equal(loaded.module_.feature_mean, fitted.module_.feature_mean)
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))


def test_further_training_keeps_the_scale_of_the_first(scaling, frame, target):
    fitted = scaling.fit(frame, target)
    before = fitted.module_.feature_mean.clone()
    fitted.partial_fit(frame[::2], target[::2])
    assert torch.equal(fitted.module_.feature_mean, before)


class Constant(TinyEncoder):
    """All images have the same features."""

    def forward(self, images):
        return super().forward(images) * 0 + 3


def test_features_that_are_all_the_same_are_not_divided_by_0(scaling, frame, target):
    fitted = scaling.set_params(backbone=Constant).fit(frame, target)
    assert float(fitted.module_.feature_scale) == 1
    assert np.isfinite(fitted.predict_proba(frame)).all()
