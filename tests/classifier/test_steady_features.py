"""Features that vary in evaluation mode: a warning, and nothing is kept."""

import numpy as np
import pytest
import torch
from torch import nn

from skosfusion import ImageEncoder
from skosfusion.network import shared_feature_cache

from .._helpers.tiny import TinyEncoder

OPTIONS = {"weights": None, "image_size": 32, "random_state": 0, "precision": "fp32"}


@pytest.fixture
def images(cohort):
    return cohort[["image"]]


class Drawing(TinyEncoder):
    def forward(self, images):
        return super().forward(images) + torch.randn(8)


class Counting(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, images):
        self.calls += 1
        return super().forward(images) * self.calls


class OfTheBatch(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)


class NotANumber(TinyEncoder):
    def forward(self, images):
        return super().forward(images).where(images.mean((1, 2, 3))[:, None] < 0.5, torch.nan)


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (Drawing, "from one pass to the next"),
        (Counting, "from one pass to the next"),
        (OfTheBatch, "with other images beside it"),
    ],
)
def test_features_that_vary_warn_and_are_not_kept(backbone, words, images, tmp_path):
    cache = shared_feature_cache()
    cache.clear()
    encoder = ImageEncoder(backbone, memory=tmp_path, **OPTIONS).fit(images)
    state = torch.get_rng_state()
    with pytest.warns(UserWarning, match=f"{backbone.__name__} gives an image other.*{words}"):
        encoder.transform(images)
    if backbone is not Drawing:
        assert torch.equal(torch.get_rng_state(), state)
    assert cache.info().n_features == 0
    assert not [path for path in (tmp_path / "features").rglob("*") if path.is_file()]
    # Once an encoder.
    encoder.transform(images)


def test_steady_features_are_kept_and_the_trial_leaves_no_trace(images):
    cache = shared_feature_cache()
    cache.clear()
    encoder = ImageEncoder(TinyEncoder, **OPTIONS).fit(images)
    before = {name: value.clone() for name, value in encoder.network_.state_dict().items()}
    encoder.transform(images)
    assert cache.info().n_features == len(images)
    for name, value in encoder.network_.state_dict().items():
        assert torch.equal(value, before[name])


def test_features_that_are_no_numbers_name_the_image(images, tmp_path):
    encoder = ImageEncoder(NotANumber, **OPTIONS).fit(images)
    with pytest.raises(ValueError, match=r"NotANumber gives NaN or infinity.*row \d+ \('.*png'\)"):
        encoder.transform(images)


def test_a_batch_norm_with_statistics_is_steady(images):
    features = ImageEncoder(TinyEncoder, **OPTIONS).fit_transform(images)
    alone = ImageEncoder(TinyEncoder, **OPTIONS).fit(images).transform(images[3:4])
    np.testing.assert_array_equal(alone[0], features[3])
