import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, EarlyStopping

from skosfusion.exceptions import ImageError, WeightsError

from .._helpers.clinical import clinical_only
from .._helpers.tiny import TinyEncoder


class Pooling(torch.nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


class TestRefusedInput:
    def test_a_missing_image_is_named_with_its_row(self, classifier, frame, target):
        frame.loc[5, "image"] = "/nowhere/knee.png"
        with pytest.raises(FileNotFoundError, match=r"row 5.*knee\.png"):
            classifier.fit(frame, target)

    @pytest.mark.parametrize("frozen_epochs", [0, "all"])
    def test_an_unreadable_image_stops_before_training(
        self, frozen_epochs, classifier, frame, target, tmp_path
    ):
        bad = tmp_path / "cut.png"
        bad.write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
        frame.loc[47, "image"] = str(bad)
        epochs = []

        class Epochs(Callback):
            def on_epoch_begin(self, net, **kwargs):
                epochs.append(1)

        classifier.set_params(frozen_epochs=frozen_epochs, callbacks=[Epochs()])
        with pytest.raises(ImageError, match=r"cut\.png.*row 47"):
            classifier.fit(frame, target)
        assert not epochs

    def test_a_missing_path_is_named_with_its_row(self, classifier, frame, target):
        frame.loc[3, "image"] = None
        with pytest.raises(ValueError, match="no image in 1 of 48 rows, the first is row 3"):
            classifier.fit(frame, target)

    def test_a_path_of_another_type_is_refused(self, classifier, frame, target):
        frame["image"] = frame["image"].astype(object)
        frame.loc[3, "image"] = 7
        with pytest.raises(TypeError, match=r"holds 7 \(int\) in row 3"):
            classifier.fit(frame, target)

    def test_a_missing_image_column_is_named(self, classifier, frame, target):
        with pytest.raises(ValueError, match=r"no column 'image'.*its columns are 'age', 'alp'"):
            classifier.fit(frame[["age", "alp"]], target)

    def test_a_table_with_paths_and_no_image_column_gets_the_remedy(
        self, classifier, frame, target
    ):
        with pytest.raises(ValueError, match=r"column 'image' of X holds.*as image_column"):
            classifier.set_params(image_column=None).fit(frame, target)

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("weights", {"conv.weight": 1}, r"path of a file.*torch\.save"),
            ("weights", [1], "path of a file"),
            ("memory", "~/cache", "expanduser"),
            ("memory", "a\0b", "a folder"),
        ],
    )
    def test_what_is_no_file_or_folder(self, name, value, words, classifier, frame, target):
        with pytest.raises(ValueError, match=words):
            classifier.set_params(**{name: value}).fit(frame, target)

    def test_a_home_folder_in_a_weights_file_is_explained(self, classifier, frame, target):
        with pytest.raises(WeightsError, match=r"does not exist .*expanduser"):
            classifier.set_params(weights="~/tiny.pth").fit(frame, target)

    def test_an_instance_as_backbone_is_refused_when_it_is_fitted(self, classifier, frame, target):
        with pytest.raises(TypeError, match="not an instance"):
            classifier.set_params(backbone=TinyEncoder()).fit(frame, target)

    def test_an_encoder_without_parameters_has_nothing_to_train(self, classifier, frame, target):
        with pytest.warns(UserWarning, match="Pooling has no parameters to train.*'all'"):
            classifier.set_params(backbone=Pooling, frozen_epochs=0).fit(frame, target)

    def test_an_array_with_an_image_column_is_refused(self, classifier, frame, target):
        with pytest.raises(TypeError, match="must be a pandas DataFrame"):
            classifier.fit(frame.to_numpy(), target)

    def test_text_among_the_clinical_values_names_the_column(self, classifier, frame, target):
        with pytest.raises(ValueError, match=r"column 'sex'.*'F'.*make_clinical_transformer"):
            classifier.fit(frame.assign(sex="F"), target)

    def test_infinite_values_are_refused(self, classifier, frame, target):
        frame.loc[0, "alp"] = np.inf
        with pytest.raises(ValueError, match="infinity"):
            classifier.fit(frame, target)

    def test_an_empty_table_is_refused_in_fit_and_predict(self, classifier, frame, target):
        with pytest.raises(ValueError, match="0 sample"):
            classifier.fit(frame[:0], target[:0])
        with pytest.raises(ValueError, match="0 sample"):
            classifier.fit(frame, target).predict(frame[:0])

    def test_an_extra_column_is_refused_at_predict(self, classifier, frame, target):
        classifier.fit(frame, target)
        with pytest.raises(ValueError, match="unseen at fit time"):
            classifier.predict(frame.assign(more=1.0))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("max_epochs", 0),
            ("max_epochs", 1.5),
            ("batch_size", 0),
            ("lr", -0.1),
            ("lr", np.nan),
            ("hidden_units", 0),
            ("head_dropout", 1.0),
            ("head_dropout", "half"),
            ("frozen_epochs", -1),
            ("frozen_epochs", "none"),
            ("lr_milestones", 20),
            ("image_size", 0),
            ("image_options", {"image_size": 3}),
            ("image_options", {"folder": "pictures"}),
            ("image_options", {"contrast": None, "n_threads": 2}),
            ("precision", "fp16"),
            ("memory", 3),
            ("class_weight", "heavy"),
            ("callbacks", 1),
            ("classes", [1, 0]),
            ("criterion", torch.nn.NLLLoss),
            ("image_column", 5),
        ],
    )
    def test_a_parameter_out_of_range_is_named_with_the_values_allowed(self, name, value, table):
        with pytest.raises(ValueError, match=rf"{name}=.* is not allowed; allowed: "):
            clinical_only().set_params(**{name: value}).fit(*table)

    def test_an_unknown_parameter_is_named_with_the_nearest(self, table):
        with pytest.raises(ValueError, match="no parameter 'max_epoch'; did you mean 'max_epochs'"):
            clinical_only(max_epoch=3).fit(*table)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
    def test_cuda_without_cuda_is_an_error_and_not_a_fall_back(self, table):
        with pytest.raises(ValueError, match="device='cuda' cannot be used on this machine"):
            clinical_only(device="cuda").fit(*table)

    def test_missing_weights_are_an_error(self, classifier, frame, target, tmp_path):
        classifier.set_params(backbone="resnet18", weights=tmp_path / "none.pth")
        with pytest.raises(WeightsError, match=r"none\.pth"):
            classifier.fit(frame, target)

    def test_weights_are_not_looked_for_without_an_image_column(self, table):
        clinical_only(weights="/nowhere.pth").fit(*table)

    @pytest.fixture
    def refused(self, frame, target):
        """Tables and labels that no fit takes."""
        broken = frame.assign(image=frame["image"].replace(frame["image"][0], "/nowhere.png"))
        return [
            (frame, np.full(len(frame), np.nan)),
            (frame.drop(columns="image"), target),
            (broken, target),
        ]

    def test_a_refused_fit_leaves_no_fit(self, classifier, frame, target, refused):
        for warm_start in (False, True):
            classifier.set_params(warm_start=warm_start)
            for X, y in refused:
                classifier.fit(frame, target)
                with pytest.raises((ValueError, OSError)):
                    classifier.fit(X, y)
                with pytest.raises(NotFittedError):
                    classifier.predict(frame)
                assert not [name for name in vars(classifier) if name.endswith("_")]

    def test_after_a_refused_fit_there_is_nothing_that_a_clone_has_not(self, table):
        classifier = clinical_only(max_epochs=1).fit(*table)
        with pytest.raises(ValueError, match="one class only"):
            classifier.fit(table[0], 0 * table[1])
        assert vars(classifier).keys() == vars(clone(classifier)).keys()
        assert (classifier.history_, classifier.virtual_params_) == (None, {})

    def test_a_refused_partial_fit_leaves_the_last_fit(self, classifier, frame, target, refused):
        before = classifier.partial_fit(frame, target).predict_proba(frame)
        for X, y in refused:
            with pytest.raises((ValueError, OSError)):
                classifier.partial_fit(X, y)
            np.testing.assert_array_equal(classifier.predict_proba(frame), before)
        assert len(classifier.history_) == 3

    def test_a_partial_fit_takes_the_columns_of_the_fit_only(self, classifier, frame, target):
        before = classifier.fit(frame, target).predict_proba(frame)
        for other in (frame.rename(columns={"alp": "ldh"}), frame.drop(columns="alp")):
            with pytest.raises(ValueError, match="feature names should match"):
                classifier.partial_fit(other, target)
        np.testing.assert_array_equal(classifier.predict_proba(frame), before)

    def test_a_refused_first_partial_fit_leaves_no_fit(self, classifier, frame, refused):
        for X, y in refused:
            with pytest.raises((ValueError, OSError)):
                classifier.partial_fit(X, y)
            assert not [name for name in vars(classifier) if name.endswith("_")]


