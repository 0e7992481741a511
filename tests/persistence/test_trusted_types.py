"""What a model file may name: the own list, what the user trusts, and public names only."""

import io
import json
import zipfile
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import preprocessing
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer
from skops import io as skops_io

from skosfusion import load_model, save_model
from skosfusion.exceptions import ModelFileError
from skosfusion.persistence._file import read_model_file
from skosfusion.persistence._pipeline import (
    _LISTED,
    _OPEN_TO_TRUST,
    _nodes,
    _unlisted,
    _with_public_names,
)
from skosfusion.persistence._trusted import TRANSFORMERS

from .._helpers.clinical import clinical_only
from .._helpers.model_files import rewrite

HARMLESS = [
    preprocessing.Binarizer(),
    FunctionTransformer(),
    FunctionTransformer(np.log1p),
    preprocessing.MaxAbsScaler(),
    preprocessing.MinMaxScaler(),
    preprocessing.Normalizer(),
    preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    preprocessing.PowerTransformer(),
    preprocessing.QuantileTransformer(n_quantiles=10),
    preprocessing.RobustScaler(),
    preprocessing.StandardScaler(),
    PCA(2, random_state=0),
    VarianceThreshold(),
    SimpleImputer(add_indicator=True),
    FeatureUnion([("same", "passthrough"), ("missing", MissingIndicator(features="all"))]),
    Pipeline([("scale", preprocessing.StandardScaler()), ("pca", PCA(2))]),
    ColumnTransformer(
        [("n", preprocessing.StandardScaler(), make_column_selector(dtype_include=float))]
    ),
    SimpleImputer().set_output(transform="pandas"),
]


@pytest.fixture
def frame():
    X = np.random.default_rng(0).exponential(size=(40, 3))
    return pd.DataFrame(X, columns=["a", "b", "c"])


def fit(step, X):
    classifier = clinical_only(max_epochs=1, hidden_units=4)
    return Pipeline([("before", clone(step)), ("classifier", classifier)]).fit(X, np.arange(40) % 2)


def archive_of(path):
    _, tensors = read_model_file(path)
    return zipfile.ZipFile(io.BytesIO(tensors["pipeline.steps"].numpy().tobytes()))


def plant(path, archive):
    steps = torch.frombuffer(bytearray(archive), dtype=torch.uint8)
    rewrite(path, lambda d, t: t.update({"pipeline.steps": steps}))


def packed(steps, change=lambda schema: None):
    """Pack steps as they are saved, and change the schema."""
    archive, _ = _with_public_names(skops_io.dumps(steps))
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(parts["schema.json"])
    change(schema)
    parts["schema.json"] = json.dumps(schema).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return target.getvalue()


class TestTheList:
    @pytest.mark.parametrize("step", HARMLESS, ids=lambda step: str(step)[:40])
    def test_harmless_steps_of_scikit_learn_come_back(self, step, frame, path):
        pipeline = fit(step, frame)
        save_model(pipeline, path)
        expected = pipeline.predict_proba(frame)
        np.testing.assert_array_equal(load_model(path).predict_proba(frame), expected)

    def test_every_type_on_the_list_is_tried(self):
        tried = {type(part) for step in HARMLESS for part in [step, *step.get_params().values()]}
        tried.add(make_column_selector)
        public = {kind for name, kind in TRANSFORMERS.items() if name.startswith("sklearn.")}
        assert public <= tried

    def test_a_listed_name_is_that_of_the_type_it_stands_for(self):
        for name, kind in TRANSFORMERS.items():
            module, _, attribute = name.rpartition(".")
            assert getattr(__import__(module, fromlist=["x"]), attribute) is kind

    def test_no_private_module_is_named(self, pipeline, cohort, path):
        save_model(pipeline.fit(cohort, cohort["diagnosis"]), path)
        description, _ = read_model_file(path)
        named = {part["class"] for part in description["parameters"].values() if is_class(part)}
        named.add(description["class"])
        with archive_of(path) as archive:
            schema = json.loads(archive.read("schema.json"))
        named |= {f"{node['__module__']}.{node['__class__']}" for node in _nodes(schema)}
        assert {"skosfusion.preprocessing.KitRangeScaler", "sklearn.pipeline.Pipeline"} <= named
        ours = [n for n in named if n.startswith(("skosfusion", "sklearn", "numpy", "torch"))]
        assert not [n for n in ours if any(part.startswith("_") for part in n.split("."))]


