"""Heatmaps are the same with every engine, and what is prepared for them is kept."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from skosfusion import FusionClassifier, GradCAM
from skosfusion.inspection import _explained
from skosfusion.network import _engines, _feature_cache, _fused, shared_feature_cache

pytestmark = pytest.mark.skipif(not _fused.can_fuse(None), reason="needs oneDNN")


@pytest.fixture(scope="module")
def fitted(cohort):
    table = cohort[["image"]].iloc[:20]
    classifier = FusionClassifier(
        image_column="image", backbone="resnet18", weights=None, image_size=64, verbose=0,
        frozen_epochs="all", max_epochs=1, random_state=0, precision="fp32", engine="fused",
    )  # fmt: skip
    return classifier.fit(table, cohort.diagnosis.iloc[:20]), table


@pytest.mark.parametrize("method", ["gradcam", "ablationcam"])
@pytest.mark.parametrize("layer", [None, "layer3", "layer2.1.conv2", "layer2.1", "relu", "bn1"])
def test_heatmaps_are_those_of_the_eager_engine(fitted, layer, method):
    classifier, table = fitted
    if method == "ablationcam" and layer is not None:
        table = table.iloc[:2]
    maps = {}
    for engine in ("fused", "eager"):
        classifier.module_.engine = engine
        maps[engine] = GradCAM(
            classifier, layer=layer, target=1, method=method, raw=True
        ).transform(table)
    scale = np.abs(maps["eager"]).max()
    np.testing.assert_allclose(maps["fused"], maps["eager"], rtol=0, atol=1e-4 * scale)


def test_the_second_call_makes_no_copy(fitted, monkeypatch):
    classifier, table = fitted
    classifier.module_.engine = "fused"
    shared_feature_cache().clear()
    made, make = [], _feature_cache.make_encoder

    def counted(*args, **options):
        made.append(args)
        return make(*args, **options)

    monkeypatch.setattr(_feature_cache, "make_encoder", counted)
    first = GradCAM(classifier, target=1, raw=True).transform(table)
    # A prediction shares it.
    classifier.predict_proba(table)
    assert len(made) == 1
    np.testing.assert_array_equal(GradCAM(classifier, target=1, raw=True).transform(table), first)
    assert len(made) == 1
    weight = classifier.module_.encoder.layer4[1].conv2.weight
    with torch.no_grad():
        weight.mul_(2)
    changed = GradCAM(classifier, target=1, raw=True).transform(table)
    with torch.no_grad():
        weight.div_(2)
    assert not np.allclose(changed, first, rtol=1e-3)


def test_a_map_alone_and_in_company_agree(fitted):
    classifier, table = fitted
    together = GradCAM(classifier, target=1).transform(table)
    for n_rows in (1, 3, 4):
        alone = GradCAM(classifier, target=1).transform(table.iloc[:n_rows])
        np.testing.assert_allclose(alone, together[:n_rows], rtol=0, atol=1e-3)


def test_what_cannot_be_compiled_or_fused_is_computed_layer_by_layer(fitted, monkeypatch):
    classifier, table = fitted
    classifier.module_.engine = "eager"
    expected = GradCAM(classifier, target=1, raw=True).transform(table)
    alone = classifier.predict_proba(table.iloc[:1])
    monkeypatch.setattr(_engines, "_FAILED", {})
    monkeypatch.setattr(_engines, "_WARNED", set())
    monkeypatch.setattr(_engines, "has_compiler", lambda: True)
    monkeypatch.setattr(_engines, "fuse", failing)
    classifier.module_.engine = "compiled"
    found = GradCAM(classifier, target=1, raw=True).transform(table)
    np.testing.assert_array_equal(found, expected)
    found = classifier.predict_proba(table.iloc[:1])
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("engine", ["eager", "fused"])
def test_a_prediction_in_inference_mode_is_no_trouble_later(fitted, engine):
    classifier, table = fitted
    classifier.module_.engine = engine
    expected = GradCAM(classifier, layer="layer3", target=1, raw=True).transform(table)
    shared_feature_cache().clear()
    with torch.inference_mode():
        classifier.predict_proba(table)
        GradCAM(classifier, target=1).transform(table)
    found = GradCAM(classifier, layer="layer3", target=1, raw=True).transform(table)
    np.testing.assert_array_equal(found, expected)


def test_what_a_transform_has_copied_is_free_at_once(fitted, monkeypatch):
    classifier, table = fitted
    copies, make = [], _explained.copied_network

    def noted(*arguments):
        copies.append(weakref.ref(made := make(*arguments)))
        return made

    monkeypatch.setattr(_explained, "copied_network", noted)
    gc.disable()
    try:
        GradCAM(classifier, target=1).transform(table)
        assert [copied() for copied in copies] == [None]
    finally:
        gc.enable()


class Turned(nn.Module):
    """Gives channels first or last, and prints alike."""

    def __init__(self, is_last):
        super().__init__()
        self.is_last = is_last

    def forward(self, values):
        return values.permute(0, 2, 3, 1) if self.is_last else values


class Pooled(Turned):
    def forward(self, values):
        return values.mean((1, 2) if self.is_last else (2, 3))


@pytest.mark.parametrize("order", [(False, True), (True, False)])
def test_layers_of_encoders_that_print_alike_are_told_apart(cohort, order):
    table = cohort[["image"]].iloc[:6]
    for is_last in order:

        def backbone(is_last=is_last):
            encoder = resnet18()
            encoder.layer4.append(Turned(is_last))
            encoder.avgpool, encoder.fc = Pooled(is_last), nn.Identity()
            return encoder

        classifier = FusionClassifier(
            image_column="image", backbone=backbone, weights=None, image_size=64, verbose=0,
            frozen_epochs="all", max_epochs=1, random_state=0, precision="fp32",
        ).fit(table, np.arange(6) % 2)  # fmt: skip
        maps = GradCAM(classifier, layer="layer4", target=1, raw=True).transform(table)
        assert maps.shape == (6, 2, 2)


def failing(*args, **options):
    raise _fused.CannotFuseError("not here")


def test_nobody_meets_anothers_hook(fitted):
    classifier, table = fitted
    before = classifier.predict_proba(table)
    other = GradCAM(classifier, target=0, raw=True).transform(table)
    GradCAM(classifier, layer="layer3", target=1).transform(table)
    again = GradCAM(classifier, target=0, raw=True).transform(table)
    np.testing.assert_array_equal(again, other)
    np.testing.assert_array_equal(classifier.predict_proba(table), before)
