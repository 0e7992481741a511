import copy

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from torch import nn

from skosfusion import FusionClassifier, GradCAM
from skosfusion.inspection import _explained
from skosfusion.network import IMAGENET_MEAN, IMAGENET_STD

from .._helpers import tiny
from .._helpers.gradcam import METHODS, ChannelsLast, Joined, Twice, maps_by_hand


class TwoMaps(nn.Module):
    """Two channels that follow from a pixel by hand: a tenth of it, and ten less that."""

    def __init__(self):
        super().__init__()
        self.maps = Maps()

    def forward(self, images):
        return self.maps(images).mean((2, 3))


class Maps(nn.Module):
    def forward(self, images):
        tenth = 25.5 * (images[:, :1] * IMAGENET_STD[0] + IMAGENET_MEAN[0])
        return torch.cat([tenth, 10 - tenth], dim=1)


class InPlace(tiny.TinyEncoder):
    """The layer's output is changed in place by what follows."""

    def forward(self, images):
        return self.norm(self.conv(images)).relu_().mean((2, 3))


class Failing(tiny.TinyEncoder):
    """Fails on the whole batches of prediction, not while it is built."""

    fails = False

    def forward(self, images):
        if type(self).fails and len(images) > 1:
            raise RuntimeError("out of order")
        return super().forward(images)


@pytest.fixture
def by_hand(tmp_path):
    """A 4 x 4 image with the pixels 0, 10, ... 150, and a model whose scores follow by hand."""
    pixels = np.arange(0, 160, 10, dtype=np.uint8).reshape(4, 4)
    Image.fromarray(pixels).save(tmp_path / "first.png")
    Image.fromarray(pixels[::-1].copy()).save(tmp_path / "second.png")
    table = tiny.pd.DataFrame({"image": [str(tmp_path / f"{n}.png") for n in ("first", "second")]})
    classifier = FusionClassifier(
        image_column="image", backbone=TwoMaps, weights=None, image_size=4, hidden_units=2,
        max_epochs=1, frozen_epochs="all", precision="fp32", random_state=0, verbose=0,
    ).fit(table, ["no", "yes"])  # fmt: skip
    hidden, _, output = classifier.module_.head
    with torch.no_grad():
        hidden.weight.copy_(torch.eye(2))
        hidden.bias.zero_()
        # yes = 2 x first feature - second feature; no = second feature. The features are the
        # means of the maps: 7.5 and 2.5.
        output.weight.copy_(torch.tensor([[0.0, 1.0], [2.0, -1.0]]))
        output.bias.zero_()
    return classifier, table


FIRST = np.arange(16.0).reshape(4, 4)
SECOND = 10 - FIRST
RAW_BY_HAND = {
    # Gradients of "yes": 2 / 16 and -1 / 16 everywhere.
    "gradcam": (2 * FIRST - SECOND) / 16,
    "hirescam": (2 * FIRST - SECOND) / 16,
    # Sum of the first map: 120. Coefficient 1 / (2 + 120 / 8) = 1 / 17, sixteen times 1 / 8.
    "gradcam++": 2 / 17 * FIRST,
    # Without the first map "yes" loses 2 x 7.5; without the second it gains 2.5.
    "ablationcam": 15 * FIRST - 2.5 * SECOND,
}


