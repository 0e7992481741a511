"""The parameter `engine`, from the constructor to the model file."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from skosfusion import FusionClassifier, ImageEncoder, load_model, save_model
from skosfusion.network import _engines, _fused, shared_feature_cache

from .._helpers import tiny

OPTIONS = {
    "image_column": "image", "backbone": "resnet18", "weights": None, "image_size": 32,
    "frozen_epochs": "all", "max_epochs": 1, "random_state": 0, "verbose": 0, "precision": "fp32",
}  # fmt: skip
needs_fused = pytest.mark.skipif(not _fused.can_fuse(None), reason="needs oneDNN")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(_engines, "_FAILED", {})
    monkeypatch.setattr(_engines, "_WARNED", set())
    shared_feature_cache().clear()


@pytest.mark.parametrize("estimator", [FusionClassifier(**OPTIONS), ImageEncoder(weights=None)])
@pytest.mark.parametrize("value", ["fast", None, 1, ["eager"]])
def test_another_engine_is_refused(estimator, value, frame, target):
    with pytest.raises(ValueError, match=r"engine=.*'auto', 'eager', 'fused', 'compiled'"):
        clone(estimator).set_params(engine=value).fit(frame[["image"]], target)


@needs_fused
def test_auto_is_settled_by_the_fit(frame, target):
    classifier = FusionClassifier(**OPTIONS).fit(frame, target)
    assert (classifier.engine, classifier.module_.engine) == ("auto", "fused")
    own = FusionClassifier(**OPTIONS | {"backbone": tiny.TinyEncoder}).fit(frame, target)
    assert own.module_.engine == "eager"
    encoder = ImageEncoder(weights=None, image_size=32, random_state=0).fit(frame[["image"]])
    assert encoder.network_.engine == "fused"


@pytest.mark.parametrize("unfreeze", [None, "layer4"])
def test_a_fitted_network_names_what_has_computed(frame, target, monkeypatch, unfreeze):
    monkeypatch.setenv("CXX", "/no/such/compiler")
    monkeypatch.setattr(_engines, "can_fuse", lambda dtype: False)
    options = OPTIONS | {"engine": "compiled", "unfreeze": unfreeze}
    options |= {} if unfreeze is None else {"frozen_epochs": 1, "max_epochs": 2}
    with warnings.catch_warnings(action="ignore"):
        classifier = FusionClassifier(**options).fit(frame, target)
    assert (classifier.engine, classifier.module_.engine) == ("compiled", "eager")


@needs_fused
def test_engines_agree(frame, target):
    results = {}
    for engine in ("eager", "fused"):
        classifier = FusionClassifier(engine=engine, **OPTIONS).fit(frame, target)
        assert classifier.module_.engine == engine
        results[engine] = classifier.predict_proba(frame)
    np.testing.assert_allclose(results["fused"], results["eager"], rtol=0, atol=1e-6)
    encoders = [
        ImageEncoder(weights=None, image_size=32, random_state=0, precision="fp32", engine=engine)
        for engine in ("eager", "fused")
    ]
    eager, fused = (encoder.fit_transform(frame[["image"]]) for encoder in encoders)
    np.testing.assert_allclose(fused, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ["eager", "auto"])
def test_a_row_alone_and_in_company_agree(frame, target, engine):
    classifier = FusionClassifier(engine=engine, **OPTIONS).fit(frame, target)
    together = classifier.predict_proba(frame)
    for n_rows in (1, 2, 4, 5):
        shared_feature_cache().clear()
        alone = classifier.predict_proba(frame.iloc[:n_rows])
        np.testing.assert_allclose(alone, together[:n_rows], rtol=0, atol=1e-6)
        # The same call gives the same bits.
        np.testing.assert_array_equal(classifier.predict_proba(frame.iloc[:n_rows]), alone)


def test_the_file_of_a_model_keeps_the_engine(frame, target, tmp_path):
    classifier = FusionClassifier(engine="eager", **OPTIONS).fit(frame, target)
    save_model(classifier, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert (loaded.engine, loaded.module_.engine) == ("eager", "eager")
    np.testing.assert_array_equal(loaded.predict_proba(frame), classifier.predict_proba(frame))


@needs_fused
def test_what_is_kept_between_calls_is_in_no_pickle(frame, target):
    classifier = FusionClassifier(engine="fused", **OPTIONS).fit(frame, target)
    before = len(pickle.dumps(classifier))
    classifier.predict_proba(frame)
    assert abs(len(pickle.dumps(classifier)) - before) < 1000
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(frame), classifier.predict_proba(frame))
