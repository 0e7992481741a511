import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skosfusion import FusionClassifier, make_fusion_pipeline

from .._helpers import tiny
from .._helpers.image_files import encoded
from .refusals import Fitted
from .small_images import GRAY

OPTIONS = {
    "backbone": tiny.TinyEncoder,
    "weights": None,
    "image_size": 32,
    "max_epochs": 2,
    "batch_size": 16,
    "random_state": 0,
    "verbose": 0,
}


@pytest.fixture(scope="session")
def labels(cohort):
    return cohort["diagnosis"].to_numpy()


def fit_classifier(cohort, labels, **options):
    X = cohort[["image", "age", "alp"]].astype({"age": np.float64})
    return Fitted(FusionClassifier(image_column="image", **OPTIONS, **options), X, labels)


@pytest.fixture(scope="session")
def trained(cohort, labels):
    """A classifier whose encoder has been trained, too."""
    return fit_classifier(cohort, labels)


@pytest.fixture(scope="session")
def fixed(cohort, labels, tmp_path_factory):
    """A classifier with a fixed encoder; what it reads is kept on disk."""
    return fit_classifier(
        cohort, labels, frozen_epochs="all", memory=tmp_path_factory.mktemp("memory")
    )


@pytest.fixture
def classifier(fixed):
    return clone(fixed.estimator)


@pytest.fixture(scope="session", params=["trained", "fixed"])
def fitted(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def fitted_pipeline(cohort, labels):
    """A fitted pipeline; a few values are missing, so that what is imputed shows."""
    X = cohort.drop(columns=["patient_id", "diagnosis"])
    X = X.assign(alp=X["alp"].where(X.index % 5 != 0), age=X["age"].where(X.index % 7 != 0))
    return Fitted(make_fusion_pipeline(**OPTIONS), X, labels)


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file and return its path as text."""

    def write(data, name="image.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


@pytest.fixture
def folder(tmp_path):
    """Image folder with three images."""
    path = tmp_path / "images"
    path.mkdir()
    for name in "abc":
        (path / f"{name}.png").write_bytes(encoded(GRAY))
    return path


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "image": ["a.png", "b.png", "c.png"],
            "patient_id": ["1", "2", "3"],
            "diagnosis": [0, 1, 0],
        }
    )
