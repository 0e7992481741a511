import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from skosfusion import (
    GradCAM,
    clinical_gradients,
    load_model,
    make_clinical_transformer,
    save_model,
)

from .._helpers.clinical import clinical_only
from .._helpers.tiny import TinyEncoder


@pytest.fixture
def gated(classifier):
    return classifier.set_params(
        fusion="gated", frozen_epochs="all", missing_images="zero", hidden_units=16
    )


@pytest.fixture
def marked(frame):
    return frame.assign(alp_missing=(np.arange(len(frame)) % 5 == 0).astype(float))


def test_it_knows_indicators_by_the_names_of_columns(gated, marked, target):
    fitted = gated.fit(marked, target)
    absent = marked.assign(alp_missing=1.0)
    np.testing.assert_array_equal(
        fitted.predict_proba(absent), fitted.predict_proba(absent.assign(alp=9.0))
    )
    present = marked.assign(alp_missing=0.0)
    assert (fitted.predict_proba(present) != fitted.predict_proba(present.assign(alp=9.0))).any()


def test_a_missing_image_has_no_weight(gated, marked, target):
    fitted = gated.fit(marked, target)
    without = marked.assign(image=None)
    for inputs, _ in fitted.input_batches(without):
        parts = fitted.module_.head_inputs(
            inputs["features"], inputs["clinical"], inputs["has_image"]
        )
        weights = fitted.module_.head.modality_weights(torch.cat(parts, dim=1))
        assert (weights[:, 0] == 0).all()


@pytest.mark.parametrize("frozen_epochs", [0, 1, "all"])
def test_alone_and_in_company_a_row_gets_the_same(gated, marked, target, frozen_epochs):
    marked["image"] = marked["image"].astype(object)
    marked.loc[::7, "image"] = None
    fitted = gated.set_params(frozen_epochs=frozen_epochs, max_epochs=2).fit(marked, target)
    together = fitted.predict_proba(marked)
    alone = np.vstack([fitted.predict_proba(marked[i : i + 1]) for i in range(0, len(marked), 7)])
    np.testing.assert_array_equal(alone, together[::7])


def test_the_seed_decides_what_is_hidden(gated, marked, target):
    before = torch.get_rng_state()
    first, second = (clone(gated).fit(marked, target).predict_proba(marked) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = clone(gated).set_params(modality_dropout=0.5).fit(marked, target).predict_proba(marked)
    assert (other != first).any()
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_give_the_same(gated, marked, target):
    results = [
        cross_val_score(gated, marked, target, cv=2, scoring="neg_log_loss", n_jobs=n_jobs)
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*results)


def test_model_files_keep_it(gated, marked, target, tmp_path):
    fitted = gated.fit(marked, target)
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    table = marked.assign(alp_missing=1.0)
    np.testing.assert_array_equal(loaded.predict_proba(table), fitted.predict_proba(table))


def test_heatmaps_and_gradients_explain_it(gated, marked, target):
    fitted = gated.fit(marked, target)
    assert len(GradCAM(fitted).transform(marked)) == len(marked)
    gradients = clinical_gradients(fitted, marked)
    is_missing = marked["alp_missing"].to_numpy() > 0
    alp = gradients.importances[:, gradients.feature_names.index("alp")]
    assert (alp[is_missing] == 0).all()
    assert (alp[~is_missing] != 0).any()


def test_clinical_values_alone_need_no_gate(table):
    X, y = table
    names = [f"value{number}" for number in range(X.shape[1])]
    fitted = clinical_only(fusion="gated").fit(pd.DataFrame(X, columns=names), y)
    assert fitted.module_.head.gate is None
    assert fitted.score(pd.DataFrame(X, columns=names), y) > 0.9


def test_a_missing_category_has_no_weight(classifier, cohort, target):
    table = cohort.assign(site=["hip", "knee", None, "spine"] * 12)
    clinical = make_clinical_transformer(
        gender=None, age=None, kits={}, categories=["site"], encoding="spline"
    )
    rows = clinical.fit_transform(table)
    fitted = classifier.set_params(fusion="gated", frozen_epochs="all").fit(rows, target)
    weights = weights_of(fitted, rows)
    is_missing = table["site"].isna().to_numpy()
    assert (weights[is_missing, 1] == 0).all()
    assert (weights[~is_missing, 1] > 0).all()


def weights_of(fitted, rows):
    found = []
    for inputs, batch in fitted.input_batches(rows):
        parts = fitted.module_.head_inputs(
            inputs["features"], inputs["clinical"], inputs.get("has_image")
        )
        found.append(fitted.module_.head.modality_weights(torch.cat(parts, dim=1))[: len(batch)])
    return torch.cat(found).numpy()


@pytest.mark.parametrize("loaded", [False, True])
def test_weights_are_those_of_the_fitted_model_whatever_ran_before(
    gated, marked, target, tmp_path, loaded
):
    fitted = gated.set_params(modality_dropout=0.5).fit(marked, target)
    if loaded:
        save_model(fitted, tmp_path / "model.safetensors")
        fitted = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    assert not fitted.module_.training
    first = weights_of(fitted, marked)
    assert (first[:, 0] > 0).all()
    fitted.predict(marked)
    np.testing.assert_array_equal(weights_of(fitted, marked), first)


def test_a_value_with_the_name_of_an_indicator_is_refused(gated, frame, target):
    counted = frame.assign(alp_missing=np.arange(len(frame)) % 3)
    with pytest.raises(ValueError, match=r"takes column 'alp_missing'.*another name"):
        gated.fit(counted, target)
    # Elsewhere it is a value like any other.
    gated.set_params(fusion="concat").fit(counted, target)