def is_class(part):
    return isinstance(part, dict) and "class" in part


class TestOutsideTheList:
    def test_it_is_saved_with_a_warning_and_loaded_by_who_trusts_it(self, frame, path):
        pipeline = fit(OneHotEncoder(handle_unknown="ignore", sparse_output=False), frame)
        with pytest.warns(
            UserWarning, match=r"trusted=\['sklearn\.preprocessing\.OneHotEncoder'\]"
        ):
            save_model(pipeline, path)
        with pytest.raises(ModelFileError, match=r"OneHotEncoder, which is not trusted"):
            load_model(path)
        expected = pipeline.predict_proba(frame)
        for trusted in (OneHotEncoder, "sklearn.preprocessing.OneHotEncoder"):
            loaded = load_model(path, trusted=[trusted])
            np.testing.assert_array_equal(loaded.predict_proba(frame), expected)

    @pytest.mark.parametrize(
        ("step", "named"),
        [
            (RandomTreesEmbedding(2, random_state=0), [r"sklearn\.tree\._tree\.Tree"]),
            (FunctionTransformer(lambda X: X), ["<lambda>"]),
            (FunctionTransformer(pd.DataFrame.abs), ["abs"]),
            (SplineTransformer(n_knots=3), [r"scipy\._lib\..*asarray"]),
            (
                FeatureUnion(
                    [
                        ("a", FunctionTransformer(lambda X: X)),
                        ("b", RandomTreesEmbedding(2, random_state=0)),
                    ]
                ),
                [r"sklearn\.tree\._tree\.Tree", "<lambda>"],
            ),
            (preprocessing.QuantileTransformer(
                n_quantiles=5, random_state=np.random.RandomState(0)
            ), [r"RandomState"]),
        ],
    )  # fmt: skip
    def test_what_nobody_could_load_is_refused_and_every_type_named(self, step, named, frame, path):
        pipeline = Pipeline([("before", clone(step)), ("rest", preprocessing.MaxAbsScaler())])
        pipeline.fit(frame)
        classifier = fit(preprocessing.MaxAbsScaler(), frame)["classifier"]
        whole = Pipeline([*pipeline.steps, ("classifier", classifier)])
        with pytest.raises(ValueError, match=".*".join(named)):
            save_model(whole, path)
        assert not path.exists()

    def test_what_the_warning_says_is_enough_to_load(self, frame, path):
        step = preprocessing.KBinsDiscretizer(
            3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"
        )
        pipeline = fit(step, frame)
        with pytest.warns(UserWarning, match="KBinsDiscretizer.*OneHotEncoder") as caught:
            save_model(pipeline, path)
        names = str(caught[0].message).partition("trusted=")[2][1:-2].replace("'", "").split(", ")
        expected = pipeline.predict_proba(frame)
        np.testing.assert_array_equal(
            load_model(path, trusted=names).predict_proba(frame), expected
        )


