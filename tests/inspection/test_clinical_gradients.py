import copy

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from skosfusion import ClinicalGradientsDisplay, FusionClassifier, clinical_gradients
from skosfusion.network import EncoderFeatures, FusionNetwork, shared_feature_cache

mpl.use("Agg")


class WithDropout(FusionNetwork):
    """A user's network whose head draws random numbers in training."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.head = nn.Sequential(nn.Dropout(0.5), self.head)


@pytest.fixture
def table(cohort):
    columns = {"image": cohort.image, "alp": cohort.alp / 100, "ldh": cohort.ldh / 200}
    return pd.DataFrame(columns)


def by_finite_differences(classifier, table, code, name, step=1e-6):
    """Central differences of the logit, in float64."""
    network = copy.deepcopy(classifier.module_).eval()
    features = torch.from_numpy(
        EncoderFeatures(network, {"image_size": 32}).for_training(table["image"].tolist())
    ).double()
    head = network.head.double()
    logits = []
    for sign in (1, -1):
        clinical = table.drop(columns="image").astype(np.float64)
        clinical[name] += sign * step
        with torch.no_grad():
            both = torch.cat([features, torch.tensor(clinical.to_numpy())], dim=1)
            logits.append(head(both)[:, code].numpy())
    return (logits[0] - logits[1]) / (2 * step)


@pytest.mark.parametrize("frozen_epochs", [0, "all"])
def test_gradients_are_those_of_finite_differences(classifier, cohort, table, frozen_epochs):
    classifier.set_params(frozen_epochs=frozen_epochs, precision="fp32")
    classifier.fit(table, cohort.diagnosis)
    for code in (0, 1):
        result = clinical_gradients(classifier, table, target=code)
        for position, name in enumerate(["alp", "ldh"]):
            expected = by_finite_differences(classifier, table, code, name)
            # A kink of the ReLU between the two points may show in a row or two.
            error = np.abs(result.importances[:, position] - expected)
            assert np.median(error) < 1e-6
            assert np.quantile(error, 0.9) < 1e-5
            assert np.abs(expected).max() > 1e-3


@pytest.fixture
def linear():
    """Scores that follow by hand: logits (-x0, 2 x0 + 4 x1), where both are positive."""
    X = pd.DataFrame({"alp": [1.0, 2.0, 3.0], "ldh": [1.0, 1.0, 2.0]})
    classifier = FusionClassifier(hidden_units=2, max_epochs=1, random_state=0, verbose=0)
    classifier.fit(X, ["no", "yes", "no"])
    hidden, _, output = classifier.module_.head
    with torch.no_grad():
        hidden.weight.copy_(torch.eye(2))
        hidden.bias.zero_()
        output.weight.copy_(torch.tensor([[-1.0, 0.0], [2.0, 4.0]]))
    return classifier, X


def test_the_summary_is_that_of_the_rows(linear):
    classifier, X = linear
    result = clinical_gradients(classifier, X)
    np.testing.assert_allclose(result.importances, [[2, 4]] * 3)
    np.testing.assert_allclose(result.importances_mean, [2, 4])
    np.testing.assert_allclose(result.importances_std, [0, 0])
    np.testing.assert_allclose(result.magnitudes_mean, [2, 4])
    assert result.feature_names == ["alp", "ldh"]
    assert result.ratios.loc["ldh", "alp"] == 2
    assert result.ratios.loc["alp", "ldh"] == 0.5


def test_signs_stay_in_the_mean_and_leave_the_ratio(linear):
    classifier, X = linear
    target = ["no", "yes", "yes"]
    result = clinical_gradients(classifier, X, target=target)
    np.testing.assert_allclose(result.importances, [[-1, 0], [2, 4], [2, 4]])
    np.testing.assert_allclose(result.importances_mean, [1, 8 / 3])
    np.testing.assert_allclose(result.magnitudes_mean, [5 / 3, 8 / 3])
    assert result.ratios.loc["alp", "ldh"] == pytest.approx(5 / 8)


def test_by_default_the_positive_class_is_differentiated(linear):
    classifier, X = linear
    np.testing.assert_array_equal(
        clinical_gradients(classifier, X).importances,
        clinical_gradients(classifier, X, target="yes").importances,
    )


def test_of_three_classes_the_predicted_one_is_differentiated_by_default():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)).astype(np.float32), np.arange(30) % 3
    classifier = FusionClassifier(max_epochs=2, random_state=0, verbose=0).fit(X, y)
    result = clinical_gradients(classifier, X)
    expected = clinical_gradients(classifier, X, target=classifier.predict(X))
    np.testing.assert_array_equal(result.importances, expected.importances)
    assert result.feature_names == ["x0", "x1"]


def test_an_input_without_influence_makes_an_infinite_ratio_and_no_warning(linear):
    classifier, X = linear
    with torch.no_grad():
        classifier.module_.head[2].weight[:, 0] = 0
    ratios = clinical_gradients(classifier, X).ratios
    assert ratios.loc["ldh", "alp"] == np.inf
    assert ratios.loc["alp", "ldh"] == 0
    assert np.isnan(ratios.loc["alp", "alp"])


def test_a_pipeline_is_differentiated_by_its_normalized_values(pipeline, cohort):
    pipeline.fit(cohort, cohort.diagnosis)
    result = clinical_gradients(pipeline, cohort)
    assert result.feature_names == ["gender", "age", "alp", "ldh"]
    assert result.importances.shape == (len(cohort), 4)
    inner = clinical_gradients(pipeline[-1], pipeline[:-1].transform(cohort))
    np.testing.assert_array_equal(result.importances, inner.importances)


def test_layers_that_draw_random_numbers_are_off_and_the_model_stays(classifier, cohort, table):
    classifier.set_params(module=WithDropout).fit(table, cohort.diagnosis)
    classifier.module_.train()
    weights = copy.deepcopy(classifier.module_.state_dict())
    random = torch.get_rng_state()
    parameters = list(classifier.module_.parameters())
    gradients = [None if p.grad is None else p.grad.clone() for p in parameters]
    first, second = (clinical_gradients(classifier, table).importances for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert classifier.module_.training
    for before, after in zip(gradients, (p.grad for p in parameters), strict=True):
        assert before is None if after is None else torch.equal(before, after)
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in classifier.module_.state_dict().items():
        assert torch.equal(value, weights[name])


def test_stored_features_are_used(classifier, cohort, table):
    classifier.set_params(frozen_epochs="all").fit(table, cohort.diagnosis)
    clinical_gradients(classifier, table)
    before = shared_feature_cache().info().misses
    clinical_gradients(classifier, table)
    assert shared_feature_cache().info().misses == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_gradient_mode_does_not_matter(classifier, cohort, table, mode):
    classifier.fit(table, cohort.diagnosis)
    expected = clinical_gradients(classifier, table).importances
    with mode():
        result = clinical_gradients(classifier, table).importances
    np.testing.assert_array_equal(result, expected)


def test_a_row_has_the_same_gradients_alone(classifier, cohort, table):
    classifier.fit(table, cohort.diagnosis)
    every = clinical_gradients(classifier, table).importances
    alone = clinical_gradients(classifier, table.iloc[[7]]).importances
    np.testing.assert_array_equal(alone[0], every[7])


def test_bad_input_is_refused(classifier, cohort, table, linear):
    with pytest.raises(NotFittedError):
        clinical_gradients(classifier, table)
    with pytest.raises(TypeError, match="best_estimator_"):
        clinical_gradients("classifier", table)
    fitted, X = linear
    with pytest.raises(ValueError, match=r"target='perhaps'.*classes are 'no', 'yes'"):
        clinical_gradients(fitted, X, target="perhaps")
    with pytest.raises(ValueError, match="0 sample"):
        clinical_gradients(fitted, X.iloc[:0])
    classifier.fit(table[["image"]], cohort.diagnosis)
    with pytest.raises(ValueError, match="no clinical inputs"):
        clinical_gradients(classifier, table[["image"]])


def test_the_display_shows_one_box_an_input(linear):
    classifier, X = linear
    display = ClinicalGradientsDisplay.from_estimator(classifier, X, target="yes")
    pd.testing.assert_frame_equal(
        display.frame(), pd.DataFrame([[2.0, 4.0]] * 3, columns=["alp", "ldh"]), check_exact=False
    )
    assert display.plot() is display
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["alp\nmean |gradient| 2", "ldh\nmean |gradient| 4"]
    assert "logit of yes" in display.ax_.get_xlabel()
    means = display.ax_.collections[0].get_offsets()
    np.testing.assert_allclose(means, [[2, 2], [4, 1]])
    plt.close(display.figure_)


def test_the_display_draws_where_it_is_told(linear):
    figure, ax = plt.subplots()
    display = ClinicalGradientsDisplay.from_estimator(*linear, display_label="tumor").plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert "logit of tumor" in ax.get_xlabel()
    plt.close(figure)


class ChangesInPlace(FusionNetwork):
    def forward(self, clinical, image=None, features=None):
        clinical.mul_(2)
        return super().forward(clinical, image, features)


class IgnoresClinical(FusionNetwork):
    def forward(self, clinical, image=None, features=None):
        return super().forward(torch.zeros_like(clinical), image, features)


def test_a_users_network_may_change_its_inputs_or_not_use_them(linear):
    classifier, X = linear
    state = classifier.module_.state_dict()
    for module, factor in ((ChangesInPlace, 2), (IgnoresClinical, 0)):
        users = FusionClassifier(module, hidden_units=2, max_epochs=1, random_state=0, verbose=0)
        users.fit(X, ["no", "yes", "no"]).module_.load_state_dict(state)
        result = clinical_gradients(users, X)
        np.testing.assert_allclose(result.importances, [[2 * factor, 4 * factor]] * 3)
