import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    ShuffleSplit,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline

from skosfusion import ComparisonDisplay, FusionClassifier, GradCAM

from .._helpers import tiny

mpl.use("Agg")

DROPS = {f"clinical__{name}": "drop" for name in ("gender", "age", "alp", "ldh")}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """ALP tells the class, the image tells it for two thirds of the patients."""
    frame = tiny.make_cohort(tmp_path_factory.mktemp("images"))
    patient = np.arange(len(frame)) // 2
    label = np.where(patient % 6 < 2, 1 - frame.diagnosis, frame.diagnosis)
    return frame.assign(diagnosis=label, alp=60.0 + 150 * label)


@pytest.fixture
def models(pipeline):
    improved = pipeline.set_params(
        classifier__frozen_epochs="all", classifier__max_epochs=20, classifier__lr=0.05
    )
    return clone(improved).set_params(**DROPS), improved


@pytest.fixture
def comparison(models, cohort):
    return ComparisonDisplay.from_estimators(*models, cohort, cohort.diagnosis, cv=3, n_images=4)


def test_groups_follow_from_predictions_and_labels(comparison, cohort):
    frame = comparison.frame()
    assert list(frame.index) == list(cohort.index)
    first, second, label = frame["Baseline_predicted"], frame["All_predicted"], frame["label"]
    assert list(label) == list(cohort.diagnosis)
    assert ((frame["Baseline_probability"] > 0.5) == (first == 1)).all()
    assert ((frame["All_probability"] > 0.5) == (second == 1)).all()
    expected = {
        "right": (first == label) & (second == label),
        "false_negatives": (first == 0) & (label == 1),
        "false_positives": (first == 1) & (label == 0),
        "corrected": (first != label) & (second == label),
        "worsened": (first == label) & (second != label),
    }
    for name, rows in expected.items():
        assert frame[name].equals(rows.rename(name)), name
    # The test means something: each group of the paper has rows here.
    assert all(frame[name].any() for name in ("right", "false_negatives", "false_positives"))
    assert frame["corrected"].any()


def test_rows_are_predicted_by_models_that_have_not_seen_their_patient(models, cohort):
    comparison = ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, cv=3, n_images=1
    )
    frame = comparison.frame()
    assert comparison.leaking_patients == 0
    assert len(frame[["patient", "fold"]].drop_duplicates()) == len(set(cohort.patient_id))
    assert list(frame["patient"]) == list(cohort.patient_id)
    for fold in range(3):
        held_out = (frame["fold"] == fold).to_numpy()
        fitted = clone(models[1]).fit(cohort[~held_out], cohort.diagnosis[~held_out])
        expected = fitted.predict_proba(cohort[held_out])[:, 1]
        np.testing.assert_allclose(frame["All_probability"][held_out], expected, atol=1e-6)


def test_galleries_show_the_maps_of_the_model_that_has_not_seen_the_row(models, cohort):
    results = [
        cross_validate(
            model, cohort, cohort.diagnosis, groups=cohort.patient_id, cv=GroupKFold(3),
            return_estimator=True, return_indices=True,
        )
        for model in models
    ]  # fmt: skip
    comparison = ComparisonDisplay.from_estimators(*results, cohort, cohort.diagnosis, n_images=4)
    gallery = comparison.galleries["right"]
    assert len(gallery.rows) == 4
    for place, row in enumerate(gallery.rows):
        fold = next(i for i, test in enumerate(results[0]["indices"]["test"]) if row in test)
        assert comparison.frame()["fold"].iloc[row] == fold
        for result, heatmaps in zip(results, gallery.heatmaps, strict=True):
            expected = GradCAM(result["estimator"][fold], target=1).transform(cohort.iloc[[row]])
            np.testing.assert_array_equal(heatmaps[place], expected[0])


