"""What the network gets to see of an image: features while the encoder is fixed, else pixels."""

import math
from functools import partial

import numpy as np
import torch
from skorch.utils import is_dataset, to_tensor
from torch.utils.data import Subset

from .._utils.progress import progress_bar
from ..images import shared_image_store
from ..network import encoder_key, encoding_batch_size, shared_feature_cache
from ._batches import padded
from ._checks import check_inputs
from ._conventions import ConventionalNet
from ._dataset import FusionDataset
from ._device import free_accelerator_bytes

# Images are read in parts of this size before training starts.
_READ_ROWS = 256
# Pixels may take this share of an accelerator's free memory; the rest is for the network.
_RESIDENT_SHARE = 0.5


class ImageFedNet(ConventionalNet):
    """A classifier whose datasets name image files.

    A subclass has the parameters `frozen_epochs`, `image_size`, `image_options`,
    `missing_images` and `memory`, and sets ``_encoder_has_trained_`` to False with a new network.
    """

    def _check_inputs(self, X, *, reset):
        return check_inputs(self, X, reset=reset)

    def _encoder_is_fixed(self, epoch):
        return self.frozen_epochs == "all" or epoch <= self.frozen_epochs

    def _prepare_images(self, dataset):
        """Read every image before training starts, so that a bad one is found in time."""
        if dataset.paths is not None:
            self._feed_images(dataset, epoch=len(self.history_) + 1)

    def _feed_images(self, dataset, epoch):
        """Fix or free the encoder, and feed it features or pixels accordingly."""
        fixed = self._encoder_is_fixed(epoch)
        self.module_.freeze_encoder(fixed)
        if fixed:
            features = torch.from_numpy(self._features(dataset.paths, range(len(dataset))))
            if self._loads_in_this_process:
                features = features.to(self.module_.pixel_mean.device)
            dataset.load_images = partial(_gather, "features", features)
        else:
            n_channels = self._read_all(dataset.paths)
            pixels = self._resident_pixels(dataset.paths, n_channels)
            if pixels is None:
                dataset.load_images = partial(self._load_pixels, dataset.paths)
            else:
                dataset.load_images = partial(_gather, "image", pixels)
            self._encoder_has_trained_ = True
        self._images_are_fixed_ = fixed

    def _read_all(self, paths):
        """Read each image once, and find the number of channels."""
        n_channels = 1
        parts = [
            range(i, min(i + _READ_ROWS, len(paths))) for i in range(0, len(paths), _READ_ROWS)
        ]
        for rows in progress_bar(parts, shown=self.verbose, desc="reading images"):
            pictures = self._read(shared_image_store().read, paths, _with_image(paths, rows))
            n_channels = max(n_channels, *map(len, pictures))
        return n_channels

    def _resident_pixels(self, paths, n_channels):
        """Put all pixels into the memory of an accelerator, if there is one and they fit."""
        device = self.module_.pixel_mean.device
        shape = len(paths), n_channels, self.image_size, self.image_size
        if not self._loads_in_this_process:
            return None
        if math.prod(shape) > _RESIDENT_SHARE * free_accelerator_bytes(device):
            return None
        pixels = torch.empty(shape, dtype=torch.uint8, device=device)
        for start in range(0, len(paths), _READ_ROWS):
            rows = range(start, min(start + _READ_ROWS, len(paths)))
            pixels[start : rows.stop] = self._pixels(paths, rows).to(device)
        return pixels

    @property
    def _loads_in_this_process(self):
        # What lies in an accelerator's memory is not for other processes, nor to be pinned.
        options = self.get_params_for("iterator_train"), self.get_params_for("iterator_valid")
        return not any(o.get("num_workers") or o.get("pin_memory") for o in options)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Begin an epoch; free the encoder when its fixed epochs are over."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        dataset = dataset_train
        while isinstance(dataset, Subset):
            dataset = dataset.dataset
        epoch = len(self.history_)
        if dataset.paths is not None and self._encoder_is_fixed(epoch) != self._images_are_fixed_:
            self._feed_images(dataset, epoch)

    @property
    def _read_options(self):
        return {"image_size": self.image_size, **(self.image_options or {})}

    def _read(self, read, paths, rows):
        return read(
            [paths[row] for row in rows],
            rows=list(rows),
            folder=self.memory,
            n_threads=torch.get_num_threads(),
            **self._read_options,
        )

    def _pixels(self, paths, rows):
        """Read a batch of pictures; one that is missing is black."""
        there = _with_image(paths, rows)
        pixels = self._read(shared_image_store().read_batch, paths, there)
        return torch.from_numpy(_spread(pixels, rows, there))

    def _load_pixels(self, paths, rows):
        return {"image": self._pixels(paths, rows.tolist())}

    def _features(self, paths, rows, key=None):
        shown = partial(progress_bar, shown=self.verbose, desc="encoding images", unit="batch")
        there = _with_image(paths, rows)
        if not there:
            return np.zeros((len(rows), self.module_.n_features), np.float32)
        was_training = self.module_.training
        self.module_.eval()
        try:
            features = shared_feature_cache().features(
                self.module_,
                [paths[row] for row in there],
                self._read_options,
                key=key,
                rows=there,
                folder=self.memory,
                # What a trained encoder gives is of no use to any later run.
                keep_on_disk=not self._encoder_has_trained_,
                # A key comes from `predict`, which may be called for one image at a time.
                keep_few=key is None,
                progress=shown,
            )
        finally:
            self.module_.train(was_training)
        return _spread(features, rows, there)

    def _load_features(self, paths, key, rows):
        return {"features": torch.from_numpy(self._features(paths, rows.tolist(), key))}

    def get_dataset(self, X, y=None):
        """Check a table to predict from, and make a dataset of it.

        Parameters
        ----------
        X : DataFrame, array-like of shape (n_samples, n_features) or Dataset
            The same columns as in `fit`; a dataset is returned as it is.
        y : None
            Not used.

        Returns
        -------
        Dataset
            The samples; images are encoded batch by batch, when asked for.
        """
        if is_dataset(X):
            return X
        clinical, paths = self._check_inputs(X, reset=False)
        dataset = FusionDataset(clinical, paths=paths)
        if paths is not None:
            key = encoder_key(self.module_, self._read_options)
            dataset.load_images = partial(self._load_features, paths, key)
        return dataset

    def input_batches(self, X, *, pixels=False):
        """Check a table, and yield what the fitted network reads of it, batch by batch.

        For those who look into the network. All batches are of one size, the last one padded, so
        that a row's values do not depend on its company.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            The same columns as in `fit`.
        pixels : bool, default=False
            Whether images come as pixels, not as features of the encoder.

        Yields
        ------
        inputs : dict of str to Tensor
            Arguments of the network: ``clinical`` and, where there are images, ``image`` or
            ``features``; where the network computes.
        rows : range
            Position of each sample in `X`; the rows of padding after them have none.
        """
        self.check_is_fitted()
        with self._computing(), self._seeded_random_layers():
            dataset = self.get_dataset(X)
            n_rows = self.get_params_for("iterator_valid").get("batch_size", self.batch_size)
            if pixels:
                if dataset.has_image is not None:
                    raise ValueError(
                        f"row {dataset.paths.index(None)} has no image to show; leave rows without "
                        "one out"
                    )
                dataset.load_images = partial(self._load_pixels, dataset.paths)
                n_rows = encoding_batch_size(self.module_)
            n_rows = len(dataset) if n_rows == -1 else n_rows
            starts = range(0, len(dataset), n_rows)
            shown = self.verbose and pixels
            for start in progress_bar(starts, shown=shown, desc="explaining images", unit="batch"):
                rows = range(start, min(start + n_rows, len(dataset)))
                inputs, _ = dataset.__getitems__(list(rows))
                device = next(self.module_.parameters()).device
                yield to_tensor(padded(inputs, n_rows), device=device), rows


def _with_image(paths, rows):
    """Leave out the rows that have no image."""
    return [row for row in rows if paths[row] is not None]


def _spread(values, rows, there):
    """Give each row its values, and zeros to those that are not there."""
    if len(there) == len(rows):
        return values
    spread = np.zeros((len(rows), *values.shape[1:]), values.dtype)
    spread[np.isin(rows, there)] = values
    return spread


def _gather(name, values, rows):
    return {name: values.index_select(0, rows.to(values.device))}
