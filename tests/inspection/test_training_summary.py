"""What a model was trained on, and what is told of rows that lie outside of it."""

import copy
import json
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_image

from skosfusion import (
    FusionClassifier,
    TrainingSummary,
    make_clinical_transformer,
    make_fusion_pipeline,
    summarize_training,
)
from skosfusion.inspection._usual_inputs import summarize_input

from .._helpers import tiny

N_PATIENTS = 60


def children(n_patients=N_PATIENTS, *, seed=0):
    """Draw a pediatric cohort of two rows a patient, with a site."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "patient_id": [f"record-{number:04d}" for number in range(n_patients)],
            "gender": rng.choice(["F", "m"], n_patients),
            "age": rng.integers(5, 19, n_patients),
            "alp": rng.normal(220, 50, n_patients).round(1),
            "alp_low": 40.0,
            "alp_high": rng.choice([150.0, 300.0], n_patients),
            "site": rng.choice(["femur", "tibia"], n_patients),
        }
    )
    return rows.loc[rows.index.repeat(2)].reset_index(drop=True)


def fit(X, **options):
    clinical = make_clinical_transformer(
        image=None,
        kits={"alp": ("alp", "alp_low", "alp_high")},
        categories=["site"],
        **options,
    )
    pipeline = make_fusion_pipeline(
        image=None, clinical=clinical, max_epochs=1, random_state=0, verbose=0
    )
    return pipeline.fit(X, np.arange(len(X)) // 2 % 2)


@pytest.fixture(scope="module")
def trained():
    X = children()
    pipeline = fit(X)
    return pipeline, X, summarize_training(pipeline, X)


class TestPlantedValues:
    def test_nothing_is_said_of_usual_rows(self, trained):
        pipeline, _, summary = trained
        assert summary.check(pipeline, children(40, seed=1)).empty

    @pytest.mark.parametrize(
        ("column", "value", "kind"),
        [
            ("age", 70, "number"),
            ("alp", 22000.0, "number"),
            ("alp", 2.2, "number"),
            ("alp_low", 400.0, "number"),
            ("site", "skull", "category"),
            ("site", None, "missing"),
            ("gender", None, "missing"),
        ],
    )
    def test_a_planted_value_is_told(self, trained, column, value, kind):
        pipeline, X, summary = trained
        if column == "alp_low":
            value = 149.0
        new = X.iloc[:4].astype({column: object}).set_index(pd.Index([9, 7, 5, 3]))
        new.loc[5, column] = value
        found = summary.check(pipeline, new)
        assert found[["row", "column", "kind"]].to_numpy().tolist() == [[5, column, kind]]
        assert found["value"].isna().all() if value is None else found["value"].tolist() == [value]
        assert kind != "number" or (found["distance"] > 1).all()

    def test_what_is_usual_is_said_in_the_units_of_the_table(self, trained):
        pipeline, X, summary = trained
        found = summary.check(pipeline, X.iloc[:1].assign(age=70, site="skull"))
        assert found["usual"].iloc[1] in ("'femur', 'tibia'", "'tibia', 'femur'")
        assert re.fullmatch(r"from \d\.\d+ to \d\d\.?\d*", found["usual"].iloc[0])

    def test_values_given_as_text_are_read_as_the_pipeline_reads_them(self, trained):
        pipeline, X, summary = trained
        new = X.iloc[:2].assign(age=["12", "70"], gender=["female", "M"], alp="200")
        assert summary.check(pipeline, new)["value"].tolist() == [70.0]

    def test_an_empty_table_has_nothing_outside(self, trained):
        pipeline, X, summary = trained
        found = summary.check(pipeline, X.iloc[:0])
        assert found.columns.tolist() == ["row", "column", "kind", "value", "usual", "distance"]
        assert found.empty

    def test_an_unknown_category_is_told_where_the_pipeline_refuses_it(self, trained):
        pipeline, X, summary = trained
        new = X.iloc[:2].assign(site=["femur", "skull"])
        with pytest.raises(ValueError, match="skull"):
            pipeline.predict(new)
        assert summary.check(pipeline, new)["value"].tolist() == ["skull"]

    def test_limits_of_the_assay_are_read(self):
        X = children().astype({"alp": object})
        X.loc[:3, "alp"] = "<90"
        X.loc[4:5, "alp"] = ">340"
        pipeline = fit(X, censored="limit")
        summary = summarize_training(pipeline, X)
        new = X.iloc[:3].assign(alp=["<5", ">20000", np.inf])
        assert summary.check(pipeline, new)["value"].tolist() == [5.0, 20000.0]


class TestTrainingRows:
    @pytest.mark.parametrize("seed", range(5))
    def test_at_most_the_stated_rate_of_them_is_told(self, seed):
        X = children(100, seed=seed)
        # Twelve grown-ups, and some with a site of their own.
        X.loc[:23, "age"] = np.repeat(np.arange(40, 52), 2)
        X.loc[24:29, "site"] = ["a", "a", "b", "b", "c", "c"]
        pipeline = fit(X)
        summary = summarize_training(pipeline, X)
        found = summary.check(pipeline, X)
        assert found["row"].nunique() > 0
        by_column = found.groupby("column")["row"].agg(lambda rows: (rows // 2).nunique())
        assert by_column.max() <= 4
        assert (found["row"] // 2).nunique() / 100 <= summary.training_rate <= 0.1

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300),
        st.sampled_from([0.01, 0.1, 0.3]),
    )
    def test_of_any_numbers_few_lie_outside(self, values, rate):
        values = np.array(values)
        summary = summarize_input("x", "number", values, np.arange(len(values)), rate)
        low = -np.inf if summary["low"] is None else summary["low"]
        high = np.inf if summary["high"] is None else summary["high"]
        assert ((values < low) | (values > high)).sum() <= max(8, rate * len(values))

    def test_a_category_of_many_rare_names_is_never_unusual(self):
        X = children()
        X["site"] = np.repeat([f"bone {number}" for number in range(N_PATIENTS)], 2)
        pipeline = fit(X, unknown_category="ignore")
        summary = summarize_training(pipeline, X)
        found = summary.check(pipeline, X.iloc[:2].assign(site="skull"))
        assert found.empty


class TestPrivacy:
    def test_neither_records_nor_extremes_nor_rare_categories_are_in_it(self):
        X = children()
        X.loc[0:1, "age"] = 97
        X.loc[2:3, "alp"] = 7654.3
        X.loc[4:5, "site"] = "os naviculare"
        summary = summarize_training(fit(X), X)
        text = json.dumps(summary.description)
        for value in ("record", "97", "7654", "naviculare"):
            assert value not in text, value

    def test_it_is_the_same_whatever_the_extreme_patient_has(self):
        descriptions = []
        for age, alp in ((30, 900.0), (119, 99000.0)):
            X = children()
            X.loc[0:1, ["age", "alp"]] = age, alp
            descriptions.append(summarize_training(fit(X), X).description)
        assert descriptions[0] == descriptions[1]

    def test_many_rows_of_one_patient_are_one_patient(self):
        X = children()
        alone = pd.concat([X.iloc[:1].assign(site="os naviculare", age=40)] * 50)
        X = pd.concat([X, alone], ignore_index=True)
        summary = summarize_training(fit(X), X)
        assert "naviculare" not in json.dumps(summary.description)
        assert summary.n_patients == N_PATIENTS
        assert summary.table.loc["age", "high"] < 40

    def test_a_quantile_is_no_value_of_a_patient(self):
        values = np.arange(101) ** 2.0
        summary = summarize_input("x", "number", values, np.arange(101), 0.01)
        assert summary["levels"] == [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
        assert not set(summary["quantiles"]) & set(values)

    def test_few_patients_have_no_quantiles(self):
        summary = summarize_input("x", "number", np.arange(10.0), np.arange(10), 0.01)
        assert (summary["quantiles"], summary["low"], summary["high"]) == ([], None, None)

    def test_counts_of_few_patients_are_not_told(self):
        X = children().astype({"alp": object})
        X.loc[0:1, "alp"] = None
        summary = summarize_training(fit(X), X)
        assert summary.table.loc["alp", "missing_at_most"] == 4
        assert summary.check(fit(X), X.iloc[:1]).empty


class TestOtherModels:
    def test_a_classifier_alone_is_summarized_by_its_columns(self):
        X = pd.DataFrame({"a": np.linspace(1, 2, 80), "b": ["0", "1"] * 40})
        X["b"] = X["b"].astype(float)
        classifier = FusionClassifier(max_epochs=1, random_state=0, verbose=0)
        classifier.fit(X, np.arange(80) % 2)
        summary = summarize_training(classifier, X)
        found = summary.check(classifier, pd.DataFrame({"a": [1.5, 100.0], "b": [1.0, 0.0]}))
        assert found["column"].tolist() == ["a"]

    def test_a_summary_of_another_model_is_refused(self, trained, fitted):
        pipeline, X, summary = trained
        with pytest.raises(ValueError, match="'alp_high', which is no column here"):
            summary.check(pipeline, X.drop(columns="alp_high"))
        other, table = fitted
        with pytest.raises(ValueError, match="the summary is of"):
            summarize_training(other, table).check(*trained[:2])

    def test_inputs_that_are_left_out_are_not_summarized(self):
        X = children()
        pipeline = fit(X)
        pipeline.set_params(clinical__age="drop").fit(X, np.arange(len(X)) % 2)
        assert "age" not in summarize_training(pipeline, X).table.index

    @pytest.mark.parametrize("rate", [0, 0.0, 0.5, -0.1, True, "x", None, np.nan])
    def test_rates_out_of_their_range_are_refused(self, trained, rate):
        with pytest.raises(ValueError, match="rate"):
            summarize_training(*trained[:2], rate=rate)

    def test_what_is_no_table_is_refused(self, trained):
        pipeline, X, summary = trained
        with pytest.raises(TypeError, match="pandas DataFrame"):
            summarize_training(pipeline, X.to_numpy())
        with pytest.raises(TypeError, match="pandas DataFrame"):
            summary.check(pipeline, X.to_numpy())

    def test_it_survives_pickle_and_copy(self, trained):
        for again in (pickle.loads(pickle.dumps(trained[2])), copy.deepcopy(trained[2])):
            assert again.description == trained[2].description
        assert repr(again) == "<TrainingSummary of 60 patients, 6 clinical inputs>"


@pytest.fixture(scope="module")
def radiographs(tmp_path_factory):
    frame = tiny.make_cohort(tmp_path_factory.mktemp("radiographs"), n_patients=40)
    pipeline = make_fusion_pipeline(
        backbone=tiny.TinyEncoder,
        weights=None,
        image_size=32,
        max_epochs=1,
        random_state=0,
        verbose=0,
        frozen_epochs="all",
    )
    pipeline.fit(frame, frame["diagnosis"])
    return pipeline, frame, summarize_training(pipeline, frame)


class TestImages:
    def plant(self, frame, pixels, tmp_path):
        Image.fromarray(pixels).save(tmp_path / "planted.png")
        new = frame.iloc[:3].copy()
        new.loc[1, "image"] = str(tmp_path / "planted.png")
        return new

    def test_training_images_are_usual(self, radiographs):
        pipeline, frame, summary = radiographs
        found = summary.check(pipeline, frame)
        assert (found["row"] // 2)[found["kind"] == "image"].nunique() <= 4

    def test_images_like_them_are_usual(self, radiographs, tmp_path):
        pipeline, _, summary = radiographs
        new = tiny.make_cohort(tmp_path, n_patients=20, seed=7)
        found = summary.check(pipeline, new)
        assert (found["kind"] == "image").sum() <= 4

    def test_a_photograph_among_radiographs_is_told(self, radiographs, tmp_path):
        pipeline, frame, summary = radiographs
        new = self.plant(frame, load_sample_image("flower.jpg"), tmp_path)
        found = summary.check(pipeline, new)
        assert found[["row", "kind"]].to_numpy().tolist() == [[1, "image"], [1, "color"]]
        assert found["distance"][0] > 1

    def test_a_gray_photograph_is_told_by_its_features(self, radiographs, tmp_path):
        pipeline, frame, summary = radiographs
        gray = np.asarray(Image.fromarray(load_sample_image("flower.jpg")).convert("L"))
        found = summary.check(pipeline, self.plant(frame, gray, tmp_path))
        assert found["kind"].tolist() == ["image"]

    def test_an_unknown_category_does_not_hide_images(self, tmp_path):
        frame = tiny.make_cohort(tmp_path, n_patients=40)
        frame["site"] = ["femur", "tibia", "femur", "tibia"] * 20
        clinical = make_clinical_transformer(kits={}, categories=["site"])
        pipeline = make_fusion_pipeline(
            backbone=tiny.TinyEncoder, weights=None, image_size=32, max_epochs=1, verbose=0,
            clinical=clinical, random_state=0,
        )  # fmt: skip
        pipeline.fit(frame, frame["diagnosis"])
        summary = summarize_training(pipeline, frame)
        new = self.plant(frame, load_sample_image("flower.jpg"), tmp_path).assign(site="skull")
        found = summary.check(pipeline, new)
        assert found["kind"].tolist().count("category") == 3
        assert {"image", "color"} <= set(found["kind"])

    def test_no_image_where_all_had_one_is_told(self, tmp_path):
        frame = tiny.make_cohort(tmp_path, n_patients=40)
        pipeline = make_fusion_pipeline(
            backbone=tiny.TinyEncoder, weights=None, image_size=32, max_epochs=1, verbose=0,
            missing_images="zero", random_state=0,
        )  # fmt: skip
        pipeline.fit(frame, frame["diagnosis"])
        summary = summarize_training(pipeline, frame)
        new = frame.iloc[:3].copy()
        new.loc[2, "image"] = None
        assert summary.check(pipeline, new)[["row", "kind"]].to_numpy().tolist() == [[2, "missing"]]
        # The other way round: some had none, and nothing is said.
        frame.loc[::8, "image"] = None
        pipeline.fit(frame, frame["diagnosis"])
        summary = summarize_training(pipeline, frame)
        assert summary.check(pipeline, new).empty

    def test_the_arrays_hold_no_features_of_a_patient(self, radiographs):
        pipeline, frame, summary = radiographs
        table = pipeline[:-1].transform(frame)
        inputs, _ = next(pipeline[-1].input_batches(table))
        features = inputs["features"].numpy()
        kept = np.vstack([summary.arrays["mean"], summary.arrays["components"]])
        apart = np.abs(features[:, None] - kept[None]).max(axis=2)
        assert apart.min() > 1e-3
        assert len(summary.arrays["components"]) <= 40 // 5

    def test_few_patients_have_no_features(self, radiographs, tmp_path):
        pipeline, frame, _ = radiographs
        summary = summarize_training(pipeline, frame.iloc[:38])
        assert summary.arrays == {}
        photograph = self.plant(frame, load_sample_image("flower.jpg"), tmp_path)
        assert summary.check(pipeline, photograph)["kind"].tolist() == ["color"]

    def test_distances_are_those_of_the_shrunk_covariance(self):
        from sklearn.covariance import LedoitWolf

        from skosfusion.inspection._usual_images import _spread

        features = np.random.default_rng(0).normal(size=(400, 6)) @ np.diag([1, 2, 3, 4, 5, 6])
        spread = _spread(features.astype(np.float32), 400)
        expected = LedoitWolf().fit(features).mahalanobis(features)
        assert spread.distances(features) == pytest.approx(np.sqrt(expected / 6), rel=1e-4)


class TestHostile:
    """A file may hold anything; what is no summary is refused before it is used."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda d: d.clear(),
            lambda d: d.pop("rate"),
            lambda d: d.update(more=1),
            lambda d: d.update(version=2),
            lambda d: d.update(n_patients=-1),
            lambda d: d.update(n_patients=1.5),
            lambda d: d.update(rate=float("nan")),
            lambda d: d.update(rate=10**400),
            lambda d: d.update(inputs={}),
            lambda d: d.update(inputs=[None]),
            lambda d: d.update(inputs=d["inputs"] * 2),
            lambda d: d.update(inputs=[[1]] * 10_001),
            lambda d: d.update(image=[]),
            lambda d: d["image"].update(threshold=-1.0),
            lambda d: d["image"].update(threshold=float("inf")),
            lambda d: d["image"].update(threshold=None),
            lambda d: d["image"].update(color="red"),
            lambda d: d["image"].update(column=5),
            lambda d: d["inputs"][0].update(kind=["number"]),
            lambda d: d["inputs"][0].update(column="x" * 2000),
            lambda d: d["inputs"][0].update(names=["x" * 101]),
            lambda d: d["inputs"][0].update(names=["x"] * 201, counts=[5] * 201),
            lambda d: d["inputs"][0].update(counts=[5]),
            lambda d: d["inputs"][1].update(low="0"),
            lambda d: d["inputs"][1].update(low=float("-inf")),
            lambda d: d["inputs"][1].update(low=1e9),
            lambda d: d["inputs"][1].update(high=-1.0),
            lambda d: d["inputs"][1].update(scale="ratio", low=-1.0),
            lambda d: d["inputs"][1].update(levels=[], quantiles=[]),
            lambda d: d["inputs"][1].update(quantiles=d["inputs"][1]["quantiles"][::-1]),
            lambda d: d["inputs"][1].update(scale="square"),
        ],
    )
    def test_a_description_that_is_none(self, radiographs, change):
        summary = radiographs[2]
        description = copy.deepcopy(summary.description)
        assert [part["column"] for part in description["inputs"][:2]] == ["gender", "age"]
        change(description)
        with pytest.raises(ValueError, match="the summary"):
            TrainingSummary(description, summary.arrays)

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: a.clear(),
            lambda a: a.update(more=a["mean"]),
            lambda a: a.update(mean=a["mean"][:-1]),
            lambda a: a.update(mean=a["mean"].astype(np.float64)),
            lambda a: a.update(mean=a["mean"] * np.float32(np.nan)),
            lambda a: a.update(mean=a["mean"][None]),
            lambda a: a.update(variances=-a["variances"]),
            lambda a: a.update(variances=0 * a["variances"]),
            lambda a: a.update(variances=a["variances"][:-1]),
            lambda a: a.update(components=a["components"] * np.float32(1e30)),
            lambda a: a.update(components=np.zeros((65, 8), np.float32)),
            lambda a: a.update(mean=np.array([object()])),
        ],
    )
    def test_arrays_that_are_none(self, radiographs, change):
        summary = radiographs[2]
        arrays = dict(summary.arrays)
        change(arrays)
        with pytest.raises(ValueError, match="the summary"):
            TrainingSummary(summary.description, arrays)
