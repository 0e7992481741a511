"""Cases 121 to 124, 127 and 131 of the catalogue: model files, weights, and files beside them."""

import hashlib
import os
import re
import warnings
import zipfile
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn import impute, preprocessing
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeRegressor

from skosfusion import FusionClassifier, load_model, save_model
from skosfusion._utils.files import write_atomically
from skosfusion.exceptions import ModelFileError, WeightsError
from skosfusion.network import _weights, load_encoder_state
from skosfusion.persistence._file import read_model_file, write_model_file
from skosfusion.persistence._trusted import TRANSFORMERS

from .._helpers.tiny import TinyEncoder
from .conftest import OPTIONS

COLUMNS = ["age", "alp"]
IMPUTE = impute.SimpleImputer()


def fitted(step, columns, table):
    before = ColumnTransformer([("numbers", step, columns)])
    classifier = FusionClassifier(max_epochs=1, hidden_units=4, random_state=0, verbose=0)
    return Pipeline([("before", before), ("classifier", classifier)]).fit(table, table.index % 2)


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.normal(40, 10, 20), "alp": rng.normal(100, 30, 20)})


LOADED = {
    "selector": (IMPUTE, make_column_selector(dtype_include=float)),
    "selector of a kind": (IMPUTE, make_column_selector(dtype_include="number")),
    "pattern": (IMPUTE, make_column_selector(pattern="a[gl]")),
    "slice": (IMPUTE, slice(0, 2)),
    "mask": (IMPUTE, [True, False]),
    "numbers": (IMPUTE, np.array([0, 1])),
    "indicator": (impute.SimpleImputer(strategy="constant", fill_value=-1), COLUMNS),
    "function": (preprocessing.FunctionTransformer(np.log1p), COLUMNS),
    "scaled": (make_pipeline(IMPUTE, preprocessing.StandardScaler(), PCA(1)), COLUMNS),
    "quantiles": (preprocessing.QuantileTransformer(n_quantiles=5), COLUMNS),
    "discrete": (preprocessing.KBinsDiscretizer(3, encode="ordinal"), COLUMNS),
}
REFUSED = {
    "spline": (preprocessing.SplineTransformer(n_knots=3), COLUMNS, r"scipy\S*asarray"),
    "lambda": (preprocessing.FunctionTransformer(lambda x: x), COLUMNS, "<lambda>"),
    "function of columns": (IMPUTE, lambda table: ["age"], "<lambda>"),
    "index": (IMPUTE, pd.Index(COLUMNS), r"pandas\.Index"),
    "random state": (
        preprocessing.QuantileTransformer(n_quantiles=5, random_state=np.random.RandomState(0)),
        COLUMNS,
        "RandomState",
    ),
}


@pytest.mark.parametrize("kind", LOADED)
def test_case_121_what_is_saved_loads(kind, values, tmp_path):
    """What is saved loads, with what the saving asks to trust, and predicts the same."""
    model, path = fitted(*LOADED[kind], values), tmp_path / "model.safetensors"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save_model(model, path)
    asked = [re.search(r"trusted=\[(.*)\]", str(w.message))[1] for w in caught]
    trusted = [name.strip("'") for text in asked for name in text.split(", ")]
    loaded = load_model(path, trusted=trusted)
    np.testing.assert_array_equal(loaded.predict_proba(values), model.predict_proba(values))


