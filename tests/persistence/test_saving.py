import os
import pickle

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedGroupKFold
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit

from skosfusion import FusionClassifier, load_model, save_model
from skosfusion.classifier import shared_feature_cache
from skosfusion.exceptions import ModelFileError
from skosfusion.network import FusionNetwork
from skosfusion.persistence._file import read_model_file, write_model_file

from .._helpers import tiny
from .._helpers.clinical import clinical_only
from .._helpers.model_files import again, rewrite


class Sharp:
    """Probabilities of logits that count double; a class, so that files can name it."""

    def __new__(cls, logits):
        return (2 * logits).softmax(1)


class Custom(FusionNetwork):
    """A network of a user's own."""


class OwnClassifier(FusionClassifier):
    """A classifier of a user's own."""


class TestRoundTrip:
    def test_predictions_are_the_same_to_the_bit(self, table, path):
        classifier = clinical_only().fit(*table)
        loaded = again(classifier, path)
        expected = classifier.predict_proba(table[0])
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)

    @pytest.mark.parametrize("frozen_epochs", [0, 1, "all"])
    def test_images_are_read_and_encoded_as_before(
        self, frozen_epochs, classifier, images, target, path
    ):
        classifier.set_params(
            backbone="resnet18",
            frozen_epochs=frozen_epochs,
            image_options={"contrast": "stretch", "percentiles": (2.0, 98.0)},
        )
        expected = classifier.fit(images, target).predict_proba(images)
        shared_feature_cache().clear()
        loaded = again(classifier, path)
        np.testing.assert_array_equal(loaded.predict_proba(images), expected)
        assert loaded.image_options == classifier.image_options

    def test_features_kept_for_the_model_serve_the_loaded_one(
        self, classifier, images, target, path
    ):
        classifier.set_params(backbone="resnet18").fit(images, target).predict(images)
        loaded = again(classifier, path)
        before = shared_feature_cache().info().misses
        loaded.predict(images)
        assert shared_feature_cache().info().misses == before

    @pytest.mark.parametrize(
        "labels",
        [
            np.array(["non-tumor", "osteosarcoma"]),
            np.array([False, True]),
            np.array([1.0, 2.0]),
            np.array([-1, 7], dtype=np.int8),
            np.array(["ä", "b"], dtype=object),
        ],
        ids=lambda labels: str(labels.dtype),
    )
    def test_labels_of_any_kind_come_back(self, labels, table, path):
        X, y = table
        classifier = clinical_only().fit(X, labels[y])
        loaded = again(classifier, path)
        assert loaded.classes_.dtype == labels.dtype
        np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))

    def test_parameters_come_back(self, table, path):
        classifier = clinical_only(
            class_weight={0: 1, 1: 3.5},
            optimizer=torch.optim.AdamW,
            optimizer__betas=(0.8, 0.99),
            criterion__label_smoothing=0.1,
            lr_milestones=[2, 3],
            hidden_units=7,
            callbacks=[("stop", EarlyStopping("train_loss", patience=9))],
            train_split=ValidSplit(StratifiedGroupKFold(3), random_state=None),
            random_state=np.int64(5),
            warm_start=np.True_,
        )
        classifier.fit(*table, groups=np.arange(80))
        loaded = again(classifier, path)
        here, there = classifier.get_params(), loaded.get_params()
        assert here.keys() == there.keys()
        special = {"callbacks", "callbacks__stop", "train_split"}
        plain = [n for n in here if n not in special and "callbacks__" not in n]
        assert {n: here[n] for n in plain} == {n: there[n] for n in plain}
        assert there["callbacks__stop__patience"] == 9
        assert vars(loaded.train_split) | {"cv": None} == vars(classifier.train_split) | {
            "cv": None
        }
        assert repr(loaded.train_split.cv) == repr(classifier.train_split.cv)

    def test_devices_come_back_as_text(self, table, path):
        loaded = again(clinical_only(device=torch.device("cpu")).fit(*table), path)
        assert loaded.device == "cpu"

    def test_attributes_come_back(self, table, path):
        X = pd.DataFrame(table[0], columns=["a", "b", "c", "d"])
        classifier = clinical_only().fit(X, table[1])
        loaded = again(classifier, path)
        assert loaded.n_features_in_ == 4
        assert list(loaded.feature_names_in_) == ["a", "b", "c", "d"]
        assert loaded.history_[:, "train_loss"] == classifier.history_[:, "train_loss"]
        with pytest.raises(ValueError, match="feature names"):
            loaded.predict(X.rename(columns={"a": "e"}))

    @pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
    def test_training_goes_on_with_a_fresh_optimizer(self, optimizer, table, path):
        classifier = clinical_only(
            optimizer=optimizer,
            lr_milestones=(2, 6),
            max_epochs=5,
            batch_size=-1,
            class_weight={0: 1, 1: 3},
        )
        loaded = again(classifier.fit(*table), path)
        assert not loaded.optimizer_.state
        with pytest.warns(UserWarning, match="fresh optimizer"):
            loaded.partial_fit(*table)
        assert (
            loaded.history_[:, "event_lr"] == classifier.partial_fit(*table).history_[:, "event_lr"]
        )
        losses = loaded.history_[:, "train_loss"]
        assert losses[:5] == classifier.history_[:5, "train_loss"]
        assert losses[5] == pytest.approx(classifier.history_[5, "train_loss"], rel=1e-5)
        loaded.partial_fit(*table)  # what it says is said once

    def test_training_of_an_encoder_goes_on_too(self, classifier, images, target, path):
        classifier.set_params(frozen_epochs=2, max_epochs=2, batch_size=-1).fit(images, target)
        loaded = again(classifier, path, trusted=[tiny.TinyEncoder])
        expected = classifier.partial_fit(images, target).history_[-2, "train_loss"]
        with pytest.warns(UserWarning, match="fresh optimizer"):
            loaded.partial_fit(images, target)
        assert loaded.history_[-2, "train_loss"] == pytest.approx(expected, rel=1e-5)

    def test_the_parameters_are_those_of_the_fit(self, table, path):
        classifier = clinical_only(max_epochs=1, hidden_units=7).fit(*table)
        expected = classifier.predict_proba(table[0])
        classifier.set_params(hidden_units=9, max_epochs=0, batch_size=10**9)
        loaded = again(classifier, path)
        assert (loaded.hidden_units, loaded.max_epochs) == (7, 1)
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)

    def test_features_of_a_trained_encoder_are_not_kept(
        self, classifier, images, target, path, tmp_path
    ):
        classifier.set_params(backbone="resnet18", max_epochs=1).fit(images, target)
        loaded = again(classifier, path).set_params(memory=tmp_path, frozen_epochs="all")
        with pytest.warns(UserWarning, match="fresh optimizer"):
            loaded.partial_fit(images, target)
        assert not (tmp_path / "features").exists()

    def test_a_channel_that_never_varied_is_not_taken_for_damage(
        self, classifier, images, target, path
    ):
        classifier.fit(images, target).module_.encoder.norm.running_var[0] = 0
        expected = classifier.predict_proba(images)
        loaded = again(classifier, path, trusted=[tiny.TinyEncoder])
        np.testing.assert_array_equal(loaded.predict_proba(images), expected)

    def test_a_clone_of_the_loaded_one_fits_the_same_model(self, table, path):
        classifier = clinical_only().fit(*table)
        copy = clone(again(classifier, path)).fit(*table)
        np.testing.assert_array_equal(
            copy.predict_proba(table[0]), classifier.predict_proba(table[0])
        )

    def test_a_users_classes_are_trusted_one_by_one(self, classifier, images, target, path):
        classifier.set_params(module=Custom).fit(images, target)
        with pytest.raises(ModelFileError, match=r"Custom.*not trusted.*trusted="):
            again(classifier, path)
        with pytest.raises(ModelFileError, match=r"TinyEncoder.*not trusted"):
            again(classifier, path, trusted=[Custom])
        loaded = again(classifier, path, trusted=[Custom, tiny.TinyEncoder])
        assert type(loaded.module_) is Custom
        np.testing.assert_array_equal(
            loaded.predict_proba(images), classifier.predict_proba(images)
        )

    def test_probabilities_of_the_users_come_back_where_they_are_trusted(self, table, path):
        classifier = clinical_only(predict_nonlinearity=Sharp).fit(*table)
        with pytest.raises(ModelFileError, match=r"Sharp.*not trusted"):
            again(classifier, path)
        loaded = again(classifier, path, trusted=[Sharp])
        expected = classifier.predict_proba(table[0])
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)
        softmax = clinical_only().fit(*table).predict_proba(table[0])
        assert np.abs(expected - softmax).max() > 1e-3

    def test_a_listed_class_is_no_function_of_logits(self, table, path):
        save_model(clinical_only().fit(*table), path)
        planted = {"predict_nonlinearity": {"class": "torch.optim.SGD"}}
        rewrite(path, lambda d, t: d["parameters"].update(planted))
        with pytest.raises(ModelFileError, match="predict_nonlinearity"):
            load_model(path)

    def test_a_classifier_of_the_users_comes_back_as_that(self, table, path):
        options = {"max_epochs": 1, "random_state": 0, "verbose": 0}
        classifier = OwnClassifier(**options).fit(*table)
        with pytest.raises(ModelFileError, match=r"OwnClassifier.*not trusted"):
            again(classifier, path)
        loaded = again(classifier, path, trusted=[OwnClassifier])
        assert type(loaded) is OwnClassifier
        np.testing.assert_array_equal(
            loaded.predict_proba(table[0]), classifier.predict_proba(table[0])
        )

    def test_a_class_of_a_script_is_trusted_once_it_stands_in_a_module(self, table, path):
        save_model(clinical_only(module=Custom).fit(*table), path)
        rewrite(path, lambda d, t: d["parameters"].update(module={"class": "__main__.Custom"}))
        assert load_model(path, trusted=[Custom]).module is Custom

    def test_the_number_format_of_the_fit_is_kept(self, classifier, images, target, path):
        classifier.set_params(backbone="resnet18", precision="bf16", max_epochs=1)
        classifier.fit(images, target).set_params(precision="auto")
        loaded = again(classifier, path)
        assert loaded.module_.encoder_dtype is torch.bfloat16

    def test_entries_that_share_memory_are_saved(self, classifier, images, target, path):
        classifier.set_params(module=Tied).fit(images, target)
        loaded = again(classifier, path, trusted=[Tied, tiny.TinyEncoder])
        np.testing.assert_array_equal(
            loaded.predict_proba(images), classifier.predict_proba(images)
        )


