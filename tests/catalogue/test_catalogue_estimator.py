# ruff: noqa: NPY002 - global random states are what is looked at
"""Cases 74 to 91: estimator and training."""

import copy
import random

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from skorch.callbacks import (
    BatchScoring,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
)
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader, WeightedRandomSampler, random_split

from skosfusion import load_model, save_model
from skosfusion.network import FusionNetwork

from .._helpers.clinical import clinical_only
from .._helpers.tiny import TinyEncoder


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3)).astype(np.float32)
    return X, (X[:, 0] + 0.5 * rng.normal(size=120) > 0).astype(int)


class NumpyDropout(FusionNetwork):
    """Draws from numpy's global random state in training."""

    def forward(self, clinical, **inputs):
        if self.training:
            clinical = clinical * torch.tensor(np.random.rand(len(clinical), 1).astype("f"))
        return super().forward(clinical, **inputs)


def torch_split(dataset, y):
    return random_split(dataset, [90, 30])


RANDOM = {
    "share": {"train_split": ValidSplit(0.2)},
    "stratified share": {"train_split": ValidSplit(0.2, stratified=True)},
    "splitter": {"train_split": ValidSplit(StratifiedGroupKFold(4, shuffle=True))},
    "own split": {"train_split": torch_split},
    "sampler": {"iterator_train__sampler": WeightedRandomSampler(np.ones(120), 60)},
    "network": {"module": NumpyDropout},
}


@pytest.mark.parametrize("with_groups", [True, False], ids=["groups", "no groups"])
@pytest.mark.parametrize("name", RANDOM)
def test_case_74_one_seed_for_everything(name, with_groups, table):
    """Whatever draws in a fit, inner splits too: equal fits are equal to the bit, states stay."""
    X, y = table
    groups = np.arange(len(X)) if with_groups or name == "splitter" else None
    np.random.seed(1), random.seed(1), torch.manual_seed(1)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    first = clinical_only(**RANDOM[name]).fit(X, y, groups=groups).predict_proba(X)
    after = np.random.get_state()[1], random.getstate(), torch.get_rng_state()
    assert np.array_equal(before[0], after[0])
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])
    np.random.seed(2), random.seed(2), torch.manual_seed(2)
    second = clinical_only(**RANDOM[name]).fit(X, y, groups=groups).predict_proba(X)
    np.testing.assert_array_equal(first, second)


CHANGES = {
    "optimizer": torch.optim.Adam,
    "optimizer__momentum": 0.5,
    "module__hidden_units": 4,
    "module": NumpyDropout,
    "hidden_units": 4,
    "criterion__label_smoothing": 0.1,
    "callbacks": [EpochScoring("f1", on_train=True)],
    "callbacks__lr_scheduler": None,
    "batch_size": 7,
    "iterator_valid__batch_size": 3,
    "predict_nonlinearity": None,
    "class_weight": "balanced",
    "precision": "bf16",
    "missing_images": "zero",
    "random_state": 5,
    "lr": 0.5,
}


@pytest.mark.parametrize("name", CHANGES)
def test_case_75_set_params_after_fit(name, table):
    """Any `set_params` after `fit`: the model predicts the same bits, and the next `fit` works."""
    classifier = clinical_only(max_epochs=2).fit(*table)
    before = classifier.predict_proba(table[0])
    classifier.set_params(**{name: CHANGES[name]})
    np.testing.assert_array_equal(classifier.predict_proba(table[0]), before)
    if name == "predict_nonlinearity":
        classifier.set_params(predict_nonlinearity="auto")
    classifier.fit(*table)
    assert classifier.get_params(deep=False)[name] is not None or CHANGES[name] is None