@pytest.mark.parametrize("kind", REFUSED)
def test_case_121_what_would_not_load_is_not_saved(kind, values, tmp_path):
    """What would not load is refused when saving, with the type named; nothing is written."""
    step, columns, match = REFUSED[kind]
    with pytest.raises(ValueError, match=match):
        save_model(fitted(step, columns, values), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_case_121_all_that_would_not_load_is_named(values, tmp_path):
    """Every type that would not load is named at once."""
    steps = make_pipeline(
        preprocessing.FunctionTransformer(lambda x: x),
        preprocessing.SplineTransformer(n_knots=3),
    )
    with pytest.raises(ValueError, match=r"asarray.*<lambda>"):
        save_model(fitted(steps, COLUMNS, values), tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["MultiMarginLoss", "CrossEntropyLoss"])
def test_case_121_losses(name, values, tmp_path):
    """A loss of torch needs no trust."""
    path = tmp_path / "model.safetensors"
    classifier = FusionClassifier(criterion=getattr(torch.nn, name), max_epochs=1, verbose=0)
    save_model(classifier.fit(values, values.index % 2), path)
    assert load_model(path).criterion is getattr(torch.nn, name)


def test_case_122_only_listed_types_load(values, tmp_path):
    """A pipeline file loads only listed types; a tree, whose indices are addresses, is not."""
    step = make_pipeline(IMPUTE, impute.KNNImputer())
    path = tmp_path / "model.safetensors"
    with pytest.warns(UserWarning, match=r"trusted=\['sklearn\.impute\.KNNImputer'\]"):
        save_model(fitted(step, COLUMNS, values), path)
    with pytest.raises(ModelFileError, match=r"KNNImputer, which is not trusted.*trusted="):
        load_model(path)
    assert not [name for name in TRANSFORMERS if "tree" in name or "ensemble" in name]
    import skops

    assert tuple(map(int, skops.__version__.split(".")[:2])) >= (0, 15)
    assert DecisionTreeRegressor.__name__ not in str(TRANSFORMERS)


@pytest.fixture
def saved(cohort, labels, tmp_path):
    path = tmp_path / "model.safetensors"
    options = OPTIONS | {"backbone": "resnet18"}
    classifier = FusionClassifier(image_column="image", frozen_epochs="all", **options)
    save_model(classifier.fit(cohort[["image", "alp"]], labels), path)
    return path


def changed(path, change):
    description, tensors = read_model_file(path)
    change(description, tensors)
    write_model_file(path, description, tensors)


POISON = {
    "deviation 0": lambda d, t: t["pixel_std"].zero_(),
    "negative deviation": lambda d, t: t["pixel_std"].neg_(),
    "negative variance": lambda d, t: t["module.encoder.bn1.running_var"].neg_(),
    "not finite": lambda d, t: t["module.head.0.weight"].fill_(torch.inf),
    "encoder of float16": lambda d, t: _cast(t, "module.encoder.conv1.weight", torch.float16),
    "encoder of float64": lambda d, t: _cast(t, "module.encoder.conv1.weight", torch.float64),
    "whole encoder of float16": lambda d, t: [
        _cast(t, name, torch.float16) for name in t if t[name].is_floating_point()
    ],
    "head of bfloat16": lambda d, t: _cast(t, "module.head.0.weight", torch.bfloat16),
    "head of int32": lambda d, t: _cast(t, "module.head.0.weight", torch.int32),
    "mean of float64": lambda d, t: _cast(t, "pixel_mean", torch.float64),
    "count of int32": lambda d, t: _cast(t, "module.encoder.bn1.num_batches_tracked", torch.int32),
    "size of images": lambda d, t: d["parameters"].update(image_size=0),
    "large size of images": lambda d, t: d["parameters"].update(image_size=10**5),
    "contrast": lambda d, t: _set_options(d, "contrast", "bogus"),
    "box": lambda d, t: _set_options(d, "crop_box", {"tuple": [9, 9, 1, 1]}),
    "unknown option": lambda d, t: _set_options(d, "colour", 1),
    "class weights": lambda d, t: d.update(class_weights=[-1.0, 1.0]),
}


def _cast(tensors, name, dtype):
    tensors[name] = tensors[name].to(dtype)


def _set_options(description, name, value):
    description["parameters"]["image_options"] = {"dict": [[name, value]]}


@pytest.mark.parametrize("kind", POISON)
def test_case_123_poisonous_model_file(kind, saved):
    """Finite but poisonous values, other number types, sizes and options: refused at load."""
    changed(saved, POISON[kind])
    with pytest.raises(ModelFileError, match=r"holds no usable model"):
        load_model(saved)


STATE = TinyEncoder().state_dict()
WEIGHT = STATE["conv.weight"]
UNREADABLE = {
    "sparse": WEIGHT.to_sparse(),
    "float8": WEIGHT.to(torch.float8_e5m2),
    "other float8": WEIGHT.to(torch.float8_e4m3fn),
    "meta": WEIGHT.to("meta"),
    "complex": torch.complex(WEIGHT, WEIGHT),
    "int8": (100 * WEIGHT).to(torch.int8),
    "bool": WEIGHT > 0,
    "too large": torch.full_like(WEIGHT, 1e300, dtype=torch.float64),
    "infinite": torch.full_like(WEIGHT, torch.inf),
}


@pytest.mark.parametrize("kind", [*UNREADABLE, "quantized", "nested", "compressed rows"])
@pytest.mark.filterwarnings("ignore:(?s).*([Qq]uantiz|nested|[Ss]parse|TypedStorage)")
def test_case_124_tensors_that_are_not_weights(kind, tmp_path):
    """Weights of a kind that is not the network's, such as quantized ones: WeightsError."""
    if kind == "quantized":
        tensor = torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8)
    elif kind == "nested":
        tensor = torch.nested.nested_tensor(list(WEIGHT))
    elif kind == "compressed rows":
        tensor = WEIGHT.reshape(8, -1).to_sparse_csr()
    else:
        tensor = UNREADABLE[kind]
    path = tmp_path / "weights.pth"
    torch.save(STATE | {"conv.weight": tensor}, path)
    with pytest.raises(WeightsError, match=r"'conv\.weight'"):
        load_encoder_state(TinyEncoder, path)


