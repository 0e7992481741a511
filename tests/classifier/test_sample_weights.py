import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.datasets import make_classification
from sklearn.model_selection import StratifiedGroupKFold, cross_validate
from sklearn.preprocessing import scale
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit

from skosfusion import FusionClassifier


def clinical_only(**parameters):
    defaults = {"max_epochs": 20, "lr": 0.1, "batch_size": 32, "random_state": 0, "verbose": 0}
    return FusionClassifier(**(defaults | parameters))


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(120, 6, n_informative=4, class_sep=2.0, random_state=0)
    return scale(X).astype(np.float32), y


def test_weights_of_a_class_are_class_weights(table):
    X, y = table
    by_class = clinical_only(class_weight={0: 1, 1: 4}).fit(X, y).predict_proba(X)
    by_sample = clinical_only().fit(X, y, sample_weight=np.where(y == 1, 4, 1)).predict_proba(X)
    np.testing.assert_allclose(by_sample, by_class, rtol=1e-4, atol=1e-6)


def test_both_kinds_of_weights_multiply(table):
    X, y = table
    weights = np.linspace(0.5, 2, len(y))
    both = clinical_only(class_weight={0: 1, 1: 4}).fit(X, y, sample_weight=weights)
    product = clinical_only().fit(X, y, sample_weight=weights * np.where(y == 1, 4, 1))
    np.testing.assert_allclose(
        both.predict_proba(X), product.predict_proba(X), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("factor", [2.0**60, 2.0**200, 2.0**-200])
def test_the_scale_of_weights_does_not_matter(factor, table):
    X, y = table
    weights = np.random.default_rng(0).uniform(0.1, 1, len(y))
    small = clinical_only().fit(X, y, sample_weight=weights).predict_proba(X)
    large = clinical_only().fit(X, y, sample_weight=factor * weights).predict_proba(X)
    np.testing.assert_array_equal(small, large)


def test_samples_of_weight_zero_do_not_train(table):
    X, y = table
    kept = np.arange(len(y)) % 3 > 0
    seen = []

    class Seen(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            seen.append(len(batch[1]))

    classifier = clinical_only(max_epochs=1, callbacks=[Seen()]).fit(X, y, sample_weight=kept)
    assert sum(seen) == kept.sum()
    without = clinical_only(max_epochs=1).fit(X[kept], y[kept])
    np.testing.assert_allclose(classifier.predict_proba(X), without.predict_proba(X), rtol=1e-5)


def test_a_class_of_weight_zero_is_as_if_it_were_not_there(table):
    X, y = table
    labels = np.where(np.arange(len(y)) % 4 == 0, 2, y)
    classifier = clinical_only().fit(X, labels, sample_weight=labels < 2)
    np.testing.assert_array_equal(classifier.classes_, [0, 1])
    middle = np.where(labels == 1, 0, 1)
    classifier = clinical_only().fit(X, labels, sample_weight=middle)
    np.testing.assert_array_equal(classifier.classes_, [0, 2])
    rows = middle > 0
    assert (classifier.predict(X)[rows] == labels[rows]).mean() > 0.7


def test_one_class_that_has_a_weight_is_refused(table):
    X, y = table
    with pytest.raises(ValueError, match="one class only, 0"):
        clinical_only().fit(X, y, sample_weight=y == 0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(120), "at least one non-zero"),
        (np.r_[-1.0, np.ones(119)], "[Nn]egative"),
        (np.r_[np.nan, np.ones(119)], "NaN"),
        (np.r_[np.inf, np.ones(119)], "infinity"),
        (np.ones(119), "sample_weight.shape"),
        (np.ones((120, 2)), "1D"),
        (["heavy"] * 120, "could not convert"),
    ],
)
def test_unusable_weights_are_refused(weights, message, table):
    with pytest.raises(ValueError, match=message):
        clinical_only().fit(*table, sample_weight=weights)


@pytest.mark.parametrize("class_weight", [{0: 0, 1: 0}, {0: -1, 1: 1}, {0: np.nan, 1: 1}])
def test_unusable_class_weights_are_refused(class_weight, table):
    with pytest.raises(ValueError, match=r"class_weight=.*0 or more, and not all zero"):
        clinical_only(class_weight=class_weight).fit(*table)


def test_weights_too_small_for_the_number_format_do_no_harm(table):
    X, y = table
    weights = np.where(np.arange(len(y)) < 100, 1e-60, 1.0)
    classifier = clinical_only(batch_size=10, iterator_train__shuffle=False)
    classifier.fit(X, y, sample_weight=weights)
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_a_batch_of_a_class_of_weight_zero_does_no_harm(table):
    X, y = table
    rows = np.argsort(y)
    classifier = clinical_only(
        class_weight={0: 0, 1: 1}, batch_size=10, iterator_train__shuffle=False
    )
    classifier.fit(X[rows], y[rows], sample_weight=np.ones(len(y)))
    assert np.isfinite(classifier.predict_proba(X)).all()


