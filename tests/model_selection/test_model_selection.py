import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.pipeline import Pipeline

from skosfusion import (
    ABLATIONS,
    FusionClassifier,
    ablation_param_grid,
    ablation_table,
    make_fusion_pipeline,
)

from .._helpers import tiny


@pytest.fixture
def labels(cohort):
    return cohort["diagnosis"].to_numpy()


@pytest.fixture
def folds(cohort, labels):
    return list(StratifiedGroupKFold(3).split(cohort, labels, cohort["patient_id"]))


def scores(search):
    return {
        key: value
        for key, value in search.cv_results_.items()
        if "test" in key and "time" not in key
    }


def test_the_ablations_are_those_of_table_1():
    assert list(ABLATIONS) == [
        "Baseline",
        "Gender",
        "Age",
        "Gender & age",
        "LDH",
        "ALP",
        "ALP & LDH",
        "All",
    ]
    assert ABLATIONS["Baseline"] == ()
    assert set(ABLATIONS["All"]) == {"gender", "age", "alp", "ldh"}


def test_each_row_drops_what_it_does_without():
    grid = dict(zip(ABLATIONS, ablation_param_grid(), strict=True))
    assert grid["All"] == {}
    assert grid["ALP"] == {f"clinical__{name}": ["drop"] for name in ("gender", "age", "ldh")}
    assert len(grid["Baseline"]) == 4


def test_the_prefix_follows_the_step():
    assert ablation_param_grid({"A": (), "B": ("age",)}, step=None) == [{"age": ["drop"]}, {}]


def test_each_row_reaches_the_network_with_its_own_width(pipeline, cohort, labels):
    for row, point in zip(ABLATIONS.values(), ablation_param_grid(), strict=True):
        fitted = clone(pipeline).set_params(**{k: v[0] for k, v in point.items()})
        classifier = fitted.fit(cohort, labels)["classifier"]
        assert list(classifier.feature_names_in_[1:]) == [
            name for name in ("gender", "age", "alp", "ldh") if name in row
        ]
        assert classifier.module_.head[0].in_features == 8 + len(row)


def test_the_table_has_one_line_a_row_and_the_means_over_folds(pipeline, cohort, labels, folds):
    search = GridSearchCV(
        pipeline, ablation_param_grid(), cv=folds, scoring=["accuracy", "f1"], refit=False
    ).fit(cohort, labels)
    table = ablation_table(search)
    assert list(table.index) == list(ABLATIONS)
    splits = [search.cv_results_[f"split{i}_test_f1"] for i in range(3)]
    np.testing.assert_allclose(table["f1"], np.mean(splits, axis=0))
    np.testing.assert_allclose(table["f1_std"], np.std(splits, axis=0))
    assert table.loc["Gender & age", "inputs"] == "gender, age"


def test_ablations_of_ones_own(cohort, labels, pipeline, folds):
    ablations = {"Image": (), "Laboratory": ("alp", "ldh")}
    search = GridSearchCV(pipeline, ablation_param_grid(ablations), cv=folds, refit=False)
    table = ablation_table(search.fit(cohort, labels), ablations)
    assert list(table.index) == ["Image", "Laboratory"]


@pytest.mark.parametrize(
    ("ablations", "message"),
    [
        ({}, "ablations is empty"),
        ({"A": ("age",), "B": ("age",)}, "ablations 'A' and 'B' use the same inputs"),
        ({"A": "age"}, "use a tuple"),
    ],
)
def test_senseless_ablations_are_refused(ablations, message):
    with pytest.raises(ValueError, match=message):
        ablation_param_grid(ablations)
    with pytest.raises(ValueError, match=message):
        ablation_table({"params": []}, ablations)


def test_inputs_that_no_row_names_are_dropped_when_they_are_listed():
    grid = ablation_param_grid({"Baseline": ()}, inputs=["age", "alp"])
    assert grid == [{"clinical__age": ["drop"], "clinical__alp": ["drop"]}]


def test_an_ablation_that_was_searched_twice_is_refused():
    results = {"params": [{"lr": 1}, {"lr": 2}]}
    with pytest.raises(ValueError, match="ablation 'All' more than once"):
        ablation_table(results)


def test_a_grid_point_that_is_no_row_is_named():
    results = {"params": [{"clinical__age": "drop"}]}
    with pytest.raises(ValueError, match=r"inputs \['gender', 'ldh', 'alp'\], which is none"):
        ablation_table(results)


def test_two_processes_give_the_serial_result(pipeline, cohort, labels, folds):
    alp = pipeline["clinical"].get_params()["alp"]
    grid = {"classifier__lr": [0.01, 0.1], "clinical__alp": ["drop", alp]}
    results = []
    for n_jobs in (1, 2):
        search = GridSearchCV(clone(pipeline), grid, cv=folds, refit=False, n_jobs=n_jobs)
        results.append(scores(search.fit(cohort, labels)))
    for key, serial in results[0].items():
        np.testing.assert_array_equal(serial, results[1][key])