@pytest.mark.parametrize("method", METHODS)
def test_raw_maps_are_those_computed_by_hand(by_hand, method):
    classifier, table = by_hand
    raw = GradCAM(classifier, target="yes", method=method, raw=True).transform(table)
    np.testing.assert_allclose(raw[0], RAW_BY_HAND[method], atol=2e-5)
    np.testing.assert_allclose(raw[1], RAW_BY_HAND[method][::-1], atol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_the_positive_part_from_its_smallest_to_its_largest_value(by_hand, method):
    classifier, table = by_hand
    heatmaps = GradCAM(classifier, target="yes", method=method).fit_transform(table)
    positive = np.maximum(RAW_BY_HAND[method], 0)
    expected = (positive - positive.min()) / np.ptp(positive)
    assert heatmaps.dtype == np.float32
    np.testing.assert_allclose(heatmaps[0], expected, atol=1e-5)


def test_the_smallest_positive_value_becomes_zero(by_hand):
    classifier, table = by_hand
    with torch.no_grad():
        # yes = first feature + second feature / 2: positive everywhere.
        classifier.module_.head[2].weight[1] = torch.tensor([1.0, 0.5])
    heatmap = GradCAM(classifier, target="yes").transform(table)[0]
    np.testing.assert_allclose(heatmap, FIRST / 15, atol=1e-5)


def test_a_map_without_a_place_with_evidence_for_the_class_is_zero(by_hand):
    classifier, table = by_hand
    with torch.no_grad():
        # Both maps count alike, and their sum is the same everywhere.
        classifier.module_.head[2].weight[1] = torch.tensor([1.0, 1.0])
        classifier.module_.head[2].weight[0] = torch.tensor([-1.0, 0.0])
    assert not GradCAM(classifier, target="yes").transform(table).any()
    assert not GradCAM(classifier, target="no").transform(table).any()


def test_predicted_explains_the_class_of_the_highest_probability(by_hand):
    classifier, table = by_hand
    assert classifier.predict(table).tolist() == ["yes", "yes"]
    yes = GradCAM(classifier, target="yes", raw=True).transform(table)
    no = GradCAM(classifier, target="no", raw=True).transform(table)
    np.testing.assert_allclose(no[0], SECOND / 16, atol=1e-5)
    for target in (None, "predicted"):
        predicted = GradCAM(classifier, target=target, raw=True).transform(table)
        np.testing.assert_array_equal(predicted, yes)
    with torch.no_grad():
        classifier.module_.head[2].bias[0] = 100
    predicted = GradCAM(classifier, raw=True).transform(table)
    np.testing.assert_array_equal(predicted, no)


def test_one_label_a_row_explains_each_row_by_its_own(by_hand):
    classifier, table = by_hand
    yes = GradCAM(classifier, target="yes", raw=True).transform(table)
    no = GradCAM(classifier, target="no", raw=True).transform(table)
    mixed = GradCAM(classifier, target=np.array(["no", "yes"]), raw=True).transform(table)
    np.testing.assert_array_equal(mixed, [no[0], yes[1]])


def test_one_label_a_row_goes_beyond_the_first_batch(fitted):
    classifier, table = fitted
    labels = np.arange(len(table)) % 3 % 2
    each = [GradCAM(classifier, target=label, raw=True).transform(table) for label in (0, 1)]
    mixed = GradCAM(classifier, target=tiny.pd.Series(labels), raw=True).transform(table)
    np.testing.assert_array_equal(mixed, np.where(labels[:, None, None] == 1, each[1], each[0]))


@pytest.mark.parametrize("frozen_epochs", [0, 1, "all"])
def test_fixed_and_trained_encoders_are_explained_with_the_clinical_values_at_work(
    classifier, cohort, frozen_epochs
):
    table = tiny.pd.DataFrame({"image": cohort.image, "age": cohort.age / 100})
    classifier.set_params(frozen_epochs=frozen_epochs, precision="fp32")
    classifier.fit(table, cohort.diagnosis)
    raw = GradCAM(classifier, target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, maps_by_hand(classifier, table, 1), rtol=1e-4, atol=1e-6)


def test_bf16_is_close_to_fp32(classifier, cohort):
    table = cohort[["image"]]
    classifier.set_params(precision="bf16").fit(table, cohort.diagnosis)
    raw = GradCAM(classifier, target=1, raw=True).transform(table)
    expected = maps_by_hand(classifier, table, 1)
    assert np.abs(raw - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("batch_size", [1, 5, -1])
def test_any_batch_size_and_company_give_the_same_maps(fitted, batch_size):
    classifier, table = fitted
    expected = GradCAM(classifier).transform(table)
    classifier.set_params(batch_size=batch_size)
    np.testing.assert_array_equal(GradCAM(classifier).transform(table), expected)
    one_by_one = [GradCAM(classifier).transform(table.iloc[[row]])[0] for row in range(20)]
    np.testing.assert_array_equal(one_by_one, expected[:20])


@pytest.mark.parametrize(("pixels", "size"), [(True, 16), (False, 7)])
def test_all_batches_have_one_size(fitted, cohort, pixels, size):
    classifier, table = fitted
    classifier.set_params(batch_size=7).fit(table, cohort.diagnosis)
    for n_rows in (5, 20):
        seen = []
        for inputs, rows in classifier.input_batches(table.iloc[:n_rows], pixels=pixels):
            assert {len(values) for values in inputs.values()} == {size}
            assert set(inputs) == {"clinical", "image" if pixels else "features"}
            seen += rows
        assert seen == list(range(n_rows))


def test_a_layer_whose_output_is_changed_in_place_is_recorded_before(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"precision": "fp32"}
    classifier = FusionClassifier(**(options | {"backbone": InPlace})).fit(table, cohort.diagnosis)
    raw = GradCAM(classifier, target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, maps_by_hand(classifier, table, 1), rtol=1e-4, atol=1e-6)


def test_channels_may_come_last(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"backbone": ChannelsLast, "precision": "fp32"}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis)
    for method in METHODS:
        first, last = (
            GradCAM(classifier, layer=layer, method=method, target=1, raw=True).transform(table)
            for layer in ("conv", "last")
        )
        np.testing.assert_allclose(first, last, rtol=1e-3, atol=1e-6)


def test_of_a_layer_that_runs_twice_the_last_time_counts(image_options, cohort):
    table = cohort[["image"]].iloc[:4]
    options = image_options | {"backbone": Twice, "precision": "fp32", "frozen_epochs": "all"}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[:4])
    network = classifier.module_
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in table["image"]])
    normalized = (torch.from_numpy(pixels).float() - network.pixel_mean) / network.pixel_std
    encoder = network.encoder
    with torch.no_grad():
        last = encoder.next(encoder.conv(normalized).relu()).relu()
    features = last.mean((2, 3)).requires_grad_()
    score = network.head(features)[:, 1]
    (gradients,) = torch.autograd.grad(score.sum(), features)
    expected = torch.einsum("nc,nchw->nhw", gradients / last[0, 0].numel(), last)
    raw = GradCAM(classifier, layer="relu", target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, expected.numpy(), rtol=1e-4, atol=1e-6)
    drops = []
    for channel in range(4):
        without = features.detach().clone()
        without[:, channel] = 0
        drops.append(score - network.head(without)[:, 1])
    expected = torch.einsum("cn,nchw->nhw", torch.stack(drops), last).detach()
    raw = GradCAM(classifier, layer="relu", target=1, method="ablationcam", raw=True)
    np.testing.assert_allclose(raw.transform(table), expected.numpy(), rtol=1e-3, atol=1e-6)