class Tied(FusionNetwork):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.twin = self.head


class TestWriting:
    def test_an_unfitted_classifier_is_refused(self, path):
        with pytest.raises(NotFittedError):
            save_model(clinical_only(), path)
        assert not path.exists()

    def test_there_is_no_pickle_and_no_folder_of_this_machine(
        self, classifier, images, target, path, tmp_path
    ):
        weights = tmp_path / "secret folder" / "start.safetensors"
        weights.parent.mkdir()
        safetensors.torch.save_file(tiny.TinyEncoder().state_dict(), weights)
        classifier.set_params(weights=weights, memory=tmp_path / "memory").fit(images, target)
        loaded = again(classifier, path, trusted=[tiny.TinyEncoder])
        content = path.read_bytes()
        assert b"secret folder" not in content
        assert b"/memory" not in content
        assert pickle.PROTO + b"\x04" not in content[:200]
        assert (loaded.weights, loaded.memory) == ("start.safetensors", None)

    def test_a_missing_folder_and_a_folder_as_file_are_named(self, table, tmp_path):
        classifier = clinical_only(max_epochs=1).fit(*table)
        with pytest.raises(FileNotFoundError, match="no folder' of the model file does not exist"):
            save_model(classifier, tmp_path / "no folder" / "model.safetensors")
        with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
            save_model(classifier, tmp_path)

    def test_what_prediction_needs_and_no_file_can_hold_is_refused(self, table, path):
        classifier = clinical_only(predict_nonlinearity=lambda logits: logits).fit(*table)
        with pytest.raises(ValueError, match=r"predict_nonlinearity cannot be saved.*lambda"):
            save_model(classifier, path)

    def test_what_only_training_needs_is_left_out_with_a_warning(self, table, path):
        class Own(Callback):
            pass

        classifier = clinical_only(callbacks=[Own()], random_state=np.random.RandomState(0))
        classifier.fit(*table)
        with pytest.warns(UserWarning, match="callbacks, random_state cannot be saved"):
            save_model(classifier, path)
        assert load_model(path).callbacks is None

    def test_what_a_callback_records_is_kept_if_it_is_plain(self, table, path):
        class Records(Callback):
            def on_epoch_end(self, net, **kwargs):
                net.history.record("plain", 1.5)
                net.history.record("infinite", np.float64("inf"))
                net.history.record("odd", object())

        with pytest.warns(UserWarning, match="callbacks cannot be saved"):
            loaded = again(clinical_only(callbacks=[Records()]).fit(*table), path)
        assert loaded.history_[-1, "plain"] == 1.5
        assert loaded.history_[-1, "infinite"] == np.inf
        assert "odd" not in loaded.history_[-1]

    def test_labels_without_a_form_are_refused(self, table, path):
        X, y = table
        days = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]")
        classifier = clinical_only().fit(X, y)
        classifier.classes_inferred_ = days
        with pytest.raises(ValueError, match=r"labels of type datetime64\[D\] cannot be saved"):
            save_model(classifier, path)

    def test_what_could_not_be_loaded_is_not_saved(self, table, path):
        classifier = clinical_only(max_epochs=1).fit(*table)
        save_model(classifier, path)
        before = path.read_bytes()
        classifier.fitted_params_["hidden_units"] = 9
        with pytest.raises(ValueError, match="hidden_units"):
            save_model(classifier, path)
        assert path.read_bytes() == before

    def test_a_state_without_a_form_is_left_out_with_a_warning(self, table, path):
        classifier = clinical_only(criterion__weight=torch.tensor([1.0, 2.0])).fit(*table)
        with pytest.warns(UserWarning, match="criterion__weight cannot be saved"):
            loaded = again(classifier, path)
        expected = classifier.predict_proba(table[0])
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)

    def test_the_permissions_of_a_file_and_a_link_to_it_stay(self, table, path):
        classifier = clinical_only(max_epochs=1).fit(*table)
        save_model(classifier, path)
        path.chmod(0o600)
        link = path.with_name("latest")
        link.symlink_to(path)
        save_model(classifier, link)
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_name_of_many_bytes_is_written(self, table, tmp_path):
        path = tmp_path / ("膝" * 80)
        again(clinical_only(max_epochs=1).fit(*table), path)

    def test_a_batch_size_that_no_file_may_name_is_refused(self, table, path):
        classifier = clinical_only(max_epochs=1).fit(*table)
        classifier.fitted_params_["batch_size"] = 10**9
        with pytest.raises(ValueError, match="batch_size=1000000000 cannot be saved; at most"):
            save_model(classifier, path)

    def test_an_error_leaves_the_earlier_file(self, table, path, monkeypatch):
        classifier = clinical_only(max_epochs=1).fit(*table)
        save_model(classifier, path)
        before = path.read_bytes()

        def full(*arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            save_model(classifier, path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_only_old_leftovers_of_the_same_file_are_swept(self, table, path):
        old, fresh, other = (
            path.with_name(name)
            for name in (
                f".{path.name}.{'0' * 32}.tmp",
                f".{path.name}.{'1' * 32}.tmp",
                ".other.tmp",
            )
        )
        for file in (old, fresh, other):
            file.touch()
        os.utime(old, (0, 0))
        os.utime(other, (0, 0))
        save_model(clinical_only(max_epochs=1).fit(*table), path)
        assert not old.exists()
        assert fresh.exists()
        assert other.exists()

    def test_leftovers_that_cannot_be_removed_do_not_matter(self, table, path, monkeypatch):
        old = path.with_name(f".{path.name}.{'0' * 32}.tmp")
        old.touch()
        os.utime(old, (0, 0))

        def denied(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(path), "unlink", denied)
        save_model(clinical_only(max_epochs=1).fit(*table), path)
        assert old.exists()
        assert load_model(path).n_features_in_ == 4

    @pytest.mark.parametrize("name", ["model[1].safetensors", "m" * 243 + ".safetensors"])
    def test_any_name_that_a_file_may_have_is_written_and_swept(self, name, table, tmp_path):
        old = tmp_path / f".{name[:100]}.{'0' * 32}.tmp"
        old.touch()
        os.utime(old, (0, 0))
        save_model(clinical_only(max_epochs=1).fit(*table), tmp_path / name)
        assert os.listdir(tmp_path) == [name]


def test_a_model_file_is_bound_to_its_description(tmp_path):
    path = tmp_path / "file.safetensors"
    write_model_file(path, {"a": 1}, {"w": torch.ones(2, 3).T, "n": torch.tensor(3)})
    description, tensors = read_model_file(path)
    assert description == {"a": 1}
    assert torch.equal(tensors["w"], torch.ones(3, 2))
    assert tensors["n"] == 3


def test_a_number_that_json_does_not_know_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_model_file(tmp_path / "file.safetensors", {"a": np.nan}, {})
    assert os.listdir(tmp_path) == []


def test_a_description_that_is_no_object_is_refused(tmp_path):
    path = tmp_path / "file.safetensors"
    write_model_file(path, ["a"], {})
    with pytest.raises(ModelFileError, match="its description is not an object"):
        read_model_file(path)


class Growing(tiny.TinyEncoder):
    """Training changes an attribute that is no tensor."""

    def __init__(self):
        super().__init__()
        self.scale = 1.0

    def forward(self, images):
        if self.training:
            self.scale *= 1.5
        return super().forward(images) * self.scale


class Stamped(tiny.TinyEncoder):
    def __init__(self):
        super().__init__()
        self.built = os.urandom(8).hex()


def test_an_attribute_that_differs_from_building_to_building_is_not_named(
    classifier, images, target, path
):
    save_model(classifier.set_params(backbone=Stamped).fit(images, target), path)


def test_an_attribute_that_training_changes_is_named(classifier, images, target, path):
    classifier.set_params(backbone=Growing, frozen_epochs=0).fit(images, target)
    with pytest.warns(UserWarning, match=r"changed 'scale' since it was built.*register_buffer"):
        save_model(classifier, path)