@pytest.mark.filterwarnings("ignore:callbacks cannot be saved")
@pytest.mark.parametrize(
    "change", [{"image_options": {"contrast": "stretch"}}, {"image_size": 16}, {"memory": None}]
)
def test_case_76_reading_of_the_fit(fixed, change, tmp_path):
    """How images are read is kept from the fit, in `predict` and in a saved file."""
    attempt = fixed.copy().set_params(**change)
    np.testing.assert_array_equal(attempt.predict_proba(fixed.X), fixed.probabilities)
    save_model(attempt, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors", trusted=[TinyEncoder])
    np.testing.assert_array_equal(loaded.predict_proba(fixed.X), fixed.probabilities)


@pytest.mark.parametrize("name", ["hidden_units", "module", "random_state", "optimizer"])
def test_case_77_parameter_of_a_new_fit(name, table):
    """A continued fit with a changed parameter that it cannot use: ValueError that names it."""
    classifier = clinical_only(max_epochs=1).partial_fit(*table)
    before = classifier.predict_proba(table[0])
    classifier.set_params(**{name: CHANGES[name]})
    with pytest.raises(ValueError, match=f"^{name}=.* is for a new fit"):
        classifier.partial_fit(*table)
    np.testing.assert_array_equal(classifier.predict_proba(table[0]), before)


def test_case_77_parameters_that_are_used(table):
    """A continued fit with other class weights, rate, momentum or milestones: they are used."""
    classifier = clinical_only(max_epochs=2).partial_fit(*table)
    classifier.set_params(
        class_weight={0: 1, 1: 100.0}, lr=0.5, optimizer__momentum=0.3, lr_milestones=(3,)
    ).partial_fit(*table)
    assert classifier.criterion_.weight.tolist() == [1, 100]
    assert classifier.optimizer_.param_groups[0]["momentum"] == 0.3
    np.testing.assert_allclose(classifier.history_[:, "event_lr"], [0.1, 0.1, 0.5, 0.05])


REFUSED = {
    "dataset__length": 3,
    "iterator_valid__shuffle": True,
    "iterator_valid__drop_last": True,
    "iterator_valid__sampler": [0, 1],
    "iterator_train__collate_fn": list,
    "module__n_classes": 3,
    "module__hidden_unts": 3,
    "optimizer__momentun": 0.5,
    "optimizer__lr": 0.5,
    "iterator_train__num_worker": 1,
    "criterion__label_smoothin": 0.1,
    "callbacks__valid_accc": None,
    "callbacks__nope__x": 1,
    "optimizr__momentum": 0.1,
    "dataset": DataLoader,
    "use_caching": False,
}


@pytest.mark.parametrize("name", REFUSED)
def test_case_78_parameter_without_effect(name, table):
    """A parameter that would have no effect, or reorder or drop rows: refused by name."""
    with pytest.raises(ValueError, match=name):
        clinical_only(**{name: REFUSED[name]}).fit(*table)


def test_case_78_two_weights_of_classes(table):
    """`class_weight` beside `criterion__weight`: ValueError, for one of them would not count."""
    classifier = clinical_only(class_weight="balanced", criterion__weight=torch.ones(2))
    with pytest.raises(ValueError, match="class_weight='balanced' and criterion__weight="):
        classifier.fit(*table)


@pytest.mark.parametrize("pattern", ["hed*", "encoder.*"])
def test_case_78_group_of_no_parameter(pattern, table):
    """A group of the optimizer that no parameter belongs to: ValueError with the names."""
    groups = [("head.0.*", {"lr": 0.5}), (pattern, {"lr": 0.0})]
    with pytest.raises(ValueError, match=rf"holds '{pattern[:3]}.*head\.0\.weight"):
        clinical_only(optimizer__param_groups=groups).fit(*table)
    clinical_only(optimizer__param_groups=groups[:1], max_epochs=1).fit(*table)


def test_case_75_integers_of_numpy(table, tmp_path):
    """Sizes of NumPy's types, as a grid has them: as Python's, in fit, predict and the file."""
    plain = clinical_only(batch_size=8, max_epochs=2).fit(*table)
    classifier = clinical_only(batch_size=np.int64(8), max_epochs=np.int64(2)).fit(*table)
    expected = plain.predict_proba(table[0])
    np.testing.assert_array_equal(classifier.predict_proba(table[0]), expected)
    save_model(classifier, tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict_proba(table[0]), expected)


def test_case_75_one_row_of_a_large_batch(table):
    """A batch size far above the rows: a prediction costs no batch of that size."""
    classifier = clinical_only(batch_size=10**9, max_epochs=1).fit(*table)
    for inputs, _ in classifier.input_batches(table[0][:1]):
        assert len(inputs["clinical"]) <= 2**13
    classifier.predict_proba(table[0][:1])


def test_case_78_second_schedule(table):
    """A second schedule of the learning rate: refused, with the remedy, which works."""
    classifier = clinical_only(callbacks=[LRScheduler("StepLR", step_size=1)], max_epochs=1)
    with pytest.raises(ValueError, match="second schedule; pass lr_milestones=None"):
        classifier.fit(*table)
    classifier.set_params(lr_milestones=None).fit(*table)


class Focal(nn.Module):
    def forward(self, logits, codes):
        losses = nn.functional.cross_entropy(logits, codes, reduction="none")
        return ((1 - torch.exp(-losses)) ** 2 * losses).mean()


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, Focal, nn.MultiMarginLoss])
def test_case_79_any_criterion(criterion, table):
    """Any criterion: rows of `predict_proba` are in [0, 1] and sum to 1."""
    found = clinical_only(criterion=criterion).fit(*table).predict_proba(table[0])
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found >= 0).all()


