import pytest
import torch

from skosfusion.images import shared_image_store
from skosfusion.network import FeatureCache, FusionNetwork, _engines

from .._helpers import tiny


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32).eval()


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return FusionNetwork(0, 2, backbone="resnet18", image_size=32).eval()


@pytest.fixture
def no_images():
    """Forget the images of earlier tests, which draw the same ones."""
    shared_image_store().clear()


@pytest.fixture
def paths(tmp_path):
    return tiny.make_cohort(tmp_path, n_patients=20)["image"].tolist()


@pytest.fixture
def cache():
    return FeatureCache()


@pytest.fixture
def fresh_engines(monkeypatch, tmp_path):
    """Nothing has failed yet, nothing was warned of, and nothing lies in the user's folder."""
    monkeypatch.setattr(_engines, "_FAILED", {})
    monkeypatch.setattr(_engines, "_WARNED", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
