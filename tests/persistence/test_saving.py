import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, scale
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit

from skosfusion import FusionClassifier, load_pipeline, make_clinical_transformer, save_pipeline
from skosfusion.classifier import shared_feature_cache
from skosfusion.exceptions import ModelFileError
from skosfusion.model_files import _digest, read_model_file, write_model_file
from skosfusion.network import FusionNetwork
from .._helpers import tiny


class Custom(FusionNetwork):
    """A network of a user's own."""


class Plain(torch.nn.Module):
    """A network of a user's own that has no head."""

    def __init__(self, n_clinical, n_classes, **options):
        super().__init__()
        self.layer = torch.nn.Linear(n_clinical, n_classes)

    def forward(self, clinical):
        return self.layer(clinical)


class Executed:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def clinical_only(**parameters):
    defaults = {"max_epochs": 4, "lr": 0.1, "batch_size": 32, "random_state": 0, "verbose": 0}
    return FusionClassifier(**(defaults | parameters))


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(80, 4, random_state=0)
    return scale(X).astype(np.float32), y


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def images(cohort):
    frame = cohort[["image", "age", "alp"]]
    return frame.assign(age=cohort["age"] / 100, alp=cohort["alp"] / 100)


@pytest.fixture
def target(cohort):
    return cohort["diagnosis"].to_numpy()


def again(classifier, path, **options):
    classifier.save(path)
    return type(classifier).load(path, **options)