def test_threads_give_the_serial_result(pipeline, cohort, labels, folds):
    import joblib

    serial = cross_validate(pipeline, cohort, labels, cv=folds, scoring="neg_log_loss")
    with joblib.parallel_config("threading", n_jobs=3):
        threads = cross_validate(pipeline, cohort, labels, cv=folds, scoring="neg_log_loss")
    np.testing.assert_array_equal(serial["test_score"], threads["test_score"])


class TestPipeline:
    def test_it_is_a_transformer_and_a_classifier(self):
        pipeline = make_fusion_pipeline(lr=0.1)
        assert isinstance(pipeline, Pipeline)
        assert isinstance(pipeline["clinical"], ColumnTransformer)
        assert isinstance(pipeline["classifier"], FusionClassifier)
        assert pipeline["classifier"].image_column == "image"
        assert pipeline["classifier"].lr == 0.1

    def test_without_an_image_it_uses_clinical_values_alone(self, cohort, labels):
        pipeline = make_fusion_pipeline(image=None, max_epochs=2, random_state=0, verbose=0)
        assert pipeline.fit(cohort, labels).predict_proba(cohort).shape == (len(cohort), 2)

    def test_columns_in_another_order_give_the_same_result(self, pipeline, cohort, labels):
        expected = pipeline.fit(cohort, labels).predict_proba(cohort)
        np.testing.assert_array_equal(
            pipeline.predict_proba(cohort[cohort.columns[::-1]]), expected
        )

    def test_repeated_index_values_do_not_matter(self, pipeline, cohort, labels):
        expected = pipeline.fit(cohort, labels).predict_proba(cohort)
        repeated = cohort.set_index(np.zeros(len(cohort), int))
        again = clone(pipeline).fit(repeated, labels).predict_proba(repeated)
        np.testing.assert_array_equal(again, expected)

    def test_missing_values_are_imputed_from_training_rows_alone(self, pipeline, cohort, labels):
        train, test = cohort.iloc[:40].copy(), cohort.iloc[40:].copy()
        train.iloc[:4, train.columns.get_loc("alp")] = np.nan
        pipeline.fit(train, labels[:40])
        test["alp"] = np.nan
        imputed = pipeline["clinical"].transform(test)["alp"]
        normalized = (train["alp"] - 40) / 90
        np.testing.assert_allclose(imputed, normalized.median(), rtol=1e-6)

    def test_calibration(self, pipeline, cohort, labels):
        calibrated = CalibratedClassifierCV(pipeline, cv=2).fit(cohort, labels)
        assert calibrated.predict_proba(cohort).shape == (len(cohort), 2)

    def test_tuned_threshold(self, pipeline, cohort, labels):
        tuned = TunedThresholdClassifierCV(pipeline, cv=2, random_state=0).fit(cohort, labels)
        assert 0 <= tuned.best_threshold_ <= 1

    def test_permutation_importance(self, pipeline, cohort, labels):
        fitted = pipeline.set_params(classifier__max_epochs=30, classifier__lr=0.1)
        fitted = fitted.set_params(classifier__frozen_epochs="all").fit(cohort, labels)
        columns = [c for c in cohort.columns if c not in ("patient_id", "diagnosis")]
        result = permutation_importance(
            fitted, cohort[columns], labels, n_repeats=3, random_state=0
        )
        importance = pd.Series(result.importances_mean, index=columns)
        assert importance["alp"] > importance["gender"]

    def test_patients_of_an_inner_split_pass_through_the_pipeline(self, pipeline, cohort, labels):
        from skorch.dataset import ValidSplit

        pipeline.set_params(classifier__train_split=ValidSplit(4, stratified=True))
        pipeline.fit(cohort, labels, classifier__groups=cohort["patient_id"])
        assert np.isfinite(pipeline["classifier"].history_[:, "valid_loss"]).all()


def test_a_folder_of_features_serves_several_processes(cohort, labels, folds, tmp_path):
    pipeline = make_fusion_pipeline(
        weights=None,
        frozen_epochs="all",
        image_size=32,
        max_epochs=2,
        random_state=0,
        verbose=0,
        memory=tmp_path / "memory",
    )
    options = {"cv": folds, "scoring": "neg_log_loss"}
    serial = cross_validate(pipeline, cohort, labels, **options)
    assert list((tmp_path / "memory").rglob("*.safetensors"))
    n_files = len(list((tmp_path / "memory").rglob("*.safetensors")))
    parallel = cross_validate(pipeline, cohort, labels, n_jobs=2, **options)
    np.testing.assert_array_equal(serial["test_score"], parallel["test_score"])
    assert len(list((tmp_path / "memory").rglob("*.safetensors"))) == n_files


def test_a_backbone_class_travels_to_other_processes(image_options, cohort, labels, folds):
    frame = cohort[["image"]]
    classifier = FusionClassifier(**image_options)
    assert classifier.backbone is tiny.TinyEncoder
    result = cross_validate(classifier, frame, labels, cv=folds, n_jobs=2, error_score="raise")
    assert len(result["test_score"]) == 3
