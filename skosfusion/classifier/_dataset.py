"""Samples for the fusion network: gathered in batches, and split for validation."""

import contextlib
import warnings

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, check_cv
from skorch.dataset import ValidSplit
from torch.utils.data import Dataset, Subset

from .._utils.groups import codes_of
from ..exceptions import LeakageWarning

# Of so many random splits by group, the one that keeps the classes' shares best is taken.
_SPLITS_TO_CHOOSE_FROM = 32


class FusionDataset(Dataset):
    """Samples as the fusion network reads them; batches are gathered at once, not row by row.

    Parameters
    ----------
    clinical : ndarray of shape (n_samples, n_clinical)
        Normalized clinical values, float32.
    codes : ndarray of shape (n_samples,) or None, default=None
        Labels as positions in ``classes_``, int64.
    paths : list of (str or None) or None, default=None
        One image file a sample; None for a sample without one.
    groups : ndarray of shape (n_samples,) or None, default=None
        Patient of each sample.
    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weight of each sample in proportion to the largest, float32, 0 or more.
    weight_unit : float, default=1.0
        The largest weight.

    Attributes
    ----------
    has_image : Tensor of shape (n_samples,) or None
        Which samples have an image; None if all have.
    load_images : callable or None
        Maps a tensor of row numbers to the image part of a batch, ``{"image": pixels}``
        or ``{"features": features}``; see `ImageInputs`.
    activations : KeptActivations or None
        Inputs of the stage that trains, once they are computed.
    encoder_is_fixed : bool or None
        Whether it gives features in training; None before it is fed.
    tells_rows : bool
        Whether batches say which rows they hold, ``{"row": rows}``.
    parts : tuple of (Dataset, Dataset or None) or None
        Samples to train and to validate on, once they are split.
    """

    def __init__(
        self,
        clinical,
        codes=None,
        *,
        paths=None,
        groups=None,
        sample_weight=None,
        weight_unit=1.0,
    ):
        # torch takes no negative strides, which a table that was turned round has.
        self.clinical = torch.tensor(np.ascontiguousarray(clinical))
        # skorch expects a target even when there is none to predict.
        self.codes = torch.tensor(np.zeros(len(clinical), np.int64) if codes is None else codes)
        self.paths = paths
        # Patients of mixed types cannot be sorted; their numbers can.
        self.groups, self.patients = (None, None) if groups is None else codes_of(groups, "patient")
        self.sample_weight = None if sample_weight is None else torch.tensor(sample_weight)
        self.weight_unit = weight_unit
        self.has_image = None
        if paths is not None and None in paths:
            self.has_image = torch.tensor([path is not None for path in paths])
        self.load_images = None
        self.activations = None
        self.encoder_is_fixed = None
        self.tells_rows = False
        self.parts = None

    def __len__(self):
        return len(self.clinical)

    def __getitems__(self, rows):
        return self.gather(rows)

    def gather(self, rows):
        """Return a batch: a dict of network inputs, and the label codes."""
        rows = torch.as_tensor(rows)
        # Faster than indexing.
        inputs = {"clinical": self.clinical.index_select(0, rows)}
        if self.sample_weight is not None:
            inputs["sample_weight"] = self.sample_weight.index_select(0, rows)
        if self.tells_rows:
            inputs["row"] = rows
        if self.paths is not None:
            inputs |= self.load_images(rows)
        if self.has_image is not None:
            inputs["has_image"] = self.has_image.index_select(0, rows)
        return inputs, self.codes.index_select(0, rows)

    def __getitem__(self, row):
        inputs, codes = self.gather([row])
        return {name: values[0] for name, values in inputs.items()}, codes[0]


def as_gathered(batch):
    """Return a batch as it is; `FusionDataset` has gathered it already."""
    return batch


class ShuffledBatches:
    """Random batches of row numbers; a last batch of a single row joins the one before.

    Batch normalization cannot train on one row.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    batch_size : int
        Rows in a batch; the last may be smaller, or larger by one.
    seed : int
        Start of the random order.
    count_epochs : callable
        Returns the number of epochs begun, so that each has an order of its own
        and training that is continued goes on with fresh ones.
    shuffle : bool, default=True
        Whether to draw a random order.
    n_batches : int or None, default=None
        Batches in an epoch; rows come round as often as that takes. None: each row comes once.
    """

    def __init__(self, n_samples, batch_size, seed, count_epochs, *, shuffle=True, n_batches=None):
        self.n_samples = n_samples
        self.n_batches = n_batches
        self.batch_size = batch_size
        self.seed = seed
        self.count_epochs = count_epochs
        self.shuffle = shuffle

    def _starts(self):
        starts = list(range(0, self.n_samples, self.batch_size))
        if len(starts) > 1 and self.n_samples - starts[-1] == 1:
            starts.pop()
        return starts

    def __len__(self):
        return len(self._starts()) if self.n_batches is None else self.n_batches

    def __iter__(self):
        random = np.random.default_rng([self.seed, self.count_epochs()])
        starts = self._starts()
        bounds = list(zip(starts, [*starts[1:], self.n_samples], strict=True))
        for number in range(len(self)):
            if number % len(bounds) == 0:
                order = np.arange(self.n_samples)
                order = random.permutation(order) if self.shuffle else order
            yield order[slice(*bounds[number % len(bounds)])]