def test_case_79_what_is_no_probability(table):
    """A `predict_nonlinearity` that gives no probabilities: ValueError with its row."""
    classifier = clinical_only(predict_nonlinearity=None, max_epochs=1).fit(*table)
    with pytest.raises(ValueError, match=r"predict_nonlinearity=None .* row 0, which are not prob"):
        classifier.predict_proba(table[0])


class Overflowing(FusionNetwork):
    """Gives NaN for large values."""

    def forward(self, clinical, **inputs):
        logits = super().forward(clinical, **inputs)
        return torch.where(clinical[:, :1] > 100, torch.nan, logits)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_case_80_not_finite(method, table):
    """A logit that is not finite: FloatingPointError with its row, never the first class."""
    X, y = table
    classifier = clinical_only(max_epochs=1, module=Overflowing).fit(X, y)
    X = X.copy()
    X[77] = 1e3
    arguments = (X, y) if method == "score" else (X,)
    with pytest.raises(FloatingPointError, match="row 77, which is not finite"):
        getattr(classifier, method)(*arguments)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_case_82_checkpoint_of_parallel_fits(backend, table, tmp_path):
    """A Checkpoint with one folder in parallel fits: refused by name; alone it works."""
    checkpoint = Checkpoint(dirname=str(tmp_path), monitor="train_loss_best", load_best=True)
    classifier = clinical_only(callbacks=[checkpoint], max_epochs=2).fit(*table)
    with (
        joblib.parallel_config(backend=backend),
        pytest.raises(ValueError, match=r"Checkpoint writes .* dirname of its own"),
    ):
        cross_val_score(clone(classifier), *table, cv=2, n_jobs=2, error_score="raise")


