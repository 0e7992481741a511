"""Decoded images, kept by content for the whole process."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from .._utils.caches import BoundedMap
from .._utils.locks import ForkSafeLock
from .._utils.validation import check_integer
from ._open import file_status, read_file
from ._pixel_files import PixelFiles
from ._read import read_options, read_pixels

_MAX_KNOWN_FILES = 2**16
_IMAGE_OVERHEAD = 512  # bytes of an array object, its key and its place in the store
_SETTLED_NS = 2 * 10**9  # the coarsest file time in use (FAT) counts in two seconds


class StoreInfo(NamedTuple):
    """What an `ImageStore` has done and holds."""

    hits: int
    misses: int
    n_images: int
    n_bytes: int
    folder_hits: int


class ImageStore:
    """Decoded images, each read once, shared by all that ask for the same content and options.

    Images are known by the content of their file, never by its name: a file that is replaced is
    read anew, and two copies of one file share an image. Threads may share a store. Two of them
    that ask for one new image at the same moment may both decode it; one copy is kept.

    Parameters
    ----------
    max_bytes : int, default=1073741824
        Bytes that the kept images may take, each counted with 512 bytes of overhead. When they
        are used up, images chosen at random make room. This keeps part of a data set that is
        larger than the store; dropping the least recently used would keep none on repeated passes.
        An image larger than the store is handed out and not kept.

    See Also
    --------
    shared_image_store : The one store of the process.
    read_image : Read one image without a store, and what the options mean.

    Examples
    --------
    >>> import os, tempfile
    >>> from PIL import Image
    >>> from skosfusion.images import ImageStore
    >>> store = ImageStore()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "knee.png")
    ...     Image.new("L", (300, 200)).save(path)
    ...     batch = store.read_batch([path, path], image_size=32)
    >>> batch.shape
    (2, 1, 32, 32)
    >>> store.info()
    StoreInfo(hits=1, misses=1, n_images=1, n_bytes=1536, folder_hits=0)
    """

    def __init__(self, max_bytes=2**30):
        check_integer("max_bytes", max_bytes, minimum=0)
        self._lock = ForkSafeLock()
        self._files = BoundedMap(_MAX_KNOWN_FILES, evict="random")
        self._images = BoundedMap(max_bytes, evict="random")
        self._hits = self._misses = self._folder_hits = 0

    def __reduce__(self):
        raise TypeError(
            "an ImageStore belongs to one process and is not pickled or copied; "
            "call shared_image_store() in the other process"
        )

    def fingerprints(self, paths, *, rows=None, n_threads=1):
        """Return a digest of each file's content.

        A file whose device, inode, size and times have not changed is not read again, unless it
        was written less than two seconds before it was read: file times may be too coarse to tell a
        second change from the first. At most 65,536 files are remembered.

        Parameters
        ----------
        paths : sequence of str or os.PathLike, length n
            The files.
        rows : sequence of int or None, default=None
            Their positions in the table that named them, for the error messages; ``None`` counts
            from 0.
        n_threads : int, default=1
            Threads that read files.

        Returns
        -------
        fingerprints : list of bytes, length n
            32 bytes each: BLAKE2b (RFC 7693) of the content.

        Raises
        ------
        FileNotFoundError, ImageError, TypeError, ValueError
            As `open_image` does, for a file that cannot be read.
        """
        numbered = _numbered(paths, rows)
        found = [self._known_fingerprint(path, row) for path, row in numbered]
        _fill(found, lambda path, row: self._read_file(path, row)[0], numbered, n_threads)
        return found

    def read(self, paths, *, rows=None, folder=None, n_threads=1, **options):
        """Return the pixels of each file.

        Parameters
        ----------
        paths : sequence of str or os.PathLike, length n
            The files; the same file may occur more than once.
        rows : sequence of int or None, default=None
            Their positions in the table that named them, for the error messages; ``None`` counts
            from 0.
        folder : str, os.PathLike or None, default=None
            Where decoded images are kept between runs and for other processes, one file each,
            as large as the pixels. They are read from there each time and leave the memory to
            others. None keeps them in memory.
        n_threads : int, default=1
            Threads that decode; more than the cores at hand are of no use.
        **options
            ``image_size``, ``crop_box``, ``contrast``, ``percentiles``, ``minimum_side`` and
            ``frame`` of `read_image`, with the same defaults.

        Returns
        -------
        images : list of ndarray of shape (1 or 3, height, width), dtype uint8, length n
            Read-only, as the store may hand them out again; values from 0 to 255.

        Raises
        ------
        FileNotFoundError, ImageError, ImportError, TypeError, ValueError
            As `read_image` does, for the first file in order that cannot be read. Nothing of the
            call is kept in memory then.

        Warns
        -----
        UserWarning
            If images cannot be kept in `folder`, or some that are there are damaged; they are
            decoded again.
        """
        check_integer("n_threads", n_threads, minimum=1)
        options = read_options(**options)
        files = None if folder is None else PixelFiles(folder, options)
        numbered = _numbered(paths, rows)
        new, loaded = {}, []
        images = [self._at_hand(path, row, options) for path, row in numbered]
        look = partial(self._look_up, options=options, files=files, new=new, loaded=loaded)
        n_sought = _fill(images, look, numbered, n_threads)
        if files is not None and n_sought:
            files.report()
        with self._lock:
            self._misses += len(new)
            self._folder_hits += len(loaded)
            self._hits += len(images) - len(new) - len(loaded)
            for key, (image, is_kept_on_disk) in new.items():
                if not is_kept_on_disk:
                    self._images.put(key, image, image.nbytes + _IMAGE_OVERHEAD)
        return images

    def _at_hand(self, path, row, options):
        """Return the image of a file that is known and in memory, else None."""
        digest = self._known_fingerprint(path, row)
        return None if digest is None else self._in_memory(digest, options)

    def _look_up(self, path, row, *, options, files, new, loaded):
        """Find the image of one file in memory or in the folder, or decode it."""
        digest, data = self._known_fingerprint(path, row), None
        if digest is None:
            digest, data = self._read_file(path, row)
        image, _ = new.get((digest, options), (None, None))
        if image is None:
            image = self._in_memory(digest, options)
        if image is None and files is not None:
            image = files.get_many([digest]).get(digest)
            if image is not None:
                loaded.append(digest)
        if image is None:
            if data is None:
                digest, data = self._read_file(path, row)
            image = read_pixels(data, options, path=path, row=row)
            image.setflags(write=False)
            is_kept_on_disk = files is not None and files.put_many({digest: image})
            new[digest, options] = image, is_kept_on_disk
        return image

    def read_batch(self, paths, *, rows=None, folder=None, n_threads=1, **options):
        """Return the pixels of all files as one array.

        Parameters
        ----------
        paths : sequence of str or os.PathLike, length n
            The files.
        rows : sequence of int or None, default=None
            Their positions in the table that named them, for the error messages; ``None`` counts
            from 0.
        folder : str, os.PathLike or None, default=None
            As in `read`.
        n_threads : int, default=1
            As in `read`.
        **options
            As in `read`, but ``image_size=None`` is refused: the images of a batch have one size.

        Returns
        -------
        batch : ndarray of shape (n, channels, image_size, image_size), dtype uint8
            A copy that the caller may write into, values from 0 to 255. One channel if all images
            are grayscale, else three, and grayscale images repeat theirs.

        Raises
        ------
        FileNotFoundError, ImageError, ImportError, TypeError, ValueError
            As `read` does.
        """
        size = read_options(**options).image_size
        # A batch has one size.
        check_integer("image_size", size, minimum=1)
        images = self.read(paths, rows=rows, folder=folder, n_threads=n_threads, **options)
        n_channels = max((len(image) for image in images), default=1)
        batch = np.empty((len(images), n_channels, size, size), np.uint8)
        for target, image in zip(batch, images, strict=True):
            target[...] = image
        return batch

    def info(self):
        """Count what the store has done and holds.

        Returns
        -------
        info : StoreInfo
            Named tuple: ``hits`` and ``misses`` (images found in memory, and decoded),
            ``n_images`` (images in memory now), ``n_bytes`` (what they count for, at most
            `max_bytes`), ``folder_hits`` (images read from a folder).
        """
        with self._lock:
            counts = self._hits, self._misses
            return StoreInfo(*counts, len(self._images), self._images.cost, self._folder_hits)

    def clear(self):
        """Forget all images, fingerprints and counts."""
        with self._lock:
            self._files.clear()
            self._images.clear()
            self._hits = self._misses = self._folder_hits = 0

    def prune(self, folder, max_bytes):
        """Remove the oldest pixels of a cache folder, whatever options and versions they have.

        Other processes may go on to use the folder; what they miss is decoded again.

        Parameters
        ----------
        folder : str or os.PathLike
            The folder, as given to `read`. Only ``images`` in it is looked at, and only files that
            a store has written are removed.
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
        skosfusion.network.FeatureCache.prune : The same for features.
        """
        check_integer("max_bytes", max_bytes, minimum=0)
        return PixelFiles.prune(folder, max_bytes)

    def _in_memory(self, digest, options):
        with self._lock:
            return self._images.get((digest, options))

    def _known_fingerprint(self, path, row):
        """Return the digest of a file that has not changed since it was read, else None."""
        status = file_status(path, row=row)
        with self._lock:
            known = self._files.get(_file_key(path))
        if status is not None and known is not None and known[0] == _signature(status):
            return known[1]
        return None

    def _read_file(self, path, row):
        started = time.time_ns()
        data, status = read_file(path, row=row)
        digest = blake2b(data, digest_size=32).digest()
        if started - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            with self._lock:
                self._files.put(_file_key(path), (_signature(status), digest))
        return digest, data


def _file_key(path):
    return os.fspath(path)


def _signature(status):
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _numbered(paths, rows):
    """Return pairs of path and row."""
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"paths must be a sequence of paths, got the single path {paths!r}")
    paths = list(paths)
    rows = range(len(paths)) if rows is None else list(rows)
    if len(rows) != len(paths):
        raise ValueError(f"rows must be as long as paths ({len(paths)}), got {len(rows)}")
    return list(zip(paths, rows, strict=True))


def _fill(results, function, numbered, n_threads):
    """Compute the results that are None, in threads, and count them."""
    gaps = [position for position, result in enumerate(results) if result is None]
    if n_threads == 1 or len(gaps) < 2:
        for position in gaps:
            results[position] = function(*numbered[position])
        return len(gaps)
    # Reading, hashing, decoding and resizing leave Python's lock to others for most of their time.
    # After an error `map` starts nothing more.
    with ThreadPoolExecutor(min(n_threads, len(gaps))) as pool:
        computed = pool.map(lambda position: function(*numbered[position]), gaps)
        for position, result in zip(gaps, computed, strict=True):
            results[position] = result
    return len(gaps)


_SHARED = ImageStore()


def shared_image_store():
    """Return the one store of this process, with 1 GiB for images.

    Returns
    -------
    store : ImageStore
        The same object at each call.

    Examples
    --------
    >>> from skosfusion.images import shared_image_store
    >>> shared_image_store() is shared_image_store()
    True
    """
    return _SHARED
