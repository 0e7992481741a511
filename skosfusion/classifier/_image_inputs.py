"""What the network reads of images: features while the encoder is fixed, then pixels.

Where a stage of the encoder trains, inputs of that stage take the place of pixels.
"""

import math
import warnings
from functools import partial

import numpy as np
import torch

from .._utils.progress import progress_bar
from ..images import shared_image_store
from ..network import (
    EncoderFeatures,
    StageActivations,
    encoding_batch_size,
    settle_engine,
    small_batch_size,
)
from ._device import free_accelerator_bytes

# Images are read in parts of this size before training starts.
_READ_ROWS = 256
# Pixels may take this share of an accelerator's free memory; the rest is for the network.
_RESIDENT_SHARE = 0.5
# Stands for the place of a row without image among the images.
_NOWHERE = -1


class ImageInputs:
    """Images as a network reads them: pixels, or the features of its encoder.

    Both are kept, see `skosfusion.images.shared_image_store` and
    `skosfusion.network.shared_feature_cache`. Rows whose path is None have no image: their pixels
    and features are 0.

    Parameters
    ----------
    network : FusionNetwork
        Its encoder computes the features.
    read_options : dict
        How image files are read, see `skosfusion.images.read_image`.
    memory : str, path-like or None, default=None
        Folder that keeps pixels and features between runs.
    resident : bool, default=False
        Whether what is fed in training may lie in the memory of the network's device.
    verbose : int, default=0
        0 shows no progress.
    """

    def __init__(self, network, read_options, *, memory=None, resident=False, verbose=0):
        self.network = network
        self.read_options = read_options
        self.memory = memory
        self.resident = resident
        self.verbose = verbose

    def feed(self, dataset, *, fixed):
        """Let a dataset give features or pixels, and fix or free the encoder accordingly."""
        load = self._load_known_features if fixed else self._load_known_pixels
        if self._is_split:
            load = partial(self._load_known_activations, dataset, fixed=fixed)
        # Read first: a bad image must leave the network as it was.
        dataset.load_images = load(dataset.paths)
        dataset.encoder_is_fixed = fixed
        self.network.freeze_encoder(fixed)
        encoder = getattr(self.network, "encoder", None)
        if not fixed and encoder is not None and not any(True for _ in encoder.parameters()):
            warnings.warn(
                f"the encoder {type(encoder).__name__} has no parameters to train; with "
                "frozen_epochs='all' its features are computed once",
                UserWarning,
                stacklevel=2,
            )

    def features(self, paths):
        """Return the features of all images: float32, (n_rows, n_features)."""
        return self._features_of_all(self._source(), paths)

    def _features_of_all(self, source, paths):
        return self._features(source.for_training, paths, range(len(paths)))

    def _note_engine(self, source):
        """Let a network that is fitted name the engine that has computed, not one it asked for."""
        if hasattr(self.network, "engine"):
            self.network.engine = source.engine

    def features_on_demand(self, paths):
        """Return a function from row numbers to features, which are encoded when asked for."""
        sources = []

        def load(rows):
            if not sources:  # looking at pixels alone, nobody asks
                sources.append(self._source())
            of_all = partial(sources[0].for_prediction, alone=len(rows) == len(paths))
            features = self._features(of_all, paths, rows.tolist())
            return {"features": torch.from_numpy(features)}

        return load

    def pixels_on_demand(self, paths):
        """Return a function from row numbers to pixels, which are read when asked for."""
        return partial(self._load_pixels, paths)

    def pixels_at_once(self, n_images):
        """Return the number of images in a batch of pixels to look into."""
        few = small_batch_size(self.network, n_images)
        return encoding_batch_size(self.network) if few is None else few

    def settle_engine(self, engine, n_images, *, is_fixed):
        """Decide what computes the features of a fixed encoder, see `FusionClassifier`."""
        size = self.read_options["image_size"]
        settle_engine(
            self.network, engine, n_images=n_images, image_size=size, is_fixed=is_fixed,
            folder=self.memory,
        )  # fmt: skip

    @property
    def _is_split(self):
        return getattr(self.network, "split", None) is not None

    def _source(self):
        source = StageActivations if self._is_split else EncoderFeatures
        return source(self.network, self.read_options, folder=self.memory)

    def _features(self, encode, paths, rows):
        with_image = _with_image(paths, rows)
        if not with_image:
            return np.zeros((len(rows), self.network.n_features), np.float32)
        files = [paths[row] for row in with_image]
        features = encode(files, rows=with_image, progress=self._progress)
        return _spread(features, rows, with_image)

    def _progress(self, batches):
        return progress_bar(batches, shown=self.verbose, desc="encoding images", unit="batch")

    def _load_known_features(self, paths):
        """Encode every image before training starts, so that a bad one is found in time."""
        source = self._source()
        features = self._features_of_all(source, paths)
        self._note_engine(source)
        return self._gathered(features)

    def _gathered(self, features):
        features = torch.from_numpy(features)
        if self.resident:
            features = features.to(self._device)
        return partial(_gather, "features", features)

    def _load_known_activations(self, dataset, paths, *, fixed):
        """Compute the inputs of the stage of every image before training starts, once."""
        rows = _with_image(paths, range(len(paths)))
        if dataset.activations is None:
            files = [paths[row] for row in rows]
            source = self._source()
            dataset.activations = source.kept(files, rows=rows, progress=self._progress)
            self._note_engine(source)
        if fixed:
            features = np.zeros((len(paths), self.network.n_features), np.float32)
            if rows:
                features[rows] = dataset.activations.features()
            return self._gathered(features)
        places = np.full(len(paths), _NOWHERE)
        places[rows] = np.arange(len(rows))
        load = partial(_gather_activations, self.network.split, dataset.activations.values, places)
        shape = len(rows), self.network.split.n_values
        if not (self.resident and 2 * math.prod(shape) <= self._resident_bytes()):
            return load
        values = torch.empty(shape, dtype=torch.int16, device=self._device)
        for part in _parts(len(rows)):
            found = dataset.activations.values(part)
            values[part.start : part.stop] = torch.from_numpy(found).to(self._device)
        return partial(_gather_activations, self.network.split, values.__getitem__, places)

    def _resident_bytes(self):
        return _RESIDENT_SHARE * free_accelerator_bytes(self._device)

    def _load_known_pixels(self, paths):
        """Read every image before training starts, so that a bad one is found in time."""
        n_channels = self._read_all(paths)
        shape = len(paths), n_channels, *2 * (self.read_options["image_size"],)
        if self.resident and math.prod(shape) <= self._resident_bytes():
            return partial(_gather, "image", self._resident_pixels(paths, shape))
        return self.pixels_on_demand(paths)

    def _read_all(self, paths):
        """Read each image once, and find the number of channels."""
        n_channels = 1
        for rows in progress_bar(_parts(len(paths)), shown=self.verbose, desc="reading images"):
            images = self._read(shared_image_store().read, paths, _with_image(paths, rows))
            n_channels = max([n_channels, *map(len, images)])
        return n_channels

    def _resident_pixels(self, paths, shape):
        pixels = torch.empty(shape, dtype=torch.uint8, device=self._device)
        for rows in _parts(len(paths)):
            pixels[rows.start : rows.stop] = self._pixels(paths, rows).to(self._device)
        return pixels

    @property
    def _device(self):
        return self.network.pixel_mean.device

    def _load_pixels(self, paths, rows):
        return {"image": self._pixels(paths, rows.tolist())}

    def _pixels(self, paths, rows):
        with_image = _with_image(paths, rows)
        pixels = self._read(shared_image_store().read_batch, paths, with_image)
        return torch.from_numpy(_spread(pixels, rows, with_image))

    def _read(self, read, paths, rows):
        return read(
            [paths[row] for row in rows],
            rows=list(rows),
            folder=self.memory,
            n_threads=torch.get_num_threads(),
            **self.read_options,
        )


