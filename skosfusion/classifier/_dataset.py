"""Batches for the fusion network, gathered by row numbers."""

import numpy as np
import torch
from torch.utils.data import Dataset


class FusionDataset(Dataset):
    """Samples as the fusion network reads them; batches are gathered at once, not row by row.

    Parameters
    ----------
    clinical : ndarray of shape (n_samples, n_clinical)
        Normalised clinical values, float32.
    codes : ndarray of shape (n_samples,) or None, default=None
        Labels as positions in ``classes_``, int64.
    paths : list of (str or None) or None, default=None
        One image file a sample; None for a sample without one.
    groups : ndarray of shape (n_samples,) or None, default=None
        Patient of each sample.
    sample_weight : ndarray of shape (n_samples,) or None, default=None
        Weight of each sample, float32, 0 or more.

    Attributes
    ----------
    has_image : Tensor of shape (n_samples,) or None
        Which samples have an image; None if all have.
    load_images : callable or None
        Maps a tensor of row numbers to the image part of a batch, ``{"image": pixels}``
        or ``{"features": features}``; see `ImageInputs`.
    encoder_is_fixed : bool or None
        Whether it gives features in training; None before it is fed.
    parts : tuple of (Dataset, Dataset or None) or None
        Samples to train and to validate on, once they are split.
    """

    def __init__(self, clinical, codes=None, *, paths=None, groups=None, sample_weight=None):
        self.clinical = torch.tensor(clinical)
        # skorch expects a target even when there is none to predict.
        self.codes = torch.tensor(np.zeros(len(clinical), np.int64) if codes is None else codes)
        self.paths = paths
        self.groups = groups
        self.sample_weight = None if sample_weight is None else torch.tensor(sample_weight)
        self.has_image = None
        if paths is not None and None in paths:
            self.has_image = torch.tensor([path is not None for path in paths])
        self.load_images = None
        self.encoder_is_fixed = None
        self.parts = None

    def __len__(self):
        return len(self.clinical)

    def __getitems__(self, rows):
        """Gather a batch: a dict of network inputs, and the label codes."""
        rows = torch.as_tensor(rows)
        # Faster than indexing.
        inputs = {"clinical": self.clinical.index_select(0, rows)}
        if self.sample_weight is not None:
            inputs["sample_weight"] = self.sample_weight.index_select(0, rows)
        if self.paths is not None:
            inputs |= self.load_images(rows)
        if "image" in inputs and self.has_image is not None:
            inputs["has_image"] = self.has_image.index_select(0, rows)
        return inputs, self.codes.index_select(0, rows)

    def __getitem__(self, row):
        inputs, codes = self.__getitems__([row])
        return {name: values[0] for name, values in inputs.items()}, codes[0]


def as_gathered(batch):
    """Return a batch as it is; `FusionDataset` has gathered it already."""
    return batch


class ShuffledBatches:
    """Random batches of row numbers; a last batch of a single row joins the one before.

    Batch normalisation cannot train on one row.

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
    """

    def __init__(self, n_samples, batch_size, seed, count_epochs, *, shuffle=True):
        self.n_samples = n_samples
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
        return len(self._starts())

    def __iter__(self):
        order = np.arange(self.n_samples)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.count_epochs()]).permutation(order)
        starts = self._starts()
        for start, stop in zip(starts, [*starts[1:], self.n_samples], strict=True):
            yield order[start:stop]