def test_results_of_a_cross_validation_are_not_fitted_again(models, cohort, monkeypatch):
    results = [
        cross_validate(
            model, cohort, cohort.diagnosis, groups=cohort.patient_id, cv=GroupKFold(3),
            return_estimator=True, return_indices=True,
        )
        for model in models
    ]  # fmt: skip
    monkeypatch.setattr(FusionClassifier, "fit", None)
    ComparisonDisplay.from_estimators(*results, cohort, cohort.diagnosis, n_images=1)


def test_the_estimators_are_not_fitted_themselves(models, cohort, comparison):
    for model in models:
        with pytest.raises(NotFittedError):
            model.predict(cohort)


def test_examples_are_of_many_patients_and_both_classes(comparison, cohort):
    rows = comparison.galleries["right"].rows
    assert len(set(cohort.patient_id.iloc[rows])) == len(rows) == 4
    assert sorted(cohort.diagnosis.iloc[rows]) == [0, 0, 1, 1]
    assert list(rows) == sorted(rows)


def test_the_seed_decides_which_examples_are_shown(models, cohort):
    shown = [
        ComparisonDisplay.from_estimators(
            *models, cohort, cohort.diagnosis, cv=2, n_images=3, random_state=seed
        ).galleries["right"].rows.tolist()
        for seed in (0, 0, 1)
    ]  # fmt: skip
    assert shown[0] == shown[1] != shown[2]


def test_without_patients_each_row_is_one(models, cohort):
    table = cohort.drop(columns="patient_id")
    comparison = ComparisonDisplay.from_estimators(
        *models, table, table.diagnosis, cv=2, n_images=1
    )
    assert comparison.frame()["patient"].nunique() == len(table)


def test_a_split_that_leaks_is_named_in_the_figure(models, cohort):
    splitter = StratifiedKFold(2, shuffle=True, random_state=0)
    comparison = ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, cv=splitter, n_images=1
    )
    folds = list(splitter.split(cohort, cohort.diagnosis))
    patients = cohort.patient_id.to_numpy()
    leaking = set().union(*(set(patients[a]) & set(patients[b]) for a, b in folds))
    assert comparison.leaking_patients == len(leaking) > 0
    title = comparison.plot("right").figure_.get_suptitle()
    assert f"LEAKS: {len(leaking)} patients are in both the training and the test set" in title
    # In a user's own axes there is no title.
    _, ax = plt.subplots()
    caption = comparison.plot("right", ax).axes_[0].get_xlabel()
    assert f"LEAKS: {len(leaking)} patients are in both the training and the test set" in caption


