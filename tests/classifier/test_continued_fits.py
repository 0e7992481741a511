"""Parameters that change between fits, and what a continued fit makes of them."""

import warnings

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit

from skosfusion.classifier._image_inputs import ImageInputs
from skosfusion.network import FusionNetwork

from .._helpers.caches import forget
from .._helpers.clinical import clinical_only


class Batches(Callback):
    """Keeps what the batches of each epoch hold of images."""

    def __init__(self):
        self.by_epoch = {}

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        kind = "features" if "features" in batch[0] else "image"
        if training:
            assert self.by_epoch.setdefault(len(net.history_), kind) == kind


class OwnNetwork(FusionNetwork):
    """A network of a user's own."""

    def __init__(self, *args, option=None, **kwargs):
        super().__init__(*args, **kwargs)


@pytest.fixture
def fitted(table):
    return clinical_only(max_epochs=1, optimizer__momentum=0.9).fit(*table)


class TestParametersOfTheLastFit:
    def test_set_params_changes_nothing_but_parameters(self, fitted, table):
        before, expected = dict(vars(fitted)), fitted.predict_proba(table[0])
        fitted.set_params(lr=0.5, hidden_units=9, callbacks=[Batches()], optimizer__momentum=0.1)
        assert {name: vars(fitted)[name] for name in before if name.endswith("_")} == {
            name: value for name, value in before.items() if name.endswith("_")
        }
        (group,) = fitted.optimizer_.param_groups
        assert (group["lr"], group["momentum"]) == (0.1, 0.9)
        np.testing.assert_array_equal(fitted.predict_proba(table[0]), expected)

    def test_a_component_that_does_not_exist_is_refused_by_the_next_fit(self, fitted, table):
        fitted.set_params(optimzer__momentum=0.5)
        with pytest.raises(ValueError, match="optimzer__momentum"):
            fitted.fit(*table)

    def test_changes_inside_a_parameter_do_not_reach_the_last_fit(self, classifier, frame, target):
        classifier.set_params(image_options={"contrast": "stretch"}, callbacks=[])
        expected = classifier.fit(frame, target).predict_proba(frame)
        classifier.image_options["contrast"] = None
        classifier.callbacks.append(Batches())
        np.testing.assert_array_equal(classifier.predict_proba(frame), expected)
        assert classifier.fitted_params_["image_options"] == {"contrast": "stretch"}
        assert classifier.fitted_params_["callbacks"] == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"image_size": 48},
            {"image_options": {"crop_box": (0, 0, 16, 16)}},
            {"image_column": None},
            {"image_column": "radiograph"},
            {"batch_size": 7},
        ],
        ids=str,
    )
    def test_predictions_are_made_with_the_parameters_of_the_fit(
        self, changes, classifier, frame, target
    ):
        expected = classifier.fit(frame, target).predict_proba(frame)
        classifier.set_params(**changes)
        np.testing.assert_array_equal(classifier.predict_proba(frame), expected)

    @pytest.mark.parametrize("options", [{}, {"iterator_valid__batch_size": 24}], ids=str)
    def test_batches_of_predictions_have_the_size_of_the_fit(self, options, table):
        sizes, classifier = set(), clinical_only(max_epochs=1, **options).fit(*table)
        classifier.module_.register_forward_pre_hook(
            lambda module, args, kwargs: sizes.add(len(kwargs["clinical"])), with_kwargs=True
        )
        classifier.set_params(batch_size=50, iterator_valid__batch_size=40).predict(table[0][:70])
        assert sizes == {options.get("iterator_valid__batch_size", 32)}

    def test_missing_images_are_treated_as_in_the_fit(self, classifier, frame, target):
        classifier.fit(frame, target).set_params(missing_images="zero")
        with pytest.raises(ValueError, match="no image in 1 of 48 rows"):
            classifier.predict(frame.assign(image=frame["image"].where(frame.index != 3)))

    def test_the_folder_and_the_progress_shown_are_those_of_now(
        self, classifier, frame, target, tmp_path
    ):
        classifier.fit(frame, target).set_params(memory=tmp_path, verbose=2)
        forget()
        classifier.predict(frame)
        assert (tmp_path / "images").is_dir()
        assert classifier.image_inputs().verbose == 2