def rewrite(path, change):
    """Change the description or the tensors of a model file, and make the digest fit."""
    description, tensors = read_model_file(path)
    change(description, tensors)
    text = json.dumps(description)
    metadata = {"skosfusion": text, "sha256": _digest(text, tensors)}
    path.write_bytes(safetensors.torch.save(tensors, metadata))


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
    def test_training_goes_on_as_without_the_file(self, optimizer, table, path):
        classifier = clinical_only(
            optimizer=optimizer, lr_milestones=(2, 6), max_epochs=5, class_weight={0: 1, 1: 3}
        )
        loaded = again(classifier.fit(*table), path)
        expected = classifier.partial_fit(*table).predict_proba(table[0])
        np.testing.assert_array_equal(loaded.partial_fit(*table).predict_proba(table[0]), expected)
        rates = classifier.history_[:, "event_lr"]
        assert loaded.history_[:, "event_lr"] == rates

    def test_training_of_an_encoder_goes_on_too(self, classifier, images, target, path):
        classifier.set_params(frozen_epochs=2, max_epochs=2).fit(images, target)
        loaded = again(classifier, path, trusted=[tiny.TinyEncoder])
        expected = classifier.partial_fit(images, target).predict_proba(images)
        actual = loaded.partial_fit(images, target).predict_proba(images)
        np.testing.assert_array_equal(actual, expected)

    def test_features_of_a_trained_encoder_are_not_kept(
        self, classifier, images, target, path, tmp_path
    ):
        classifier.set_params(backbone="resnet18", max_epochs=1).fit(images, target)
        loaded = again(classifier, path).set_params(memory=tmp_path, frozen_epochs="all")
        loaded.partial_fit(images, target)
        assert not (tmp_path / "features").exists()

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

    def test_a_class_of_a_script_is_trusted_once_it_stands_in_a_module(self, table, path):
        clinical_only(module=Custom).fit(*table).save(path)
        rewrite(path, lambda d, t: d["parameters"].update(module={"class": "__main__.Custom"}))
        assert FusionClassifier.load(path, trusted=[Custom]).module is Custom

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
            clinical_only().save(path)
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
            classifier.save(tmp_path / "no folder" / "model.safetensors")
        with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
            classifier.save(tmp_path)

    def test_what_prediction_needs_and_no_file_can_hold_is_refused(self, table, path):
        classifier = clinical_only(predict_nonlinearity=lambda logits: logits).fit(*table)
        with pytest.raises(ValueError, match=r"predict_nonlinearity cannot be saved.*lambda"):
            classifier.save(path)

    def test_what_only_training_needs_is_left_out_with_a_warning(self, table, path):
        class Own(Callback):
            pass

        classifier = clinical_only(callbacks=[Own()], random_state=np.random.RandomState(0))
        classifier.fit(*table)
        with pytest.warns(UserWarning, match="callbacks, random_state cannot be saved"):
            classifier.save(path)
        assert FusionClassifier.load(path).callbacks is None

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
            classifier.save(path)

    @pytest.mark.parametrize("change", [{"hidden_units": 9}, {"max_epochs": 0}])
    def test_what_could_not_be_loaded_is_not_saved(self, change, table, path):
        classifier = clinical_only(max_epochs=1).fit(*table)
        classifier.save(path)
        before = path.read_bytes()
        for name, value in change.items():
            setattr(classifier, name, value)
        with pytest.raises(ValueError, match="|".join(change)):
            classifier.save(path)
        assert path.read_bytes() == before

    def test_a_state_without_a_form_is_left_out_with_a_warning(self, table, path):
        classifier = clinical_only(criterion__weight=torch.tensor([1.0, 2.0])).fit(*table)
        with pytest.warns(UserWarning, match="criterion__weight cannot be saved"):
            loaded = again(classifier, path)
        expected = classifier.predict_proba(table[0])
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)

    def test_the_permissions_of_a_file_and_a_link_to_it_stay(self, table, path):
        classifier = clinical_only(max_epochs=1).fit(*table)
        classifier.save(path)
        path.chmod(0o600)
        link = path.with_name("latest")
        link.symlink_to(path)
        classifier.save(link)
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_name_of_many_bytes_is_written(self, table, tmp_path):
        path = tmp_path / ("膝" * 80)
        again(clinical_only(max_epochs=1).fit(*table), path)

    def test_a_batch_size_that_no_file_may_name_is_refused(self, table, path):
        classifier = clinical_only(max_epochs=1).fit(*table).set_params(batch_size=10**9)
        with pytest.raises(ValueError, match="batch_size=1000000000 cannot be saved; at most"):
            classifier.save(path)

    def test_an_error_leaves_the_earlier_file(self, table, path, monkeypatch):
        classifier = clinical_only(max_epochs=1).fit(*table)
        classifier.save(path)
        before = path.read_bytes()

        def full(*arguments):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            classifier.save(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_only_old_leftovers_of_the_same_file_are_swept(self, table, path):
        old, fresh, other = (
            path.with_name(name)
            for name in (f".{path.name}.1.tmp", f".{path.name}.2.tmp", ".other.tmp")
        )
        for file in (old, fresh, other):
            file.touch()
        os.utime(old, (0, 0))
        os.utime(other, (0, 0))
        clinical_only(max_epochs=1).fit(*table).save(path)
        assert not old.exists()
        assert fresh.exists()
        assert other.exists()

    def test_leftovers_that_cannot_be_removed_do_not_matter(self, table, path, monkeypatch):
        old = path.with_name(f".{path.name}.1.tmp")
        old.touch()
        os.utime(old, (0, 0))

        def denied(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(path), "unlink", denied)
        clinical_only(max_epochs=1).fit(*table).save(path)
        assert old.exists()
        assert FusionClassifier.load(path).n_features_in_ == 4

    @pytest.mark.parametrize("name", ["model[1].safetensors", "m" * 243 + ".safetensors"])
    def test_any_name_that_a_file_may_have_is_written_and_swept(self, name, table, tmp_path):
        old = tmp_path / f".{name[:100]}.1.tmp"
        old.touch()
        os.utime(old, (0, 0))
        clinical_only(max_epochs=1).fit(*table).save(tmp_path / name)
        assert os.listdir(tmp_path) == [name]


class TestStrangersFiles:
    @pytest.fixture
    def saved(self, table, path):
        clinical_only(optimizer=torch.optim.Adam).fit(*table).save(path)
        return path

    def test_a_missing_file_is_a_file_not_found(self, path):
        with pytest.raises(FileNotFoundError):
            FusionClassifier.load(path)

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(ModelFileError):
            FusionClassifier.load(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
    def test_a_pipe_is_refused_at_once(self, path):
        os.mkfifo(path)
        with pytest.raises(ModelFileError, match="is a folder, pipe or device"):
            FusionClassifier.load(path)

    def test_a_path_that_no_file_can_have_is_refused(self):
        with pytest.raises(ModelFileError, match="cannot be read"):
            FusionClassifier.load("model\0.safetensors")

    @pytest.mark.parametrize(
        ("limit", "message"),
        [("MAX_FILE_BYTES", "more than the 1000 allowed"), ("_MAX_HEADER_BYTES", "its header has")],
    )
    def test_a_file_over_a_limit_of_size_is_refused(self, limit, message, saved, monkeypatch):
        monkeypatch.setattr(f"skosfusion.model_files.{limit}", 1000)
        with pytest.raises(ModelFileError, match=message):
            FusionClassifier.load(saved)

    def test_a_file_cut_anywhere_is_refused(self, saved):
        content = saved.read_bytes()
        for end in [*range(0, 3000, 97), *range(3000, len(content), 1999), len(content) - 1]:
            saved.write_bytes(content[:end])
            with pytest.raises(ModelFileError, match="damaged, cut off"):
                FusionClassifier.load(saved)

    def test_any_flipped_bit_is_noticed(self, saved):
        content = saved.read_bytes()
        rng = np.random.default_rng(0)
        for position in rng.integers(len(content), size=200).tolist():
            damaged = bytearray(content)
            damaged[position] ^= 1 << int(rng.integers(8))
            saved.write_bytes(damaged)
            with pytest.raises(ModelFileError):
                FusionClassifier.load(saved)

    @pytest.mark.parametrize("kind", ["empty", "text", "pickle", "torch", "zip", "plain"])
    def test_a_foreign_file_is_refused_and_never_run(self, kind, path, tmp_path):
        trace = tmp_path / "trace"
        if kind == "torch":
            torch.save({"payload": Executed(trace)}, path)
        elif kind == "zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr("schema.json", "{}")
        elif kind == "plain":
            safetensors.torch.save_file({"w": torch.ones(2)}, path)
        else:
            contents = {"empty": b"", "text": b"hello", "pickle": pickle.dumps(Executed(trace))}
            path.write_bytes(contents[kind])
        for load in (FusionClassifier.load, load_pipeline):
            with pytest.raises(ModelFileError):
                load(path)
        assert not trace.exists()

    @pytest.mark.parametrize(
        "change",
        [
            lambda d, t: d.clear(),
            lambda d, t: d.update(format=2),
            lambda d, t: d.update(kind="regressor"),
            lambda d, t: d.update(parameters=[]),
            lambda d, t: d["parameters"].update(initialized_=True),
            lambda d, t: d["parameters"].update(predict="x"),
            lambda d, t: d["parameters"].update(__class__="x"),
            lambda d, t: d["parameters"].update(hidden_units=10**9),
            lambda d, t: d["parameters"].update(module__hidden_units=10**9),
            lambda d, t: d["parameters"].update(batch_size=10**12),
            lambda d, t: d["parameters"].update(iterator_valid__batch_size=10**12),
            lambda d, t: d["parameters"].update(iterator_valid__batch_size="many"),
            lambda d, t: d["parameters"].update(image_size=10**6),
            lambda d, t: d["parameters"].update(module={"class": "os.system"}),
            lambda d, t: d["parameters"].update(module={"class": "torch.optim.SGD"}),
            lambda d, t: d["parameters"].update(criterion={"class": "subprocess.Popen"}),
            lambda d, t: d["parameters"].update(optimizer={"class": "torch.nn.MSELoss"}),
            lambda d, t: d["parameters"].update(callbacks=[{"object": "skorch.Checkpoint",
                                                            "parameters": {}}]),
            lambda d, t: d["parameters"].update(callbacks={"object": "os.system",
                                                           "parameters": {"command": "x"}}),
            lambda d, t: d["parameters"].update(max_epochs=0),
            lambda d, t: d["parameters"].update(unknown=1),
            lambda d, t: d["parameters"].update(image_column="image"),
            lambda d, t: d["parameters"].update(class_weight={"dict": [[[1], 2]]}),
            lambda d, t: d["parameters"].update(lr={"float": "huge"}),
            lambda d, t: d.update(n_features_in=10**12),
            lambda d, t: d.update(n_features_in=True),
            lambda d, t: d.update(n_features_in="4"),
            lambda d, t: d.update(feature_names_in=["a"]),
            lambda d, t: d.update(feature_names_in=[1, 2, 3, 4]),
            lambda d, t: d.update(classes={"dtype": "<i8", "values": [0, 1, 2]}),
            lambda d, t: d.update(classes={"dtype": "<i8", "values": [1, 1]}),
            lambda d, t: d.update(classes={"dtype": "<i8", "values": ["0", "1"]}),
            lambda d, t: d.update(classes={"dtype": "|i1", "values": [0, 1000]}),
            lambda d, t: d.update(classes={"dtype": "<U999999999", "values": ["a", "b"]}),
            lambda d, t: d.update(classes={"dtype": "|O", "values": [{}, []]}),
            lambda d, t: d.update(classes={"dtype": "object", "values": [[], {}]}),
            lambda d, t: d.update(class_weights=[1.0]),
            lambda d, t: d.update(class_weights="heavy"),
            lambda d, t: d.update(seed=-1),
            lambda d, t: d.update(seed="0"),
            lambda d, t: d.update(seed=False),
            lambda d, t: d.update(encoder_dtype="float8"),
            lambda d, t: d.update(device=7),
            lambda d, t: d.update(history=[{"train_loss": {"object": "x"}}]),
            lambda d, t: d.update(history=7),
            lambda d, t: d.update(optimizer={}),
            lambda d, t: d["optimizer"].update(param_groups=[]),
            lambda d, t: d["optimizer"].update(state={"0": {"x": {"tensor": True}}}),
            lambda d, t: d.update(versions=7),
            lambda d, t: t.pop("module.head.0.weight"),
            lambda d, t: t.update({"module.extra": torch.ones(1)}),
            lambda d, t: t.update({"module.head.0.weight": torch.ones(512)}),
            lambda d, t: t.update({"module.head.0.weight": torch.ones(3, 4)}),
            lambda d, t: t.update({"module.head.0.bias": torch.full((512,), torch.nan)}),
            lambda d, t: t.pop("pixel_mean"),
            lambda d, t: t.update(pixel_mean=torch.ones(7)),
        ],
    )  # fmt: skip
    def test_a_description_that_does_not_fit_is_one_kind_of_error(self, change, saved):
        rewrite(saved, change)
        with pytest.raises(ModelFileError):
            FusionClassifier.load(saved)

    def test_a_description_nested_without_end_is_refused(self, saved):
        text = "[" * 100_000 + "]" * 100_000
        metadata = {"skosfusion": text, "sha256": _digest(text, {})}
        saved.write_bytes(safetensors.torch.save({}, metadata))
        with pytest.raises(ModelFileError):
            FusionClassifier.load(saved)

    def test_a_changed_shape_is_noticed(self, saved):
        with safetensors.safe_open(saved, "pt") as file:
            metadata = file.metadata()
        tensors = safetensors.torch.load_file(saved)
        tensors["optimizer.0.exp_avg"] = tensors["optimizer.0.exp_avg"].reshape(4, 512)
        saved.write_bytes(safetensors.torch.save(tensors, metadata))
        with pytest.raises(ModelFileError, match="does not match its digest"):
            FusionClassifier.load(saved)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d, t: d.update(n_features_in=True), "n_features_in=True is no number of col"),
            (lambda d, t: d.update(n_features_in=0), "n_features_in=0 is no number of columns"),
            (
                lambda d, t: d["parameters"].update(image_column="x"),
                "its image column 'x' is not among its columns",
            ),
            (
                lambda d, t: d["parameters"].update(iterator_valid__batch_size=2.5),
                "iterator_valid__batch_size=2.5 is not allowed",
            ),
            (lambda d, t: d["classes"].update(values=[0]), "classes are no list of two or more"),
            (lambda d, t: d["classes"].update(values=["0", "1"]), "are not all of type int"),
            (lambda d, t: d["classes"].update(dtype="<U99999"), "classes have the type '<U99999'"),
            (
                lambda d, t: d.update(classes={"dtype": "<U1", "values": ["ab", "cd"]}),
                "not distinct values of their type",
            ),
        ],
    )
    def test_what_does_not_fit_is_named(self, change, message, saved):
        rewrite(saved, change)
        with pytest.raises(ModelFileError, match=message):
            FusionClassifier.load(saved)

    def test_numbers_that_json_does_not_know_are_refused(self, saved):
        description, tensors = read_model_file(saved)
        text = json.dumps(description | {"class_weights": [np.nan, 1.0]})
        metadata = {"skosfusion": text, "sha256": _digest(text, tensors)}
        saved.write_bytes(safetensors.torch.save(tensors, metadata))
        with pytest.raises(ModelFileError, match="it holds the number NaN"):
            FusionClassifier.load(saved)

    def test_a_header_that_claims_a_giant_size_is_refused(self, saved):
        saved.write_bytes(struct.pack("<Q", 2**62) + saved.read_bytes()[8:])
        with pytest.raises(ModelFileError):
            FusionClassifier.load(saved)

    def test_a_giant_network_of_a_class_of_the_users_is_refused(self, table, path, monkeypatch):
        clinical_only(module=Plain).fit(*table).save(path)
        assert FusionClassifier.load(path, trusted=[Plain]).module is Plain
        rewrite(path, lambda d, t: d["parameters"].update(hidden_units=10**9))
        monkeypatch.setattr(FusionClassifier, "initialize", None)
        with pytest.raises(ModelFileError, match=r"hidden_units=1000000000 .* is too large"):
            FusionClassifier.load(path, trusted=[Plain])

    def test_an_encoder_of_another_shape_is_refused_before_it_is_built(
        self, classifier, images, target, path, monkeypatch
    ):
        classifier.set_params(backbone="resnet18", max_epochs=1).fit(images, target).save(path)
        rewrite(path, lambda d, t: d["parameters"].update(backbone="vit_h_14"))
        monkeypatch.setattr(FusionClassifier, "initialize", None)
        with pytest.raises(ModelFileError, match="do not fit backbone 'vit_h_14'"):
            FusionClassifier.load(path)

    def test_settings_of_another_machine_are_not_taken(self, saved, tmp_path):
        planted = tmp_path / "planted"
        rewrite(
            saved,
            lambda d, t: d["parameters"].update(
                memory=str(planted),
                iterator_valid__num_workers=64,
                torch_load_kwargs={"dict": [["weights_only", False]]},
                compile=True,
            ),
        )
        loaded = FusionClassifier.load(saved)
        assert loaded.memory is None
        assert loaded.torch_load_kwargs is None
        assert loaded.compile is False
        assert "iterator_valid__num_workers" not in loaded.get_params()
        assert not planted.exists()

    def test_other_versions_are_named_in_a_warning(self, saved):
        rewrite(saved, lambda d, t: d["versions"].update(torch="1.0", skosfusion="9.9"))
        with pytest.warns(UserWarning, match=r"skosfusion 9\.9 \(here .*torch 1\.0 \(here "):
            FusionClassifier.load(saved)

    @pytest.mark.filterwarnings("error")
    def test_a_warning_that_is_made_an_error_stays_that_warning(self, saved):
        rewrite(saved, lambda d, t: d["versions"].update(torch="1.0"))
        with pytest.raises(UserWarning, match="other versions"):
            FusionClassifier.load(saved)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
    def test_a_model_of_an_accelerator_computes_here_with_a_warning(self, device, saved, table):
        expected = FusionClassifier.load(saved).predict_proba(table[0])

        def change(description, tensors):
            description["device"] = "cuda"
            description["parameters"]["device"] = device

        rewrite(saved, change)
        with pytest.warns(UserWarning, match="fitted on 'cuda' and computes on 'cpu' here"):
            loaded = FusionClassifier.load(saved)
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)
        assert loaded.device == ("auto" if device == "auto" else "cpu")