def test_groups_may_be_given(models, cohort):
    comparison = ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, groups=cohort.age // 20, cv=LeaveOneGroupOut(),
        n_images=1,
    )  # fmt: skip
    assert comparison.leaking_patients == 0
    assert comparison.frame()["fold"].nunique() == (cohort.age // 20).nunique()


def test_rows_that_are_never_held_out_belong_to_no_gallery(models, cohort):
    splitter = ShuffleSplit(1, test_size=0.5, random_state=0)
    with_patients = cohort.assign(patient_id=[f"p{i}" for i in range(len(cohort))])
    comparison = ComparisonDisplay.from_estimators(
        *models, with_patients, cohort.diagnosis, cv=splitter
    )
    frame = comparison.frame()
    unseen = frame["fold"] == -1
    assert unseen.sum() == len(cohort) // 2
    assert frame.loc[unseen, ["All_probability", "All_predicted"]].isna().all(axis=None)
    galleries = list(comparison.galleries)
    assert not frame.loc[unseen, galleries].to_numpy().any()
    assert frame.loc[~unseen, galleries].to_numpy().any(axis=1).all()


def test_any_labels_and_another_positive_class(models, cohort):
    y = np.where(cohort.diagnosis == 1, "tumor", "none")
    options = {"cv": 2, "n_images": 1, "display_labels": ["healthy", "osteosarcoma"]}
    usual = ComparisonDisplay.from_estimators(*models, cohort, y, **options)
    turned = ComparisonDisplay.from_estimators(*models, cohort, y, pos_label="none", **options)
    assert usual.explained == "osteosarcoma"
    assert turned.explained == "healthy"
    assert set(usual.frame()["label"]) == {"healthy", "osteosarcoma"}
    assert set(usual.frame()["All_predicted"]) <= {"healthy", "osteosarcoma"}
    assert usual.frame()["false_negatives"].equals(
        turned.frame()["false_positives"].rename("false_negatives")
    )
    np.testing.assert_allclose(
        usual.frame()["All_probability"], 1 - turned.frame()["All_probability"], atol=1e-6
    )


def test_both_models_are_drawn_side_by_side(comparison, cohort):
    assert comparison.plot("right") is comparison
    gallery = comparison.galleries["right"]
    assert len(comparison.axes_) == len(gallery.rows)
    for place, ax in enumerate(comparison.axes_):
        expected = [
            name if heatmaps[place].any() else f"{name}: no place stands out"
            for name, heatmaps in zip(comparison.names, gallery.heatmaps, strict=True)
        ]
        assert [text.get_text() for text in ax.texts] == expected
        images = [np.asarray(image.get_array()) for image in ax.images]
        for drawn, heatmaps in zip(images[2::2], gallery.heatmaps, strict=True):
            np.testing.assert_array_equal(drawn, heatmaps[place])
        sample = comparison.frame().iloc[gallery.rows[place]]
        caption = ax.get_xlabel().replace("\n", " ")
        assert f"true: {sample['label']}" in caption
        assert f"Baseline {sample['Baseline_probability']:.2f}" in caption
        assert f"All {sample['All_probability']:.2f}" in caption
    n_right = int(comparison.frame()["right"].sum())
    title = comparison.figure_.get_suptitle()
    assert title == f"right in Baseline and All: 4 of {n_right}\nheatmaps for 1"


def test_boxes_are_drawn_where_they_are_known(models, cohort):
    boxes = np.full((len(cohort), 4), np.nan)
    boxes[cohort.diagnosis == 1] = [4, 4, 20, 20]
    comparison = ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, cv=2, n_images=4, boxes=boxes
    )
    comparison.plot("right")
    labels = comparison.frame()["label"].iloc[comparison.galleries["right"].rows]
    drawn = [len(ax.lines) // 2 for ax in comparison.axes_]
    assert drawn == [3 if label == 1 else 0 for label in labels]


def test_the_explainer_says_how_heatmaps_are_made(models, cohort):
    result = cross_validate(
        models[1], cohort, cohort.diagnosis, groups=cohort.patient_id, cv=GroupKFold(2),
        return_estimator=True, return_indices=True,
    )  # fmt: skip
    explainer = GradCAM(None, layer="conv", method="hirescam", target="predicted")
    display = ComparisonDisplay.from_estimators(
        result, result, cohort, cohort.diagnosis, n_images=2, explainer=explainer
    )
    assert display.explained == "the predicted class"
    gallery = display.galleries["right"]
    for row, heatmap in zip(gallery.rows, gallery.heatmaps[0], strict=True):
        model = result["estimator"][display.frame()["fold"].iloc[row]]
        expected = GradCAM(model, layer="conv", method="hirescam").transform(cohort.iloc[[row]])
        np.testing.assert_array_equal(heatmap, expected[0])


def test_an_empty_or_unknown_gallery_is_refused(models, cohort):
    # A model compared with itself corrects nothing.
    comparison = ComparisonDisplay.from_estimators(
        models[1], models[1], cohort, cohort.diagnosis, cv=2
    )
    with pytest.raises(ValueError, match=r"gallery 'corrected' .* is empty"):
        comparison.plot()
    with pytest.raises(
        ValueError, match=r"gallery='wrong' is not allowed; allowed: 'right' or 'false"
    ):
        comparison.plot("wrong")


def test_bad_input_is_refused(models, cohort):
    y = cohort.diagnosis
    with pytest.raises(TypeError, match="ndarray; it must be a pandas DataFrame"):
        ComparisonDisplay.from_estimators(*models, cohort.to_numpy(), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ComparisonDisplay.from_estimators(*models, cohort, y[1:])
    with pytest.raises(ValueError, match=r"labels \[0, 1, 2\]"):
        ComparisonDisplay.from_estimators(*models, cohort, np.arange(len(y)) % 3)
    for n_images in (0, 41, 1.5, True):
        with pytest.raises(ValueError, match=f"n_images={n_images} is not allowed"):
            ComparisonDisplay.from_estimators(*models, cohort, y, n_images=n_images)
    for names in ("ab", ("A", "A"), ("A",), None):
        with pytest.raises(ValueError, match="two different names"):
            ComparisonDisplay.from_estimators(*models, cohort, y, names=names)
    with pytest.raises(ValueError, match=r"pos_label='tumor' is not a class"):
        ComparisonDisplay.from_estimators(*models, cohort, y, pos_label="tumor")
    with pytest.raises(ValueError, match="no patient in 16 of 48 rows, the first is row 2"):
        ComparisonDisplay.from_estimators(*models, cohort, y, groups=["p", "q", None] * 16)
    with pytest.raises(ValueError, match="lack indices"):
        ComparisonDisplay.from_estimators({"estimator": []}, models[1], cohort, y)
    empty = {"estimator": [], "indices": {"train": [], "test": []}}
    with pytest.raises(ValueError, match="hold 0 estimators"):
        ComparisonDisplay.from_estimators(empty, models[1], cohort, y)
    with pytest.raises(ValueError, match=r"display_labels=.* list of 2 names"):
        ComparisonDisplay.from_estimators(*models, cohort, y, display_labels={0: "a", 1: "b"})


def test_a_model_without_image_branch_is_refused(cohort):
    classifier = FusionClassifier(max_epochs=1, verbose=0)
    with pytest.raises(ValueError, match="no image branch"):
        ComparisonDisplay.from_estimators(
            classifier, classifier, cohort[["age"]], cohort.diagnosis, cv=2
        )


def test_folds_that_hold_out_what_they_trained_on_are_refused(models, cohort):
    rows = np.arange(len(cohort))
    with pytest.raises(ValueError, match="row 0 is both trained on and held out in fold 0"):
        ComparisonDisplay.from_estimators(*models, cohort, cohort.diagnosis, cv=[(rows, rows[:10])])
    with pytest.raises(ValueError, match="row 38 is both trained on and held out in fold 0"):
        ComparisonDisplay.from_estimators(
            *models, cohort, cohort.diagnosis, cv=[(rows, rows[:10] - 10)]
        )


def test_a_number_of_folds_of_any_kind_keeps_patients_together(models, cohort):
    shuffled = cohort.sample(frac=1, random_state=1)
    comparison = ComparisonDisplay.from_estimators(
        *models, shuffled, shuffled.diagnosis, cv=np.int64(3), n_images=1
    )
    assert comparison.leaking_patients == 0


def test_rows_of_a_fold_may_be_a_mask(models, cohort):
    first = np.arange(len(cohort)) < 24
    cv = [(first, ~first), (~first, first)]
    comparison = ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, cv=cv, n_images=1
    )
    assert comparison.frame()["fold"].tolist() == [1] * 24 + [0] * 24


def test_results_for_other_rows_are_refused(models, cohort):
    result = cross_validate(
        models[0], cohort, cohort.diagnosis, cv=2, return_estimator=True, return_indices=True
    )
    part = cohort.iloc[:20]
    with pytest.raises(ValueError, match="was not made on these 20 rows"):
        ComparisonDisplay.from_estimators(result, models[1], part, part.diagnosis)


def test_the_inner_split_gets_the_patients(models, cohort, monkeypatch):
    seen = []
    fit = FusionClassifier.fit

    def remember(self, X, y, *, groups=None):
        seen.append(groups)
        return fit(self, X, y, groups=groups)

    monkeypatch.setattr(FusionClassifier, "fit", remember)
    params = {"classifier__groups": cohort.patient_id}
    ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, cv=2, n_images=1, params=params
    )
    assert len(seen) == 4
    assert all(isinstance(groups, pd.Series) and len(groups) < len(cohort) for groups in seen)