class Focal(torch.nn.Module):
    """A loss of a user's own, one number a batch whatever is asked."""

    reduction = "mean"

    def forward(self, logits, target):
        return torch.nn.functional.cross_entropy(logits, target) ** 2


class WithoutReduction(Focal):
    reduction = None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": Focal}, "a loss for each sample"),
        ({"criterion": WithoutReduction}, "reduction is 'mean', got None of WithoutReduction"),
        ({"criterion__reduction": "sum"}, "reduction is 'mean', got 'sum' of CrossEntropyLoss"),
    ],
)
def test_a_loss_that_cannot_be_weighted_is_refused(options, message, table):
    with pytest.raises(ValueError, match=message):
        clinical_only(**options).fit(*table, sample_weight=np.arange(1, 121))
    clinical_only(max_epochs=1, **options).fit(*table)


def test_weights_count_in_the_validation_loss(table):
    X, y = table
    rows = np.arange(len(y))
    classifier = clinical_only(max_epochs=1, train_split=ValidSplit([(rows[:100], rows[100:])]))
    weights = np.where(rows == 100, 1.0, 1e-9)
    classifier.fit(X, y, sample_weight=weights)
    logits = classifier.forward(X[100:101])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(y[100:101]))
    np.testing.assert_allclose(classifier.history_[-1, "valid_loss"], expected, rtol=1e-4)


def test_score_is_weighted(table):
    X, y = table
    classifier = clinical_only(max_epochs=1, lr=0.001).fit(X, y)
    right = classifier.predict(X) == y
    assert 0 < right.mean() < 1
    assert classifier.score(X, y, sample_weight=right) == 1


def test_weights_of_one_call_are_none_of_the_next(table):
    X, y = table
    classifier = clinical_only(max_epochs=1).partial_fit(X, y, sample_weight=np.ones(len(y)))
    plain = clinical_only(max_epochs=1).partial_fit(X, y).partial_fit(X, y)
    classifier.partial_fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), plain.predict_proba(X), rtol=1e-4)


def test_partial_fit_takes_weights(table):
    X, y = table
    weights = np.where(y == 1, 9, 1)
    plain = clinical_only(max_epochs=5).partial_fit(X, y)
    weighted = clinical_only(max_epochs=5).partial_fit(X, y, sample_weight=weights)
    assert weighted.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()


def test_images_train_with_weights(classifier, cohort):
    frame, y = cohort[["image"]], cohort["diagnosis"].to_numpy()
    weights = np.where(y == 1, 20, 1)
    plain = classifier.fit(frame, y).predict_proba(frame)[:, 1].mean()
    assert classifier.fit(frame, y, sample_weight=weights).predict_proba(frame)[:, 1].mean() > plain


class TestRouting:
    """Weights and patients of a fold reach the classifier of that fold."""

    @pytest.fixture
    def seen(self, monkeypatch):
        seen = []
        original = FusionClassifier._prepare

        def record(self, X, y, sample_weight, groups, **kwargs):
            seen.append((sample_weight, groups))
            return original(self, X, y, sample_weight, groups, **kwargs)

        monkeypatch.setattr(FusionClassifier, "_prepare", record)
        return seen

    def check(self, seen, folds, weights, groups):
        for (fold_weights, fold_groups), (train, _) in zip(seen, folds, strict=True):
            np.testing.assert_array_equal(fold_weights, weights[train])
            np.testing.assert_array_equal(fold_groups, groups[train])

    def test_with_metadata_routing(self, pipeline, cohort, seen):
        y, groups = cohort["diagnosis"].to_numpy(), cohort["patient_id"].to_numpy()
        weights = np.arange(1.0, len(y) + 1)
        cv = StratifiedGroupKFold(3)
        with config_context(enable_metadata_routing=True):
            pipeline.set_params(classifier__max_epochs=1)
            pipeline["classifier"].set_fit_request(sample_weight=True, groups=True)
            pipeline["classifier"].set_score_request(sample_weight=True)
            params = {"sample_weight": weights, "groups": groups}
            cross_validate(pipeline, cohort, y, cv=cv, params=params, error_score="raise")
        self.check(seen, cv.split(cohort, y, groups), weights, groups)

    def test_with_a_prefix(self, pipeline, cohort, seen):
        y, groups = cohort["diagnosis"].to_numpy(), cohort["patient_id"].to_numpy()
        weights = np.arange(1.0, len(y) + 1)
        folds = list(StratifiedGroupKFold(3).split(cohort, y, groups))
        params = {"classifier__sample_weight": weights, "classifier__groups": groups}
        pipeline.set_params(classifier__max_epochs=1)
        cross_validate(pipeline, cohort, y, cv=folds, params=params, error_score="raise")
        self.check(seen, folds, weights, groups)


def test_it_has_a_display_in_notebooks_fitted_or_not(table):
    classifier = clinical_only(max_epochs=1)
    assert "Not fitted" in classifier._repr_html_()
    page = classifier.fit(*table)._repr_html_()
    assert "Fitted" in page
    assert "max_epochs" in page
