import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skosfusion import load_model, make_clinical_transformer, save_model
from skosfusion.exceptions import ModelFileError
from skosfusion.persistence._pipeline import _with_public_names

from .._helpers import tiny
from .._helpers.executed import Executed
from .._helpers.model_files import rewrite


class TestPipeline:
    @pytest.fixture
    def fitted(self, pipeline, cohort, target):
        return pipeline.fit(cohort, target)

    def test_the_whole_pipeline_predicts_the_same(self, fitted, cohort, path):
        save_model(fitted, path)
        loaded = load_model(path, trusted=[tiny.TinyEncoder])
        np.testing.assert_array_equal(loaded.predict_proba(cohort), fitted.predict_proba(cohort))
        shuffled = cohort[cohort.columns[::-1]]
        pd.testing.assert_frame_equal(
            loaded[:-1].transform(shuffled), fitted[:-1].transform(cohort)
        )

    @pytest.mark.parametrize("missing", ["impute", "indicator"])
    def test_imputed_values_are_those_of_the_training_rows(
        self, missing, pipeline, cohort, target, path
    ):
        pipeline.set_params(clinical=make_clinical_transformer(missing=missing))
        pipeline.set_params(clinical__ldh="drop").fit(cohort, target)
        save_model(pipeline, path)
        loaded = load_model(path, trusted=[tiny.TinyEncoder])
        empty = cohort.assign(age=np.nan, alp=np.nan, gender=None)
        pd.testing.assert_frame_equal(loaded[:-1].transform(empty), pipeline[:-1].transform(empty))

    def test_other_estimators_are_refused(self, fitted, path):
        for wrong in (fitted[:-1], fitted["clinical"], None):
            with pytest.raises(TypeError, match="Pipeline that ends in a FusionClassifier"):
                save_model(wrong, path)

    def test_an_unfitted_pipeline_is_refused(self, pipeline, path):
        with pytest.raises(NotFittedError):
            save_model(pipeline, path)

    def test_what_was_saved_comes_back(self, fitted, path):
        for estimator in (fitted, fitted["classifier"]):
            save_model(estimator, path)
            assert type(load_model(path, trusted=[tiny.TinyEncoder])) is type(estimator)

    def test_a_users_function_needs_trust_by_name(self, fitted, cohort, target, path):
        own = FunctionTransformer(_identity)
        steps = [("own", own), *fitted.steps]
        with pytest.warns(UserWarning, match=rf"trusted=\['{__name__}\._identity'\]"):
            save_model(Pipeline(steps).fit(cohort, target), path)
        with pytest.raises(ModelFileError, match=r"_identity, which is not trusted"):
            load_model(path, trusted=[tiny.TinyEncoder])
        for name in (f"{__name__}._identity", _identity):
            loaded = load_model(path, trusted=[tiny.TinyEncoder, name])
            assert loaded.predict(cohort).shape == target.shape

    def test_a_step_without_a_form_is_refused(self, fitted, cohort, target, path):
        clinical = ColumnTransformer([("all", fitted["clinical"], lambda X: list(X.columns))])
        clinical.set_output(transform="pandas")
        pipeline = Pipeline([("clinical", clinical), ("classifier", fitted["classifier"])])
        pipeline.set_params(clinical__verbose_feature_names_out=False).fit(cohort, target)
        with pytest.raises(ValueError, match="steps before 'classifier' cannot be saved"):
            save_model(pipeline, path)

    def test_planted_code_is_refused_and_never_run(self, fitted, path, tmp_path):
        from skops import io as skops_io

        trace = tmp_path / "trace"
        planted = skops_io.dumps([("bad", Executed(trace))])
        self.plant(fitted, path, planted)
        with pytest.raises(ModelFileError, match="not trusted"):
            load_model(path, trusted=[tiny.TinyEncoder])
        self.plant(fitted, path, pickle.dumps([("bad", Executed(trace))]))
        with pytest.raises(ModelFileError):
            load_model(path, trusted=[tiny.TinyEncoder])
        assert not trace.exists()

    def test_an_archive_that_would_fill_the_memory_is_refused(self, fitted, path):
        from skops import io as skops_io

        zeros = [("a", "passthrough"), ("b", np.zeros(10**6))]
        archive = skops_io.dumps(zeros, compression=zipfile.ZIP_DEFLATED)
        self.plant(fitted, path, archive, raw=True)
        with pytest.raises(ModelFileError, match="would unpack"):
            load_model(path, trusted=[tiny.TinyEncoder])

    def test_a_schema_that_would_fill_the_memory_is_refused(self, fitted, path, tmp_path):
        archive = tmp_path / "schema.skops"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("schema.json", json.dumps({"a": "0" * 10**6}))
        self.plant(fitted, path, archive.read_bytes(), raw=True)
        with pytest.raises(ModelFileError, match="would unpack"):
            load_model(path, trusted=[tiny.TinyEncoder])

    def test_an_archive_that_reads_one_part_many_times_is_refused(self, fitted, path, tmp_path):
        from skops import io as skops_io

        archive = tmp_path / "many.skops"
        archive.write_bytes(skops_io.dumps([("a", np.zeros(1000)), ("b", np.ones(1000))] * 50))
        with zipfile.ZipFile(archive) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        first = next(name for name in parts if name.endswith(".npy"))
        schema = json.loads(parts["schema.json"])
        text = json.dumps([schema["content"]] * 20)
        schema["content"] = json.loads(text)
        kept = {"schema.json": json.dumps(schema).encode(), first: bytes(10**6)}
        for name in parts.keys() - kept.keys():
            kept["schema.json"] = kept["schema.json"].replace(name.encode(), first.encode())
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in kept.items():
                file.writestr(name, content)
        self.plant(fitted, path, archive.read_bytes(), raw=True)
        with pytest.raises(ModelFileError, match="would unpack"):
            load_model(path, trusted=[tiny.TinyEncoder])

    @pytest.mark.parametrize("steps", [[("a", 7)], [(3, "passthrough")], ["ab"], 7, {}])
    def test_steps_that_are_not_transformers_are_refused(self, steps, fitted, path):
        from skops import io as skops_io

        self.plant(fitted, path, skops_io.dumps(steps))
        with pytest.raises(ModelFileError, match=r"its step|not enough values"):
            load_model(path, trusted=[tiny.TinyEncoder])

    def test_a_classifier_step_without_a_name_is_refused(self, fitted, path):
        save_model(fitted, path)
        rewrite(path, lambda d, t: d.update(classifier_step=7))
        with pytest.raises(ModelFileError, match="its classifier is called 7"):
            load_model(path, trusted=[tiny.TinyEncoder])

    def test_without_skops_the_error_names_the_extra(self, fitted, path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
        with pytest.raises(ImportError, match=r"skosfusion\[skops\]"):
            save_model(fitted, path)

    def plant(self, fitted, path, archive, *, raw=False):
        save_model(fitted, path)
        if zipfile.is_zipfile(io.BytesIO(archive)) and not raw:
            archive, _ = _with_public_names(archive)
        steps = torch.frombuffer(bytearray(archive), dtype=torch.uint8)
        rewrite(path, lambda d, t: t.update({"pipeline.steps": steps}))


def _identity(X):
    return X