def test_a_frozen_estimator_would_explain_its_training_rows_and_is_refused(models, cohort):
    fitted = clone(models[1]).fit(cohort, cohort.diagnosis)
    last_step = make_pipeline(fitted[0], FrozenEstimator(fitted[1]))
    for frozen in (FrozenEstimator(fitted), last_step):
        with pytest.raises(ValueError, match="FrozenEstimator is not fitted again on each fold"):
            ComparisonDisplay.from_estimators(models[0], frozen, cohort, cohort.diagnosis, cv=2)


def test_models_of_different_folds_are_refused(models, cohort):
    results = [
        cross_validate(
            model, cohort, cohort.diagnosis, cv=KFold(n_folds), return_estimator=True,
            return_indices=True,
        )
        for model, n_folds in zip(models, (2, 3), strict=True)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="held out other rows in their folds"):
        ComparisonDisplay.from_estimators(*results, cohort, cohort.diagnosis)


def test_an_estimator_gets_the_folds_of_the_other_models_cross_validation(models, cohort):
    result = cross_validate(
        models[0], cohort, cohort.diagnosis, groups=cohort.patient_id, cv=GroupKFold(4),
        return_estimator=True, return_indices=True,
    )  # fmt: skip
    comparison = ComparisonDisplay.from_estimators(
        result, models[1], cohort, cohort.diagnosis, n_images=1
    )
    for fold, test in enumerate(result["indices"]["test"]):
        assert (comparison.frame()["fold"].iloc[test] == fold).all()