class TestPlantedSteps:
    @pytest.fixture
    def saved(self, frame, path):
        save_model(fit(preprocessing.StandardScaler(), frame), path)
        return path

    def test_an_encoder_whose_widths_would_end_the_process_is_refused(self, frame, saved):
        encoder = OneHotEncoder(sparse_output=False).fit(frame)
        encoder._n_features_outs = [1, 1, 1]
        plant(saved, packed([("before", encoder)]))
        with pytest.raises(ModelFileError, match="OneHotEncoder, which is not trusted"):
            load_model(saved)

    def test_a_private_path_to_a_listed_type_is_refused(self, frame, saved):
        scaler = preprocessing.StandardScaler().fit(frame)

        def change(schema):
            for node in _nodes(schema):
                if node["__class__"] == "StandardScaler":
                    node["__module__"] = "sklearn.preprocessing._data"

        plant(saved, packed([("before", scaler)], change))
        with pytest.raises(ModelFileError, match=r"_data\.StandardScaler, which is not trusted"):
            load_model(saved)

    @pytest.mark.parametrize("loader", ["MethodNode", "TreeNode", "LossNode", "x", 3, None, []])
    def test_an_odd_kind_of_node_is_refused_whatever_is_trusted(self, loader, saved):
        def change(schema):
            schema["content"][0]["content"][1] |= {"__loader__": loader}

        plant(saved, packed([("before", preprocessing.StandardScaler())], change))
        with pytest.raises(ModelFileError):
            load_model(saved, trusted=[preprocessing.StandardScaler])

    @pytest.mark.parametrize("kind", sorted(_LISTED.keys() - _OPEN_TO_TRUST))
    def test_trust_does_not_open_the_kinds_of_plain_values(self, kind):
        node = {"__loader__": kind, "__module__": "own", "__class__": "Kind"}
        assert _unlisted([node], {"own.Kind"}) == ["own.Kind"]

    @pytest.mark.parametrize("module", ["os", "subprocess", "builtins", "no.such.module", "", None])
    def test_a_type_of_another_module_is_not_even_imported(self, module, saved):
        def change(schema):
            schema["content"][0]["content"][1] |= {"__module__": module}

        plant(saved, packed([("before", preprocessing.StandardScaler())], change))
        with pytest.raises(ModelFileError, match="not trusted"):
            load_model(saved)

    def test_parts_that_refer_to_each_other_are_refused(self, saved):
        plant(saved, skops_io.dumps([("before", "passthrough")]))
        with pytest.raises(ModelFileError, match="refer to parts of themselves"):
            load_model(saved)

    @pytest.mark.parametrize(
        ("dtype", "length"),
        [("<f8", 10**12), ("<U0", 10**12), ("|V0", 10**12), ("|V4", 1), ("|O", 1)],
    )
    def test_an_array_of_too_many_or_odd_values_is_refused(self, dtype, length, frame, saved):
        scaler = preprocessing.StandardScaler().fit(frame)
        archive = packed([("before", scaler)])
        header = io.BytesIO()
        fields = {"descr": dtype, "fortran_order": False, "shape": (length,)}
        np.lib.format.write_array_header_1_0(header, fields)
        target = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(target, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                new.writestr(name, header.getvalue() if name.endswith(".npy") else content)
        plant(saved, target.getvalue())
        with pytest.raises(ModelFileError, match="an array of shape"):
            load_model(saved)

    def test_a_listed_name_does_not_open_other_kinds_of_nodes(self, saved):
        def change(schema):
            step = schema["content"][0]["content"][1]
            step.update(__loader__="TypeNode")

        plant(saved, packed([("before", preprocessing.StandardScaler())], change))
        with pytest.raises(ModelFileError, match="not trusted"):
            load_model(saved)

    def test_what_no_trust_could_open_is_not_saved(self, frame, tmp_path):
        step = FunctionTransformer(np.log1p, kw_args=OrderedDict())
        pipeline = Pipeline([("before", step), ("net", clinical_only(max_epochs=1))])
        pipeline.fit(frame, np.arange(len(frame)) % 2)
        with pytest.raises(ValueError, match=r"cannot be saved: .*collections\.OrderedDict"):
            save_model(pipeline, tmp_path / "model.safetensors")

    @pytest.mark.parametrize("loader", ["DictNode", "DTypeNode", "JsonNode", "NdArrayNode"])
    def test_trust_in_a_class_does_not_open_nodes_that_hold_plain_values(self, loader, saved):
        def change(schema):
            schema["content"][0]["content"][1] |= {"__loader__": loader}

        plant(saved, packed([("before", preprocessing.StandardScaler())], change))
        with pytest.raises(ModelFileError, match=r"StandardScaler, which is not trusted"):
            load_model(saved, trusted=[preprocessing.StandardScaler])
