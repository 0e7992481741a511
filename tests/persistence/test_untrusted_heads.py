"""Heads of model files that others have written: refused, or as they were saved."""

import numpy as np
import pytest
import torch

from skosfusion import load_model, save_model
from skosfusion.exceptions import ModelFileError

from .._helpers.clinical import clinical_only
from .._helpers.model_files import rewrite
from .._helpers.tiny import TinyEncoder

HEADS = {
    "linear": {"head": "linear", "feature_scaling": "global"},
    "gated": {"fusion": "gated", "hidden_units": 8, "missing_images": "zero"},
}


@pytest.fixture
def saved(request, classifier, images, target, path):
    params = HEADS[request.param] | {"frozen_epochs": "all"}
    save_model(classifier.set_params(**params).fit(images, target), path)
    return path


@pytest.mark.parametrize(
    ("saved", "change"),
    [
        ("linear", lambda d, t: t.update({"module.head.0.weight": torch.ones(2, 3)})),
        ("linear", lambda d, t: t.update({"module.head.0.weight": torch.ones(3, 10)})),
        ("linear", lambda d, t: t.update({"module.head.0.bias": torch.full((2,), torch.nan)})),
        ("linear", lambda d, t: t.update({"module.head.2.weight": torch.ones(2, 2)})),
        ("linear", lambda d, t: t["module.feature_scale"].fill_(0)),
        ("linear", lambda d, t: t["module.feature_scale"].fill_(-1)),
        ("linear", lambda d, t: t["module.feature_scale"].fill_(torch.inf)),
        ("linear", lambda d, t: t["module.feature_mean"].fill_(torch.nan)),
        ("linear", lambda d, t: t.pop("module.feature_mean")),
        ("linear", lambda d, t: d["parameters"].update(head="mlp")),
        ("linear", lambda d, t: d["parameters"].update(head="forest")),
        ("linear", lambda d, t: d["parameters"].update(fusion="gated")),
        ("linear", lambda d, t: d["parameters"].update(C=-1)),
        ("linear", lambda d, t: d["parameters"].update(frozen_epochs=3)),
        ("gated", lambda d, t: t.update({"module.head.gate.weight": torch.ones(2, 2)})),
        ("gated", lambda d, t: t.update({"module.head.gate.weight": torch.ones(3, 11)})),
        ("gated", lambda d, t: t.update({"module.head.image.weight": torch.ones(8)})),
        ("gated", lambda d, t: t.pop("module.head.output.bias")),
        ("gated", lambda d, t: d["parameters"].update(hidden_units=10**12)),
        ("gated", lambda d, t: d["parameters"].update(modality_dropout=1.0)),
        ("gated", lambda d, t: d["parameters"].update(fusion="concat")),
    ],
    indirect=["saved"],
)  # fmt: skip
def test_a_head_that_does_not_fit_is_one_kind_of_error(saved, change):
    rewrite(saved, change)
    with pytest.raises(ModelFileError):
        load_model(saved, trusted=[TinyEncoder])


@pytest.mark.parametrize("saved", HEADS, indirect=True)
def test_an_untouched_file_is_read(saved, images):
    assert np.isfinite(load_model(saved, trusted=[TinyEncoder]).predict_proba(images)).all()


def test_files_of_before_these_parameters_are_read(path, table):
    fitted = clinical_only().fit(*table)
    save_model(fitted, path)
    new = ("head", "fusion", "feature_scaling", "C", "modality_dropout", "steps_per_epoch")
    rewrite(path, lambda d, t: [d["parameters"].pop(name) for name in new])
    np.testing.assert_array_equal(
        load_model(path).predict_proba(table[0]), fitted.predict_proba(table[0])
    )
