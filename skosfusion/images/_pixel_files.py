"""Decoded images in a cache folder, one file each."""

import logging
import warnings
from hashlib import blake2b
from importlib.metadata import version

import numpy as np
import PIL
import safetensors
import safetensors.numpy

from .. import __version__
from .._utils.files import read_regular_file
from .._utils.kept_files import MAX_FILE_BYTES, SUFFIX, KeptFiles, system_reason

_DIGEST_BYTES = 32
# Increase this when the same file and options would give other pixels than before.
_PIXEL_FORMAT = 1
_LOGGER = logging.getLogger(__name__)


def decoding_versions(contrast):
    """Name the versions of the software that decides on pixels."""
    # Any other contrast is adjusted without scikit-image.
    contrast_versions = (version("scikit-image"),) if contrast == "clahe" else ()
    return __version__, PIL.__version__, *contrast_versions


class PixelFiles(KeptFiles):
    """The decoded images of one set of reading options, each with a digest."""

    kind = "images"

    def __init__(self, folder, options):
        own, pillow, *contrast_versions = decoding_versions(options.contrast)
        parts = [own, _PIXEL_FORMAT, pillow, options, *contrast_versions]
        self._key = blake2b(repr(parts).encode(), digest_size=_DIGEST_BYTES).digest()
        super().__init__(folder, self._key, parameter="folder")
        self._size = options.image_size
        self._passed_over, self._refused = [], None

    def get_many(self, fingerprints):
        """Return the images that are there, by fingerprint."""
        found = ((fingerprint, self._read(fingerprint)) for fingerprint in fingerprints)
        return {fingerprint: pixels for fingerprint, pixels in found if pixels is not None}

    def _read(self, fingerprint):
        path = self._path(fingerprint)
        try:
            arrays = safetensors.numpy.load(read_regular_file(path, MAX_FILE_BYTES)[0])
            pixels, digest = arrays["pixels"], arrays["digest"]
            self._check(fingerprint, pixels, digest)
        except (FileNotFoundError, NotADirectoryError):
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
            raise ValueError(f"its image has shape {pixels.shape}")
        if digest.tobytes() != self._digest(fingerprint, pixels):
            raise ValueError("its content does not match its digest")

    def put_many(self, images):
        """Keep images by fingerprint, and return whether all are; nothing follows a failure."""
        for fingerprint, pixels in images.items():
            if self._refused is not None:
                break
            digest = np.frombuffer(self._digest(fingerprint, pixels), np.uint8)
            try:
                content = safetensors.numpy.save({"pixels": pixels, "digest": digest})
                self._write(self._path(fingerprint), content)
            except OSError as error:
                self._refused = error
        return self._refused is None

    def report(self):
        """Warn about whatever went wrong, always in the same words, so that Python says it once."""
        for path, error in self._passed_over:
            _LOGGER.info("kept pixels %s are passed over: %s", path, error)
        if self._passed_over:
            warnings.warn(
                f"kept pixels in {str(self.folder)!r} are damaged; they are passed over and "
                "decoded again, and the log names them at level INFO",
                stacklevel=2,
            )
        if self._refused is not None:
            warnings.warn(
                f"pixels cannot be kept in {str(self.folder)!r} ({system_reason(self._refused)}); "
                "they are used now and decoded again in the next run. Free some space, or name "
                "another folder",
                stacklevel=2,
            )

    def _path(self, fingerprint):
        name = fingerprint.hex()
        # 256 folders, as millions of files in one slow down many file systems.
        return self.folder / name[:2] / (name + SUFFIX)

    def _digest(self, fingerprint, pixels):
        digest = blake2b(self._key + fingerprint, digest_size=_DIGEST_BYTES)
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.digest()
