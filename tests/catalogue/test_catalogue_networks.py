"""Cases 81 and 130 of the catalogue: which networks are the same, and may share features."""

import functools

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_score
from torch import nn

from skosfusion import FusionClassifier
from skosfusion.images import ImageStore
from skosfusion.network import EncoderFeatures, FeatureCache, FusionNetwork
from skosfusion.network._encoder_key import encoder_key

from .._helpers import tiny
from .._helpers.caches import forget
from .conftest import OPTIONS

READ = {"image_size": 32}
STATE = {"power": 1.0}


class PowerNetwork(FusionNetwork):
    """A network with a parameter of its own."""

    def __init__(self, *args, power=1.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.power = power

    def encode(self, image, encoder=None):
        return super().encode(255 * (image.float() / 255) ** self.power, encoder)


class Attribute(tiny.TinyEncoder):
    def __init__(self):
        super().__init__()
        self.power = 1.0

    def forward(self, images):
        return super().forward(images) ** self.power


class ClassAttribute(tiny.TinyEncoder):
    power = 1.0

    def forward(self, images):
        return super().forward(images) ** self.power


class NamedClass(tiny.TinyEncoder):
    def forward(self, images):
        return super().forward(images) ** ClassAttribute.power


class Global(tiny.TinyEncoder):
    def forward(self, images):
        return super().forward(images) ** STATE["power"]


class Closure(tiny.TinyEncoder):
    def __init__(self):
        super().__init__()
        self.last = self.raised(1.0)

    def raised(self, power):
        return lambda features: features**power

    def forward(self, images):
        return self.last(super().forward(images))


class PlainTensor(tiny.TinyEncoder):
    def __init__(self):
        super().__init__()
        self.tensors = {"power": torch.tensor(1.0)}

    def forward(self, images):
        return super().forward(images) ** self.tensors["power"]


def _set_class_attribute(encoder, monkeypatch):
    monkeypatch.setattr(ClassAttribute, "power", 2.0)


CHANGES = {
    "attribute": (Attribute, lambda e, patch: setattr(e, "power", 2.0)),
    "class attribute": (ClassAttribute, _set_class_attribute),
    "attribute of a named class": (NamedClass, _set_class_attribute),
    "global": (Global, lambda e, patch: patch.setitem(STATE, "power", 2.0)),
    "closure": (Closure, lambda e, patch: setattr(e, "last", e.raised(2.0))),
    "tensor that is no buffer": (PlainTensor, lambda e, patch: e.tensors["power"].fill_(2.0)),
    "patched method": (
        Attribute,
        lambda e, patch: patch.setattr(
            tiny.TinyEncoder, "forward", lambda self, x: x.mean((2, 3)).repeat(1, 3)[:, :8]
        ),
    ),
    "method of the instance": (
        tiny.TinyEncoder,
        lambda e, patch: setattr(e, "forward", lambda x: x.mean((2, 3)).repeat(1, 3)[:, :8]),
    ),
    "hook": (
        tiny.TinyEncoder,
        lambda e, patch: e.norm.register_forward_hook(lambda layer, x, y: 2 * y),
    ),
    "hook before": (
        tiny.TinyEncoder,
        lambda e, patch: e.norm.register_forward_pre_hook(lambda layer, x: (2 * x[0],)),
    ),
    "layer of another kind": ("resnet18", lambda e, patch: setattr(e, "relu", nn.Sigmoid())),
    "layer's attribute": ("resnet18", lambda e, patch: setattr(e.bn1, "eps", 0.5)),
    "hook on torchvision's": (
        "resnet18",
        lambda e, patch: e.layer1[0].bn1.register_forward_hook(lambda layer, x, y: 2 * y),
    ),
    "patch of torchvision's": (
        "resnet18",
        lambda e, patch: patch.setattr(
            type(e), "_forward_impl", lambda self, x: self.conv1(x).mean((2, 3)).repeat(1, 8)
        ),
    ),
    "switch of torchvision's": (
        "googlenet",
        lambda e, patch: setattr(e, "transform_input", False),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_case_81_features_of_a_changed_network(change, cohort, tmp_path, monkeypatch):
    """A network that computes otherwise, by whatever attribute or hook, never gets old features."""
    backbone, apply = CHANGES[change]
    torch.manual_seed(0)
    network = FusionNetwork(0, 2, backbone=backbone, image_size=32).eval()
    paths, cache = cohort["image"].tolist()[:4], FeatureCache()
    before = EncoderFeatures(network, READ, folder=tmp_path, cache=cache).for_training(paths)
    again = EncoderFeatures(network, READ, folder=tmp_path, cache=cache).for_training(paths)
    assert cache.info().hits == len(paths)
    np.testing.assert_array_equal(again, before)
    apply(network.encoder, monkeypatch)
    after = EncoderFeatures(network, READ, folder=tmp_path, cache=cache).for_training(paths)
    pixels = ImageStore().read_batch(paths, **READ)
    with torch.no_grad():
        expected = network.encode(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())
    assert not np.array_equal(after, before)


def test_case_81_grid_over_a_parameter_of_the_network(cohort, labels):
    """A grid over a parameter of an own network scores each value by its own features."""
    classifier = FusionClassifier(
        image_column="image", frozen_epochs="all", module=PowerNetwork, **OPTIONS
    )
    X, powers = cohort[["image"]], [1.0, 4.0]
    how = {"cv": StratifiedGroupKFold(2), "scoring": "neg_log_loss"}
    groups = cohort["patient_id"]
    search = GridSearchCV(classifier, {"module__power": powers}, refit=False, **how)
    scores = search.fit(X, labels, groups=groups).cv_results_["mean_test_score"]
    for power, score in zip(powers, scores, strict=True):
        forget()
        alone = clone(classifier).set_params(module__power=power)
        assert cross_val_score(alone, X, labels, groups=groups, **how).mean() == score


class Untellable(tiny.TinyEncoder):
    """Its generator hides what it holds."""

    def __init__(self):
        super().__init__()
        self.generator = torch.Generator()

    def forward(self, images):
        return super().forward(images) * self.generator.initial_seed()


def test_case_81_network_that_cannot_be_told(cohort, tmp_path):
    """Of a network that cannot be told from others, no features are kept."""
    network = FusionNetwork(0, 2, backbone=Untellable, image_size=32).eval()
    paths, cache = cohort["image"].tolist()[:4], FeatureCache()
    results = []
    for seed in (1, 2):
        network.encoder.generator.manual_seed(seed)
        source = EncoderFeatures(network, READ, folder=tmp_path, cache=cache)
        results.append(source.for_training(paths))
    np.testing.assert_array_equal(results[1], 2 * results[0])
    assert cache.info().n_features == 0
    assert not (tmp_path / "features").exists()


def test_case_81_networks_that_are_the_same_share_features(cohort, labels):
    """Folds and grid points whose networks are the same share features, own classes included."""
    forget()
    from skosfusion.network import shared_feature_cache

    classifier = FusionClassifier(
        image_column="image", frozen_epochs="all", module=PowerNetwork, **OPTIONS
    )
    for hidden_units in (8, 16):
        clone(classifier).set_params(hidden_units=hidden_units).fit(cohort[["image"]], labels)
    assert shared_feature_cache().info().misses == len(cohort)


def _switch(path, value):
    *parents, name = path.split(".")
    return functools.reduce(getattr, parents, torch), name, value


SWITCHES = [
    ("backends.cuda.matmul.allow_tf32", True),
    ("backends.cudnn.allow_tf32", False),
    ("backends.cudnn.deterministic", True),
    ("backends.cudnn.benchmark", True),
    ("backends.mkldnn.enabled", False),
    ("backends.cuda.matmul.allow_bf16_reduced_precision_reduction", False),
]


@pytest.mark.parametrize(("path", "value"), SWITCHES, ids=[path for path, _ in SWITCHES])
def test_case_130_switches_of_torch(path, value):
    """A switch of number formats or kernels makes other features: they are computed anew."""
    network = FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32).eval()
    before = encoder_key(network, READ)
    owner, name, value = _switch(path, value)
    saved = getattr(owner, name)
    setattr(owner, name, value)
    try:
        assert encoder_key(network, READ) != before
    finally:
        setattr(owner, name, saved)
        if path == "backends.cuda.matmul.allow_tf32":
            # Once it is set, the newer switch beside it is no longer undecided.
            owner.fp32_precision = "none"


def _set_matmul_precision(value):
    """Set the precision of matrix products; None leaves it undecided, as a new process does."""
    torch.set_float32_matmul_precision("highest" if value is None else value)
    if value is None:
        torch.backends.cuda.matmul.fp32_precision = "none"
        torch.backends.mkldnn.matmul.fp32_precision = "none"


def _set_matmul_precision(value):
    """Set the precision of matrix products; None leaves it undecided, as a new process does."""
    torch.set_float32_matmul_precision("highest" if value is None else value)
    if value is None:
        torch.backends.cuda.matmul.fp32_precision = "none"
        torch.backends.mkldnn.matmul.fp32_precision = "none"


FUNCTIONS = [
    (_set_matmul_precision, "medium", None),
    (torch.use_deterministic_algorithms, True, False),
    (torch.set_default_dtype, torch.float64, torch.float32),
    (torch.set_flush_denormal, True, False),
    (torch.backends.mha.set_fastpath_enabled, False, True),
    (torch.backends.cuda.enable_flash_sdp, False, True),
]


@pytest.mark.parametrize(
    ("switch", "value", "usual"), FUNCTIONS, ids=[f.__name__ for f, _, _ in FUNCTIONS]
)
def test_case_130_switches_that_are_functions(switch, value, usual):
    """So does a switch that is a function, autocasting, or an environment variable."""
    network = FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32).eval()
    before = encoder_key(network, READ)
    switch(value)
    try:
        assert encoder_key(network, READ) != before
    finally:
        switch(usual)


def test_case_130_surroundings(monkeypatch):
    """So do autocasting, hooks on all modules, and variables of the environment."""
    network = FusionNetwork(0, 2, backbone=tiny.TinyEncoder, image_size=32).eval()
    before = encoder_key(network, READ)
    keys = [before]
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            keys.append(encoder_key(network, READ))
    assert len(set(keys)) == 3
    handle = nn.modules.module.register_module_forward_hook(lambda layer, x, y: y)
    try:
        assert encoder_key(network, READ) != before
    finally:
        handle.remove()
    assert encoder_key(network, READ) == before
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, "BF16")
        assert encoder_key(network, READ) != before
        monkeypatch.delenv(name)