def test_ablation_needs_no_broadcasting(image_options, cohort, monkeypatch):
    table = cohort[["image"]].iloc[:4]
    options = image_options | {"backbone": Joined, "precision": "fp32"}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[:4])
    explain = GradCAM(classifier, layer="next", target=1, method="ablationcam", raw=True)
    expected = explain.transform(table)
    assert np.abs(expected).max() > 1e-4
    # In small parts it is the same.
    monkeypatch.setattr(_explained, "_MAX_ABLATED_IMAGES", 3)
    np.testing.assert_allclose(explain.transform(table), expected, rtol=1e-3, atol=1e-6)
    network = classifier.module_.eval()
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in table["image"]])
    normalized = (torch.from_numpy(pixels).float() - network.pixel_mean) / network.pixel_std
    with torch.no_grad():
        first = network.encoder.conv(normalized)
        maps = network.encoder.next(first)
        scores = []
        for channel in [None, *range(4)]:
            kept = maps.clone()
            if channel is not None:
                kept[:, channel] = 0
            joined = torch.cat([first, kept], 1).mean((2, 3))
            scores.append(network.head(joined)[:, 1])
        drops = torch.stack([scores[0] - score for score in scores[1:]])
        by_hand = torch.einsum("cn,nchw->nhw", drops, maps)
    np.testing.assert_allclose(expected, by_hand.numpy(), rtol=1e-3, atol=1e-6)


