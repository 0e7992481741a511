"""Inputs of several columns: they are explained as the inputs that they are."""

import numpy as np
import pandas as pd
import pytest

from skosfusion import (
    clinical_gradients,
    load_model,
    make_clinical_transformer,
    make_fusion_pipeline,
    modality_importance,
    save_model,
)
from skosfusion.inspection._fitted import unwrap
from skosfusion.inspection._samples import describe_clinical

KITS = {"alp": ("alp", "alp_low", "alp_high")}


@pytest.fixture
def frame(cohort):
    random = np.random.default_rng(0)
    frame = cohort.assign(
        bmi=random.normal(24, 3, len(cohort)), site=random.choice(["knee", "hip"], len(cohort))
    )
    frame.loc[3, "alp"] = np.nan
    return frame


def fit(frame, **params):
    clinical = make_clinical_transformer(
        image=None, kits=KITS, numbers=["bmi"], categories=["site"], encoding="spline"
    )
    options = {"max_epochs": 5, "lr": 0.1, "batch_size": 16, "random_state": 0, "verbose": 0}
    pipeline = make_fusion_pipeline(image=None, clinical=clinical, **(options | params))
    return pipeline.fit(frame, frame["diagnosis"])


@pytest.fixture
def fitted(frame):
    return fit(frame, hidden_units=32)


def log_odds(pipeline, frame):
    probability = pipeline.predict_proba(frame).astype(np.float64)
    return np.log(probability[:, 1] / probability[:, 0])


def test_gradients_speak_of_inputs(fitted, frame):
    names = clinical_gradients(fitted, frame).feature_names
    assert names == ["gender", "age", "alp", "bmi", "site_hip", "site_knee", "site_missing"]


@pytest.mark.parametrize(
    ("name", "columns", "unit"),
    [("age", ["age"], 100), ("alp", ["alp"], None), ("bmi", ["bmi"], None)],
)
def test_gradients_are_those_of_finite_differences_through_the_whole_pipeline(
    name, columns, unit, frame
):
    # A line has no kinks that a difference could fall on.
    fitted = fit(frame, head="linear", C=1.0, max_epochs=50)
    if name == "bmi":
        unit = fitted["clinical"].named_transformers_["bmi"]["scale"].scale_[0]
    elif name == "alp":
        unit = (frame["alp_high"] - frame["alp_low"]).to_numpy()
    gradients = clinical_gradients(fitted, frame, target=fitted.classes_[1])
    found = gradients.importances[:, gradients.feature_names.index(name)]
    step = 0.02
    moved = [frame.assign(**{name: frame[name] + sign * step * unit}) for sign in (1, -1)]
    # The logit of a class of two is half of the log-odds.
    expected = (log_odds(fitted, moved[0]) - log_odds(fitted, moved[1])) / (4 * step)
    is_there = frame[name].notna().to_numpy()
    error = np.abs(found - expected)[is_there]
    assert np.median(error) < 0.01 * np.abs(expected[is_there]).max()
    assert np.quantile(error, 0.8) < 0.05 * np.abs(expected[is_there]).max()


def test_gradients_of_the_paper_encoding_are_by_column(frame):
    clinical = make_clinical_transformer(image=None, kits=KITS, missing="indicator")
    pipeline = make_fusion_pipeline(image=None, clinical=clinical, max_epochs=2, random_state=0)
    pipeline.fit(frame, frame["diagnosis"])
    names = clinical_gradients(pipeline, frame).feature_names
    assert names == ["gender", "gender_missing", "age", "age_missing", "alp", "alp_missing"]


def test_captions_show_what_was_measured(fitted, frame):
    unwrapped = unwrap(fitted)
    (words,) = describe_clinical(unwrapped, frame[:1], unwrapped.transform(frame[:1]))
    assert [word.split()[0] for word in words] == ["gender", "age", "alp", "bmi", "site"]
    assert words[4].split()[1] in ("knee", "hip")


def test_importance_speaks_of_modalities(fitted, frame):
    result = modality_importance(
        fitted, frame, frame["diagnosis"], groups=np.arange(len(frame)) // 2, random_state=0
    )
    assert result.modality_names == ["demographics", "laboratory", "clinical"]


def test_a_model_file_keeps_the_encoding(fitted, frame, tmp_path):
    save_model(fitted, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    wild = pd.concat([frame, frame.assign(alp=1e6, age=119, bmi=-5)], ignore_index=True)
    np.testing.assert_array_equal(loaded.predict_proba(wild), fitted.predict_proba(wild))
    with pytest.raises(ValueError, match="has the category 'spine'"):
        loaded.predict(frame.assign(site="spine"))