def test_parameters_are_checked_before_anything_is_fitted(models, cohort, monkeypatch):
    monkeypatch.setattr(FusionClassifier, "fit", None)
    y = cohort.diagnosis
    for options, message in [
        ({"explainer": GradCAM(None, method="gradcm")}, "method='gradcm'"),
        ({"boxes": np.zeros((len(y), 3))}, r"boxes has shape \(48, 3\)"),
        ({"random_state": "a"}, "'a' cannot be used to seed"),
        ({"explainer": GradCAM(None, target=y)}, "must be one label"),
        ({"explainer": GradCAM(None, raw=True)}, "raw=True is not allowed"),
        ({"pos_label": "predicted"}, "pos_label='predicted' is not one of the labels"),
        ({"pos_label": [0, 1]}, "is not one of the labels"),
    ]:
        with pytest.raises(ValueError, match=message):
            ComparisonDisplay.from_estimators(*models, cohort, y, **options)
    with pytest.raises(TypeError, match="explainer is a str; allowed: a GradCAM"):
        ComparisonDisplay.from_estimators(*models, cohort, y, explainer="gradcam")
    with pytest.raises(TypeError, match="is a str; allowed"):
        ComparisonDisplay.from_estimators("model", models[1], cohort, y)


def test_boxes_are_turned_into_pixels_of_the_heatmaps(models, cohort):
    models = [model.set_params(classifier__image_size=16) for model in models]
    boxes = np.tile([4.0, 8.0, 20.0, 24.0], (len(cohort), 1))
    comparison = ComparisonDisplay.from_estimators(
        *models, cohort, cohort.diagnosis, cv=2, n_images=1, boxes=boxes
    )
    np.testing.assert_allclose(comparison.galleries["right"].boxes, [[2, 4, 10, 12]])