def state_of(classifier):
    network = classifier.module_
    return {
        "modes": [layer.training for layer in network.modules()],
        "gradients": [p.grad for p in network.parameters()],
        "trainable": [p.requires_grad for p in network.parameters()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in network.modules()
        ],
        "random": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "grad_mode": torch.is_grad_enabled(),
        "parameters": str(classifier.get_params(deep=False)),
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was_found(fitted, method, training):
    classifier, table = fitted
    classifier.module_.train(training)
    weights = copy.deepcopy(classifier.module_.state_dict())
    before = state_of(classifier)
    GradCAM(classifier, method=method).transform(table)
    assert state_of(classifier) == before
    for name, value in classifier.module_.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was_found_after_an_error(image_options, cohort, method):
    table = cohort[["image"]]
    Failing.fails = False
    classifier = FusionClassifier(**(image_options | {"backbone": Failing}))
    classifier.fit(table, cohort.diagnosis)
    classifier.module_.train()
    before = state_of(classifier)
    Failing.fails = True
    with pytest.raises(RuntimeError, match="out of order"):
        GradCAM(classifier, method=method).transform(table)
    Failing.fails = False
    assert state_of(classifier) == before
    expected = maps_by_hand(classifier, table, 1)
    raw = GradCAM(classifier, target=1, raw=True).transform(table)
    assert np.abs(raw - expected).max() <= 0.03 * np.abs(expected).max()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_the_callers_gradient_mode_does_not_matter(fitted, mode):
    classifier, table = fitted
    expected = GradCAM(classifier).transform(table)
    with mode():
        np.testing.assert_array_equal(GradCAM(classifier).transform(table), expected)


def test_a_pipeline_is_explained_as_its_classifier(pipeline, cohort):
    pipeline.fit(cohort, cohort.diagnosis)
    heatmaps = GradCAM(pipeline).transform(cohort)
    table = pipeline[:-1].transform(cohort)
    np.testing.assert_array_equal(heatmaps, GradCAM(pipeline[-1]).transform(table))
    for frozen in (
        FrozenEstimator(pipeline),
        make_pipeline(pipeline[0], FrozenEstimator(pipeline[1])),
    ):
        np.testing.assert_array_equal(GradCAM(frozen).transform(cohort), heatmaps)
    alone = make_pipeline(pipeline[1])
    np.testing.assert_array_equal(GradCAM(alone).transform(table), heatmaps)


def test_it_is_a_scikit_learn_transformer(pipeline, cohort):
    pipeline.fit(cohort, cohort.diagnosis)
    explain = GradCAM(pipeline, target=1, layer="norm")
    assert explain.fit(cohort) is explain
    assert explain.get_params(deep=False) == {
        "estimator": pipeline, "layer": "norm", "target": 1, "method": "gradcam", "raw": False
    }  # fmt: skip
    assert explain.layer_ == "norm"
    assert explain.classes_.tolist() == [0, 1]
    assert explain.n_features_in_ == cohort.shape[1]
    assert list(explain.feature_names_in_) == list(cohort.columns)
    kept = clone(GradCAM(FrozenEstimator(pipeline)))
    np.testing.assert_array_equal(kept.transform(cohort), GradCAM(pipeline).transform(cohort))
    with pytest.raises(NotFittedError):
        clone(explain).transform(cohort)
    assert "GradCAM" in repr(explain)
    assert explain._repr_html_()


def test_heatmaps_stay_arrays_under_pandas_output(fitted):
    from sklearn import config_context

    classifier, table = fitted
    with config_context(transform_output="pandas"):
        assert isinstance(GradCAM(classifier).fit_transform(table), np.ndarray)


def test_images_at_hand_are_not_decoded_again(fitted):
    from skosfusion.images import shared_image_store

    classifier, table = fitted
    GradCAM(classifier).transform(table)
    before = shared_image_store().info()
    GradCAM(classifier).transform(table)
    after = shared_image_store().info()
    assert after.misses == before.misses
    assert after.hits == before.hits + len(table)


def test_images_of_the_folder_are_not_decoded_again(classifier, cohort, tmp_path):
    from skosfusion.images import shared_image_store

    table = cohort[["image"]]
    shared_image_store().clear()
    classifier.set_params(memory=tmp_path).fit(table, cohort.diagnosis)
    shared_image_store().clear()
    GradCAM(classifier).transform(table)
    assert shared_image_store().info().misses == 0


def test_gray_and_colored_images_go_together(fitted, tmp_path):
    classifier, table = fitted
    gray = np.asarray(Image.open(table["image"][0]))
    Image.fromarray(np.stack([gray, gray, np.minimum(gray + 1, 255).astype(np.uint8)], -1)).save(
        tmp_path / "color.png"
    )
    mixed = table.iloc[:2].copy()
    mixed.loc[1, "image"] = str(tmp_path / "color.png")
    heatmaps = GradCAM(classifier).transform(mixed)
    np.testing.assert_array_equal(heatmaps[0], GradCAM(classifier).transform(table)[0])


def test_real_radiographs_are_explained(chest_xray, classifier):
    paths = sorted(str(path) for path in (chest_xray / "images").iterdir())[:6]
    table = tiny.pd.DataFrame({"image": paths})
    classifier.fit(table, [0, 1] * 3)
    heatmaps = GradCAM(classifier).transform(table)
    assert heatmaps.shape == (6, 32, 32)
    assert (heatmaps.max((1, 2)) == 1).any()
