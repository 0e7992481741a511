import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from skosfusion import FusionClassifier, load_model, make_clinical_transformer, save_model
from skosfusion.exceptions import ModelFileError
from skosfusion.persistence._file import _digest, read_model_file

from .._helpers import tiny
from .._helpers.clinical import clinical_only
from .._helpers.executed import Executed
from .._helpers.model_files import rewrite


class Plain(torch.nn.Module):
    """A network of a user's own that has no head."""

    def __init__(self, n_clinical, n_classes, **options):
        super().__init__()
        self.layer = torch.nn.Linear(n_clinical, n_classes)

    def forward(self, clinical):
        return self.layer(clinical)


class TestUntrustedFiles:
    @pytest.fixture
    def saved(self, table, path):
        save_model(clinical_only(optimizer=torch.optim.Adam).fit(*table), path)
        return path

    def test_a_missing_file_is_a_file_not_found(self, path):
        with pytest.raises(FileNotFoundError):
            load_model(path)

    def test_a_folder_is_refused(self, tmp_path):
        with pytest.raises(ModelFileError):
            load_model(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
    def test_a_pipe_is_refused_at_once(self, path):
        os.mkfifo(path)
        with pytest.raises(ModelFileError, match="is a folder, pipe or device"):
            load_model(path)

    def test_a_path_that_no_file_can_have_is_refused(self):
        with pytest.raises(ModelFileError, match="cannot be read"):
            load_model("model\0.safetensors")

    @pytest.mark.parametrize(
        ("limit", "message"),
        [("MAX_FILE_BYTES", "more than the 1000 allowed"), ("_MAX_HEADER_BYTES", "its header has")],
    )
    def test_a_file_over_a_limit_of_size_is_refused(self, limit, message, saved, monkeypatch):
        monkeypatch.setattr(f"skosfusion.persistence._file.{limit}", 1000)
        with pytest.raises(ModelFileError, match=message):
            load_model(saved)

    def test_a_file_cut_anywhere_is_refused(self, saved):
        content = saved.read_bytes()
        for end in [*range(0, 3000, 97), *range(3000, len(content), 1999), len(content) - 1]:
            saved.write_bytes(content[:end])
            with pytest.raises(ModelFileError, match="damaged, cut off"):
                load_model(saved)

    def test_any_flipped_bit_is_noticed(self, saved):
        content = saved.read_bytes()
        rng = np.random.default_rng(0)
        for position in rng.integers(len(content), size=200).tolist():
            damaged = bytearray(content)
            damaged[position] ^= 1 << int(rng.integers(8))
            saved.write_bytes(damaged)
            with pytest.raises(ModelFileError):
                load_model(saved)

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
        with pytest.raises(ModelFileError):
            load_model(path)
        assert not trace.exists()

    @pytest.mark.parametrize(
        "change",
        [
            lambda d, t: d.clear(),
            lambda d, t: d.update(format=3),
            lambda d, t: d.update(kind="regressor"),
            lambda d, t: d.update(kind="pipeline"),
            lambda d, t: d.pop("class"),
            lambda d, t: d.update({"class": 7}),
            lambda d, t: d.update({"class": "os.system"}),
            lambda d, t: d.update({"class": "torch.optim.SGD"}),
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
            lambda d, t: d.update(engine="rm"),
            lambda d, t: d.update(engine=[]),
            lambda d, t: d.update(device=7),
            lambda d, t: d.update(history=[{"train_loss": {"object": "x"}}]),
            lambda d, t: d.update(history=7),
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
            load_model(saved)

    def test_a_description_nested_without_end_is_refused(self, saved):
        text = "[" * 100_000 + "]" * 100_000
        metadata = {"skosfusion": text, "sha256": _digest(text, {})}
        saved.write_bytes(safetensors.torch.save({}, metadata))
        with pytest.raises(ModelFileError):
            load_model(saved)

    def test_a_changed_shape_is_noticed(self, saved):
        with safetensors.safe_open(saved, "pt") as file:
            metadata = file.metadata()
        tensors = safetensors.torch.load_file(saved)
        tensors["module.head.0.weight"] = tensors["module.head.0.weight"].reshape(4, 512)
        saved.write_bytes(safetensors.torch.save(tensors, metadata))
        with pytest.raises(ModelFileError, match="does not match its digest"):
            load_model(saved)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda d, t: d.update(n_features_in=True),
                "n_features_in=True is not a number of col",
            ),
            (lambda d, t: d.update(n_features_in=0), "n_features_in=0 is not a number of columns"),
            (
                lambda d, t: d["parameters"].update(image_column="x"),
                "its image column 'x' is not among its columns",
            ),
            (
                lambda d, t: d["parameters"].update(iterator_valid__batch_size=2.5),
                "iterator_valid__batch_size=2.5 is not allowed",
            ),
            (lambda d, t: d["classes"].update(values=[0]), "classes are not a list of two or more"),
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
            load_model(saved)

    def test_numbers_that_json_does_not_know_are_refused(self, saved):
        description, tensors = read_model_file(saved)
        text = json.dumps(description | {"class_weights": [np.nan, 1.0]})
        metadata = {"skosfusion": text, "sha256": _digest(text, tensors)}
        saved.write_bytes(safetensors.torch.save(tensors, metadata))
        with pytest.raises(ModelFileError, match="it holds the number NaN"):
            load_model(saved)

    def test_a_header_that_claims_a_giant_size_is_refused(self, saved):
        saved.write_bytes(struct.pack("<Q", 2**62) + saved.read_bytes()[8:])
        with pytest.raises(ModelFileError):
            load_model(saved)

    def test_a_giant_network_of_a_class_of_the_users_is_refused(self, table, path, monkeypatch):
        save_model(clinical_only(module=Plain).fit(*table), path)
        assert load_model(path, trusted=[Plain]).module is Plain
        rewrite(path, lambda d, t: d["parameters"].update(hidden_units=10**9))
        monkeypatch.setattr(FusionClassifier, "initialize", None)
        with pytest.raises(ModelFileError, match=r"hidden_units=1000000000 .* is too large"):
            load_model(path, trusted=[Plain])

    def test_an_encoder_of_another_shape_is_refused_before_it_is_built(
        self, classifier, images, target, path, monkeypatch
    ):
        save_model(
            classifier.set_params(backbone="resnet18", max_epochs=1).fit(images, target), path
        )
        rewrite(path, lambda d, t: d["parameters"].update(backbone="vit_h_14"))
        monkeypatch.setattr(FusionClassifier, "initialize", None)
        with pytest.raises(ModelFileError, match="do not fit backbone 'vit_h_14'"):
            load_model(path)

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
        loaded = load_model(saved)
        assert loaded.memory is None
        assert loaded.torch_load_kwargs is None
        assert loaded.compile is False
        assert "iterator_valid__num_workers" not in loaded.get_params()
        assert not planted.exists()

    def test_other_versions_are_named_in_a_warning(self, saved):
        rewrite(saved, lambda d, t: d["versions"].update(torch="1.0", skosfusion="9.9"))
        with pytest.warns(UserWarning, match=r"skosfusion 9\.9 \(here .*torch 1\.0 \(here "):
            load_model(saved)

    @pytest.mark.filterwarnings("error")
    def test_a_warning_that_is_made_an_error_stays_that_warning(self, saved):
        rewrite(saved, lambda d, t: d["versions"].update(torch="1.0"))
        with pytest.raises(UserWarning, match="other versions"):
            load_model(saved)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:1"])
    def test_a_model_of_an_accelerator_computes_here_with_a_warning(self, device, saved, table):
        expected = load_model(saved).predict_proba(table[0])

        def change(description, tensors):
            description["device"] = "cuda"
            description["parameters"]["device"] = device

        rewrite(saved, change)
        with pytest.warns(UserWarning, match="fitted on 'cuda' and computes on 'cpu' here"):
            loaded = load_model(saved)
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)
        assert loaded.device == ("auto" if device == "auto" else "cpu")


class TestHarmAfterLoading:
    """A file that loads must do no harm later either."""

    @pytest.fixture
    def saved(self, table, path):
        save_model(clinical_only(optimizer=torch.optim.Adam).fit(*table), path)
        return path

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
            load_model(saved)

    def test_a_spread_that_makes_every_prediction_nan_is_refused(
        self, classifier, images, target, path
    ):
        for name, value in (
            ("pixel_std", 0.0),
            ("pixel_std", -1.0),
            ("module.encoder.norm.running_var", -1.0),
        ):
            save_model(classifier.fit(images, target), path)
            rewrite(path, lambda d, t, name=name, value=value: t[name].fill_(value))
            with pytest.raises(ModelFileError, match=f"its entry '{name}' is not the spread"):
                load_model(path, trusted=[tiny.TinyEncoder])

    def test_settings_that_reorder_rows_are_not_taken(self, saved, table):
        expected = load_model(saved).predict_proba(table[0])
        rewrite(saved, lambda d, t: d["parameters"].update(iterator_valid__shuffle=True))
        loaded = load_model(saved)
        np.testing.assert_array_equal(loaded.predict_proba(table[0]), expected)

    def test_a_path_of_weights_is_not_taken(self, saved):
        rewrite(saved, lambda d, t: d["parameters"].update(weights="/etc/secret.pth"))
        assert load_model(saved).weights == "secret.pth"

    def test_a_step_reads_no_cache_and_starts_no_process(self, pipeline, cohort, target, path):
        own = make_clinical_transformer()
        own.set_params(n_jobs=2)
        nested = Pipeline([("same", FunctionTransformer())], memory=str(path.parent / "cache"))
        nested.set_output(transform="pandas")
        steps = [("nested", nested), ("clinical", own), ("classifier", pipeline["classifier"])]
        save_model(Pipeline(steps).fit(cohort, target), path)
        loaded = load_model(path, trusted=[tiny.TinyEncoder])
        assert loaded["nested"].memory is None
        assert loaded["clinical"].n_jobs is None

    @pytest.mark.parametrize("trusted", [tiny.TinyEncoder, None, True, "a.b", [7]])
    def test_trusted_must_be_a_list_of_classes_and_functions(self, trusted, saved):
        with pytest.raises(TypeError, match="trusted="):
            load_model(saved, trusted=trusted)
