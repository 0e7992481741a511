import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.preprocessing import scale


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(80, 4, random_state=0)
    return scale(X).astype(np.float32), y


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def images(cohort):
    frame = cohort[["image", "age", "alp"]]
    return frame.assign(age=cohort["age"] / 100, alp=cohort["alp"] / 100)


@pytest.fixture
def target(cohort):
    return cohort["diagnosis"].to_numpy()
