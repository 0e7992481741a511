"""Features of a fixed encoder: computed once an image, then shared by everything that asks."""

import hashlib
import multiprocessing
import os
import threading
from collections import OrderedDict, defaultdict, namedtuple
from importlib.metadata import version
from itertools import chain

import numpy as np
import PIL
import torch
import torchvision

from .. import __version__
from ..images import shared_image_store
from ._encoders import is_torchvision_model
from ._feature_files import FeatureFiles
from ._fusion import FusionNetwork
from ._inference import folded_encoder

# Every batch has this many images, the last one padded: convolution kernels are chosen by shape, so
# features would otherwise differ in the last digits with the company that an image was encoded in.
# On a processor more images give at most 5 % more speed, and one image would wait for all of them;
# an accelerator needs many to be busy.
_ENCODE_BATCHES = {"cpu": 16}
_LARGE_ENCODE_BATCH = 128
# Features are written to disk in parts, so that an interrupted run keeps what it has, and processes
# that encode side by side find what the others have done.
_IMAGES_PER_FILE = 128

FeatureCacheInfo = namedtuple("FeatureCacheInfo", "hits misses n_features n_bytes folder_hits")
# To be raised when the same encoder and image would give other features than before.
_FEATURE_FORMAT = 2


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
    shared_feature_cache : The cache of this process.

    Examples
    --------
    >>> from skosfusion.network import FeatureCache
    >>> FeatureCache().info()
    FeatureCacheInfo(hits=0, misses=0, n_features=0, n_bytes=0, folder_hits=0)
    """

    def __init__(self, max_bytes=2**30):
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self.clear()

    def clear(self):
        """Forget all features and counts."""
        with self._lock:
            self._by_encoder = OrderedDict()
            self._saved, self._read_names = defaultdict(set), defaultdict(set)
            self._folded = None, None
            self._n_bytes = self._hits = self._misses = self._folder_hits = 0

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
            return FeatureCacheInfo(*counts, n_features, self._n_bytes, self._folder_hits)

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
        """Return the features of images, computing those that are not at hand.

        Parameters
        ----------
        network : FusionNetwork
            Its encoder, in evaluation mode, computes.
        paths : list of str
            Image files.
        image_options : dict
            How the files are read, see `skosfusion.images.read_image`.
        key : bytes or None, default=None
            What `encoder_key` gives for network and options; None computes it.
        rows : list of int or None, default=None
            Position of each file in the user's table, for errors.
        folder : path-like or None, default=None
            Where pictures and features are kept between processes and runs; None for not at all.
        keep_on_disk : bool, default=True
            Whether the folder keeps features too, not only pictures.
        keep_few : bool, default=True
            Whether it keeps them in a file of their own even if they are fewer than 128.
        progress : callable, default=iter
            Wraps the list of batches to encode, to show a progress bar.

        Returns
        -------
        ndarray of shape (n_images, n_features)
            Features, float32.
        """
        key = encoder_key(network, image_options) if key is None else key
        rows = list(range(len(paths))) if rows is None else rows
        n_threads = torch.get_num_threads()
        fingerprints = shared_image_store().fingerprints(paths, rows=rows, n_threads=n_threads)
        wanted = set(fingerprints)
        found = self._known(key, wanted)
        files, unsaved, n_stored, n_encoded = None, set(), 0, 0
        # A user's class can change under its name, so its features are of no use to another run.
        if folder is not None and keep_on_disk and _is_known(network):
            files = FeatureFiles(folder, key.hex(), network.n_features)
            n_stored += self._add_stored(found, key, files, wanted)
            unsaved = wanted & found.keys() - self._saved[files.folder]
        position = {fingerprint: i for i, fingerprint in enumerate(fingerprints)}
        missing = sorted(i for fingerprint, i in position.items() if fingerprint not in found)
        size = encoding_batch_size(network)
        batches = [missing[i : i + size] for i in range(0, len(missing), size)]
        if _is_worker():
            # Workers that start together take different images first.
            np.random.default_rng(_worker_number()).shuffle(batches)
        image_options = {**image_options, "folder": folder, "n_threads": n_threads}
        left = self._left(progress(batches), key, fingerprints, found)
        for batch, encoded in self._encoded(left, key, network, paths, rows, image_options):
            found |= zip((fingerprints[i] for i in batch), encoded, strict=True)
            n_encoded += len(batch)
            # A file that was replaced in the meantime must not leave its features to the old one.
            still = shared_image_store().fingerprints(
                [paths[i] for i in batch], rows=[rows[i] for i in batch], n_threads=n_threads
            )
            unchanged = {fingerprints[i] for i in batch}.intersection(still)
            self._keep(key, {fingerprint: found[fingerprint] for fingerprint in unchanged})
            unsaved |= unchanged
            if files is not None and len(unsaved) >= _IMAGES_PER_FILE:
                self._save(key, files, unsaved, found)
                unsaved = set()
                n_stored += self._add_stored(found, key, files, wanted)
        if keep_few:
            self._save(key, files, unsaved, found)
        with self._lock:
            self._hits += len(paths) - n_encoded - n_stored
            self._misses += n_encoded
            self._folder_hits += n_stored
        return np.stack([found[fingerprint] for fingerprint in fingerprints])

    def _left(self, batches, key, fingerprints, found):
        """Leave out of each batch what has been found since, by another thread perhaps."""
        for batch in batches:
            found |= self._known(key, {fingerprints[i] for i in batch})
            yield [i for i in batch if fingerprints[i] not in found]

    def _encoded(self, batches, key, network, paths, rows, image_options):
        """Encode batches of positions; an accelerator computes while the next one is read."""
        waiting = None
        for batch in filter(None, batches):
            pixels = shared_image_store().read_batch(
                [paths[i] for i in batch], rows=[rows[i] for i in batch], **image_options
            )
            started = batch, _encode(network, self._folded_encoder(key, network), pixels)
            if waiting is not None:
                yield _finished(*waiting)
            waiting = started
        if waiting is not None:
            yield _finished(*waiting)

    def _folded_encoder(self, key, network):
        """Fold an encoder once, not for each batch to predict from; the last one is kept."""
        if not _is_known(network):
            return None
        device = network.pixel_mean.device
        kept, encoder = self._folded
        if kept != (key, device):
            encoder = folded_encoder(network.encoder, network.encoder_dtype)
            self._folded = (key, device), encoder
        return encoder

    def _add_stored(self, found, key, files, wanted):
        """Read what is new in the folder where that can help, and count what it gave."""
        folder, n_before = files.folder, len(found)
        if not os.path.isdir(folder):
            self._saved[folder], self._read_names[folder] = set(), set()
        elif not wanted <= found.keys() or not wanted <= self._saved[folder]:
            stored, names = files.read(skip=self._read_names[folder])
            self._keep(key, stored)
            self._remember(key, folder, stored.keys(), names)
            found |= {fingerprint: stored[fingerprint] for fingerprint in wanted & stored.keys()}
        return len(found) - n_before

    def _save(self, key, files, fingerprints, features):
        """Write features to the folder, if there is one."""
        if files is None or not fingerprints:
            return
        name = files.write({fingerprint: features[fingerprint] for fingerprint in fingerprints})
        if name is not None:
            self._remember(key, files.folder, fingerprints, {name})

    def _remember(self, key, folder, fingerprints, names):
        """Note what the folder holds, and which of its files need not be read again."""
        self._saved[folder] |= fingerprints
        if fingerprints <= self._known(key, fingerprints).keys():
            self._read_names[folder] |= names

    def _known(self, key, fingerprints):
        with self._lock:
            known = self._by_encoder.get(key)
            if known is None:
                return {}
            self._by_encoder.move_to_end(key)
            return {f: known[f] for f in fingerprints if f in known}

    def _keep(self, key, features):
        """Admit features as far as they fit."""
        with self._lock:
            kept = self._by_encoder.setdefault(key, {})
            self._by_encoder.move_to_end(key)
            for fingerprint, vector in features.items():
                if fingerprint in kept:
                    continue
                while self._n_bytes + vector.nbytes > self.max_bytes and len(self._by_encoder) > 1:
                    _, dropped = self._by_encoder.popitem(last=False)
                    self._read_names.clear()
                    self._n_bytes -= sum(v.nbytes for v in dropped.values())
                if self._n_bytes + vector.nbytes > self.max_bytes:
                    break
                kept[fingerprint] = vector
                self._n_bytes += vector.nbytes


def _is_known(network):
    """Tell whether all code that computes features is known by its version."""
    return type(network) is FusionNetwork and is_torchvision_model(network.encoder)


def _is_worker():
    in_main_thread = threading.current_thread() is threading.main_thread()
    return not in_main_thread or multiprocessing.parent_process() is not None


def _worker_number():
    return os.getpid(), threading.get_ident()


def encoding_batch_size(network):
    """Tell how many images are encoded at a time where the network is."""
    return _ENCODE_BATCHES.get(network.pixel_mean.device.type, _LARGE_ENCODE_BATCH)


def _encode(network, encoder, pixels):
    """Encode one batch, padded to the fixed batch size."""
    n_images = len(pixels)
    pixels = torch.from_numpy(pixels).to(network.pixel_mean.device, non_blocking=True)
    padded = torch.cat(
        [pixels, pixels[:1].expand(encoding_batch_size(network) - n_images, -1, -1, -1)]
    )
    with torch.inference_mode():
        features = network.encode(padded) if encoder is None else network.encode(padded, encoder)
        return features[:n_images]


def _finished(batch, features):
    """Fetch computed features; copied row by row, as a view would keep the whole batch alive."""
    return batch, [row.copy() for row in features.cpu().numpy()]


def encoder_key(network, image_options):
    """Digest everything but the image that a feature depends on.

    Parameters
    ----------
    network : FusionNetwork
        Its encoder counts.
    image_options : dict
        How image files are read.

    Returns
    -------
    bytes
        The digest.
    """
    encoder_type = type(network.encoder)
    digest = hashlib.sha256()
    if not _is_known(network):
        # A user's class can be redefined under its name; the object itself tells it apart.
        for user_class in (type(network), encoder_type):
            _USER_CLASSES.add(user_class)
            digest.update(f"{id(user_class)}\0".encode())
    contrast_version = version("scikit-image") if image_options.get("contrast") == "clahe" else ""
    for part in (
        f"{__version__} {_FEATURE_FORMAT} {encoding_batch_size(network)}",
        torch.__version__,
        torchvision.__version__,
        PIL.__version__,
        contrast_version,
        torch.backends.cpu.get_cpu_capability(),
        f"{encoder_type.__module__}.{encoder_type.__qualname__}",
        str(network.encoder),
        str(network.encoder_dtype),
        network.pixel_mean.device.type,
        repr(sorted(image_options.items())),
    ):
        digest.update(part.encode() + b"\0")
    # Not the state dict: buffers may be left out of it.
    encoder = network.encoder
    scale = (("pixel_mean", network.pixel_mean), ("pixel_std", network.pixel_std))
    for name, tensor in chain(scale, encoder.named_parameters(), encoder.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        # The storage order is part of the tensor's identity here, so nothing needs to be copied.
        tensor = tensor.detach().cpu()
        flat = tensor.as_strided((tensor.numel(),), (1,)) if _is_dense(tensor) else tensor.flatten()
        digest.update(f"{tensor.stride()}\0".encode())
        digest.update(flat.numpy().view(np.uint8).data)
    return digest.digest()


# Referenced, so that no later class can be given the same id.
_USER_CLASSES = set()


def _is_dense(tensor):
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)


_SHARED = FeatureCache()

# A fork while another thread holds the lock would leave the child waiting for it for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_SHARED._lock.acquire,
        after_in_parent=_SHARED._lock.release,
        after_in_child=_SHARED._lock.release,
    )


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
