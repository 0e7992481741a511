"""Inputs of the stage that trains: computed once an image, as features of a fixed encoder are."""

import hashlib
import logging

import numpy as np
import torch

from .._utils.free_space import free_disk, free_memory, shown_bytes
from ._activation_files import ActivationFiles
from ._feature_cache import shared_feature_cache
from ._features import EncoderFeatures
from ._identity import network_identity
from ._inference import encode_batch, encoding_batch_size

# Increase this when the same lower half and image would give other rows than before.
_ACTIVATION_FORMAT = 1
# Activations may take this share of what is free; the rest is for training, and for others.
_SHARE_OF_MEMORY, _SHARE_OF_DISK = 0.5, 0.9
# Images that are computed for a prediction at a time.
_AT_ONCE = 256
_LOGGER = logging.getLogger(__name__)


class StageActivations(EncoderFeatures):
    """What the lower half of a divided encoder makes of image files, computed once an image.

    Values are rounded to bf16, whether they are kept or not. They lie in a folder, one file an
    image, or else in memory.

    Parameters
    ----------
    network : FusionNetwork
        Divided by ``split_at``.
    image_options : dict
        As for `EncoderFeatures`.
    folder : str, os.PathLike or None, default=None
        As for `EncoderFeatures`.
    cache : FeatureCache or None, default=None
        As for `EncoderFeatures`.
    """

    # Only whole encoders are compiled.
    _without = ("compiled",)

    def _identify(self, network):
        # What trains does not count, so that folds and epochs share what lies below.
        return network_identity(network, beside=network.split.parts_above(network.encoder))

    def _key(self):
        key = hashlib.sha256(super()._key())
        key.update(f"{_ACTIVATION_FORMAT} {self.network.split.stage}".encode())
        return key.digest()

    def _files_of(self, folder, network):
        if network.below_has_trained:
            return None
        return ActivationFiles(folder, self.key, network.split.n_values)

    def _start(self, pixels, size=None):
        below = None
        if self._is_known:
            below = self.network.split.below(self.network.encoder)
            below = self._copy(self._engine, below)
        return encode_batch(self.network, below, pixels, self._encode, size=size)

    def _encode(self, pixels, encoder=None):
        return self.network.split.as_rows(self.network.encode_below(pixels, encoder))

    def __getstate__(self):
        # Loader processes have a cache of their own.
        return vars(self) | {"_cache": None}

    def __setstate__(self, state):
        vars(self).update(state, _cache=shared_feature_cache())

    def read(self, fingerprints):
        """Return what the folder has of these images, as rows by fingerprint."""
        if self._files is None or not fingerprints:
            return {}
        return self._files.get_many(fingerprints)

    def kept(self, paths, *, rows=None, progress=iter):
        """Compute what is not there yet of all images of a table, and return where it lies.

        Parameters
        ----------
        paths : list of str
            Image files.
        rows : sequence of int or None, default=None
            Position of each file in the user's table, for errors; None counts from 0.
        progress : callable, default=iter
            Wraps the list of batches to compute, to show a progress bar.

        Returns
        -------
        KeptActivations
            The activations.

        Raises
        ------
        ValueError
            If they do not fit; before anything is computed.
        Exception
            As `EncoderFeatures.for_training`, for files that cannot be read.
        """
        return self._evaluating(self._kept, paths, rows, progress)

    def _kept(self, paths, rows, progress):
        rows = range(len(paths)) if rows is None else rows
        fingerprints = self._fingerprints(paths, rows)
        wanted = set(fingerprints)
        held = self._cache._get(self.key, wanted)
        there = {f for f in wanted if f in self._files} if self._files is not None else set(held)
        self._announce(len(wanted), len(wanted - there))
        if self._files is not None:
            self._files.put_many({f: held[f] for f in held.keys() - there})
            there |= held.keys()
            held = {f: row for f, row in held.items() if f not in self._files}
        n_computed = 0

        def look_up(missing):
            """Find what other threads or processes have computed meanwhile."""
            if self._files is not None:
                return {f for f in missing if f in self._files}
            held.update(self._cache._get(self.key, missing))
            return held.keys()

        images = self._images(fingerprints, paths, rows, there)
        for found, unchanged in self._computed(images, look_up, progress):
            n_computed += len(found)
            to_keep = {f: found[f] for f in unchanged}
            if self._is_told and not (self._files is not None and self._files.put_many(to_keep)):
                self._cache._put(self.key, to_keep)
            # Of files that were replaced in the meantime, the old content is nowhere else.
            replaced = {f: row for f, row in found.items() if f not in unchanged}
            held |= found if self._files is None else replaced
        self._cache._count(hits=len(paths) - n_computed, misses=n_computed, folder_hits=0)
        return KeptActivations(self, paths, rows, fingerprints, held)

    def _computed(self, images, look_up, progress):
        """Yield the rows of images that nobody has yet, batch by batch, and which stay as read."""
        batches = (self._not_there(batch, look_up) for batch in progress(self._batches(images)))
        for batch, found in self._encoded(batches):
            yield found, self._unchanged(batch)

    def _not_there(self, batch, look_up):
        there = look_up([image.fingerprint for image in batch])
        return [image for image in batch if image.fingerprint not in there]

    def _announce(self, n_images, n_missing):
        """Say how much space the activations take, or refuse to take it."""
        split, in_files = self.network.split, self._files is not None
        each = 2 * split.n_values
        where = f"in {str(self._files.folder)!r}" if in_files else "in memory"
        _LOGGER.info(
            "unfreeze=%r: the stage's input takes %s an image, %s for %d images, %s",
            *(split.stage, shown_bytes(each), shown_bytes(each * n_images), n_images, where),
        )
        free = free_disk(self._files.folder) if in_files else free_memory()
        share = _SHARE_OF_DISK if in_files else _SHARE_OF_MEMORY
        if free is not None and each * n_missing > share * free:
            other = "a folder with more space" if in_files else "a folder on disk"
            raise ValueError(
                f"unfreeze={split.stage!r}: the stage's input takes {shown_bytes(each)} an image, "
                f"{shown_bytes(each * n_images)} for {n_images} images, and {shown_bytes(free)} "
                f"are free {where}, of which {share:.0%} may be used; choose a later stage, "
                f"{other} with memory=, or a smaller image_size"
            )

    def values(self, paths, *, rows=None, progress=iter):
        """Return the activations of some images, as they are kept; a folder is only read.

        Parameters
        ----------
        paths : list of str
            Image files.
        rows : sequence of int or None, default=None
            As for `kept`.
        progress : callable, default=iter
            As for `kept`.

        Returns
        -------
        ndarray of shape (n_images, n_values)
            Bits of bf16 numbers, int16.
        """
        return self._evaluating(self._values, paths, rows, progress)

    def _values(self, paths, rows, progress):
        rows = range(len(paths)) if rows is None else rows
        fingerprints = self._fingerprints(paths, rows)
        wanted = set(fingerprints)
        found = self._cache._get(self.key, wanted)
        n_held = len(found)
        found |= self.read(wanted - found.keys())
        n_stored, n_computed = len(found) - n_held, 0

        def look_up(missing):
            found.update(self._cache._get(self.key, missing))
            return found.keys()

        images = self._images(fingerprints, paths, rows, set(found))
        for computed, unchanged in self._computed(images, look_up, progress):
            n_computed += len(computed)
            found |= computed
            if self._is_told:
                self._cache._put(self.key, {f: computed[f] for f in unchanged})
        n_hits = len(paths) - n_computed - n_stored
        self._cache._count(hits=n_hits, misses=n_computed, folder_hits=n_stored)
        return np.stack([found[fingerprint] for fingerprint in fingerprints])

    def for_training(self, paths, *, rows=None, progress=iter):
        """Return the features that the encoder gives now, by way of the stage's input.

        Parameters
        ----------
        paths : list of str
            Image files.
        rows : sequence of int or None, default=None
            As for `kept`.
        progress : callable, default=iter
            As for `kept`.

        Returns
        -------
        ndarray of shape (n_images, n_features)
            Features, float32.
        """
        return self.kept(paths, rows=rows, progress=progress).features()

    def for_prediction(self, paths, *, rows=None, progress=iter, alone=False):
        """Return the same for some images; a folder is read, and not written.

        Parameters
        ----------
        paths : list of str
            Image files.
        rows : sequence of int or None, default=None
            As for `kept`.
        progress : callable, default=iter
            As for `kept`.
        alone : bool, default=False
            Not used: batches have their full size.

        Returns
        -------
        ndarray of shape (n_images, n_features)
            Features, float32.
        """
        rows = range(len(paths)) if rows is None else rows
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(paths), _AT_ONCE)]
        return np.concatenate(
            [
                self.features_of(self.values(paths[part], rows=rows[part], progress=progress))
                for part in parts
            ]
        )

    def features_of(self, values):
        """Return the features that the encoder makes of activations now: float32."""
        return self._evaluating(self._encode_above, values)

    def _encode_above(self, values):
        """Run the upper half on batches of the fixed size, on which the last digits depend."""
        size = encoding_batch_size(self.network)
        batches = [values[start : start + size] for start in range(0, len(values), size)]
        found = [encode_batch(self.network, None, batch, self._above) for batch in batches]
        return torch.cat(found).cpu().numpy()

    def _above(self, values):
        return self.network.encode_above(self.network.split.from_rows(values))


