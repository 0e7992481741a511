"""Features of a fixed encoder: computed once an image, then shared by everything that asks."""

import hashlib
import logging
import multiprocessing
import os
import threading
from typing import NamedTuple

import numpy as np
import torch

from ..images import read_options, shared_image_store
from ._encoder_key import encoder_key
from ._engines import EngineFailedError, engine_in_use
from ._feature_cache import shared_feature_cache
from ._identity import library_versions, network_identity
from ._inference import encode_batch, encoding_batch_size, small_batch_size
from ._steadiness import unsteady

# Features are written to disk in parts, so that an interrupted run keeps what it has, and processes
# that encode side by side find what the others have done.
_IMAGES_PER_FILE = 128
_LOGGER = logging.getLogger(__name__)


class _Image(NamedTuple):
    fingerprint: bytes
    path: str
    row: int


class EncoderFeatures:
    """What the encoder of a network makes of image files, computed once an image.

    The encoder's weights and the options are digested here, once: after either has changed, make
    a new object. The network's attribute ``engine`` says what computes: "eager", torch layer by
    layer; "fused", oneDNN's convolutions with activation and addition in one pass, on a processor;
    "compiled", torch's compiler, which needs one for C++. What cannot be had is a warning, and the
    engine named before it computes. Features of different engines are kept apart.

    Parameters
    ----------
    network : FusionNetwork
        Its encoder computes, in evaluation mode.
    image_options : dict
        How image files are read, see `skosfusion.images.read_image`.
    folder : str, os.PathLike or None, default=None
        Where pixels and features are kept for other processes and later runs; None for not at
        all. Features are kept if the encoder can be told by its content (code, settings and
        weights) and the versions of the libraries that it uses, and has not been trained.
    cache : FeatureCache or None, default=None
        Where features are kept in memory; None for the one of this process.

    Raises
    ------
    ValueError
        If `folder` is a file.

    See Also
    --------
    FeatureCache : Counts what was computed, and forgets or prunes it.

    Examples
    --------
    >>> import os, tempfile
    >>> from PIL import Image
    >>> from skosfusion.network import EncoderFeatures, FusionNetwork
    >>> network = FusionNetwork(0, 2, image_size=32).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "knee.png")
    ...     Image.new("L", (40, 40)).save(path)
    ...     features = EncoderFeatures(network, {"image_size": 32}).for_training([path])
    >>> features.shape
    (1, 512)
    """

    # Engines that do not compute this.
    _without = ()

    def __init__(self, network, image_options, *, folder=None, cache=None):
        self.network, self._folder = network, folder
        self._image_options = image_options
        self._identity = identity = self._identify(network)
        self._is_known, self._is_told = identity.is_known, identity.digest is not None
        if not self._is_told:
            _LOGGER.info(
                "features of %s are not kept, since it cannot be told from other networks: %s",
                type(network.encoder).__name__,
                identity.reason,
            )
        size = read_options(**image_options).image_size
        self._shape = network.pixel_mean.shape[1], size, size
        if not self._is_known and network.encoder is not None:
            self._is_told &= unsteady(network, size, identity.digest) is None
        self._cache = shared_feature_cache() if cache is None else cache
        self._read_options = {**image_options, "folder": folder}
        self._choose_engine()

    @property
    def engine(self):
        """The engine that computes here; the network's own where that is possible."""
        return self._engine

    def _identify(self, network):
        """Return what tells the network from others."""
        return network_identity(network)

    def _key(self):
        """Return the key of what is computed."""
        return encoder_key(self.network, self._image_options, self._identity, self._engine)

    def _choose_engine(self):
        """Take the engine that computes here, and what it has computed before."""
        self._engine = engine_in_use(self.network, self._identity, self._shape, but=self._without)
        self.key = self._key()
        # Of a few images that are asked for alone, the last digits are others.
        self._small_key = hashlib.sha256(self.key + b"small").digest()
        self._files = None
        lasts = self._is_told and library_versions(self._identity.libraries) is not None
        if self._folder is not None and lasts:
            self._files = self._files_of(self._folder, self.network)

    def _files_of(self, folder, network):
        # No later run trains an encoder to the same weights.
        if network.encoder_has_trained:
            return None
        return self._cache._files_in(folder, self.key, network.n_features)

    def for_training(self, paths, *, rows=None, progress=iter):
        """Return the features of all images of a table; a folder keeps every one of them.

        Parameters
        ----------
        paths : list of str
            Image files.
        rows : sequence of int or None, default=None
            Position of each file in the user's table, for errors; None counts from 0.
        progress : callable, default=iter
            Wraps the list of batches to encode, to show a progress bar.

        Returns
        -------
        ndarray of shape (n_images, n_features)
            Features, float32.

        Raises
        ------
        FileNotFoundError, ImageError, ImportError, TypeError, ValueError
            As `skosfusion.images.read_image` does, for a file that cannot be read.

        Warns
        -----
        UserWarning
            If the folder cannot be written, or holds damaged files; they are computed again.
        """
        return self._evaluating(self._features, paths, rows, progress, keep_few=True)

    def for_prediction(self, paths, *, rows=None, progress=iter, alone=False):
        """Return the features of some images; a folder keeps new ones only by the 128.

        So that predictions one by one do not fill the folder with small files. Everything else is
        as in `for_training`, but for up to 4 images alone.

        Parameters
        ----------
        paths : list of str
            Image files.
        rows : sequence of int or None, default=None
            Position of each file in the user's table; None counts from 0.
        progress : callable, default=iter
            As in `for_training`.
        alone : bool, default=False
            Whether nothing else is asked for. Up to 4 images then do not wait for a batch of the
            full size, and may get other last digits, which no folder and no fit will see.

        Returns
        -------
        ndarray of shape (n_images, n_features)
            Features, float32.
        """
        size = small_batch_size(self.network, len(paths)) if alone else None
        if size is not None:
            return self._evaluating(self._few_features, paths, rows, size)
        return self._evaluating(self._features, paths, rows, progress, keep_few=False)

    def _evaluating(self, compute, *arguments, **options):
        """Compute something in evaluation mode, and put the network's mode back."""
        was_training = self.network.training
        self.network.eval()
        try:
            while True:
                try:
                    return compute(*arguments, **options)
                except EngineFailedError:
                    # From the start, so that no result is of two engines.
                    self._choose_engine()
        finally:
            self.network.train(was_training)

    def _few_features(self, paths, rows, size):
        """Return the features of so few images that they are encoded in a smaller batch."""
        rows = range(len(paths)) if rows is None else rows
        fingerprints = self._fingerprints(paths, rows)
        wanted = set(fingerprints)
        found = self._cache._get(self.key, wanted)
        n_stored = self._add_stored(found, wanted)
        found |= self._cache._get(self._small_key, wanted - found.keys())
        images = {i.fingerprint: i for i in self._images(fingerprints, paths, rows, set(found))}
        if images:
            batch = list(images.values())
            _, encoded = self._finished(batch, self._start(self._pixels(batch), size))
            found |= encoded
            if self._is_told:
                kept = {f: encoded[f] for f in self._unchanged(batch)}
                self._cache._put(self._small_key, kept)
        n_hits = len(paths) - len(images) - n_stored
        self._cache._count(hits=n_hits, misses=len(images), folder_hits=n_stored)
        return np.stack([found[fingerprint] for fingerprint in fingerprints])

    def _features(self, paths, rows, progress, *, keep_few):
        rows = range(len(paths)) if rows is None else rows
        fingerprints = self._fingerprints(paths, rows)
        wanted = set(fingerprints)
        found = self._cache._get(self.key, wanted)
        n_stored = self._add_stored(found, wanted)
        unsaved = self._not_in_files(found)
        n_encoded = 0
        batches = self._batches(self._images(fingerprints, paths, rows, set(found)))
        for batch, encoded in self._encoded(self._not_found_since(progress(batches), found)):
            found |= encoded
            n_encoded += len(encoded)
            unchanged = self._unchanged(batch)
            if self._is_told:
                self._cache._put(self.key, {f: found[f] for f in unchanged})
            unsaved |= unchanged
            if self._files is not None and len(unsaved) >= _IMAGES_PER_FILE:
                self._save(unsaved, found)
                unsaved = set()
                n_stored += self._add_stored(found, wanted)
        if keep_few:
            self._save(unsaved, found)
        n_hits = len(paths) - n_encoded - n_stored
        self._cache._count(hits=n_hits, misses=n_encoded, folder_hits=n_stored)
        return np.stack([found[fingerprint] for fingerprint in fingerprints])

    def _fingerprints(self, paths, rows):
        store, n_threads = shared_image_store(), torch.get_num_threads()
        return store.fingerprints(paths, rows=rows, n_threads=n_threads)

    def _add_stored(self, found, wanted):
        """Add what the folder has, where that can help, and return how many features it gave."""
        if self._files is None or all(f in found and f in self._files for f in wanted):
            return 0
        n_before = len(found)
        stored = self._files.get_many(wanted - found.keys())
        self._cache._put(self.key, stored)
        found |= {fingerprint: stored[fingerprint] for fingerprint in wanted & stored.keys()}
        return len(found) - n_before

    def _not_in_files(self, found):
        if self._files is None:
            return set()
        return {fingerprint for fingerprint in found if fingerprint not in self._files}

    def _images(self, fingerprints, paths, rows, there):
        """Return the images of which nothing is there yet."""
        if there.issuperset(fingerprints):
            return []
        images = map(_Image, fingerprints, paths, rows)
        return [image for image in images if image.fingerprint not in there]

    def _batches(self, images):
        """Divide images into batches; the last one counts where files have the same content."""
        last = {}
        for image in images:
            last.pop(image.fingerprint, None)
            last[image.fingerprint] = image
        images, size = list(last.values()), encoding_batch_size(self.network)
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        if _is_worker():
            # Workers that start together take different images first.
            np.random.default_rng(_worker_number()).shuffle(batches)
        return batches

    def _not_found_since(self, batches, found):
        """Leave out of each batch what has been found since, by another thread perhaps."""
        for batch in batches:
            found |= self._cache._get(self.key, [image.fingerprint for image in batch])
            yield [image for image in batch if image.fingerprint not in found]

    def _encoded(self, batches):
        """Encode batches one by one; an accelerator computes while the next one is read."""
        waiting = None
        for batch in filter(None, batches):
            started = batch, self._start(self._pixels(batch))
            if waiting is not None:
                yield self._finished(*waiting)
            waiting = started
        if waiting is not None:
            yield self._finished(*waiting)

    def _finished(self, batch, features):
        """Fetch computed features, row by row, as a view would keep the whole batch alive."""
        vectors = [row.copy() for row in features.cpu().numpy()]
        for image, vector in zip(batch, vectors, strict=True):
            if not np.isfinite(vector).all():
                raise ValueError(
                    f"the encoder {type(self.network.encoder).__name__} gives NaN or infinity for "
                    f"the image of row {image.row} ({image.path!r}); look at its weights, its "
                    "forward (logarithms, divisions by 0) and, with precision='bf16', at 'fp32'"
                )
        return batch, dict(zip((image.fingerprint for image in batch), vectors, strict=True))

    def _start(self, pixels, size=None):
        encoder = None
        if self._is_known:
            engine = self._engine
            # What is compiled takes batches of the full size alone.
            if size is not None:
                engine = engine_in_use(self.network, self._identity, self._shape, but=("compiled",))
            encoder = self._copy(engine, n_images=size)
        return encode_batch(self.network, encoder, pixels, size=size)

    def _copy(self, engine, encoder=None, n_images=None):
        """Return a copy of the encoder, or of a part of it, for an engine."""
        arguments = self._identity, self.network, engine, self._shape
        return self._cache._encoder_copy(*arguments, encoder=encoder, n_images=n_images)

    def _pixels(self, batch):
        _, paths, rows = zip(*batch, strict=True)
        n_threads = torch.get_num_threads()
        return shared_image_store().read_batch(
            paths, rows=rows, n_threads=n_threads, **self._read_options
        )

    def _unchanged(self, batch):
        """Leave out files that were replaced in the meantime, so that nothing stale is kept."""
        fingerprints, paths, rows = zip(*batch, strict=True)
        return set(fingerprints).intersection(self._fingerprints(paths, rows))

    def _save(self, fingerprints, features):
        """Write features to the folder, if there is one."""
        if self._files is not None and fingerprints:
            self._files.put_many({f: features[f] for f in fingerprints})


def _is_worker():
    in_main_thread = threading.current_thread() is threading.main_thread()
    return not in_main_thread or multiprocessing.parent_process() is not None


def _worker_number():
    return os.getpid(), threading.get_ident()