@contextlib.contextmanager
def explained_lone_row(batch_size):
    """Say what torch's error of batch normalization on a single row means here."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            f"batch normalization cannot train on one row ({error}); batch_size={batch_size}: take "
            "at least 2, and more rows than one"
        ) from error


def split_dataset(dataset, train_split):
    """Split off validation samples, if any are asked for; samples of weight 0 take no part."""
    rows = np.arange(len(dataset))
    if dataset.sample_weight is not None:
        rows = np.flatnonzero(dataset.sample_weight.numpy())
    samples = dataset if len(rows) == len(dataset) else Subset(dataset, rows)
    if not train_split:
        return samples, None
    codes = dataset.codes[rows]
    if dataset.groups is None or not isinstance(train_split, ValidSplit):
        parts = train_split(samples, codes)
    else:
        splits = _group_splits(train_split, rows, codes.numpy(), dataset.groups[rows])
        train, valid = next(iter(splits))
        parts = Subset(dataset, rows[train]), Subset(dataset, rows[valid])
    _check_inner_split(*parts, dataset)
    return parts


def _group_splits(train_split, rows, codes, groups):
    """Split samples as `train_split` says, but for a number or share: by group."""
    splitter = train_split.cv
    if isinstance(splitter, float):
        n_tries = _SPLITS_TO_CHOOSE_FROM if train_split.stratified else 1
        splitter = GroupShuffleSplit(
            n_tries, test_size=splitter, random_state=train_split.random_state
        )
        splits = list(splitter.split(rows, codes, groups))
        return [min(splits, key=lambda parts: _imbalance(codes, parts[1]))]
    elif isinstance(splitter, int):
        splitter = StratifiedGroupKFold(splitter)
    return check_cv(splitter).split(rows, codes, groups)


def _imbalance(codes, valid):
    """Return how far the shares of the classes among validation samples are from those of all."""
    n_classes = codes.max() + 1
    shares = [np.bincount(part, minlength=n_classes) / len(part) for part in (codes, codes[valid])]
    return np.abs(np.subtract(*shares)).max()


def _check_inner_split(train, valid, dataset):
    """Refuse an inner split with a patient in both parts, or a class that is not trained."""
    for part in (train, valid):
        if part is not None and not hasattr(part, "__getitems__"):
            raise TypeError(
                f"train_split gives a {type(part).__name__}, from which whole batches cannot be "
                "taken; give torch.utils.data.Subset of the dataset that it is given"
            )
    train_rows, valid_rows = rows_in(dataset, train), rows_in(dataset, valid)
    if train_rows is None or valid_rows is None:
        return
    lost = np.setdiff1d(dataset.codes[valid_rows], dataset.codes[train_rows])
    if len(lost):
        raise ValueError(
            f"the inner validation split (train_split) leaves no sample of class number {lost[0]} "
            "to train on; use more samples, or a smaller or stratified validation part"
        )
    absent = np.setdiff1d(dataset.codes[train_rows], dataset.codes[valid_rows])
    if len(absent) and len(valid_rows):
        warnings.warn(
            f"the validation part of the inner split (train_split) has no sample of class number "
            f"{absent[0]}, so its scores say nothing about that class; use a stratified split, "
            "such as ValidSplit(5, stratified=True)",
            UserWarning,
            stacklevel=2,
        )
    if dataset.groups is not None:
        shared = np.intersect1d(dataset.groups[train_rows], dataset.groups[valid_rows])
        if len(shared):
            patients = dataset.patients[shared[:3]].tolist()
            raise ValueError(
                f"{len(shared)} patients are in both parts of the inner validation split "
                f"(train_split), such as {', '.join(map(repr, patients))}; use a "
                "number, a share or a splitter that keeps groups together, such as "
                "ValidSplit(StratifiedGroupKFold(5)), or pass no groups"
            )
    elif dataset.paths is not None:
        warnings.warn(
            "the inner validation split (train_split) does not know the patients: images of one "
            "patient may be in both parts, and its scores leak. Pass groups to fit",
            LeakageWarning,
            stacklevel=2,
        )


def rows_in(dataset, part):
    """Find the rows of a part, or None if it is not a part of the dataset."""
    if part is dataset:
        return np.arange(len(dataset))
    if not isinstance(part, Subset):
        return None
    rows = rows_in(dataset, part.dataset)
    return None if rows is None else rows[np.asarray(part.indices, dtype=np.intp)]