def _parts(n_rows):
    starts = range(0, n_rows, _READ_ROWS)
    return [range(start, min(start + _READ_ROWS, n_rows)) for start in starts]


def _with_image(paths, rows):
    return [row for row in rows if paths[row] is not None]


def _spread(values, rows, with_image):
    """Give each row its values, and zeros to those without an image."""
    if len(with_image) == len(rows):
        return values
    spread = np.zeros((len(rows), *values.shape[1:]), values.dtype)
    spread[np.isin(rows, with_image)] = values
    return spread


def _gather_activations(split, values, places, rows):
    """Return the inputs of the stage for some rows, and 0 for those without an image."""
    places = places[rows.numpy()]
    has_image = places != _NOWHERE
    found = torch.as_tensor(values(places[has_image].tolist())) if has_image.any() else None
    if not has_image.all():
        spread = torch.zeros(len(places), split.n_values, dtype=torch.int16)
        if found is not None:
            spread = spread.to(found.device)
            spread[torch.from_numpy(has_image)] = found
        found = spread
    return {"activations": split.from_rows(found)}


def _gather(name, values, rows):
    return {name: values.index_select(0, rows.to(values.device))}


def divide_encoder(network, stage, image_size):
    """Divide the encoder of a network, which may be of a user's class, before a stage."""
    if not hasattr(network, "split_at"):
        raise TypeError(
            f"unfreeze={stage!r}: {type(network).__name__} cannot be divided; use FusionNetwork as "
            "module, or leave unfreeze=None"
        )
    network.split_at(stage, image_size)
