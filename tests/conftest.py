import os

# SciPy looks at this when it is first imported; without it scikit-learn leaves one check out.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Beside other processes of pytest-xdist, more threads than one would wait for each other's cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from skosfusion import FusionClassifier, make_fusion_pipeline
from skosfusion.network._encoder_key import _settings

from ._helpers import tiny
from ._helpers.chest_xray import CHEST_XRAY

# Worker processes of joblib read this; the filters of pytest do not reach them.
os.environ.setdefault("TQDM_DISABLE", "1")


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """A small cohort with images on disk; copy it before changing it."""
    return tiny.make_cohort(tmp_path_factory.mktemp("images"))


@pytest.fixture
def image_options():
    """Parameters of a classifier that trains in no time."""
    return {
        "image_column": "image",
        "backbone": tiny.TinyEncoder,
        "weights": None,
        "image_size": 32,
        "max_epochs": 3,
        "batch_size": 16,
        "random_state": 0,
        "verbose": 0,
    }


@pytest.fixture
def classifier(image_options):
    return FusionClassifier(**image_options)


@pytest.fixture
def pipeline(image_options):
    options = {name: value for name, value in image_options.items() if name != "image_column"}
    return make_fusion_pipeline(**options)


@pytest.fixture
def chest_xray():
    """Folder of real radiographs."""
    if not CHEST_XRAY.is_dir():
        pytest.skip("real radiographs are not part of the package: ../shared/data/chest_xray")
    return CHEST_XRAY


@pytest.fixture(autouse=True)
def switches_of_torch():
    """A switch left changed would give later tests other features, and other keys to keep them."""
    before = _settings(torch.device("cpu")), torch.get_num_threads()
    yield
    assert (_settings(torch.device("cpu")), torch.get_num_threads()) == before
