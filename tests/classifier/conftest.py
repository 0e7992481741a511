import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.preprocessing import scale


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(120, 6, n_informative=4, class_sep=2.0, random_state=0)
    return scale(X).astype(np.float32), y


@pytest.fixture
def frame(cohort):
    return cohort[["image", "age", "alp"]].assign(age=cohort["age"] / 100, alp=cohort["alp"] / 100)


@pytest.fixture
def target(cohort):
    return cohort["diagnosis"].to_numpy()