class TestHarmAfterLoading:
    """A file that loads must do no harm later either."""

    @pytest.fixture
    def saved(self, table, path):
        clinical_only(optimizer=torch.optim.Adam).fit(*table).save(path)
        return path

    @pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
    def test_a_state_that_fused_kernels_would_overrun_is_refused(self, optimizer, table, path):
        clinical_only(optimizer=optimizer).fit(*table).save(path)

        def change(description, tensors):
            name = next(n for n in tensors if n.endswith((".exp_avg", ".momentum_buffer")))
            tensors[name] = torch.ones(1)
            description["parameters"]["optimizer__fused"] = True

        rewrite(path, change)
        with pytest.raises(ModelFileError, match="does not fit its parameter"):
            FusionClassifier.load(path)

    def test_the_file_does_not_say_how_an_optimiser_computes(self, table, path):
        clinical_only().fit(*table).save(path)

        def change(description, tensors):
            (group,) = description["optimizer"]["param_groups"]
            group["dict"] = [[k, True if k == "fused" else v] for k, v in group["dict"]]

        rewrite(path, change)
        assert not FusionClassifier.load(path).optimizer_.param_groups[0]["fused"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda d, t: d["parameters"].update(
                criterion={"class": "torch.nn.AdaptiveLogSoftmaxWithLoss"}
            ),
            lambda d, t: d["parameters"].update(predict_nonlinearity="zz"),
            lambda d, t: d["parameters"].update(iterator_valid={"class": "torch.optim.SGD"}),
            lambda d, t: d["parameters"].update(iterator_valid__batch_size=-7),
            lambda d, t: d["parameters"].update(device="meta"),
            lambda d, t: d["parameters"].update(classes=[1, 0]),
            lambda d, t: d.update(history=[{}] * 20_001),
            lambda d, t: t.update({f"x{i}": torch.ones(0) for i in range(10_001)}),
            lambda d, t: t.update({"module.head.0.bias": torch.ones(512, dtype=torch.complex64)}),
            lambda d, t: t.update({"module.head.0.weight": torch.ones(512, 9)}),
        ],
    )
    def test_what_would_harm_later_is_refused_now(self, change, saved):
        rewrite(saved, change)
        with pytest.raises(ModelFileError):
            FusionClassifier.load(saved)

    def test_settings_that_reorder_rows_are_not_taken(self, saved, table):
        expected = FusionClassifier.load(saved).predict_proba(table[0])
        rewrite(saved, lambda d, t: d["parameters"].update(iterator_valid__shuffle=True))
        loaded = FusionClassifier.load(saved)
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)

    def test_a_path_of_weights_is_not_taken(self, saved):
        rewrite(saved, lambda d, t: d["parameters"].update(weights="/etc/secret.pth"))
        assert FusionClassifier.load(saved).weights == "secret.pth"

    def test_a_step_reads_no_cache_and_starts_no_process(self, pipeline, cohort, target, path):
        own = make_clinical_transformer()
        own.set_params(n_jobs=2)
        nested = Pipeline([("same", FunctionTransformer())], memory=str(path.parent / "cache"))
        nested.set_output(transform="pandas")
        steps = [("nested", nested), ("clinical", own), ("classifier", pipeline["classifier"])]
        save_pipeline(Pipeline(steps).fit(cohort, target), path)
        loaded = load_pipeline(path, trusted=[tiny.TinyEncoder])
        assert loaded["nested"].memory is None
        assert loaded["clinical"].n_jobs is None

    @pytest.mark.parametrize("trusted", [tiny.TinyEncoder, None, True, "a.b", ["a.b"]])
    def test_trusted_must_be_a_list_of_classes(self, trusted, saved):
        with pytest.raises(TypeError, match="trusted="):
            FusionClassifier.load(saved, trusted=trusted)


