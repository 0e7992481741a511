"""A summary of the training set and a recalibration ride along in the file of a model."""

import numpy as np
import pytest
import torch

from skosfusion import (
    FusionClassifier,
    Recalibration,
    load_model,
    load_recalibration,
    load_summary,
    save_model,
    summarize_training,
)
from skosfusion.exceptions import ModelFileError
from skosfusion.persistence._file import read_model_file

from .._helpers import tiny
from .._helpers.clinical import clinical_only
from .._helpers.model_files import rewrite


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from skosfusion import make_fusion_pipeline

    folder = tmp_path_factory.mktemp("images")
    frame = tiny.make_cohort(folder, n_patients=40)
    # What must not be found in the file.
    frame["patient_id"] = "rec-" + frame["patient_id"]
    frame.loc[0:1, ["age", "ldh"]] = 83, 123456.5
    pipeline = make_fusion_pipeline(
        backbone=tiny.TinyEncoder, weights=None, image_size=32, max_epochs=1, verbose=0,
        random_state=0,
    )  # fmt: skip
    pipeline.fit(frame, frame["diagnosis"])
    return pipeline, frame, summarize_training(pipeline, frame), folder


@pytest.fixture
def saved(trained, path):
    pipeline, _, summary, _ = trained
    save_model(pipeline, path, summary=summary, recalibration=Recalibration(0.1 + 0.2, 1 / 3))
    return path


def load(path):
    return load_model(path, trusted=[tiny.TinyEncoder])


class TestSummary:
    def test_it_is_read_as_it_was_saved(self, trained, saved):
        pipeline, frame, summary, _ = trained
        again = load_summary(saved)
        assert again.description == summary.description
        assert again.arrays.keys() == summary.arrays.keys()
        for name, array in summary.arrays.items():
            assert (again.arrays[name] == array).all()
        new = frame.assign(alp=frame["alp"] * 100)
        found = again.check(load(saved), new)
        assert len(found) > 3
        assert found.equals(summary.check(pipeline, new))

    def test_the_model_is_the_same_with_it(self, trained, saved, tmp_path):
        pipeline, frame, *_ = trained
        save_model(pipeline, tmp_path / "alone.safetensors")
        alone = load(tmp_path / "alone.safetensors")
        assert (load(saved).predict_proba(frame) == alone.predict_proba(frame)).all()
        assert load_summary(tmp_path / "alone.safetensors") is None
        assert load_recalibration(tmp_path / "alone.safetensors") is None

    def test_what_it_adds_names_no_patient_and_no_path(self, trained, saved, tmp_path):
        pipeline, *_, folder = trained
        save_model(pipeline, tmp_path / "alone.safetensors")
        description, tensors = read_model_file(saved)
        before = read_model_file(tmp_path / "alone.safetensors")[1]
        assert {name for name in tensors if name not in before} == {
            "summary.mean",
            "summary.components",
            "summary.variances",
        }
        text = repr(description["summary"])
        for value in ("rec-", str(folder), ".png", "123456"):
            assert value not in text, value
        assert saved.stat().st_size < (tmp_path / "alone.safetensors").stat().st_size + 8192

    def test_the_widest_features_stay_small(self):
        from skosfusion.inspection._usual_images import _spread

        features = np.random.default_rng(0).normal(size=(700, 2048)).astype(np.float32)
        assert sum(part.nbytes for part in _spread(features, 700)) < 600_000

    @pytest.mark.parametrize("kind", [{}, "summary", 1, FusionClassifier])
    def test_what_is_no_summary_is_refused(self, trained, path, kind):
        with pytest.raises(TypeError, match=r"summary is a .*; allowed: a TrainingSummary"):
            save_model(trained[0], path, summary=kind)
        assert not path.exists()

    def test_a_summary_of_another_model_is_refused(self, trained, table, path):
        with pytest.raises(ValueError, match="of a model with images"):
            save_model(clinical_only().fit(*table), path, summary=trained[2])

    @pytest.mark.parametrize(
        "change",
        [
            lambda d, t: d.update(summary=7),
            lambda d, t: d.update(summary=[]),
            lambda d, t: d["summary"].pop("inputs"),
            lambda d, t: d["summary"].update(n_patients=-3),
            lambda d, t: d["summary"]["inputs"][1].update(column=["age"]),
            lambda d, t: d["summary"]["inputs"][1].update(high=1e999),
            lambda d, t: t.pop("summary.mean"),
            lambda d, t: t.update({"summary.more": torch.ones(3)}),
            lambda d, t: t.update({"summary.mean": torch.ones(3)}),
            lambda d, t: t.update({"summary.mean": torch.full((8,), float("nan"))}),
            lambda d, t: t.update({"summary.mean": torch.ones(8, dtype=torch.bfloat16)}),
            lambda d, t: t.update({"summary.variances": torch.zeros(9)}),
            lambda d, t: t.update({"summary.components": torch.zeros(2**10, 8)}),
        ],
    )
    def test_a_hostile_summary_is_refused(self, saved, change):
        rewrite(saved, change)
        with pytest.raises(ModelFileError, match=r"holds no usable summary|damaged"):
            load_summary(saved)

    def test_a_damaged_file_is_refused(self, saved):
        content = bytearray(saved.read_bytes())
        content[-5] ^= 1
        saved.write_bytes(content)
        for read in (load_summary, load_recalibration):
            with pytest.raises(ModelFileError, match="damaged"):
                read(saved)

    def test_a_missing_file_is_a_file_not_found(self, path):
        for read in (load_summary, load_recalibration):
            with pytest.raises(FileNotFoundError):
                read(path)


class TestRecalibration:
    def test_it_is_read_to_the_bit(self, trained, saved):
        pipeline, frame, *_ = trained
        recalibration = load_recalibration(saved)
        assert recalibration == Recalibration(0.1 + 0.2, 1 / 3)
        scores = pipeline.decision_function(frame)
        expected = Recalibration(0.1 + 0.2, 1 / 3).apply(scores)
        assert (recalibration.apply(load(saved).decision_function(frame)) == expected).all()

    @pytest.mark.parametrize(
        "hostile",
        [
            7,
            [],
            [1.0, 1.0],
            {},
            {"intercept": 0.0},
            {"intercept": 0.0, "slope": -1.0},
            {"intercept": 0.0, "slope": True},
            {"intercept": "0", "slope": 1.0},
            {"intercept": 1e999, "slope": 1.0},
            {"intercept": 0.0, "slope": 1.0, "apply": 1},
            {"intercept": 10**400, "slope": 1.0},
        ],
    )
    def test_a_hostile_one_is_refused(self, saved, hostile):
        rewrite(saved, lambda description, _: description.update(recalibration=hostile))
        with pytest.raises(ModelFileError):
            load_recalibration(saved)

    def test_what_is_none_is_refused(self, trained, path):
        with pytest.raises(TypeError, match="recalibration is a tuple; allowed"):
            save_model(trained[0], path, recalibration=(0.0, 1.0))

    def test_of_more_classes_there_is_none(self, table, path):
        X, y = table
        classifier = clinical_only(max_epochs=1).fit(X, np.arange(len(y)) % 3)
        with pytest.raises(ValueError, match="is of two classes, and the model has 3"):
            save_model(classifier, path, recalibration=Recalibration(0.0, 1.0))
