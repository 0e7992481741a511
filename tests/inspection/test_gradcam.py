import copy
import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from skosfusion import FusionClassifier, GradCAM
from skosfusion.exceptions import ImageError
from skosfusion.inspection import _explained
from skosfusion.inspection._layers import find_feature_map
from skosfusion.network import IMAGENET_MEAN, IMAGENET_STD, FusionNetwork, build_empty_encoder
from .._helpers import tiny

METHODS = ["gradcam", "gradcam++", "hirescam", "ablationcam"]


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


class WithoutGradients(tiny.TinyEncoder):
    def forward(self, images):
        with torch.no_grad():
            return super().forward(images)


class Failing(tiny.TinyEncoder):
    """Fails on the whole batches of prediction, not while it is built."""

    fails = False

    def forward(self, images):
        if type(self).fails and len(images) > 1:
            raise RuntimeError("out of order")
        return super().forward(images)


class ChannelsLast(tiny.TinyEncoder):
    """As Swin transformers keep their channels."""

    def __init__(self):
        super().__init__()
        self.last = nn.Identity()
        self.turn = nn.Flatten(1, 2)

    def forward(self, images):
        maps = self.last(self.conv(images).permute(0, 2, 3, 1))
        return self.turn(maps).mean(1)


class Twice(nn.Module):
    """One layer runs twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.relu = nn.ReLU(inplace=True)
        self.next = nn.Conv2d(4, 4, 1)

    def forward(self, images):
        return self.relu(self.next(self.relu(self.conv(images)))).mean((2, 3))


class Joined(nn.Module):
    """A layer's output is joined to another along the channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.next = nn.Conv2d(4, 4, 1)

    def forward(self, images):
        first = self.conv(images)
        return torch.cat([first, self.next(first)], dim=1).mean((2, 3))


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


def test_a_map_without_a_place_that_speaks_for_the_class_is_zero(by_hand):
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


@pytest.fixture
def fitted(classifier, cohort):
    clinical = tiny.pd.DataFrame({"image": cohort.image, "age": cohort.age / 100})
    return classifier.fit(clinical, cohort.diagnosis), clinical


def maps_by_hand(classifier, table, code):
    """Grad-CAM as the textbook has it, by autograd through the whole network."""
    network = copy.deepcopy(classifier.module_).eval().float()
    network.encoder_dtype = None
    network.requires_grad_(True)
    kept = []

    def keep(layer, inputs, output):
        kept.append(output)
        return output.clone()

    network.encoder.norm.register_forward_hook(keep)
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in table["image"]])
    clinical = torch.tensor(table.drop(columns="image").to_numpy(np.float32))
    logits = network(clinical, torch.from_numpy(pixels))
    (gradients,) = torch.autograd.grad(logits[:, code].sum(), kept[0])
    return (gradients.mean((2, 3), keepdim=True) * kept[0]).sum(1).detach().numpy()


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
def test_all_batches_have_one_size(fitted, pixels, size):
    classifier, table = fitted
    classifier.set_params(batch_size=7)
    for n_rows in (1, 20):
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
    normalised = (torch.from_numpy(pixels).float() - network.pixel_mean) / network.pixel_std
    encoder = network.encoder
    with torch.no_grad():
        last = encoder.next(encoder.conv(normalised).relu()).relu()
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
    normalised = (torch.from_numpy(pixels).float() - network.pixel_mean) / network.pixel_std
    with torch.no_grad():
        first = network.encoder.conv(normalised)
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


def test_pictures_at_hand_are_not_decoded_again(fitted):
    from skosfusion.images import shared_image_store

    classifier, table = fitted
    GradCAM(classifier).transform(table)
    before = shared_image_store().info()
    GradCAM(classifier).transform(table)
    after = shared_image_store().info()
    assert after.misses == before.misses
    assert after.hits == before.hits + len(table)


def test_pictures_of_the_folder_are_not_decoded_again(classifier, cohort, tmp_path):
    from skosfusion.images import shared_image_store

    table = cohort[["image"]]
    shared_image_store().clear()
    classifier.set_params(memory=tmp_path).fit(table, cohort.diagnosis)
    shared_image_store().clear()
    GradCAM(classifier).transform(table)
    assert shared_image_store().info().misses == 0


def test_grey_and_coloured_pictures_go_together(fitted, tmp_path):
    classifier, table = fitted
    grey = np.asarray(Image.open(table["image"][0]))
    Image.fromarray(np.stack([grey, grey, np.minimum(grey + 1, 255).astype(np.uint8)], -1)).save(
        tmp_path / "colour.png"
    )
    mixed = table.iloc[:2].copy()
    mixed.loc[1, "image"] = str(tmp_path / "colour.png")
    heatmaps = GradCAM(classifier).transform(mixed)
    np.testing.assert_array_equal(heatmaps[0], GradCAM(classifier).transform(table)[0])


