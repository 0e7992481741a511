import random
import threading
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from torch.utils.data import WeightedRandomSampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from skosfusion import GradCAM, load_model, save_model
from skosfusion.classifier._device import one_thread

from .._helpers import tiny


class Recorded:
    """Keeps what it was called with, and what it returned, in a list that copies share."""

    def __init__(self, calls):
        self.calls = calls

    def __deepcopy__(self, memo):
        return self

    def __call__(self, image):
        changed = image + torch.randint(0, 40, (1,), dtype=torch.uint8)
        self.calls.append((image.clone(), changed))
        return changed


def noise(image):
    """Draw from each of the global states."""
    drawn = torch.randint(9, (1,)) + np.random.randint(9) + random.randrange(9)  # noqa: NPY002, S311
    return image // 2 + drawn.to(torch.uint8)


def with_three_channels(image):
    return image[[2, 1, 0]]


class Albumentation:
    """Has the interface of albumentations: arrays, and a generator of its own."""

    def __init__(self, **more):
        self.more = more

    def set_random_seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, *, image):
        assert image.flags.c_contiguous
        assert image.shape == (32, 32, 1)
        return {"image": self.rng.permutation(image)} | self.more


Albumentation.__module__ = "albumentations.core.composition"


def weights_of(classifier):
    return joblib.hash([value.numpy() for value in classifier.module_.state_dict().values()])


def trained(classifier, frame, target, **params):
    return weights_of(clone(classifier).set_params(**params).fit(frame, target))


@pytest.fixture
def frame(frame):
    return frame[:16].copy()


@pytest.fixture
def target(target):
    return target[:16]


@pytest.fixture
def augmented(classifier):
    return classifier.set_params(max_epochs=2, batch_size=8, augmentation=noise)


@pytest.fixture
def calls():
    return []


class TestSeeding:
    @pytest.mark.parametrize(
        "augmentation",
        [noise, v2.RandomRotation(9), Albumentation()],
        ids=["function", "torchvision", "albumentations"],
    )
    def test_equal_fits_are_equal_and_other_seeds_are_not(
        self, augmentation, augmented, frame, target
    ):
        augmented.set_params(augmentation=augmentation)
        weights = trained(augmented, frame, target)
        assert weights == trained(augmented, frame, target)
        assert weights != trained(augmented, frame, target, augmentation=None)
        assert weights != trained(augmented, frame, target, random_state=1)

    def test_the_seed_of_the_fit_decides_the_augmentation_too(
        self, augmented, frame, target, calls
    ):
        augmented.set_params(augmentation=Recorded(calls), iterator_train__shuffle=False)
        for seed in (0, 0, 1):
            clone(augmented).set_params(random_state=seed).fit(frame, target)
        first, same, other = np.split(np.array([int(c.sum()) for _, c in calls]), 3)
        assert first.tolist() == same.tolist()
        assert first.tolist() != other.tolist()

    def test_what_becomes_of_an_image_does_not_depend_on_its_batch(
        self, augmented, frame, target, calls
    ):
        augmented.set_params(augmentation=Recorded(calls), max_epochs=1)
        changed = []
        for batch_size in (8, 7):
            calls.clear()
            clone(augmented).set_params(batch_size=batch_size).fit(frame, target)
            changed.append({joblib.hash(b.numpy()): joblib.hash(a.numpy()) for b, a in calls})
        assert len(changed[0]) == len(frame)
        assert changed[0] == changed[1]

    def test_loader_processes_change_nothing(self, augmented, frame, target):
        serial = trained(augmented, frame, target)
        assert trained(augmented, frame, target, iterator_train__num_workers=1) == serial

    def test_fits_side_by_side_equal_serial_ones(self, augmented, frame, target):
        augmented.set_params(augmentation=v2.RandomRotation(9))

        def predictions(n_jobs):
            # One thread each, as where several fits run: it decides the last digits.
            with joblib.parallel_config("threading", n_jobs=n_jobs), one_thread():
                return cross_val_predict(augmented, frame, target, cv=2, method="predict_proba")

        np.testing.assert_array_equal(predictions(2), predictions(1))

    def test_each_epoch_and_each_draw_of_an_image_is_another(self, augmented, frame, target, calls):
        sampler = WeightedRandomSampler(np.eye(len(frame))[5], 16)
        augmented.set_params(augmentation=Recorded(calls), iterator_train__sampler=sampler)
        augmented.fit(frame, target)
        drawn = [int(after[0, 0, 0]) - int(before[0, 0, 0]) for before, after in calls]
        trials = len(drawn) - 2 * 16
        assert len(set(drawn[trials : trials + 16])) > 4
        assert drawn[trials : trials + 16] != drawn[trials + 16 :]

    def test_the_callers_random_states_are_put_back(self, augmented, frame, target):
        def states():
            states = torch.get_rng_state().numpy(), np.random.get_state(), random.getstate()  # noqa: NPY002
            return joblib.hash(states)

        before = states()
        augmented.fit(frame, target)
        assert states() == before

    def test_the_random_numbers_of_the_network_stay_as_they_were(self, augmented, frame, target):
        augmented.set_params(backbone=tiny.DropoutEncoder, head_dropout=0.3)
        plain = trained(augmented, frame, target, augmentation=None)
        assert trained(augmented, frame, target, augmentation=lambda image: image) == plain
        assert trained(augmented, frame, target, augmentation=noise_that_is_dropped) == plain

    def test_a_state_of_the_augmentation_starts_as_it_was_given(self, augmented, frame, target):
        augmented.set_params(augmentation=OwnGenerator())
        assert weights_of(augmented.fit(frame, target)) == weights_of(augmented.fit(frame, target))