class TestRefusedChanges:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("hidden_units", 9),
            ("head_dropout", 0.5),
            ("random_state", 1),
            ("module", OwnNetwork),
            ("criterion", torch.nn.MultiMarginLoss),
            ("optimizer", torch.optim.Adam),
            ("image_column", "image"),
            ("image_size", 48),
            ("image_options", {"contrast": "stretch"}),
            ("missing_images", "zero"),
            ("backbone", "resnet34"),
            ("weights", None),
            ("precision", "fp32"),
            ("device", "cpu"),
        ],
    )
    def test_what_only_a_new_fit_can_use_is_refused_with_the_value_to_set_back(
        self, name, value, fitted, table
    ):
        expected = fitted.predict_proba(table[0])
        back = getattr(fitted, name, None)
        fitted.set_params(**{name: value})
        with pytest.raises(ValueError, match=f"{name}=.* is for a new fit; .* set it back to"):
            fitted.partial_fit(*table)
        with pytest.raises(ValueError, match=str(back)):
            fitted.partial_fit(*table)
        np.testing.assert_array_equal(fitted.predict_proba(table[0]), expected)
        assert len(fitted.history_) == 1

    def test_a_parameter_that_is_set_back_is_taken(self, fitted, table):
        fitted.set_params(hidden_units=9).set_params(hidden_units=512).partial_fit(*table)
        assert len(fitted.history_) == 2

    def test_a_parameter_that_was_taken_away_is_refused(self, table):
        classifier = clinical_only(max_epochs=1, module__hidden_units=4).fit(*table)
        del classifier.module__hidden_units
        with pytest.raises(ValueError, match=r"module__hidden_units=None .* back to 4"):
            classifier.partial_fit(*table)

    @pytest.mark.parametrize(
        "make", [lambda: [1, 2], lambda: np.array([1, 2])], ids=["list", "array"]
    )
    def test_an_equal_value_is_not_a_change(self, make, table):
        classifier = clinical_only(max_epochs=1, module=OwnNetwork, module__option=make())
        classifier.fit(*table).set_params(module__option=make()).partial_fit(*table)
        classifier.set_params(module__option=np.array([1, 3]))
        with pytest.raises(ValueError, match="module__option="):
            classifier.partial_fit(*table)

    def test_a_warm_start_that_is_refused_leaves_no_fit(self, fitted, table):
        fitted.set_params(warm_start=True, hidden_units=9)
        with pytest.raises(ValueError, match="hidden_units=9 is for a new fit"):
            fitted.fit(*table)
        assert not fitted.initialized_


class TestContinuedFits:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("lr", 0.02),
            ("max_epochs", 2),
            ("batch_size", 60),
            ("frozen_epochs", "all"),
            ("lr_milestones", (1,)),
            ("callbacks", []),
            ("train_split", ValidSplit(4)),
            ("warm_start", True),
            ("verbose", False),
            ("memory", "folder"),
            ("optimizer__momentum", 0.5),
            ("iterator_train__shuffle", False),
            ("iterator_valid__batch_size", 16),
        ],
    )
    def test_what_a_continued_fit_can_use_is_used(self, name, value, fitted, table):
        fitted.set_params(**{name: value}).partial_fit(*table)
        assert fitted.fitted_params_[name] == value

    def test_the_rate_and_momentum_of_the_optimizer_change_in_place(self, fitted, table):
        optimizer = fitted.optimizer_
        fitted.set_params(lr=0.02, optimizer__momentum=0.5).partial_fit(*table)
        (group,) = optimizer.param_groups
        assert (group["lr"], group["momentum"]) == (0.02, 0.5)
        assert fitted.optimizer_ is optimizer
        assert fitted.history_[:, "event_lr"] == [0.1, 0.02]

    def test_a_rate_that_was_not_changed_stays_lowered(self, table):
        classifier = clinical_only(max_epochs=2, lr_milestones=(1,)).fit(*table)
        classifier.set_params(optimizer__weight_decay=0.1).partial_fit(*table)
        np.testing.assert_allclose(classifier.history_[:, "event_lr"], [0.1, 0.01, 0.01, 0.01])

    def test_new_callbacks_are_called_and_the_required_ones_stay(self, fitted, table):
        epochs = []

        class Epochs(Callback):
            def on_epoch_begin(self, net, **kwargs):
                epochs.append(len(net.history_))

        fitted.set_params(callbacks=[Epochs()]).partial_fit(*table)
        assert epochs == [2]
        fitted.set_params(lr=1e30, max_epochs=9, callbacks=[])
        with pytest.raises(FloatingPointError, match="the loss is no longer finite"):
            fitted.partial_fit(*table)

    def test_callbacks_that_were_not_changed_stay_as_they_are(self, fitted, table):
        before = [callback for _, callback in fitted.callbacks_]
        fitted.set_params(lr=0.02).partial_fit(*table)
        assert [callback for _, callback in fitted.callbacks_] == before

    def test_new_milestones_are_used(self, fitted, table):
        fitted.set_params(lr_milestones=(1,)).partial_fit(*table)
        np.testing.assert_allclose(fitted.history_[:, "event_lr"], [0.1, 0.01])

    def test_a_bad_image_leaves_rate_and_encoder_as_they_were(self, classifier, frame, target):
        classifier.set_params(frozen_epochs=3).fit(frame, target)
        classifier.set_params(lr=0.5, frozen_epochs=0)
        with pytest.raises(FileNotFoundError):
            classifier.partial_fit(frame.assign(image="/nowhere.png"), target)
        assert classifier.optimizer_.param_groups[0]["lr"] == 0.01
        assert not any(p.requires_grad for p in classifier.module_.encoder.parameters())
        assert classifier.fitted_params_["frozen_epochs"] == 3


