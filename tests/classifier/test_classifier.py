import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import skorch
import torch
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import scale
from skorch.callbacks import Callback

from skosfusion import FusionClassifier
from skosfusion.classifier import shared_feature_cache
from skosfusion.exceptions import ImageError
from skosfusion.images import shared_image_store

from .._helpers import tiny
from .._helpers.clinical import clinical_only


class PickleEachEpoch(Callback):
    """Writes the whole classifier while it is being fitted, as skorch's Checkpoint can."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, **kwargs):
        self.path.write_bytes(pickle.dumps(net))


def test_it_is_a_skorch_classifier():
    assert isinstance(FusionClassifier(), skorch.NeuralNetClassifier)


def test_the_defaults_are_the_papers_recipe():
    classifier = FusionClassifier()
    assert (classifier.max_epochs, classifier.batch_size, classifier.lr) == (50, 256, 0.01)
    assert classifier.lr_milestones == (20, 35, 45)
    assert classifier.criterion is torch.nn.CrossEntropyLoss
    assert classifier.train_split is None


def test_the_learning_rate_falls_after_the_milestones(table):
    classifier = clinical_only(max_epochs=6, lr=0.1, lr_milestones=(2, 5)).fit(*table)
    rates = classifier.history_[:, "event_lr"]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.01, 0.001])


class TestLabels:
    @pytest.mark.parametrize(
        "labels",
        [
            np.array(["non-tumor", "osteosarcoma"]),
            np.array([False, True]),
            np.array([1.0, 2.0]),
            np.array([-1, 7]),
            np.array(["a", "b"], dtype=object),
        ],
        ids=lambda labels: str(labels.dtype),
    )
    def test_labels_come_back_as_they_went_in(self, labels, table):
        X, y = table
        predicted = clinical_only().fit(X, labels[y]).predict(X)
        assert predicted.dtype == labels.dtype
        assert (predicted == labels[y]).mean() > 0.9

    def test_categories_come_back_as_their_values(self, table):
        X, y = table
        series = pd.Series(np.array(["no", "yes"])[y], dtype="category")
        classifier = clinical_only().fit(X, series)
        assert list(classifier.classes_) == ["no", "yes"]
        assert (classifier.predict(X) == series).mean() > 0.9

    def test_three_classes(self):
        X, y = make_classification(
            150, 8, n_informative=5, n_classes=3, class_sep=2, random_state=0
        )
        names = np.array(["benign", "intermediate", "malignant"])
        classifier = clinical_only().fit(scale(X), names[y])
        assert classifier.predict_proba(scale(X)).shape == (150, 3)
        assert classifier.score(scale(X), names[y]) > 0.8

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([0, 1, None, 1], "NaN or None in 1 of 4 rows, the first is row 2"),
            ([0.0, 1.0, np.nan, 1.0], "row 2"),
            (["a", 1, "a", 1], "mixes strings with other labels"),
            ([0, 0, 0, 0], "one class only, 0"),
            ([[0, 1], [1, 0], [0, 1], [1, 0]], "y should be a 1d array"),
            ([0.1, 0.5, 0.7, 0.9], "[Uu]nknown label type: continuous"),
            ([0, 1, 0], "inconsistent numbers of samples"),
        ],
    )
    def test_unusable_labels_are_refused(self, y, message):
        with pytest.raises(ValueError, match=message):
            clinical_only().fit(np.eye(4), y)

    def test_class_weight_moves_the_decision(self, table):
        X, y = table
        keep = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8]]
        X, y = X[keep] + np.random.default_rng(0).normal(0, 4, (len(keep), 6)), y[keep]
        plain = clinical_only().fit(X, y).predict(X).mean()
        assert clinical_only(class_weight="balanced").fit(X, y).predict(X).mean() > plain
        assert clinical_only(class_weight={0: 1, 1: 50}).fit(X, y).predict(X).mean() > plain


class TestImages:
    def test_images_and_clinical_values_train_and_predict(self, classifier, frame, target):
        probabilities = classifier.fit(frame, target).predict_proba(frame)
        assert probabilities.shape == (len(frame), 2)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        assert list(classifier.feature_names_in_) == ["image", "age", "alp"]

    def test_an_image_alone_is_enough(self, classifier, frame, target):
        classifier.set_params(max_epochs=30, lr=0.1)
        assert classifier.fit(frame[["image"]], target).score(frame[["image"]], target) > 0.9

    def test_clinical_columns_reach_the_decision(self, classifier, frame, target):
        classifier.set_params(frozen_epochs="all").fit(frame, target)
        moved = frame.assign(alp=frame["alp"] + 1)
        assert not np.allclose(classifier.predict_proba(frame), classifier.predict_proba(moved))

    def test_images_reach_the_decision(self, classifier, frame, target):
        classifier.set_params(frozen_epochs="all").fit(frame, target)
        other = frame.assign(image=frame["image"].to_numpy()[::-1])
        assert not np.allclose(classifier.predict_proba(frame), classifier.predict_proba(other))

    @pytest.mark.parametrize("frozen_epochs", [0, 2, "all"])
    def test_the_same_seed_gives_the_same_result(self, frozen_epochs, classifier, frame, target):
        classifier.set_params(frozen_epochs=frozen_epochs)
        first = clone(classifier).fit(frame, target).predict_proba(frame)
        again = clone(classifier).fit(frame, target).predict_proba(frame)
        other = clone(classifier).set_params(random_state=1).fit(frame, target)
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other.predict_proba(frame))

    @pytest.mark.parametrize("frozen_epochs", [0, 1, "all"])
    def test_one_row_and_many_rows_give_equal_probabilities(
        self, frozen_epochs, classifier, frame, target
    ):
        classifier.set_params(frozen_epochs=frozen_epochs).fit(frame, target)
        together = classifier.predict_proba(frame)
        alone = np.vstack([classifier.predict_proba(frame[i : i + 1]) for i in range(len(frame))])
        np.testing.assert_array_equal(alone, together)

    def test_frozen_epochs_hold_the_encoder_still(self, classifier, frame, target):
        classifier.set_params(frozen_epochs="all").fit(frame, target)
        trained = classifier.module_.encoder.state_dict()
        classifier.set_params(max_epochs=1).fit(frame, target)
        assert all(
            torch.equal(value, trained[name])
            for name, value in classifier.module_.encoder.state_dict().items()
        )

    def test_after_its_frozen_epochs_the_encoder_trains(self, classifier, frame, target):
        fixed = clone(classifier).set_params(frozen_epochs="all").fit(frame, target)
        freed = clone(classifier).set_params(frozen_epochs=2).fit(frame, target)
        before, after = fixed.module_.encoder, freed.module_.encoder
        assert not torch.equal(before.conv.weight, after.conv.weight)
        assert not torch.equal(before.norm.running_mean, after.norm.running_mean)

    def test_a_last_batch_of_one_row_joins_the_one_before(self, classifier, frame, target):
        sizes = []

        class Sizes(Callback):
            def on_batch_end(self, net, batch=None, training=False, **kwargs):
                sizes.append(len(batch[1]))

        classifier.set_params(batch_size=16, max_epochs=1, callbacks=[Sizes()])
        classifier.fit(frame[:33], target[:33])
        assert sizes == [16, 17]

    def test_a_module_class_with_dropout_leaves_the_global_random_state_alone(
        self, classifier, frame, target
    ):
        classifier.set_params(backbone=tiny.DropoutEncoder)
        torch.manual_seed(5)
        before = torch.get_rng_state()
        first = clone(classifier).fit(frame, target).predict_proba(frame)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)
        again = clone(classifier).fit(frame, target).predict_proba(frame)
        np.testing.assert_array_equal(first, again)

    def test_fit_and_predict_leave_global_states_alone(self, classifier, frame, target):
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
        classifier.fit(frame, target).predict(frame)
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
        assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)

    def test_loader_processes_give_the_same_result(self, classifier, frame, target):
        serial = clone(classifier).fit(frame, target).predict_proba(frame)
        classifier.set_params(iterator_train__num_workers=1)
        np.testing.assert_array_equal(classifier.fit(frame, target).predict_proba(frame), serial)

    def test_image_options_reach_the_reader(self, classifier, frame, target):
        classifier.set_params(image_options={"minimum_side": 64})
        with pytest.raises(ImageError, match="row 0"):
            classifier.fit(frame, target)

    def test_a_resnet_trains_on_grey_radiographs(self, classifier, frame, target):
        classifier.set_params(backbone="resnet18", frozen_epochs=1, max_epochs=2, batch_size=24)
        assert classifier.fit(frame, target).module_.n_features == 512


class TestMemory:
    @pytest.fixture
    def classifier(self, classifier):
        return classifier.set_params(backbone="resnet18", max_epochs=2)

    def forget(self):
        shared_image_store().clear()
        shared_feature_cache().clear()

    @pytest.mark.parametrize("frozen_epochs", ["all", 1, 0])
    def test_results_are_the_same_with_and_without(
        self, frozen_epochs, classifier, frame, target, tmp_path
    ):
        classifier.set_params(frozen_epochs=frozen_epochs)
        self.forget()
        expected = classifier.fit(frame, target).predict_proba(frame)
        classifier.set_params(memory=tmp_path / "memory")
        for _ in range(2):
            self.forget()
            probabilities = classifier.fit(frame, target).predict_proba(frame)
            np.testing.assert_array_equal(probabilities, expected)
        assert shared_image_store().info().misses == 0
        assert shared_image_store().info().n_images == 0

    def test_a_second_run_with_a_fixed_encoder_reads_features_only(
        self, classifier, frame, target, tmp_path
    ):
        classifier.set_params(frozen_epochs="all", memory=tmp_path)
        classifier.fit(frame, target)
        self.forget()
        classifier.fit(frame, target).predict(frame)
        assert shared_image_store().info() == (0, 0, 0, 0, 0)
        assert shared_feature_cache().info()[:2] == (len(frame), 0)
        assert shared_feature_cache().info().folder_hits == len(frame)


class TestPrecision:
    """The bounds are those of the user guide."""

    @pytest.fixture
    def classifier(self, classifier):
        return classifier.set_params(backbone="resnet18", image_size=32, lr=0.001, max_epochs=2)

    @pytest.mark.parametrize("frozen_epochs", ["all", 0])
    def test_training_in_bf16_gives_nearly_the_same_model(
        self, frozen_epochs, classifier, frame, target
    ):
        classifier.set_params(frozen_epochs=frozen_epochs, precision="fp32")
        fp32 = classifier.fit(frame, target).predict_proba(frame)
        bf16 = classifier.set_params(precision="bf16").fit(frame, target).predict_proba(frame)
        assert 0 < np.abs(fp32 - bf16).max() < 0.05

    def test_the_same_model_agrees_in_both(self, classifier, frame, target):
        # Not every processor has the other engines in bf16.
        classifier.set_params(precision="fp32", engine="eager")
        fp32 = classifier.fit(frame, target).predict_proba(frame)
        classifier.module_.encoder_dtype = torch.bfloat16
        bf16 = classifier.predict_proba(frame)
        assert 0 < np.abs(fp32 - bf16).max() < 0.02


@pytest.mark.parametrize(
    ("params", "expected"), [({}, True), ({"foreach": True}, None), ({"fused": False}, False)]
)
def test_adam_runs_fused_unless_told_otherwise(params, expected, table):
    options = {f"optimizer__{name}": value for name, value in params.items()}
    classifier = clinical_only(optimizer=torch.optim.Adam, max_epochs=1, **options).fit(*table)
    assert classifier.optimizer_.param_groups[0]["fused"] is expected


class TestRealRadiographs:
    def test_they_train_and_predict(self, classifier, chest_xray):
        table = pd.read_csv(chest_xray / "metadata.csv").iloc[::6]
        frame = pd.DataFrame({"image": [str(chest_xray / "images" / f) for f in table["filename"]]})
        target = table["finding"].str.contains("COVID-19").to_numpy()
        classifier.set_params(image_size=64, frozen_epochs="all")
        probabilities = classifier.fit(frame, target).predict_proba(frame)
        assert np.isfinite(probabilities).all()


class TestGoingOn:
    def test_partial_fit_goes_on(self, table):
        classifier = clinical_only(max_epochs=2)
        classifier.partial_fit(*table, classes=[0, 1])
        first = classifier.module_
        classifier.partial_fit(table[0][:40], table[1][:40])
        assert classifier.module_ is first
        assert len(classifier.history_) == 4

    def test_partial_fit_knows_classes_that_are_not_there_yet(self, table):
        X, y = table
        classifier = clinical_only().partial_fit(X[y == 1], y[y == 1], classes=[0, 1, 2])
        assert classifier.predict_proba(X).shape == (len(X), 3)
        assert (classifier.predict(X[y == 1]) == 1).all()

    def test_partial_fit_refuses_a_label_that_was_not_there(self, table):
        X, y = table
        classifier = clinical_only(max_epochs=1).partial_fit(X, y)
        with pytest.raises(ValueError, match=r"y holds 2, which is not among the classes \[0 1\]"):
            classifier.partial_fit(X, 2 * y)
        assert len(classifier.history_) == 1

    def test_warm_start_goes_on_and_fit_starts_anew(self, table):
        classifier = clinical_only(max_epochs=2, warm_start=True).fit(*table).fit(*table)
        assert len(classifier.history_) == 4
        assert len(classifier.set_params(warm_start=False).fit(*table).history_) == 2

    def test_milestones_count_over_continued_fits(self, table):
        once = clinical_only(max_epochs=6, lr_milestones=(2, 4)).fit(*table)
        parts = clinical_only(max_epochs=2, lr_milestones=(2, 4), warm_start=True)
        parts.fit(*table).fit(*table).fit(*table)
        np.testing.assert_allclose(once.history_[:, "event_lr"], parts.history_[:, "event_lr"])

    def test_a_continued_fit_draws_new_orders(self, table):
        orders = []

        class Orders(Callback):
            def on_batch_begin(self, net, batch=None, training=False, **kwargs):
                orders.append(batch[0]["clinical"][0].numpy().copy())

        classifier = clinical_only(max_epochs=1, batch_size=60, callbacks=[Orders()])
        classifier.partial_fit(*table).partial_fit(*table)
        assert not np.array_equal(orders[0], orders[2])


class TestCopies:
    def test_a_pickled_classifier_predicts_the_same(self, classifier, frame, target):
        expected = classifier.fit(frame, target).predict_proba(frame)
        copy = pickle.loads(pickle.dumps(classifier))
        np.testing.assert_array_equal(copy.predict_proba(frame), expected)
        assert copy.device == "auto"

    def test_a_joblib_file_predicts_the_same(self, classifier, frame, target, tmp_path):
        expected = classifier.fit(frame, target).predict_proba(frame)
        joblib.dump(classifier, tmp_path / "classifier.joblib")
        copy = joblib.load(tmp_path / "classifier.joblib")
        np.testing.assert_array_equal(copy.predict_proba(frame), expected)

    def test_a_clone_has_the_parameters_and_not_the_fit(self, classifier, frame, target):
        classifier.set_params(optimizer__momentum=0.9).fit(frame, target)
        copy = clone(classifier)
        assert copy.get_params(deep=False) == classifier.get_params(deep=False)
        assert copy.optimizer__momentum == 0.9
        with pytest.raises(NotFittedError):
            copy.predict(frame)

    def test_it_can_be_pickled_in_the_middle_of_a_fit(self, table, tmp_path):
        callbacks = [PickleEachEpoch(tmp_path / "net.pkl")]
        clinical_only(callbacks=callbacks, verbose=1).fit(*table)
        copy = pickle.loads((tmp_path / "net.pkl").read_bytes())
        assert copy.score(*table) > 0.9

    def test_skorchs_saved_parameters_load_again(self, table, tmp_path):
        classifier = clinical_only().fit(*table)
        expected = classifier.predict_proba(table[0])
        classifier.save_params(f_params=tmp_path / "params.pt")
        other = clinical_only(random_state=1).fit(*table)
        other.load_params(f_params=tmp_path / "params.pt")
        np.testing.assert_array_equal(other.predict_proba(table[0]), expected)

    def test_private_state_is_not_a_parameter(self):
        assert not [name for name in FusionClassifier().get_params(deep=False) if name[0] == "_"]


def test_skorchs_own_parameters_keep_working(table):
    classifier = clinical_only(
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        iterator_train__shuffle=False,
        callbacks__lr_scheduler=None,
    ).fit(*table)
    assert classifier.optimizer_.param_groups[0]["momentum"] == 0.9
    assert "event_lr" not in classifier.history_[0]


def test_dropping_the_last_batch_keeps_the_order_random(table):
    first = []

    class First(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            first.append(batch[0]["clinical"].numpy())

    clinical_only(
        iterator_train__drop_last=True, max_epochs=1, batch_size=50, callbacks=[First()]
    ).fit(*table)
    assert [len(batch) for batch in first] == [50, 50]
    assert not np.array_equal(first[0], table[0][:50])


def test_a_fit_inside_a_callback_does_not_hang(classifier, frame, target):
    class Nested(Callback):
        def on_train_end(self, net, **kwargs):
            self.inner_ = clone(net).set_params(callbacks=None).fit(frame, target)

    classifier.set_params(backbone=tiny.DropoutEncoder, max_epochs=1, callbacks=[Nested()])
    classifier.fit(frame, target)


def test_without_any_input_the_error_says_so(frame, target):
    with pytest.raises(ValueError, match="at least one clinical input"):
        clinical_only().fit(frame[[]], target)


def test_without_shuffling_rows_come_in_their_order(table):
    first = []

    class First(Callback):
        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            first.append(batch[0]["clinical"][0].numpy())

    clinical_only(
        iterator_train__shuffle=False, max_epochs=1, batch_size=60, callbacks=[First()]
    ).fit(*table)
    np.testing.assert_array_equal(first, table[0][[0, 60]])


def test_progress_is_silent_at_verbose_0(table, capfd, monkeypatch):
    clinical_only(verbose=0).fit(*table)
    assert capfd.readouterr() == ("", "")