def test_case_84_stratified_with_groups():
    """A stratified share by group: the classes keep their shares in the validation part."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 10 == 0
    X, groups = rng.normal(size=(200, 2)), np.arange(200) // 2
    classifier = clinical_only(train_split=ValidSplit(0.2, stratified=True), max_epochs=1)
    shares = []
    for seed in range(5):
        parts = classifier.set_params(random_state=seed)
        dataset = parts._prepare(X, y, None, groups)
        train, valid = dataset.parts
        assert not set(groups[train.indices]) & set(groups[valid.indices])
        shares.append(y[valid.indices].mean())
        classifier._forget()
    np.testing.assert_allclose(shares, 0.1, atol=0.03)


def test_case_84_validation_part_without_a_class(table):
    """A validation part without a class: a warning that says so."""
    X, y = table
    rows = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)]
    split = ValidSplit([(np.arange(20, 120), np.arange(20))])
    with pytest.warns(UserWarning, match="no sample of class number 1, so its scores"):
        clinical_only(train_split=split, max_epochs=1).fit(X[rows], y[rows])


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.asfortranarray, lambda X: X[::2]])
def test_case_86_strides(turn, table):
    """Arrays of any stride and order: taken, with the same result as a copy."""
    X, y = table
    view, labels = turn(X), (y[::2] if len(turn(X)) < len(X) else y)
    fitted = clinical_only(max_epochs=1).fit(view, labels)
    expected = clinical_only(max_epochs=1).fit(view.copy(), labels).predict_proba(view.copy())
    np.testing.assert_array_equal(fitted.predict_proba(view), expected)


class Loader(DataLoader):
    """Nothing but another name."""


def test_case_87_own_loader_class(table):
    """A class derived from DataLoader: works; another one is refused by name."""
    usual = clinical_only(max_epochs=1).fit(*table).predict_proba(table[0])
    own = clinical_only(max_epochs=1, iterator_train=Loader, iterator_valid=Loader).fit(*table)
    np.testing.assert_array_equal(own.predict_proba(table[0]), usual)
    with pytest.raises(ValueError, match=r"iterator_valid=.*allowed: torch\.utils"):
        clinical_only(iterator_valid=list).fit(*table)


CONTAINERS = {
    "series": pd.Series,
    "frame": lambda y: pd.DataFrame({"label": y}),
    "list": lambda y: y.tolist(),
    "nullable frame": lambda y: pd.DataFrame({"label": pd.array(y)}),
}


@pytest.mark.parametrize("dtype", ["int8", "uint16", "bool", "float32", "U3"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_case_88_dtype_of_labels(container, dtype, table):
    """Labels in a Series, frame, array or list: come back with their dtype."""
    X, y = table
    labels = np.array(["no", "yes"])[y] if dtype == "U3" else y.astype(dtype)
    predicted = clinical_only(max_epochs=1).fit(X, CONTAINERS[container](labels)).predict(X)
    plain = clinical_only(max_epochs=1).fit(X, labels).predict(X)
    assert predicted.tolist() == plain.tolist()
    if container in ("series", "frame") and dtype != "U3":
        assert predicted.dtype == labels.dtype


def test_case_89_structured_labels(table):
    """Labels of event and time: TypeError that asks for one of them."""
    y = np.zeros(120, dtype=[("event", bool), ("time", float)])
    with pytest.raises(TypeError, match=r"fields event, time.*y\['event'\]"):
        clinical_only().fit(table[0], y)


@pytest.mark.parametrize(
    "callback",
    [EarlyStopping(), EpochScoring("f1"), BatchScoring("accuracy"), Checkpoint(f_params=None)],
    ids=lambda callback: type(callback).__name__,
)
def test_case_90_no_validation_part(callback, table, tmp_path, monkeypatch):
    """Early stopping without a validation part: ValueError with the remedy, which works."""
    monkeypatch.chdir(tmp_path)  # a Checkpoint writes where it stands
    classifier = clinical_only(callbacks=[callback], max_epochs=2)
    with pytest.raises(ValueError, match=r"train_split=None sets none aside; pass train_split="):
        classifier.fit(*table)
    classifier.set_params(train_split=ValidSplit(5, stratified=True)).fit(*table)


def test_case_91_columns_of_several_levels(table):
    """Columns of several levels: TypeError with a remedy that works."""
    X = pd.DataFrame(table[0], columns=pd.MultiIndex.from_product([["lab"], ["a", "b", "c"]]))
    with pytest.raises(TypeError, match="columns of 2 levels"):
        clinical_only().fit(X, table[1])
    X.columns = ["_".join(map(str, name)) for name in X.columns]
    clinical_only(max_epochs=1).fit(X, table[1])


@pytest.mark.parametrize(
    "name", ["epoch_timer", "train_loss", "valid_loss", "valid_acc", "progress"]
)
def test_case_91_default_callback_switched_off(name, table):
    """A default callback switched off: the fit goes on without it."""
    clinical_only(**{f"callbacks__{name}": None}, max_epochs=1, verbose=1).fit(*table)


def test_case_91_another_default_dtype(table):
    """Another default dtype of torch: works, and stays."""
    torch.set_default_dtype(torch.float64)
    try:
        classifier = clinical_only(max_epochs=1).fit(*table)
        assert classifier.predict_proba(table[0]).dtype == np.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_case_91_patients_of_mixed_types(table):
    """Patients as a list of numbers and texts: taken, and kept together."""
    groups = [patient if patient % 2 else str(patient) for patient in range(60) for _ in range(2)]
    clinical_only(train_split=ValidSplit(4, stratified=True), max_epochs=1).fit(
        *table, groups=groups
    )


# What stands beside the cases


def test_a_fit_that_fails_by_its_arguments_leaves_no_fit(table):
    classifier = clinical_only(max_epochs=1).fit(*table)
    with pytest.raises(
        TypeError, match="no argument 'sample_weigths'; did you mean 'sample_weight'"
    ):
        classifier.fit(*table, sample_weigths=np.ones(120))
    with pytest.raises(NotFittedError):
        classifier.predict(table[0])


def test_a_refused_continuation_leaves_the_rate(table):
    classifier = clinical_only(lr=0.01, max_epochs=1).fit(*table)
    classifier.set_params(lr=7.0, callbacks__valid_acc__bogus=1)
    with pytest.raises(ValueError, match="bogus"):
        classifier.partial_fit(*table)
    assert classifier.optimizer_.param_groups[0]["lr"] == 0.01


def test_what_files_leave_out_can_be_set_again(table, tmp_path):
    weight = torch.tensor([1.0, 5.0])
    classifier = clinical_only(criterion__weight=weight, max_epochs=1).fit(*table)
    with pytest.warns(UserWarning, match="set them again before"):
        save_model(classifier, tmp_path / "model")
    loaded = load_model(tmp_path / "model").set_params(criterion__weight=weight)
    with pytest.warns(UserWarning, match="fresh optimizer"):
        loaded.partial_fit(*table)
    assert loaded.criterion_.weight.tolist() == [1, 5]


def test_the_rate_after_loading_is_the_last_one(table, tmp_path):
    classifier = clinical_only(lr_milestones=(1,), max_epochs=2).fit(*table)
    classifier.set_params(lr=0.05).partial_fit(*table)
    save_model(classifier, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    with pytest.warns(UserWarning, match="fresh optimizer"):
        loaded.partial_fit(*table)
    classifier.partial_fit(*table)
    assert loaded.history_[:, "event_lr"] == classifier.history_[:, "event_lr"]


def test_a_copy_with_a_tensor_as_parameter_goes_on(table):
    classifier = clinical_only(criterion__weight=torch.tensor([1.0, 5.0]), max_epochs=1).fit(*table)
    copy.deepcopy(classifier).partial_fit(*table)


class Dropped(FusionNetwork):
    """A layer of its own beside encoder and head."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.dropout = nn.Dropout(0.5)

    def forward(self, clinical, **inputs):
        return super().forward(self.dropout(clinical), **inputs)


def test_a_network_with_layers_of_its_own_predicts_in_evaluation_mode(table):
    classifier = clinical_only(module=Dropped, max_epochs=1).fit(*table)
    first, second = (classifier.predict_proba(table[0]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_forward_in_training_mode_keeps_the_order(table):
    classifier = clinical_only(max_epochs=1).fit(*table)
    torch.testing.assert_close(
        classifier.forward(table[0]), classifier.forward(table[0], training=True)
    )


def test_a_parameter_that_ends_in_an_underscore_is_refused(table):
    with pytest.raises(ValueError, match="module__scale_ ends in an underscore"):
        clinical_only(module=Dropped, module__scale_=3).fit(*table)


def test_a_trimmed_classifier_predicts_the_same(table):
    classifier = clinical_only(max_epochs=1).fit(*table)
    before = classifier.predict_proba(table[0])
    classifier.trim_for_prediction()
    np.testing.assert_array_equal(classifier.predict_proba(table[0]), before)


def test_parts_of_another_class_are_refused(table):
    def split(dataset, y):
        return torch.utils.data.ConcatDataset([dataset]), None

    with pytest.raises(TypeError, match="train_split gives a ConcatDataset"):
        clinical_only(train_split=split).fit(*table)
