"""The inner validation split: groups kept together, and nobody in both parts."""

import warnings

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, check_cv
from skorch.dataset import ValidSplit
from torch.utils.data import Subset

from ..exceptions import LeakageWarning


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
        splitter = GroupShuffleSplit(test_size=splitter, random_state=train_split.random_state)
    elif isinstance(splitter, int):
        splitter = StratifiedGroupKFold(splitter)
    return check_cv(splitter).split(rows, codes, groups)


def _check_inner_split(train, valid, dataset):
    """Refuse an inner split with a patient in both parts, or a class that is not trained."""
    train_rows, valid_rows = _rows_in(dataset, train), _rows_in(dataset, valid)
    if train_rows is None or valid_rows is None:
        return
    lost = np.setdiff1d(dataset.codes[valid_rows], dataset.codes[train_rows])
    if len(lost):
        raise ValueError(
            f"the inner validation split (train_split) leaves no sample of class number {lost[0]} "
            "to train on; use more samples, or a smaller or stratified validation part"
        )
    if dataset.groups is not None:
        shared = np.intersect1d(dataset.groups[train_rows], dataset.groups[valid_rows])
        if len(shared):
            raise ValueError(
                f"{len(shared)} patients are in both parts of the inner validation split "
                f"(train_split), such as {', '.join(map(repr, shared[:3].tolist()))}; use a "
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


def _rows_in(dataset, part):
    """Find the rows of a part, or None if it is not a part of the dataset."""
    if part is dataset:
        return np.arange(len(dataset))
    if not isinstance(part, Subset):
        return None
    rows = _rows_in(dataset, part.dataset)
    return None if rows is None else rows[np.asarray(part.indices, dtype=np.intp)]
