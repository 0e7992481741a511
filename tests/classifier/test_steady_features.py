"""Features that vary in evaluation mode: a warning, and nothing is kept."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from skosfusion import ImageEncoder
from skosfusion.network import _steadiness, shared_feature_cache

from .._helpers.tiny import TinyEncoder

OPTIONS = {"weights": None, "image_size": 32, "random_state": 0, "precision": "fp32"}


@pytest.fixture(autouse=True)
def no_verdicts():
    """Forget those of earlier tests: a warning comes once an encoder."""
    _steadiness._of_digest.clear()


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


class Centred(TinyEncoder):
    """Subtracts the mean of a batch, which is the same for all batches of noise."""

    def forward(self, images):
        return super().forward(images - images.mean((0, 2, 3), keepdim=True))


class LessTheLast(TinyEncoder):
    def forward(self, images):
        features = super().forward(images)
        return features - features[-1:]


class NoiseBesideALargeConstant(TinyEncoder):
    def forward(self, images):
        features = super().forward(images)
        constant = features.new_full((len(features), 1), 1000.0)
        return torch.cat([features + torch.randn_like(features), constant], 1)


class Recurrent(TinyEncoder):
    """Runs over the columns of an image."""

    def __init__(self):
        super().__init__()
        self.rows = nn.GRU(8, 8, batch_first=True)

    def forward(self, images):
        seen = self.norm(self.conv(images)).mean(2).transpose(1, 2)
        return self.rows(seen)[0][:, -1]


class DrawsOfNumpy(TinyEncoder):
    def forward(self, images):
        return super().forward(images) + float(np.random.rand())  # noqa: NPY002


class NotANumber(TinyEncoder):
    def forward(self, images):
        return super().forward(images).where(images.mean((1, 2, 3))[:, None] < 0.5, torch.nan)


@pytest.mark.parametrize(
    ("backbone", "words"),
    [
        (Drawing, "from one pass to the next"),
        (Counting, "from one pass to the next"),
        (NoiseBesideALargeConstant, "from one pass to the next"),
        (DrawsOfNumpy, "from one pass to the next"),
        (OfTheBatch, "with other images beside it"),
        (Centred, "with other images beside it"),
        (LessTheLast, "with other images beside it"),
    ],
)
def test_features_that_vary_warn_and_are_not_kept(backbone, words, images, tmp_path):
    cache = shared_feature_cache()
    cache.clear()
    encoder = ImageEncoder(backbone, memory=tmp_path, **OPTIONS).fit(images)
    state = torch.get_rng_state()
    with pytest.warns(UserWarning, match=f"{backbone.__name__} gives an image other.*{words}"):
        encoder.transform(images)
    if "torch.rand" not in inspect.getsource(backbone):
        assert torch.equal(torch.get_rng_state(), state)
    assert cache.info().n_features == 0
    assert not [path for path in (tmp_path / "features").rglob("*") if path.is_file()]
    # Once an encoder.
    encoder.transform(images)


@pytest.mark.parametrize("side", [64, 224])
@pytest.mark.parametrize("backbone", [OfTheBatch, Centred, LessTheLast])
def test_it_is_found_at_every_size(backbone, side, images):
    # A verdict of one size does not stand for another.
    for size in (32, side):
        encoder = ImageEncoder(backbone, **OPTIONS | {"image_size": size}).fit(images)
        with pytest.warns(UserWarning, match="with other images beside it"):
            encoder.transform(images[:4])


def test_a_trial_leaves_the_random_state_of_numpy_alone(images):
    network = ImageEncoder(DrawsOfNumpy, **OPTIONS).fit(images).network_
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[2]  # noqa: NPY002
    with pytest.warns(UserWarning, match="DrawsOfNumpy"):
        _steadiness.unsteady(network, 32, None)
    assert np.random.get_state()[2] == before  # noqa: NPY002


def test_recurrent_layers_are_told_and_kept(images):
    cache = shared_feature_cache()
    cache.clear()
    ImageEncoder(Recurrent, **OPTIONS).fit_transform(images)
    assert cache.info().n_features == len(images)


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
