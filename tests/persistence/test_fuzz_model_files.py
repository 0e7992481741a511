"""Whatever is in a model file: a model, or the one documented error; nothing else."""

import contextlib
import json
import warnings

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings

from skosfusion import (
    load_model,
    make_clinical_transformer,
    make_fusion_pipeline,
    save_model,
)
from skosfusion.exceptions import ModelFileError
from skosfusion.persistence._file import _digest, read_model_file

FILES = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
X = pd.DataFrame({"gender": ["F", "M", "F", "M"], "age": [10, 20, 30, 40]})
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["torch.optim.SGD", "skorch.EarlyStopping", "os.system", "__class__"]),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(
            st.sampled_from(["class", "object", "parameters", "tuple", "dict", "float", "x"]),
            values,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Path of a pipeline's file, which stays as it is."""
    path = tmp_path_factory.mktemp("models") / "pipeline.safetensors"
    pipeline = make_fusion_pipeline(
        image=None,
        clinical=make_clinical_transformer(image=None, kits={}),
        max_epochs=1,
        hidden_units=3,
        random_state=0,
        verbose=0,
    )
    save_model(pipeline.fit(X, [0, 1, 0, 1]), path)
    return path


def load(path):
    """Load a file that may be anything, and use what comes out; its columns may be others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = load_model(path)
        except ModelFileError:
            return
        with contextlib.suppress(ValueError, TypeError):
            assert np.isfinite(model.predict_proba(X)).all()


@FILES
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    st.floats(0, 1),
)
def test_changed_bytes_are_noticed(saved, changes, end):
    path, content = saved.with_name("mutated"), saved.read_bytes()
    mutated = bytearray(content)
    for position, change in changes:
        mutated[int(position * len(content))] ^= change
    mutated = mutated[: max(1, round(end * len(content)))]
    path.write_bytes(mutated)
    if mutated == content:
        load(path)
        return
    with pytest.raises(ModelFileError):
        load_model(path)


@FILES
@given(st.lists(st.integers(0, 100), min_size=1, max_size=4), JSON)
def test_any_description_under_a_right_digest_loads_or_is_refused(saved, way, value):
    path = saved.with_name("mutated")
    description, tensors = read_model_file(saved)
    place, name = description, None
    for step in way:
        if name is not None and (not isinstance(place[name], dict) or not place[name]):
            break
        place = description if name is None else place[name]
        name = sorted(place)[step % len(place)]
    place[name] = value
    rewrite(path, description, tensors)
    load(path)


@FILES
@given(
    st.integers(0, 100),
    st.sampled_from(["drop", "flat", "half", "integers", "more", "bytes"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 255),
)
def test_any_tensors_under_a_right_digest_load_or_are_refused(saved, which, change, where, bits):
    path = saved.with_name("mutated")
    description, tensors = read_model_file(saved)
    name = sorted(tensors)[which % len(tensors)]
    tensor = tensors.pop(name)
    flat = tensor.reshape(-1)
    if change == "flat":
        tensors[name] = flat
    elif change == "half":
        tensors[name] = flat[: len(flat) // 2].clone()
    elif change == "integers":
        tensors[name] = tensor.long()
    elif change == "more":
        tensors[name] = tensor.repeat(2, *[1] * (tensor.ndim - 1)) if tensor.ndim else flat
    elif change == "bytes":
        tensors[name] = tensor.clone()
        values = tensors[name].reshape(-1).view(torch.uint8)
        values[int(where * len(values))] ^= bits
    rewrite(path, description, tensors)
    load(path)


def rewrite(path, description, tensors):
    text = json.dumps(description)
    metadata = {"skosfusion": text, "sha256": _digest(text, tensors)}
    path.write_bytes(safetensors.torch.save(tensors, metadata))
