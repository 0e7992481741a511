import hashlib
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

from skosfusion import FusionClassifier
from skosfusion.images import shared_image_store
from skosfusion.network import (
    EncoderFeatures,
    FeatureCache,
    FusionNetwork,
    _feature_cache,
    _features,
    _inference,
)

from .._helpers.features import OPTIONS, encoded, kept_features

pytestmark = pytest.mark.usefixtures("no_images")


class TestFolder:
    def test_features_outlive_the_process(self, resnet, paths, tmp_path, monkeypatch):
        folder = tmp_path / "memory"
        first = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=folder)
        monkeypatch.setattr(_features, "encode_batch", None)
        again = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=folder)
        np.testing.assert_array_equal(again, first)

    def test_images_are_kept_too(self, resnet, paths, tmp_path):
        exact = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path)
        assert len(list((tmp_path / "images").rglob("*.safetensors"))) == len(paths)
        shutil.rmtree(tmp_path / "features")
        shared_image_store().clear()
        again = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path)
        np.testing.assert_array_equal(again, exact)
        assert shared_image_store().info() == (0, 0, 0, 0, len(paths))

    def test_what_comes_from_the_folder_is_counted(self, resnet, paths, tmp_path):
        encoded(FeatureCache(), resnet, paths[:30], OPTIONS, folder=tmp_path)
        cache = FeatureCache()
        encoded(cache, resnet, paths[:10], OPTIONS)
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        assert cache.info()[:2] == (10, 20)
        assert cache.info().folder_hits == 20

    def test_processes_leave_what_others_have_done(self, resnet, paths, tmp_path, monkeypatch):
        monkeypatch.setattr(_features, "_IMAGES_PER_FILE", 8)
        monkeypatch.setitem(_inference._ENCODE_BATCHES, "cpu", 8)
        exact = encoded(FeatureCache(), resnet, paths, OPTIONS)
        one, other = FeatureCache(), FeatureCache()
        save = EncoderFeatures._save

        def save_and_let_the_other_work(self, *args):
            save(self, *args)
            if self._cache is one and not other.info().misses:
                encoded(other, resnet, paths[16:], OPTIONS, folder=tmp_path)

        monkeypatch.setattr(EncoderFeatures, "_save", save_and_let_the_other_work)
        features = encoded(one, resnet, paths, OPTIONS, folder=tmp_path)
        np.testing.assert_array_equal(features, exact)
        # The second batch was on its way when the first was saved.
        assert one.info()[:2] == (0, 16)
        assert one.info().folder_hits == other.info().misses == len(paths) - 16

    def test_a_file_is_read_once(self, resnet, paths, tmp_path, monkeypatch):
        encoded(FeatureCache(), resnet, paths[:20], OPTIONS, folder=tmp_path)
        cache = FeatureCache()
        encoded(cache, resnet, paths[:10], OPTIONS, folder=tmp_path)
        monkeypatch.setattr(_feature_cache.FeatureFiles, "_read_part", None)
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        assert cache.info().misses == len(paths) - 20

    def test_a_file_is_read_again_when_memory_has_lost_it(self, resnet, paths, tmp_path):
        encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path)
        cache = FeatureCache(max_bytes=10 * 512 * 4)
        for _ in range(3):
            encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        assert cache.info().misses == 0

    def test_a_file_is_read_again_when_another_encoder_has_taken_its_room(
        self, resnet, paths, tmp_path
    ):
        other = FusionNetwork(0, 2, backbone="resnet18", image_size=32).eval()
        cache = FeatureCache(max_bytes=len(paths) * 512 * 4)
        for network in (resnet, other, resnet):
            encoded(cache, network, paths, OPTIONS, folder=tmp_path)
        assert cache.info().misses == 2 * len(paths)
        assert cache.info().folder_hits == len(paths)

    def test_workers_begin_at_different_images(self, resnet, paths, tmp_path, monkeypatch):
        orders = []
        monkeypatch.setitem(_inference._ENCODE_BATCHES, "cpu", 4)
        monkeypatch.setattr(_features.multiprocessing, "parent_process", lambda: True)
        encode = EncoderFeatures._encoded

        def watched(self, batches, *args):
            batches = list(batches)
            orders.append([batch[0].row for batch in batches])
            return encode(self, batches, *args)

        monkeypatch.setattr(EncoderFeatures, "_encoded", watched)
        for number in (1, 2):
            monkeypatch.setattr(_features, "_worker_number", lambda number=number: number)
            encoded(FeatureCache(), resnet, paths, OPTIONS)
        monkeypatch.undo()
        monkeypatch.setitem(_inference._ENCODE_BATCHES, "cpu", 4)
        monkeypatch.setattr(EncoderFeatures, "_encoded", watched)
        encoded(FeatureCache(), resnet, paths, OPTIONS)
        assert sorted(orders[0]) == sorted(orders[1]) == orders[2]
        assert len(set(map(tuple, orders))) == 3

    def test_only_what_is_new_is_computed(self, resnet, paths, tmp_path):
        encoded(FeatureCache(), resnet, paths[:10], OPTIONS, folder=tmp_path)
        cache = FeatureCache()
        features = encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        assert cache.info().misses == len(paths) - 10
        np.testing.assert_array_equal(features, encoded(FeatureCache(), resnet, paths, OPTIONS))

    def test_features_computed_before_are_written_too(self, resnet, paths, tmp_path):
        cache = FeatureCache()
        first = encoded(cache, resnet, paths, OPTIONS)
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        again = FeatureCache()
        np.testing.assert_array_equal(
            encoded(again, resnet, paths, OPTIONS, folder=tmp_path), first
        )
        assert again.info().misses == 0

    def test_there_is_no_pickle(self, resnet, paths, tmp_path):
        encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path / "memory")
        files = [f for f in (tmp_path / "memory").rglob("*") if f.is_file()]
        assert {f.suffix for f in files} == {".safetensors"}
        (file,) = [f for f in files if "features" in f.parts]
        arrays = safetensors.numpy.load_file(file)
        assert arrays["features"].shape == (len(paths), 512)
        assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()

    @pytest.mark.parametrize("damage", ["bit", "cut", "empty", "pickle"])
    def test_a_damaged_file_is_noticed_and_computed_again(self, damage, resnet, paths, tmp_path):
        folder = tmp_path / "memory"
        exact = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=folder)
        (file,) = kept_features(folder)
        content = bytearray(file.read_bytes())
        if damage == "bit":
            content[-9] ^= 4
        elif damage == "cut":
            content = content[:-100]
        else:
            content = b"" if damage == "empty" else b"\x80\x04cos\nsystem\n"
        file.write_bytes(content)
        with pytest.warns(UserWarning, match="is passed over, its images are encoded again"):
            features = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=folder)
        np.testing.assert_array_equal(features, exact)

    def test_a_renamed_file_of_the_wrong_shape_is_passed_over(self, resnet, paths, tmp_path):
        encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path / "memory")
        (file,) = kept_features(tmp_path / "memory")
        arrays = safetensors.numpy.load_file(file)
        planted = safetensors.numpy.save(arrays | {"features": arrays["features"][:, :3].copy()})
        file.unlink()
        name = hashlib.sha256(planted).hexdigest()
        file.with_name(f"{name}.safetensors").write_bytes(planted)
        with pytest.warns(UserWarning, match="features have shape"):
            encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path / "memory")

    def test_planted_files_are_passed_over(self, resnet, paths, tmp_path):
        exact = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path)
        (file,) = kept_features(tmp_path)
        features = safetensors.numpy.load_file(file)["features"]
        file.unlink()
        os.mkfifo(file)
        planted = {"fingerprints": np.array(3, np.uint8), "features": features}
        content = safetensors.numpy.save(planted)
        file.with_name(f"{hashlib.sha256(content).hexdigest()}.safetensors").write_bytes(content)
        with pytest.warns(UserWarning, match="passed over") as caught:
            again = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path)
        np.testing.assert_array_equal(again, exact)
        assert len(caught) == 2

    def test_a_folder_that_cannot_be_looked_into_costs_a_warning(
        self, resnet, paths, tmp_path, monkeypatch
    ):
        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        exact = encoded(FeatureCache(), resnet, paths, OPTIONS)
        for name in ("stat", "mkdir", "is_dir"):
            monkeypatch.setattr(Path, name, refuse)
        with pytest.warns(UserWarning, match="Permission denied"):
            features = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path / "memory")
        np.testing.assert_array_equal(features, exact)

    def test_a_few_predictions_write_no_files(self, resnet, paths, tmp_path, monkeypatch):
        monkeypatch.setattr(_features, "_IMAGES_PER_FILE", 20)
        cache = FeatureCache()
        for path in paths[:5]:
            encoded(cache, resnet, [path], OPTIONS, folder=tmp_path, few=True)
        assert kept_features(tmp_path) == []
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path, few=True)
        assert len(kept_features(tmp_path)) == 1

    def test_a_folder_that_cannot_be_written_costs_a_warning(
        self, resnet, paths, tmp_path, monkeypatch
    ):
        def refuse(*args, **kwargs):
            raise OSError(28, "No space left on device")

        exact = encoded(FeatureCache(), resnet, paths, OPTIONS)
        monkeypatch.setattr(os, "replace", refuse)
        with pytest.warns(UserWarning, match=r"cannot be kept.*No space left"):
            features = encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path / "memory")
        np.testing.assert_array_equal(features, exact)
        assert not list((tmp_path / "memory").rglob(".*.tmp"))

    def test_a_file_as_folder_is_refused(self, resnet, paths, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ValueError, match="is not a folder"):
            encoded(FeatureCache(), resnet, paths, OPTIONS, folder=tmp_path / "file")

    def test_orphans_are_swept_and_fresh_parts_are_not(self, resnet, paths, tmp_path):
        folder = tmp_path / "memory"
        encoded(FeatureCache(), resnet, paths[:4], OPTIONS, folder=folder)
        parent = kept_features(folder)[0].parent
        old, fresh = parent / f".old.{'0' * 32}.tmp", parent / f".fresh.{'0' * 32}.tmp"
        for part in (old, fresh):
            part.write_bytes(b"half")
        yesterday = time.time() - 86400
        os.utime(old, (yesterday, yesterday))
        encoded(FeatureCache(), resnet, paths, OPTIONS, folder=folder)
        assert not old.exists()
        assert fresh.exists()

    def test_what_memory_cannot_hold_is_read_from_the_folder(self, resnet, paths, tmp_path):
        cache = FeatureCache(max_bytes=5000)
        first = encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        np.testing.assert_array_equal(
            encoded(cache, resnet, paths, OPTIONS, folder=tmp_path), first
        )
        assert cache.info().misses == len(paths)
        assert len(kept_features(tmp_path)) == 1

    def test_a_folder_that_was_deleted_is_written_again(self, resnet, paths, tmp_path):
        cache, folder = FeatureCache(), tmp_path / "memory"
        encoded(cache, resnet, paths, OPTIONS, folder=folder)
        shutil.rmtree(folder)
        encoded(cache, resnet, paths, OPTIONS, folder=folder)
        assert len(kept_features(folder)) == 1

    def test_features_of_a_trained_encoder_are_not_kept_on_disk(
        self, paths, tmp_path, image_options, monkeypatch
    ):
        # Else a folder would not keep so few predictions either.
        monkeypatch.setattr(_features, "_IMAGES_PER_FILE", 1)
        frame, target = pd.DataFrame({"image": paths}), np.arange(len(paths)) // 2 % 2
        options = {"backbone": "resnet18", "memory": tmp_path / "memory", "max_epochs": 2}
        classifier = FusionClassifier(**(image_options | options | {"frozen_epochs": 1}))
        classifier.fit(frame, target).predict(frame)
        assert len(list((tmp_path / "memory" / "features").iterdir())) == 1

    def test_a_classifier_keeps_a_few_images_of_training_and_not_of_predictions(
        self, paths, tmp_path, image_options
    ):
        frame, target = pd.DataFrame({"image": paths}), np.arange(len(paths)) // 2 % 2
        options = {"backbone": "resnet18", "memory": tmp_path, "frozen_epochs": "all"}
        classifier = FusionClassifier(**(image_options | options)).fit(frame[:20], target[:20])
        kept = kept_features(tmp_path)
        classifier.predict(frame[20:])
        assert len(kept) == 1
        assert kept_features(tmp_path) == kept

    def test_features_of_a_users_own_encoder_are_kept_on_disk(self, network, paths, tmp_path):
        first = encoded(FeatureCache(), network, paths, OPTIONS, folder=tmp_path)
        cache = FeatureCache()
        np.testing.assert_array_equal(
            encoded(cache, network, paths, OPTIONS, folder=tmp_path), first
        )
        assert cache.info().misses == 0

    def test_features_of_an_encoder_of_unknown_version_are_not_kept_on_disk(
        self, network, paths, tmp_path, monkeypatch
    ):
        monkeypatch.setattr("skosfusion.network._features.library_versions", lambda names: None)
        encoded(FeatureCache(), network, paths, OPTIONS, folder=tmp_path / "memory")
        assert not (tmp_path / "memory" / "features").exists()

    def test_the_oldest_features_are_pruned(self, resnet, paths, tmp_path):
        cache = FeatureCache()
        exact = encoded(cache, resnet, paths[:10], OPTIONS, folder=tmp_path)
        (first,) = kept_features(tmp_path)
        os.utime(first, (0, 0))
        encoded(cache, resnet, paths[10:], OPTIONS, folder=tmp_path)
        (second,) = set(kept_features(tmp_path)) - {first}
        n_bytes = second.stat().st_size
        assert cache.prune(tmp_path, n_bytes) == n_bytes
        assert kept_features(tmp_path) == [second]
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        fresh = FeatureCache()
        again = encoded(fresh, resnet, paths, OPTIONS, folder=tmp_path)
        np.testing.assert_array_equal(again[:10], exact)
        assert fresh.info().misses == 0

    def test_a_number_of_bytes_that_is_none_is_not_pruned_to(self, tmp_path):
        with pytest.raises(ValueError, match=r"max_bytes=-1 .*an integer of at least 0"):
            FeatureCache().prune(tmp_path, -1)

    def test_what_another_process_has_pruned_is_computed_without_a_warning(
        self, resnet, paths, tmp_path
    ):
        cache = FeatureCache(max_bytes=0)
        exact = encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        FeatureCache().prune(tmp_path, 0)
        again = encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        np.testing.assert_array_equal(again, exact)
        assert cache.info().misses == 2 * len(paths)
        assert len(kept_features(tmp_path)) == 1

    def test_what_another_process_has_pruned_is_written_with_the_next_new_images(
        self, resnet, paths, tmp_path
    ):
        cache = FeatureCache()
        encoded(cache, resnet, paths[:10], OPTIONS, folder=tmp_path)
        FeatureCache().prune(tmp_path, 0)
        encoded(cache, resnet, paths, OPTIONS, folder=tmp_path)
        fresh = FeatureCache()
        encoded(fresh, resnet, paths, OPTIONS, folder=tmp_path)
        assert fresh.info().misses == 0
