"""Features in memory, by encoder and image content."""

import os
from typing import NamedTuple

from .._utils.caches import BoundedMap
from .._utils.locks import ForkSafeLock
from .._utils.validation import check_integer
from .._utils.working_folder import resolved
from ._engines import make_encoder
from ._feature_files import FeatureFiles

# Copies of encoders for an engine that are kept; each takes as much memory as its weights.
# Of one network: for full batches, for an image alone, and one that shows a layer.
_MOST_COPIES = 3


class FeatureCacheInfo(NamedTuple):
    """What a `FeatureCache` has done and holds."""

    hits: int
    misses: int
    n_features: int
    n_bytes: int
    folder_hits: int


class FeatureCache:
    """Features by encoder and image content; safe for threads.

    Keys are digests of what the features depend on: the network's weights, attributes, hooks and
    code, as far as it encodes, number formats and other switches of torch, the image options and
    the versions of the software on one side, the bytes of the image file on the other. A changed
    file or another encoder can therefore never meet a stale value. Of a network that cannot be told
    from others, such as one with compiled parts, features are used in one call and not kept.

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
        self._copies = BoundedMap(_MOST_COPIES, evict="least recent")
        self.clear()

    def clear(self):
        """Forget all features and counts."""
        with self._lock:
            self._by_encoder.clear()
            self._files = {}
            self._copies.clear()
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

        Inputs of stages that train count as features. What other processes miss then is computed
        again. Works as `skosfusion.images.ImageStore.prune`, which does the same for pixels.

        Parameters
        ----------
        folder : str or os.PathLike
            The folder, as given to `EncoderFeatures`; only ``features`` in it is looked at.
        max_bytes : int
            Bytes that may stay; 0 removes all.

        Returns
        -------
        int
            Bytes that are left.
        """
        check_integer("max_bytes", max_bytes, minimum=0)
        with self._lock:
            self._files = {}
        return FeatureFiles.prune(folder, max_bytes)

    # What follows is for `EncoderFeatures`; the underscore says that users are not promised it.
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
        place = os.path.abspath(resolved(folder)), key
        files = self._files.get(place)
        if files is None:
            files = self._files[place] = FeatureFiles(folder, key, n_features)
        files.forget_if_gone()
        return files

    def _encoder_copy(
        self, identity, network, engine, shape, *, encoder=None, layer=None, n_images=None
    ):
        """Make a copy of an encoder for an engine once, not for each call; the last ones are kept.

        `shape` is that of one image, `encoder` a part of the network's own, `layer` one that will
        be looked at, and `n_images` the size of the batches, if it is not the usual one.
        """
        if engine == "eager":  # serves batches of any shape, and shows every layer
            shape = layer = None
        # What is laid out for a full batch is slower for an image alone, and for that one only.
        n_images = 1 if n_images == 1 and engine == "fused" else None
        if layer is not None:
            whole = self._encoder_copy(
                identity, network, engine, shape, encoder=encoder, n_images=n_images
            )
            if layer in whole.shows:
                return whole
        told = identity.digest, network.encoder_dtype, network.pixel_mean.device, encoder is None
        place = *told, engine, shape, layer, n_images
        with self._lock:
            copied = self._copies.get(place)
        if copied is None:
            options = {"encoder": encoder, "layer": layer, "n_images": n_images}
            copied = make_encoder(network, engine, shape, identity, **options)
            with self._lock:
                self._copies.put(place, copied)
        return copied


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
