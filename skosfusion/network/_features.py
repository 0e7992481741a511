"""Features of a fixed encoder: computed once an image, then shared by everything that asks."""

import multiprocessing
import os
import threading
from typing import NamedTuple

import numpy as np
import torch

from .._utils.caches import BoundedMap
from .._utils.locks import ForkSafeLock
from .._utils.validation import check_integer
from ..images import shared_image_store
from ._encoder_key import encoder_key, has_known_code
from ._feature_files import FeatureFiles
from ._inference import encode_batch, encoding_batch_size, folded_encoder

# Features are written to disk in parts, so that an interrupted run keeps what it has, and processes
# that encode side by side find what the others have done.
_IMAGES_PER_FILE = 128


class FeatureCacheInfo(NamedTuple):
    """What a `FeatureCache` has done and holds."""

    hits: int
    misses: int
    n_features: int
    n_bytes: int
    folder_hits: int


class FeatureCache:
    """Features by encoder and image content; safe for threads.

    Keys are digests of what the features depend on: the encoder's weights and
    type, its number format, the image options and the versions of the software
    on one side, the bytes of the image file on the other. A changed file or
    another encoder can therefore never meet a stale value.

    Parameters
    ----------
    max_bytes : int, default=2**30
        Most memory to use. The encoder that was asked for longest ago leaves
        first; what does not fit even then is computed again when needed.

    See Also
    --------
    EncoderFeatures : What fills a cache.
    shared_feature_cache : The cache of this process.

    Examples
    --------
    >>> from skosfusion.network import FeatureCache
    >>> FeatureCache().info()
    FeatureCacheInfo(hits=0, misses=0, n_features=0, n_bytes=0, folder_hits=0)
    """

    def __init__(self, max_bytes=2**30):
        check_integer("max_bytes", max_bytes, minimum=0)
        self._lock = ForkSafeLock()
        self._by_encoder = BoundedMap(max_bytes, evict="least recent")
        self.clear()

    def clear(self):
        """Forget all features and counts."""
        with self._lock:
            self._by_encoder.clear()
            self._files = {}
            self._folded = None, None
            self._hits = self._misses = self._folder_hits = 0

    def info(self):
        """Count what the cache did and holds.

        Returns
        -------
        FeatureCacheInfo
            Named tuple: ``hits`` and ``misses`` (features found in memory, and computed),
            ``n_features`` and ``n_bytes`` (vectors in memory now, and their size),
            ``folder_hits`` (features read from a folder).
        """
        with self._lock:
            n_features = sum(map(len, self._by_encoder.values()))
            counts = self._hits, self._misses
            return FeatureCacheInfo(*counts, n_features, self._by_encoder.cost, self._folder_hits)

    def prune(self, folder, max_bytes):
        """Remove the oldest features of a cache folder, whatever encoder and versions they have.

        Other processes may go on to use the folder; what they miss is computed again.

        Parameters
        ----------
        folder : str or os.PathLike
            The folder, as given to `EncoderFeatures`. Only ``features`` in it is looked at, and
            only files that a cache has written are removed.
        max_bytes : int
            Bytes that may stay; 0 removes all.

        Returns
        -------
        n_bytes : int
            Bytes that are left.

        Raises
        ------
        OSError
            If a file cannot be removed.
        ValueError
            If `max_bytes` is not an integer of at least 0.

        See Also
        --------
        skosfusion.images.ImageStore.prune : The same for pixels.
        """
        check_integer("max_bytes", max_bytes, minimum=0)
        with self._lock:
            self._files = {}
        return FeatureFiles.prune(folder, max_bytes)

    def features(
        self,
        network,
        paths,
        image_options,
        *,
        key=None,
        rows=None,
        folder=None,
        keep_on_disk=True,
        keep_few=True,
        progress=iter,
    ):
        """Return features as `EncoderFeatures` does: the old way, until no caller is left."""
        source = EncoderFeatures.__new__(EncoderFeatures)
        key = encoder_key(network, image_options) if key is None else key
        source._bind(network, image_options, folder, self, key)
        source._files = source._files if keep_on_disk else None
        return source._features(paths, rows, progress, keep_few=keep_few)

    def _get(self, key, fingerprints):
        with self._lock:
            vectors = self._by_encoder.get(key) or {}
            return {f: vectors[f] for f in fingerprints if f in vectors}

    def _put(self, key, features):
        """Admit features as far as they fit."""
        with self._lock:
            vectors = self._by_encoder.get(key) or {}
            for fingerprint, vector in features.items():
                if fingerprint in vectors:
                    continue
                if not self._by_encoder.put(key, vectors, (len(vectors) + 1) * vector.nbytes):
                    break
                vectors[fingerprint] = vector

    def _count(self, *, hits, misses, folder_hits):
        with self._lock:
            self._hits += hits
            self._misses += misses
            self._folder_hits += folder_hits

    def _files_in(self, folder, key, n_features):
        """Return the feature files of an encoder, which remember what they hold."""
        place = os.path.abspath(folder), key
        files = self._files.get(place)
        if files is None:
            files = self._files[place] = FeatureFiles(folder, key, n_features)
        files.forget_if_gone()
        return files

    def _folded_encoder(self, key, network):
        """Fold an encoder once, not for each batch to predict from; the last one is kept."""
        if not has_known_code(network):
            return None
        device = network.pixel_mean.device
        kept, encoder = self._folded
        if kept != (key, device):
            encoder = folded_encoder(network.encoder, network.encoder_dtype)
            self._folded = (key, device), encoder
        return encoder


