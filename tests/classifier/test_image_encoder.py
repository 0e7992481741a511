"""Features of images as a transformer."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skosfusion import FusionClassifier, ImageEncoder
from skosfusion.images import read_image
from skosfusion.network import shared_feature_cache

from .._helpers import tiny

OPTIONS = {"backbone": tiny.TinyEncoder, "weights": None, "image_size": 32, "random_state": 0}


@pytest.fixture
def labels(cohort):
    return (cohort["diagnosis"] == cohort["diagnosis"].iloc[0]).to_numpy(int)


@pytest.fixture
def images(cohort):
    return cohort[["image"]]


def test_features_are_those_of_the_classifier_and_of_a_loop_by_hand(images, labels, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "tiny.pth"
    torch.save(tiny.TinyEncoder().state_dict(), weights)
    options = OPTIONS | {"weights": weights, "precision": "fp32"}
    features = ImageEncoder(**options).fit_transform(images)
    classifier = FusionClassifier(
        image_column="image", frozen_epochs="all", max_epochs=1, verbose=0, **options
    ).fit(images, labels)
    network = classifier.module_.eval()
    np.testing.assert_array_equal(
        classifier.image_inputs().features(list(images["image"])), features
    )
    for row, path in enumerate(images["image"]):
        pixels = torch.from_numpy(read_image(path, image_size=32))[None]
        pixels = (pixels.expand(-1, 3, -1, -1) - network.pixel_mean) / network.pixel_std
        with torch.no_grad():
            by_hand = network.encoder(pixels).flatten(1)[0].numpy()
        np.testing.assert_allclose(features[row], by_hand, atol=1e-6, rtol=1e-6)


def test_it_stands_beside_clinical_values_in_a_search(cohort, labels):
    frame = cohort[["image"]].assign(value=np.arange(len(cohort)) % 7)
    table = make_column_transformer(
        (ImageEncoder(**OPTIONS), ["image"]), ("passthrough", ["value"])
    ).set_output(transform="pandas")
    pipeline = make_pipeline(table, LogisticRegression())
    search = GridSearchCV(
        pipeline, {"columntransformer__imageencoder": [ImageEncoder(**OPTIONS), "drop"]}, cv=2
    ).fit(frame, labels)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    names = table.fit(frame).get_feature_names_out()
    assert names[0] == "imageencoder__imageencoder0"
    assert names[-1] == "passthrough__value"


def test_images_are_encoded_once_for_all_folds(images, labels):
    shared_feature_cache().clear()
    pipeline = make_pipeline(ImageEncoder(**OPTIONS), LogisticRegression())
    GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=3).fit(images, labels)
    assert shared_feature_cache().info().misses == len(images)


def test_several_processes_give_the_same(images, labels):
    pipeline = make_pipeline(ImageEncoder(**OPTIONS), LogisticRegression())
    scores = [
        GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2, n_jobs=n_jobs)
        .fit(images, labels)
        .cv_results_["mean_test_score"]
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*scores)


def test_equal_seeds_give_equal_random_weights(images):
    first, same, other = (
        ImageEncoder(**(OPTIONS | {"random_state": seed})).fit_transform(images)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


def test_what_was_fitted_stays_when_parameters_change(images):
    encoder = ImageEncoder(**OPTIONS).fit(images)
    before = encoder.transform(images)
    encoder.set_params(image_size=16, image_options={"contrast": "clahe"}, random_state=3)
    np.testing.assert_array_equal(encoder.transform(images), before)


def test_global_random_states_are_put_back(images):
    before = torch.random.get_rng_state()
    ImageEncoder(**OPTIONS).fit(images)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_row_without_an_image_is_an_error_or_zero(images):
    missing = images.copy()
    missing.iloc[1, 0] = None
    with pytest.raises(ValueError, match="no image in 1 of"):
        ImageEncoder(**OPTIONS).fit(missing)
    features = ImageEncoder(**OPTIONS, missing_images="zero").fit_transform(missing)
    assert not features[1].any()
    assert features[0].any()


def test_lists_and_arrays_of_paths_do(images):
    expected = ImageEncoder(**OPTIONS).fit_transform(images)
    for X in (images.to_numpy(object), images["image"], [[path] for path in images["image"]]):
        np.testing.assert_array_equal(ImageEncoder(**OPTIONS).fit_transform(X), expected)


@pytest.mark.parametrize("columns", [2, 0])
def test_other_columns_are_refused(images, columns):
    X = pd.concat([images] * columns, axis=1) if columns else images[[]]
    with pytest.raises(ValueError, match="takes one column of image paths"):
        ImageEncoder(**OPTIONS).fit(X)


def test_a_parameter_out_of_range_is_refused_with_those_allowed(images):
    with pytest.raises(ValueError, match="missing_images='mean' is not allowed"):
        ImageEncoder(**OPTIONS, missing_images="mean").fit(images)


def test_a_clone_is_unfitted_and_equal(images):
    encoder = ImageEncoder(**OPTIONS).fit(images)
    assert not hasattr(clone(encoder), "network_")
    assert clone(encoder).get_params() == encoder.get_params()