def test_real_radiographs_are_explained(chest_xray, classifier):
    paths = sorted(str(path) for path in (chest_xray / "images").iterdir())[:6]
    table = tiny.pd.DataFrame({"image": paths})
    classifier.fit(table, [0, 1] * 3)
    heatmaps = GradCAM(classifier).transform(table)
    assert heatmaps.shape == (6, 32, 32)
    assert (heatmaps.max((1, 2)) == 1).any()


# Bad input.


def test_an_unfitted_estimator_is_refused(classifier, pipeline, cohort):
    for estimator in (classifier, pipeline):
        for act in (GradCAM(estimator).fit, GradCAM(estimator).transform):
            with pytest.raises(NotFittedError, match="not fitted"):
                act(cohort)
        assert not hasattr(GradCAM(estimator), "layer_")


def test_another_kind_of_estimator_is_refused(cohort):
    model = LogisticRegression().fit([[0], [1]], [0, 1])
    with pytest.raises(TypeError, match=r"LogisticRegression.*best_estimator_"):
        GradCAM(model).transform(cohort)
    with pytest.raises(TypeError, match="is a type"):
        GradCAM(FusionClassifier).transform(cohort)


def test_a_model_without_image_branch_is_refused(image_options):
    options = {name: image_options[name] for name in ("max_epochs", "verbose")}
    classifier = FusionClassifier(**options).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=r"no image branch.*clinical_gradients"):
        GradCAM(classifier).transform([[0.0]])


def test_an_unknown_layer_is_answered_with_the_layers_there_are(fitted):
    classifier, table = fitted
    with pytest.raises(ValueError, match=r"'layer4' is not a layer.*Layers.*: conv, norm$"):
        GradCAM(classifier, layer="layer4").transform(table)
    with pytest.raises(ValueError, match=r"did you mean 'norm'\?"):
        GradCAM(classifier, layer="norms").fit(table)
    with pytest.raises(ValueError, match=r"layer=4 is not a layer"):
        GradCAM(classifier, layer=4).fit(table)


def test_a_layer_without_spatial_extent_is_refused(image_options, cohort):
    options = image_options | {"backbone": ChannelsLast}
    classifier = FusionClassifier(**options).fit(cohort[["image"]], cohort.diagnosis)
    with pytest.raises(ValueError, match=r"'turn' gives values of shape \(1, 49, 8\), without"):
        GradCAM(classifier, layer="turn").fit(cohort)


def test_a_layer_that_does_not_run_is_refused(image_options, cohort):
    options = image_options | {"backbone": Joined}
    classifier = FusionClassifier(**options).fit(cohort[["image"]], cohort.diagnosis)
    classifier.module_.encoder.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="'unused' gives no tensor, or does not run"):
        GradCAM(classifier, layer="unused").fit(cohort)


def test_an_encoder_that_stops_gradients_is_refused_where_they_are_needed(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"backbone": WithoutGradients, "frozen_epochs": "all"}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis)
    with pytest.raises(ValueError, match=r"'norm'.*does not let gradients through.*ablationcam"):
        GradCAM(classifier).transform(table)
    assert GradCAM(classifier, method="ablationcam").transform(table).any()


@pytest.mark.parametrize("target", ["tumour", 2, -1, 0.5, float("nan"), {}, [], [0, 1], [[0]]])
def test_an_unknown_target_is_refused(fitted, target):
    classifier, table = fitted
    with pytest.raises(ValueError, match=r"target|classes are 0, 1"):
        GradCAM(classifier, target=target).transform(table)


def test_an_unknown_label_of_a_row_is_named_with_the_row(fitted):
    classifier, table = fitted
    labels = [0] * len(table)
    labels[3] = "tumour"
    with pytest.raises(ValueError, match=r"target='tumour' in row 3 .* its classes are 0, 1"):
        GradCAM(classifier, target=labels).transform(table)


def test_a_class_may_be_called_predicted(image_options, cohort):
    table = cohort[["image"]]
    labels = np.where(cohort.diagnosis == 1, "predicted", "other")
    classifier = FusionClassifier(**image_options).fit(table, labels)
    codes = classifier.classes_.tolist()
    explained = GradCAM(classifier, target="predicted", raw=True).transform(table)
    every = [codes[1]] * len(table)
    expected = GradCAM(classifier, target=every, raw=True).transform(table)
    np.testing.assert_array_equal(explained, expected)


def test_an_unknown_method_is_refused(fitted):
    classifier, table = fitted
    with pytest.raises(ValueError, match=r"method='scorecam'.*gradcam, gradcam\+\+, hirescam"):
        GradCAM(classifier, method="scorecam").transform(table)