class _Image(NamedTuple):
    fingerprint: bytes
    path: str
    row: int


class EncoderFeatures:
    """What the encoder of a network makes of image files, computed once an image.

    The encoder's weights and the options are digested here, once: after either has changed, make
    a new object.

    Parameters
    ----------
    network : FusionNetwork
        Its encoder computes; the network must be in evaluation mode.
    image_options : dict
        How image files are read, see `skosfusion.images.read_image`.
    folder : str, os.PathLike or None, default=None
        Where pixels and features are kept for other processes and later runs; None for not at
        all. Features are kept if torchvision wrote the encoder and it has not been trained.
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

    def __init__(self, network, image_options, *, folder=None, cache=None):
        self._bind(network, image_options, folder, cache, encoder_key(network, image_options))

    def _bind(self, network, image_options, folder, cache, key):
        self.network, self.key = network, key
        self._cache = shared_feature_cache() if cache is None else cache
        self._read_options = {**image_options, "folder": folder}
        self._files = None
        # A user's class can change under its name, and no later run trains an encoder to the same
        # weights.
        if folder is not None and has_known_code(network) and not network.encoder_has_trained:
            self._files = self._cache._files_in(folder, key, network.n_features)

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
        return self._features(paths, rows, progress, keep_few=True)

    def for_prediction(self, paths, *, rows=None, progress=iter):
        """Return the features of some images; a folder keeps new ones only by the 128.

        So that predictions one by one do not fill the folder with small files.

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
            As `for_training`.

        Warns
        -----
        UserWarning
            As `for_training`.
        """
        return self._features(paths, rows, progress, keep_few=False)

    def _features(self, paths, rows, progress, *, keep_few):
        rows = range(len(paths)) if rows is None else rows
        fingerprints = self._fingerprints(paths, rows)
        images = _last_of_each(fingerprints, paths, rows)
        found = self._cache._get(self.key, images)
        n_stored = self._add_stored(found, images)
        unsaved = self._not_in_files(found)
        n_encoded = 0
        batches = self._batches(images, found)
        for batch, encoded in self._encoded(self._left(progress(batches), found)):
            found |= encoded
            n_encoded += len(encoded)
            unchanged = self._unchanged(batch)
            self._cache._put(self.key, {f: found[f] for f in unchanged})
            unsaved |= unchanged
            if self._files is not None and len(unsaved) >= _IMAGES_PER_FILE:
                self._save(unsaved, found)
                unsaved = set()
                n_stored += self._add_stored(found, images)
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
        stored = self._files.get_many(wanted.keys() - found.keys())
        self._cache._put(self.key, stored)
        found |= {fingerprint: stored[fingerprint] for fingerprint in wanted.keys() & stored.keys()}
        return len(found) - n_before

    def _not_in_files(self, found):
        if self._files is None:
            return set()
        return {fingerprint for fingerprint in found if fingerprint not in self._files}

    def _batches(self, images, found):
        """Divide the images that are still to be encoded into batches."""
        missing = [image for fingerprint, image in images.items() if fingerprint not in found]
        size = encoding_batch_size(self.network)
        batches = [missing[start : start + size] for start in range(0, len(missing), size)]
        if _is_worker():
            # Workers that start together take different images first.
            np.random.default_rng(_worker_number()).shuffle(batches)
        return batches

    def _left(self, batches, found):
        """Leave out of each batch what has been found since, by another thread perhaps."""
        for batch in batches:
            found |= self._cache._get(self.key, [image.fingerprint for image in batch])
            yield [image for image in batch if image.fingerprint not in found]

    def _encoded(self, batches):
        """Encode batches one by one; an accelerator computes while the next one is read."""
        waiting = None
        for batch in filter(None, batches):
            pixels = self._pixels(batch)
            encoder = self._cache._folded_encoder(self.key, self.network)
            started = batch, encode_batch(self.network, encoder, pixels)
            if waiting is not None:
                yield _finished(*waiting)
            waiting = started
        if waiting is not None:
            yield _finished(*waiting)

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


def _finished(batch, features):
    """Fetch computed features; copied row by row, as a view would keep the whole batch alive."""
    vectors = [row.copy() for row in features.cpu().numpy()]
    return batch, dict(zip((image.fingerprint for image in batch), vectors, strict=True))


def _last_of_each(fingerprints, paths, rows):
    """Return images by fingerprint, ordered by the last place of each."""
    images = {}
    for image in map(_Image, fingerprints, paths, rows):
        images.pop(image.fingerprint, None)
        images[image.fingerprint] = image
    return images


def _is_worker():
    in_main_thread = threading.current_thread() is threading.main_thread()
    return not in_main_thread or multiprocessing.parent_process() is not None


def _worker_number():
    return os.getpid(), threading.get_ident()


_SHARED = FeatureCache()


def shared_feature_cache():
    """Return the cache that all classifiers of this process share.

    Returns
    -------
    FeatureCache
        The cache.

    Examples
    --------
    >>> from skosfusion.network import shared_feature_cache
    >>> shared_feature_cache().info().misses >= 0
    True
    """
    return _SHARED