class TestFailedFits:
    def test_a_last_step_that_diverges_is_noticed_too(self, table):
        with pytest.raises(FloatingPointError, match="the network is no longer finite"):
            clinical_only(max_epochs=1, lr=1e38, batch_size=-1).fit(1000 * table[0], table[1])

    def test_a_diverging_loss_is_an_error_and_leaves_no_fit(self, table):
        classifier = clinical_only(lr=1e30)
        with pytest.raises(FloatingPointError, match=r"lr=1e\+30.*lower lr"):
            classifier.fit(*table)
        with pytest.raises(NotFittedError):
            classifier.predict(table[0])

    def test_ctrl_c_is_passed_on_and_leaves_no_fit(self, table):
        class Interrupt(Callback):
            def on_epoch_end(self, net, **kwargs):
                if len(net.history) == 2:
                    raise KeyboardInterrupt

        classifier = clinical_only().fit(*table)
        classifier.set_params(warm_start=False)
        classifier.callbacks = [Interrupt()]
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(*table)
        with pytest.raises(NotFittedError):
            classifier.predict(table[0])

    def test_ctrl_c_beside_early_stopping_is_passed_on_too(self, table):
        class Interrupt(Callback):
            def on_batch_end(self, net, **kwargs):
                raise KeyboardInterrupt

        stopping = EarlyStopping("train_loss", patience=2, sink=lambda text: None)
        classifier = clinical_only(callbacks=[stopping, Interrupt()])
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(*table)

    def test_early_stopping_ends_the_fit_and_keeps_it(self, table):
        stopping = EarlyStopping("train_loss", patience=2, threshold=10.0, sink=lambda text: None)
        classifier = clinical_only(callbacks=[stopping]).fit(*table)
        assert len(classifier.history_) < 20
        classifier.predict(table[0])

    @pytest.mark.parametrize("error", [FloatingPointError, KeyboardInterrupt])
    def test_a_partial_fit_that_fails_in_training_leaves_no_fit(self, error, table):
        class Fail(Callback):
            def on_batch_end(self, net, **kwargs):
                raise error

        classifier = clinical_only(max_epochs=1).fit(*table).set_params(callbacks=[Fail()])
        with pytest.raises(error):
            classifier.partial_fit(*table)
        with pytest.raises(NotFittedError):
            classifier.predict(table[0])

    def test_an_unfitted_classifier_says_so(self, table):
        for method in ("predict", "predict_proba"):
            with pytest.raises(NotFittedError):
                getattr(clinical_only(), method)(table[0])

    def test_initialize_before_fit_says_what_is_missing(self):
        with pytest.raises(ValueError, match="call fit"):
            clinical_only().initialize()