class TestPipeline:
    @pytest.fixture
    def fitted(self, pipeline, cohort, target):
        return pipeline.fit(cohort, target)

    def test_the_whole_pipeline_predicts_the_same(self, fitted, cohort, path):
        save_pipeline(fitted, path)
        loaded = load_pipeline(path, trusted=[tiny.TinyEncoder])
        np.testing.assert_array_equal(loaded.predict_proba(cohort), fitted.predict_proba(cohort))
        shuffled = cohort[cohort.columns[::-1]]
        pd.testing.assert_frame_equal(
            loaded[:-1].transform(shuffled), fitted[:-1].transform(cohort)
        )

    @pytest.mark.parametrize("missing", ["impute", "indicator"])
    def test_imputed_values_are_those_of_the_training_rows(
        self, missing, pipeline, cohort, target, path
    ):
        pipeline.set_params(clinical=make_clinical_transformer(missing=missing))
        pipeline.set_params(clinical__ldh="drop").fit(cohort, target)
        save_pipeline(pipeline, path)
        loaded = load_pipeline(path, trusted=[tiny.TinyEncoder])
        empty = cohort.assign(age=np.nan, alp=np.nan, gender=None)
        pd.testing.assert_frame_equal(loaded[:-1].transform(empty), pipeline[:-1].transform(empty))

    def test_a_classifier_alone_and_other_estimators_are_refused(self, fitted, path):
        for wrong in (fitted["classifier"], fitted[:-1], fitted["clinical"], None):
            with pytest.raises(TypeError, match="Pipeline that ends in a FusionClassifier"):
                save_pipeline(wrong, path)

    def test_a_refused_fit_leaves_the_transformers_of_a_loaded_one(
        self, fitted, cohort, target, path
    ):
        save_pipeline(fitted, path)
        loaded = load_pipeline(path, trusted=[tiny.TinyEncoder])
        expected = loaded.predict_proba(cohort.assign(alp=np.nan))
        with pytest.raises(FileNotFoundError):
            loaded.fit(cohort.assign(alp=3 * cohort["alp"], image="/nowhere.png"), target)
        found = loaded.predict_proba(cohort.assign(alp=np.nan))
        np.testing.assert_array_equal(found, expected)

    def test_an_unfitted_pipeline_is_refused(self, pipeline, path):
        with pytest.raises(NotFittedError):
            save_pipeline(pipeline, path)

    def test_each_loader_names_the_other(self, fitted, path):
        save_pipeline(fitted, path)
        with pytest.raises(ModelFileError, match=r"skosfusion\.load_pipeline"):
            FusionClassifier.load(path)
        fitted["classifier"].save(path)
        with pytest.raises(ModelFileError, match=r"FusionClassifier\.load"):
            load_pipeline(path)

    def test_a_users_function_needs_trust_by_name(self, fitted, cohort, target, path):
        own = FunctionTransformer(_identity)
        steps = [("own", own), *fitted.steps]
        save_pipeline(Pipeline(steps).fit(cohort, target), path)
        with pytest.raises(ModelFileError, match=r"_identity, which is not trusted"):
            load_pipeline(path, trusted=[tiny.TinyEncoder])
        trusted = [tiny.TinyEncoder, f"{__name__}._identity"]
        loaded = load_pipeline(path, trusted=trusted)
        assert loaded.predict(cohort).shape == target.shape

    def test_a_step_without_a_form_is_refused(self, fitted, cohort, target, path):
        clinical = ColumnTransformer([("all", fitted["clinical"], lambda X: list(X.columns))])
        clinical.set_output(transform="pandas")
        pipeline = Pipeline([("clinical", clinical), ("classifier", fitted["classifier"])])
        pipeline.set_params(clinical__verbose_feature_names_out=False).fit(cohort, target)
        with pytest.raises(ValueError, match="steps before 'classifier' cannot be saved"):
            save_pipeline(pipeline, path)

    def test_planted_code_is_refused_and_never_run(self, fitted, path, tmp_path):
        from skops import io as skops_io

        trace = tmp_path / "trace"
        planted = skops_io.dumps([("bad", Executed(trace))])
        self.plant(fitted, path, planted)
        with pytest.raises(ModelFileError, match="not trusted"):
            load_pipeline(path, trusted=[tiny.TinyEncoder])
        self.plant(fitted, path, pickle.dumps([("bad", Executed(trace))]))
        with pytest.raises(ModelFileError):
            load_pipeline(path, trusted=[tiny.TinyEncoder])
        assert not trace.exists()

    def test_an_archive_that_would_fill_the_memory_is_refused(self, fitted, path):
        from skops import io as skops_io

        zeros = [("a", "passthrough"), ("b", np.zeros(10**6))]
        self.plant(fitted, path, skops_io.dumps(zeros, compression=zipfile.ZIP_DEFLATED))
        with pytest.raises(ModelFileError, match="would unpack"):
            load_pipeline(path, trusted=[tiny.TinyEncoder])

    def test_a_schema_that_would_fill_the_memory_is_refused(self, fitted, path, tmp_path):
        archive = tmp_path / "schema.skops"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("schema.json", json.dumps({"a": "0" * 10**6}))
        self.plant(fitted, path, archive.read_bytes())
        with pytest.raises(ModelFileError, match="would unpack"):
            load_pipeline(path, trusted=[tiny.TinyEncoder])

    def test_an_archive_that_reads_one_part_many_times_is_refused(self, fitted, path, tmp_path):
        from skops import io as skops_io

        archive = tmp_path / "many.skops"
        archive.write_bytes(skops_io.dumps([("a", np.zeros(1000)), ("b", np.ones(1000))] * 50))
        with zipfile.ZipFile(archive) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        first = next(name for name in parts if name.endswith(".npy"))
        schema = json.loads(parts["schema.json"])
        text = json.dumps([schema["content"]] * 20)
        schema["content"] = json.loads(text)
        kept = {"schema.json": json.dumps(schema).encode(), first: bytes(10**6)}
        for name in parts.keys() - kept.keys():
            kept["schema.json"] = kept["schema.json"].replace(name.encode(), first.encode())
        with zipfile.ZipFile(archive, "w") as file:
            for name, content in kept.items():
                file.writestr(name, content)
        self.plant(fitted, path, archive.read_bytes())
        with pytest.raises(ModelFileError, match="would unpack"):
            load_pipeline(path, trusted=[tiny.TinyEncoder])

    @pytest.mark.parametrize("steps", [[("a", 7)], [(3, "passthrough")], ["ab"], 7, {}])
    def test_steps_that_are_no_transformers_are_refused(self, steps, fitted, path):
        from skops import io as skops_io

        self.plant(fitted, path, skops_io.dumps(steps))
        if steps == {}:
            assert len(load_pipeline(path, trusted=[tiny.TinyEncoder]).steps) == 1
            return
        with pytest.raises(ModelFileError):
            load_pipeline(path, trusted=[tiny.TinyEncoder])

    def test_a_classifier_step_without_a_name_is_refused(self, fitted, path):
        save_pipeline(fitted, path)
        rewrite(path, lambda d, t: d.update(classifier_step=7))
        with pytest.raises(ModelFileError, match="its classifier is called 7"):
            load_pipeline(path, trusted=[tiny.TinyEncoder])

    def test_without_skops_the_error_names_the_extra(self, fitted, path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
        with pytest.raises(ImportError, match=r"skosfusion\[skops\]"):
            save_pipeline(fitted, path)

    def plant(self, fitted, path, archive):
        save_pipeline(fitted, path)
        steps = torch.frombuffer(bytearray(archive), dtype=torch.uint8)
        rewrite(path, lambda d, t: t.update({"pipeline.steps": steps}))


def _identity(X):
    return X


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
    with pytest.raises(ModelFileError, match="its description is no object"):
        read_model_file(path)