class KeptActivations:
    """The activations of the images of one table: in memory, or in a folder.

    Parameters
    ----------
    source : StageActivations
        Reads them from the folder, and computes those that somebody has removed.
    paths, rows : list of str, sequence of int
        Image files, and where they stand in the user's table.
    fingerprints : list of bytes
        What tells the content of each file.
    held : dict of bytes to ndarray
        What lies in memory.
    """

    def __init__(self, source, paths, rows, fingerprints, held):
        self._source, self._paths, self._rows = source, paths, rows
        self._fingerprints, self._held = fingerprints, held

    def __len__(self):
        return len(self._paths)

    def features(self):
        """Return the features of all images as the encoder is now: float32."""
        starts = range(0, len(self), _AT_ONCE)
        places = [range(start, min(start + _AT_ONCE, len(self))) for start in starts]
        return np.concatenate([self._source.features_of(self.values(part)) for part in places])

    def values(self, places):
        """Return the activations at some places: bits of bf16 numbers, int16, a row for each."""
        fingerprints = [self._fingerprints[place] for place in places]
        found = {f: self._held[f] for f in fingerprints if f in self._held}
        found |= self._source.read(set(fingerprints) - found.keys())
        missing = [place for place in places if self._fingerprints[place] not in found]
        if missing:
            paths = [self._paths[place] for place in missing]
            rows = [self._rows[place] for place in missing]
            values = self._source.values(paths, rows=rows)
            found |= {self._fingerprints[p]: row for p, row in zip(missing, values, strict=True)}
        return np.stack([found[fingerprint] for fingerprint in fingerprints])