def test_an_empty_or_foreign_table_is_refused(fitted, pipeline, cohort):
    classifier, table = fitted
    with pytest.raises(ValueError, match="0 samples"):
        GradCAM(classifier).transform(table.iloc[:0])
    with pytest.raises(ValueError, match=re.escape("feature names")):
        GradCAM(classifier).transform(table[["image"]])
    with pytest.raises(TypeError, match="DataFrame"):
        GradCAM(classifier).transform([[0.0, 1.0]])
    pipeline.fit(cohort, cohort.diagnosis)
    with pytest.raises(ValueError, match="0 samples"):
        GradCAM(pipeline).transform(cohort.iloc[:0])


def test_a_bad_image_is_named_with_its_row(fitted, tmp_path):
    classifier, table = fitted
    (tmp_path / "bad.png").write_bytes(b"no picture")
    table = table.copy()
    table.loc[20, "image"] = str(tmp_path / "bad.png")
    with pytest.raises(ImageError, match="row 20"):
        GradCAM(classifier).transform(table)


def test_values_that_are_not_finite_are_an_error(fitted):
    classifier, table = fitted
    with torch.no_grad():
        classifier.module_.encoder.conv.weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(FloatingPointError, match=r"'norm' .* rows 0 to 15"):
        GradCAM(classifier).transform(table)


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        ("resnet18", "layer4"), ("resnet50", "layer4"), ("densenet121", "features"),
        ("vgg11", "features"), ("mobilenet_v2", "features"), ("convnext_tiny", "features"),
        ("squeezenet1_1", "features"), ("shufflenet_v2_x0_5", "conv5"), ("swin_t", "permute"),
    ],
)  # fmt: skip
def test_by_default_the_last_feature_map_is_explained(backbone, layer):
    assert find_feature_map(build_empty_encoder(backbone).to("meta"), 224).name == layer


def test_the_last_map_is_that_of_the_layer_that_finishes_last():
    assert find_feature_map(Twice(), 32).name == "relu"


def test_layers_are_found_as_in_prediction():
    # In training mode batch normalisation refuses a single value a channel.
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 2), nn.BatchNorm2d(4)).train()
    assert find_feature_map(encoder, 4).name == "0"
    assert encoder.training


def test_an_encoder_without_a_feature_map_is_refused():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    with pytest.raises(ValueError, match=r"no layer of the encoder Sequential .* 2 pixels"):
        find_feature_map(encoder, 2)


class Alias(FusionNetwork):
    """A user's network that knows a layer of its encoder by a name of its own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stem = self.encoder.conv

    def encode(self, image, encoder=None):
        pixels = (image.float().expand(-1, 3, -1, -1) - self.pixel_mean) / self.pixel_std
        return self.encoder.norm(self.stem(pixels)).relu().mean((2, 3))


class SkipsNorm(FusionNetwork):
    """A user's network that uses a torchvision encoder in its own way."""

    def encode(self, image, encoder=None):
        pixels = (image.float().expand(-1, 3, -1, -1) - self.pixel_mean) / self.pixel_std
        return self.encoder.conv1(pixels).relu().mean((2, 3)).repeat(1, 8)


def test_layers_of_a_users_network_may_have_two_names(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"precision": "fp32"}
    classifier = FusionClassifier(module=Alias, **options).fit(table, cohort.diagnosis)
    raw = GradCAM(classifier, target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, maps_by_hand(classifier, table, 1), rtol=1e-4, atol=1e-6)
    assert GradCAM(classifier, layer="conv", target=1, raw=True).transform(table).any()


def test_a_users_network_is_not_folded(image_options, cohort):
    table = cohort[["image"]].iloc[:4]
    options = image_options | {"backbone": "resnet18", "precision": "fp32", "hidden_units": 8}
    classifier = FusionClassifier(module=SkipsNorm, **options)
    classifier.fit(table, cohort.diagnosis.iloc[:4])
    network = classifier.module_
    pixels = np.stack([np.asarray(Image.open(path))[None] for path in table["image"]])
    normalised = (torch.from_numpy(pixels).float() - network.pixel_mean) / network.pixel_std
    with torch.no_grad():
        maps = network.encoder.conv1(normalised.expand(-1, 3, -1, -1))
    maps.requires_grad_()
    score = network.head(maps.relu().mean((2, 3)).repeat(1, 8))[:, 1].sum()
    (gradients,) = torch.autograd.grad(score, maps)
    expected = torch.einsum("nc,nchw->nhw", gradients.mean((2, 3)), maps).detach()
    raw = GradCAM(classifier, layer="conv1", target=1, raw=True).transform(table)
    np.testing.assert_allclose(raw, expected.numpy(), rtol=1e-3, atol=1e-6)


class Views(tiny.TinyEncoder):
    """An encoder that reads the number of images, and so would go wrong if they became more."""

    def forward(self, images):
        maps = self.norm(self.conv(images)).relu()
        return maps.reshape(-1, 8, 49)[: len(images)].mean(2)