def test_momentum_is_that_of_stochastic_gradient_descent_alone(table):
    assert clinical_only(max_epochs=1).fit(*table).optimizer_.param_groups[0]["momentum"] == 0.9
    rmsprop = clinical_only(max_epochs=1, optimizer=torch.optim.RMSprop).fit(*table)
    assert rmsprop.optimizer_.param_groups[0]["momentum"] == 0


class TestRequiredCallbacks:
    @pytest.mark.parametrize("split", [None, 0.25], ids=["whole", "split"])
    @pytest.mark.parametrize("max_epochs", [1, 4])
    def test_after_the_fixed_epochs_images_are_fed_as_pixels(
        self, split, max_epochs, classifier, frame, target, cohort
    ):
        split = split and ValidSplit(split, stratified=True, random_state=0)
        batches = Batches()
        classifier.set_params(frozen_epochs=2, max_epochs=max_epochs)
        classifier.set_params(train_split=split, callbacks=[batches])
        while len(classifier.history_ or ()) < 4:
            classifier.partial_fit(frame, target, groups=cohort["patient_id"])
        assert batches.by_epoch == {1: "features", 2: "features", 3: "image", 4: "image"}

    def test_images_are_fed_anew_only_where_the_encoder_is_freed(
        self, classifier, frame, target, monkeypatch
    ):
        fed, feed = [], ImageInputs.feed

        def count(images, dataset, *, fixed):
            fed.append(fixed)
            feed(images, dataset, fixed=fixed)

        monkeypatch.setattr(ImageInputs, "feed", count)
        classifier.set_params(frozen_epochs=2, max_epochs=4).fit(frame, target)
        assert fed == [True, False]
        classifier.set_params(frozen_epochs="all").fit(frame, target)
        assert fed[2:] == [True]

    def test_disabled_callbacks_leave_those_that_training_needs(
        self, classifier, frame, target, table
    ):
        classifier.set_params(frozen_epochs=1, max_epochs=2, callbacks="disable")
        classifier.fit(frame, target)
        assert classifier.module_.encoder_has_trained
        with pytest.raises(FloatingPointError, match="the loss is no longer finite"):
            clinical_only(lr=1e30, callbacks="disable").fit(*table)

    def test_images_are_fed_before_other_callbacks_see_an_epoch(self, classifier, frame, target):
        seen = []

        class Encoder(Callback):
            def on_epoch_begin(self, net, dataset_train=None, **kwargs):
                seen.append(dataset_train.encoder_is_fixed)

        classifier.set_params(frozen_epochs=1, max_epochs=2, callbacks=[Encoder()])
        classifier.fit(frame, target)
        assert seen == [True, False]

    def test_without_images_there_is_nothing_to_feed(self, fitted):
        assert "feed_images" not in dict(fitted.callbacks_)


class TestScheduler:
    def test_every_group_of_parameters_is_lowered(self, table):
        groups = [("head.0.*", {"lr": 0.1}), ("*", {"lr": 0.2})]
        classifier = clinical_only(max_epochs=2, lr_milestones=(1,), optimizer__param_groups=groups)
        classifier.fit(*table)
        rates = [group["lr"] for group in classifier.optimizer_.param_groups]
        np.testing.assert_allclose(sorted({*np.round(rates, 6)}), [0.01, 0.02])


class TestDevice:
    def test_it_stays_as_given_after_fit_prediction_and_refusal(self, classifier, frame, target):
        classifier.fit(frame, target).predict(frame)
        assert classifier.device == "auto"
        with pytest.raises(ValueError, match="module__nothing is not a parameter"):
            classifier.set_params(module__nothing=1).fit(frame, target)
        assert classifier.device == "auto"

    def test_it_stays_as_given_where_saved_parameters_cannot_be_loaded(self, fitted, tmp_path):
        with pytest.raises(FileNotFoundError), warnings.catch_warnings():
            fitted.load_params(f_params=tmp_path / "nowhere.pt")
        assert fitted.device == "auto"