def noise_that_is_dropped(image):
    noise(image)
    return image


class OwnGenerator:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, image):
        return image // 2 + int(self.rng.integers(90))


class TestWhereItActs:
    def test_training_images_alone_are_changed(self, augmented, frame, target, calls):
        augmented.set_params(
            augmentation=Recorded(calls),
            train_split=ValidSplit(4, stratified=True),
            max_epochs=1,
            callbacks=[EpochScoring("accuracy", on_train=True, name="train_acc")],
        )
        with pytest.warns(UserWarning, match="does not know the patients"):
            augmented.fit(frame, target)
        trials = len(calls) - 12
        assert 0 < trials < 10
        n_calls = len(calls)
        augmented.predict_proba(frame)
        GradCAM(augmented).transform(frame[:2])
        assert len(calls) == n_calls

    def test_validation_sees_the_images_as_they_are(self, augmented, frame, target):
        augmented.set_params(
            train_split=ValidSplit(4, stratified=True), max_epochs=1, lr=1e-30, batch_size=16
        )
        losses = []
        for augmentation in (None, noise):
            net = clone(augmented).set_params(augmentation=augmentation, lr_milestones=None)
            net.set_params(backbone=WithoutNorm)
            with pytest.warns(UserWarning, match="does not know the patients"):
                net.fit(frame, target)
            losses.append((net.history_[-1, "train_loss"], net.history_[-1, "valid_loss"]))
        (train, valid), (train_augmented, valid_augmented) = losses
        assert valid == valid_augmented
        assert train != train_augmented

    def test_after_the_fixed_epochs(self, augmented, frame, target, calls):
        augmented.set_params(augmentation=Recorded(calls), frozen_epochs=2, max_epochs=3)
        augmented.fit(frame, target)
        assert 0 < len(calls) - len(frame) < 10

    def test_rows_without_an_image_are_left_alone(self, augmented, frame, target, calls):
        frame["image"] = frame["image"].where(frame.index % 3 != 0)
        augmented.set_params(augmentation=Recorded(calls), missing_images="zero", max_epochs=1)
        augmented.fit(frame, target)
        assert 0 < len(calls) - frame["image"].notna().sum() < 10
        assert all(image.any() for image, _ in calls)

    def test_gray_images_come_as_one_channel_also_beside_color(
        self, augmented, frame, target, calls, tmp_path
    ):
        colors = np.random.default_rng(0).integers(0, 200, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(colors).save(tmp_path / "color.png")
        frame.loc[5, "image"] = str(tmp_path / "color.png")
        augmented.set_params(augmentation=Recorded(calls), max_epochs=1).fit(frame, target)
        assert {(image.dtype, tuple(image.shape)) for image, _ in calls} == {
            (torch.uint8, (1, 32, 32)),
            (torch.uint8, (3, 32, 32)),
        }
        color = next(image for image, _ in calls if len(image) == 3)
        np.testing.assert_array_equal(color.permute(1, 2, 0), colors)

    def test_a_transform_of_three_channels_works_as_the_error_says(self, augmented, frame, target):
        augmented.set_params(augmentation=with_three_channels)
        with pytest.raises(ValueError, match=r"raises IndexError .* \(1, 32, 32\).*Grayscale\(3\)"):
            augmented.fit(frame, target)
        threefold = [v2.Grayscale(3), with_three_channels, v2.Grayscale(1)]
        augmented.set_params(augmentation=v2.Compose(threefold)).fit(frame, target)

    def test_an_optimizer_that_looks_twice_sees_the_same_images(
        self, augmented, frame, target, calls
    ):
        augmented.set_params(augmentation=Recorded(calls), max_epochs=1, optimizer=Twice)
        augmented.fit(frame, target)
        assert 0 < len(calls) - len(frame) < 10

    def test_a_transform_that_writes_into_its_image_harms_none(self, augmented, frame, target):
        augmented.set_params(augmentation=lambda image: image.fill_(7))
        before = trained(augmented, frame, target, augmentation=None)
        augmented.fit(frame, target)
        assert trained(augmented, frame, target, augmentation=None) == before

    def test_tensors_of_torchvisions_own_kind_are_tensors(self, augmented, frame, target):
        plain = trained(augmented, frame, target, augmentation=flipped)
        assert trained(augmented, frame, target, augmentation=flipped_as_image) == plain


class Twice(torch.optim.SGD):
    def step(self, closure):
        closure()
        return super().step(closure)


def flipped(image):
    return image.flip(-1)


def flipped_as_image(image):
    return tv_tensors.Image(image.flip(-1))


class WithoutNorm(tiny.TinyEncoder):
    def forward(self, images):
        return self.conv(images).relu().mean((2, 3))


class TestRefusals:
    @pytest.mark.parametrize("value", ["flip", 3, v2.RandomHorizontalFlip, [noise]])
    def test_what_is_no_transform(self, value, augmented, frame, target):
        with pytest.raises(ValueError, match=r"augmentation=.* is not allowed; allowed: None, or"):
            augmented.set_params(augmentation=value).fit(frame, target)

    def test_without_an_image_column(self, augmented, frame, target):
        augmented.set_params(image_column=None)
        with pytest.raises(ValueError, match=r"augmentation=<function noise.* image_column=None"):
            augmented.fit(frame[["age", "alp"]], target)

    @pytest.mark.parametrize("frozen_epochs", ["all", 2, 5])
    def test_where_features_are_kept_throughout(self, frozen_epochs, augmented, frame, target):
        augmented.set_params(frozen_epochs=frozen_epochs)
        with pytest.raises(ValueError, match=rf"with frozen_epochs='?{frozen_epochs}.*kept"):
            augmented.fit(frame, target)

    def test_with_layers_that_stay_fixed(self, augmented, frame, target):
        augmented.unfreeze = "layer4"
        with pytest.raises(ValueError, match=r"augmentation=.* with unfreeze='layer4'.*kept"):
            augmented.fit(frame, target)

    @pytest.mark.parametrize(
        ("augmentation", "problem"),
        [
            (lambda image: None, r"returns None \(NoneType\)"),
            (lambda image: image.numpy(), r"returns a uint8 array .*return a tensor"),
            (v2.ToPILImage(), r"returns <PIL.*PILToTensor"),
            (lambda image: image[0], r"returns a uint8 tensor of shape \(32, 32\)"),
            (v2.Resize(16), r"shape \(1, 16, 16\).*allowed: .*\(1, 32, 32\).*Resize at the end"),
            (v2.Grayscale(3), r"shape \(3, 32, 32\)"),
            (v2.ToDtype(torch.float32), r"a float32 tensor .*leave out .* Normalize"),
            (lambda image: image * torch.nan, r"a float32 tensor of shape \(1, 32, 32\) with NaN"),
            (lambda image: image.to_sparse(), r"returns a uint8 torch.sparse_coo.*to_dense"),
            (lambda: None, r"raises TypeError"),
            (Albumentation(image=3), r"returns 3 \(int\)"),
            (Albumentation(image=torch.zeros(1, 32, 32)), r"ToTensorV2"),
            (Albumentation(image=np.zeros((32, 32, 1))), r"a float64 array of shape \(32, 32, 1\)"),
            (v2.RandomApply([v2.Resize(16)], p=0.9), r"shape \(1, 16, 16\)"),
        ],
    )
    def test_what_gives_no_image_before_training(
        self, augmentation, problem, augmented, frame, target
    ):
        frame["image"] = frame["image"].where(frame.index > 2)
        augmented.set_params(augmentation=augmentation, missing_images="zero", frozen_epochs=1)
        with pytest.raises(ValueError, match=rf"^augmentation=.*{problem}") as error:
            augmented.fit(frame, target)
        error.match("image of row 3")
        with pytest.raises(NotFittedError):
            augmented.predict(frame)

    def test_what_cannot_be_copied(self, augmented, frame, target):
        augmented.set_params(augmentation=partial(noise, lock=threading.Lock()))
        with pytest.raises(
            ValueError, match=r"augmentation=.* cannot be copied \(TypeError: .*lock"
        ):
            augmented.fit(frame, target)

    def test_a_rare_fault_in_training_is_named_with_its_row(self, augmented, frame, target):
        def rare(image):
            return image if image.sum() != rare.sum else image[:, 1:]

        rare.sum = int(np.asarray(Image.open(frame["image"][11])).sum())
        augmented.set_params(augmentation=rare)
        with pytest.raises(ValueError, match=r"shape \(1, 31, 32\) for the image of row 11"):
            augmented.fit(frame, target)
        assert not augmented.initialized_
        assert "_augmentation" not in vars(augmented)

    def test_a_refused_partial_fit_leaves_the_last_fit(self, augmented, frame, target):
        before = weights_of(augmented.fit(frame, target))
        augmented.set_params(augmentation=lambda image: None, frozen_epochs=3, max_epochs=2)
        with pytest.raises(ValueError, match="returns None"):
            augmented.partial_fit(frame, target)
        assert weights_of(augmented) == before
        assert not augmented.module_.encoder_frozen


class TestParameter:
    def test_a_module_is_no_part_of_the_network(self, augmented, frame, target, tmp_path):
        transform = v2.Compose([v2.RandomHorizontalFlip()])
        augmented.set_params(augmentation=transform).fit(frame, target)
        assert augmented.fitted_params_["augmentation"] is transform
        assert augmented.get_params()["augmentation"] is transform
        assert "augmentation" not in augmented.prefixes_
        assert "RandomHorizontalFlip" in repr(augmented)

    def test_a_transform_with_other_params_is_not_taken_for_an_estimator(self, augmented):
        transform = v2.RandomRotation(5)
        with pytest.raises(TypeError):
            transform.get_params(deep=False)
        augmented.set_params(augmentation=transform)
        assert augmented.get_params()["augmentation"] is transform
        assert list(augmented.get_params()) == list(clone(augmented).get_params())
        assert isinstance(clone(augmented).augmentation, v2.RandomRotation)
        assert clone(augmented).augmentation is not transform
        assert "RandomRotation" in augmented._repr_html_()
        with pytest.raises(ValueError, match="no component 'augmentation'"):
            augmented.set_params(augmentation__degrees=7).fit([[0]], [0])

    def test_continued_fits_take_it_over(self, augmented, frame, target, calls):
        augmented.set_params(augmentation=None, max_epochs=1).fit(frame, target)
        transform = Recorded(calls)
        augmented.set_params(augmentation=transform).partial_fit(frame, target)
        assert len(calls) > len(frame)
        assert augmented.fitted_params_["augmentation"] is transform
        augmented.set_params(augmentation=None)
        calls.clear()
        augmented.partial_fit(frame, target)
        assert not calls

    def test_epochs_go_on_over_continued_fits(self, augmented, frame, target):
        at_once = trained(augmented, frame, target)
        augmented.set_params(max_epochs=1).fit(frame, target).partial_fit(frame, target)
        assert weights_of(augmented) == at_once

    def test_model_files_leave_it_out_and_say_so(self, augmented, frame, target, tmp_path):
        expected = augmented.fit(frame, target).predict_proba(frame)
        with pytest.warns(UserWarning, match="augmentation cannot be saved and will be missing"):
            save_model(augmented, tmp_path / "model.skosfusion")
        loaded = load_model(tmp_path / "model.skosfusion", trusted=[tiny.TinyEncoder])
        assert loaded.augmentation is None
        np.testing.assert_array_equal(loaded.predict_proba(frame), expected)
        loaded.set_params(augmentation=noise)
        with pytest.warns(UserWarning, match="fresh optimizer"):
            loaded.partial_fit(frame, target)

    def test_a_search_chooses_among_augmentations(self, augmented, frame, target):
        grid = {"augmentation": [None, v2.Compose([v2.RandomRotation(5)])]}
        search = GridSearchCV(augmented.set_params(max_epochs=1), grid, cv=2, error_score="raise")
        assert len(search.fit(frame, target).cv_results_["params"]) == 2