def test_ablation_trusts_no_users_encoder_to_go_on_with_more_images(image_options, cohort):
    table = cohort[["image"]].iloc[:4]
    raw = []
    for backbone in (Views, tiny.TinyEncoder):
        options = image_options | {"backbone": backbone, "precision": "fp32"}
        classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[:4])
        explain = GradCAM(classifier, target=1, method="ablationcam", raw=True)
        raw.append(explain.transform(table))
    assert np.abs(raw[1]).max() > 1e-4
    np.testing.assert_allclose(raw[0], raw[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("layer", ["layer4", "layer2.0.downsample.0"])
def test_ablation_with_and_without_more_rows_at_the_layer_is_the_same(
    image_options, cohort, monkeypatch, layer
):
    table = cohort[["image"]].iloc[1:3]
    options = image_options | {"backbone": "resnet18", "precision": "fp32", "image_size": 64}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis.iloc[1:3])
    explain = GradCAM(classifier, layer=layer, target=1, method="ablationcam", raw=True)
    raw = explain.transform(table)
    monkeypatch.setattr(
        _explained.ExplainedNetwork, "_goes_on_with_more_rows", lambda self, *args: False
    )
    monkeypatch.setattr(_explained.ExplainedNetwork, "_broadcasts", False, raising=False)
    np.testing.assert_allclose(raw, explain.transform(table), rtol=1e-2, atol=1e-5)


class DrawsAlways(tiny.TinyEncoder):
    """Draws random numbers in prediction, too."""

    def forward(self, images):
        return nn.functional.dropout(super().forward(images), 0.5, True)


def test_an_encoder_that_draws_random_numbers_leaves_the_callers_alone(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"backbone": DrawsAlways}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis)
    before = torch.get_rng_state()
    first, second = (GradCAM(classifier).transform(table) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(first, second)


def test_a_users_hooks_meet_no_tensors_without_values(fitted):
    classifier, table = fitted
    seen = []
    classifier.module_.encoder.conv.register_forward_hook(
        lambda layer, inputs, output: seen.append(output.float().detach().numpy())
    )
    expected = GradCAM(classifier).transform(table)
    assert expected.any()


class Tiles(tiny.TinyEncoder):
    """Cuts each image in two, and treats the halves as images."""

    def forward(self, images):
        halves = torch.stack([images[..., :16, :], images[..., 16:, :]], 1).flatten(0, 1)
        return self.conv(halves).relu().mean((2, 3)).view(len(images), 2, 8).mean(1)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_mixes_images_is_refused(image_options, cohort, method):
    table = cohort[["image"]]
    classifier = FusionClassifier(**(image_options | {"backbone": Tiles}))
    classifier.fit(table, cohort.diagnosis)
    with pytest.raises(ValueError, match=r"layer='conv' puts out 32 maps for 16 images"):
        GradCAM(classifier, method=method).transform(table)


@pytest.mark.parametrize(("side", "n_maps"), [(224, 56), (384, 96)])
def test_swin_transformers_keep_channels_last_whatever_the_size(side, n_maps):
    encoder = build_empty_encoder("swin_t").to("meta")
    feature_map = find_feature_map(encoder, side, "features.1")
    values = torch.empty(1, n_maps, n_maps, 96, device="meta")
    assert feature_map.as_channels_first(values).shape == (1, 96, n_maps, n_maps)
    assert not feature_map.channels_first
    assert find_feature_map(encoder, side).channels_first


def test_none_explains_the_predicted_class_even_if_one_is_called_predicted(image_options, cohort):
    table = cohort[["image"]]
    labels = np.where(cohort.diagnosis == 1, "predicted", "other")
    classifier = FusionClassifier(**image_options).fit(table, labels)
    with torch.no_grad():
        classifier.module_.head[2].bias += torch.tensor([100.0, 0.0])
    explained = GradCAM(classifier, raw=True).transform(table)
    expected = GradCAM(classifier, target="other", raw=True).transform(table)
    np.testing.assert_array_equal(explained, expected)


def test_it_can_be_shown_whatever_it_is_given():
    assert "GradCAM" in GradCAM(LogisticRegression())._repr_html_()


def test_what_is_remembered_of_an_encoder_is_that_of_its_kind_and_size():
    for _ in range(2):
        small = build_empty_encoder("resnet18").to("meta")
        large = build_empty_encoder("resnet50").to("meta")
        assert find_feature_map(small, 32).name == "layer3"
        assert find_feature_map(small, 64).name == "layer4"
        with pytest.raises(ValueError, match=r"'layer1.0.conv3' is not a layer"):
            find_feature_map(small, 64, "layer1.0.conv3")
        assert find_feature_map(large, 64, "layer1.0.conv3").name == "layer1.0.conv3"
