"""Decoded pictures on disk, for later runs and other processes; safetensors, so nothing can run."""

import logging
import os
import warnings
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from PIL import __version__ as pillow_version

from .. import __version__
from .._utils.files import sweep_temporary_files, write_atomically
from ._open import read_file

_SUFFIX = ".safetensors"
_DIGEST_BYTES = 32
# To be raised when the same file and options would give other pixels than before.
_PICTURE_FORMAT = 1
_LOGGER = logging.getLogger(__name__)


class PictureFiles:
    """The decoded pictures of one set of reading options in a cache folder.

    Each picture is one file, named by the fingerprint of the image file it was decoded from, in
    a folder named by all else that decides its pixels: the options and the versions of the
    software. Files appear whole or not at all, several processes write side by side, and a
    digest in each file tells a damaged or misplaced one.

    Parameters
    ----------
    folder : str or os.PathLike
        The cache folder; made when needed.
    options : ReadOptions
        How the pictures were read.

    Raises
    ------
    ValueError
        If `folder` is a file.
    """

    def __init__(self, folder, options):
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise ValueError(
                f"{os.fspath(folder)!r} is not a folder; name a folder, or None to keep nothing "
                "between runs"
            )
        parts = [__version__, _PICTURE_FORMAT, pillow_version, options]
        if options.contrast == "clahe":
            parts.append(version("scikit-image"))
        self._key = blake2b(repr(parts).encode(), digest_size=_DIGEST_BYTES).digest()
        self._size = options.image_size
        self.folder = Path(folder).absolute() / "images" / self._key.hex()
        self._passed_over, self._refused, self._swept = [], None, False

    def read(self, fingerprint):
        """Read one picture.

        Parameters
        ----------
        fingerprint : bytes
            Of the image file.

        Returns
        -------
        ndarray of shape (1 or 3, height, width) or None
            Pixels, uint8, read-only; None where there is no sound file.
        """
        path = self._path(fingerprint)
        try:
            arrays = safetensors.numpy.load(read_file(path)[0])
            pixels, digest = arrays["pixels"], arrays["digest"]
            self._check(fingerprint, pixels, digest)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            self._passed_over.append((path, error))
            return None
        pixels.setflags(write=False)
        return pixels

    def _check(self, fingerprint, pixels, digest):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) not in (1, 3):
            raise ValueError(f"it holds {pixels.dtype} values of shape {pixels.shape}")
        if self._size is not None and pixels.shape[1:] != (self._size, self._size):
            raise ValueError(f"its picture has shape {pixels.shape}")
        if digest.tobytes() != self._digest(fingerprint, pixels):
            raise ValueError("its content does not match its digest")

    def write(self, fingerprint, pixels):
        """Keep one picture; after the first failure nothing more is tried.

        Parameters
        ----------
        fingerprint : bytes
            Of the image file.
        pixels : ndarray of shape (1 or 3, height, width)
            The picture, uint8.

        Returns
        -------
        bool
            Whether it has been written.
        """
        if self._refused is not None:
            return False
        path = self._path(fingerprint)
        digest = np.frombuffer(self._digest(fingerprint, pixels), np.uint8)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._swept:
                self._swept = True
                sweep_temporary_files(self.folder)
            content = safetensors.numpy.save({"pixels": pixels, "digest": digest})
            write_atomically(path, content, temporary_folder=self.folder)
        except OSError as error:
            self._refused = error
        return self._refused is None

    def report(self):
        """Warn about whatever went wrong, always in the same words, so that Python says it once."""
        for path, error in self._passed_over:
            _LOGGER.info("kept picture %s is passed over: %s", path, error)
        if self._passed_over:
            warnings.warn(
                f"kept pictures in {str(self.folder)!r} are damaged; they are passed over and "
                "decoded again, and the log names them at level INFO",
                stacklevel=2,
            )
        if self._refused is not None:
            # Not the error itself: it names a file, another one each time.
            reason = self._refused.strerror or type(self._refused).__name__
            warnings.warn(
                f"pictures cannot be kept in {str(self.folder)!r} ({reason}); they are used now "
                "and decoded again in the next run. Free some space, or name another folder",
                stacklevel=2,
            )

    def _path(self, fingerprint):
        name = fingerprint.hex()
        # 256 folders, as millions of files in one slow down many file systems.
        return self.folder / name[:2] / (name + _SUFFIX)

    def _digest(self, fingerprint, pixels):
        digest = blake2b(self._key + fingerprint, digest_size=_DIGEST_BYTES)
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.digest()