def test_case_124_the_remedy(tmp_path):
    """The remedy, saving as float32, works; counts may have been saved as floats, too."""
    path, half = tmp_path / "weights.pth", {name: v.half() for name, v in STATE.items()}
    torch.save({name: value.double() for name, value in STATE.items()}, path)
    loaded = load_encoder_state(TinyEncoder, path)
    assert all(torch.equal(loaded[name], value) for name, value in STATE.items())
    torch.save(half | {"norm.num_batches_tracked": torch.tensor(1.5)}, path)
    with pytest.raises(WeightsError, match=r"torch\.float32 in entry 'norm\.num_batches_tracked'"):
        load_encoder_state(TinyEncoder, path)


def test_case_124_negative_variance(tmp_path):
    """A negative variance in weights: WeightsError."""
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(STATE | {"norm.running_var": -torch.ones(8)}, path)
    with pytest.raises(WeightsError, match=r"negative variances in entry 'norm\.running_var'"):
        load_encoder_state(TinyEncoder, path)


def test_case_124_compressed_to_little(tmp_path):
    """An archive that unpacks to more than it is: WeightsError, and it is not unpacked."""
    stored, path = tmp_path / "stored.pth", tmp_path / "weights.pth"
    torch.save(STATE | {"more": torch.zeros(2**20)}, stored)
    with (
        zipfile.ZipFile(stored) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(WeightsError, match=r"bytes would unpack to \d"):
        load_encoder_state(TinyEncoder, path)
    assert load_encoder_state(TinyEncoder, stored)


def test_case_124_pickled_network(tmp_path):
    """A whole pickled network: WeightsError that does not advise to run what it holds."""
    path = tmp_path / "weights.pth"
    torch.save(TinyEncoder(), path)
    with pytest.raises(
        WeightsError, match="holds more than tensors, which could run code"
    ) as error:
        load_encoder_state(TinyEncoder, path)
    assert "weights_only" not in str(error.value)
    torch.save(TinyEncoder().state_dict(), path)
    assert load_encoder_state(TinyEncoder, path)


def test_case_124_cached_file_of_torchvision(tmp_path, monkeypatch):
    """A cached file of torchvision's whose content is not that of its name: WeightsError."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    path = folder / "resnet18-f37072fd.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    found = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    with pytest.raises(WeightsError, match=f"begins with {found}, not with the f37072fd"):
        load_encoder_state("resnet18", "IMAGENET1K_V1")
    entry = SimpleNamespace(
        url=f"https://nowhere/resnet18-{found}.pth",
        get_state_dict=lambda **options: torch.load(path, weights_only=True),
        transforms=lambda: None,
    )
    monkeypatch.setattr(_weights, "torchvision_weights", lambda *names: entry)
    path.rename(folder / f"resnet18-{found}.pth")
    path = folder / f"resnet18-{found}.pth"
    with pytest.raises(WeightsError, match="do not fit"):
        load_encoder_state("resnet18", "IMAGENET1K_V1")


def test_case_127_only_our_own_temporary_files_are_swept(values, tmp_path):
    """Old files that only look like temporary ones of ours are left alone."""
    path, old = tmp_path / "model.safetensors", (0, 0)
    own = tmp_path / f".{path.name}.{'a' * 32}.tmp"
    others = [
        f".{path.name}.tmp",
        f".{path.name}.backup.tmp",
        f".{path.name}.{'A' * 32}.tmp",
        f".{path.name}.{'a' * 31}.tmp",
        f".{path.name}.{'a' * 32}.tmp.tmp",
        f".{path.name}.old.{'a' * 32}.tmp",
        f".other.safetensors.{'a' * 32}.tmp",
        f"{path.name}.{'a' * 32}.tmp",
    ]
    for name in [own.name, *others]:
        (tmp_path / name).write_bytes(b"mine")
        os.utime(tmp_path / name, old)
    (tmp_path / f".{path.name}.{'b' * 32}.tmp").symlink_to(tmp_path / others[0])
    (tmp_path / f".{path.name}.{'c' * 32}.tmp").mkdir()
    os.utime(tmp_path / f".{path.name}.{'c' * 32}.tmp", old)
    # Another process may be writing it.
    (tmp_path / f".{path.name}.{'d' * 32}.tmp").write_bytes(b"young")
    before = set(os.listdir(tmp_path))
    classifier = FusionClassifier(max_epochs=1, verbose=0)
    save_model(classifier.fit(values, values.index % 2), path)
    assert before - set(os.listdir(tmp_path)) == {own.name}


def test_case_131_renaming_reaches_the_disk(tmp_path, monkeypatch):
    """A model file outlives a loss of power: its content is synced, and then its folder."""
    done = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda *p: (done.append("replaced"), replace(*p)))
    write_atomically(tmp_path / "model", b"content", durable=True)
    assert done == ["file", "replaced", "folder"]
    done.clear()
    write_atomically(tmp_path / "cached", b"content")
    assert done == ["replaced"]


def test_case_131_folders_that_cannot_be_synced(tmp_path, monkeypatch):
    """Where the system cannot sync a folder, the file is written all the same."""
    sync = os.fsync

    def refused(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(22, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refused)
    write_atomically(tmp_path / "model", b"content", durable=True)
    assert (tmp_path / "model").read_bytes() == b"content"
