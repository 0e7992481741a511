"""Inputs of a stage in a cache folder, one file an image, each with a digest."""

import os
import warnings
from hashlib import blake2b

import numpy as np
import safetensors
import safetensors.numpy

from .._utils.files import read_regular_file
from .._utils.kept_files import MAX_FILE_BYTES, SUFFIX, KeptFiles, system_reason

_DIGEST_BYTES = 32


class ActivationFiles(KeptFiles):
    """What one lower half of an encoder gives, as rows of 16-bit numbers.

    One file an image, since training reads them in random order.
    """

    # Beside features, so that whoever prunes these prunes both.
    kind = "features"

    def __init__(self, folder, key, n_values):
        super().__init__(folder, key, parameter="memory")
        self._key, self.n_values = key, n_values
        self._has_refused = False

    def __contains__(self, fingerprint):
        return os.path.exists(self._path(fingerprint))

    def get_many(self, fingerprints):
        """Return the rows that are there, by fingerprint."""
        found = ((fingerprint, self._read(fingerprint)) for fingerprint in fingerprints)
        return {fingerprint: row for fingerprint, row in found if row is not None}

    def _read(self, fingerprint):
        try:
            content, _ = read_regular_file(self._path(fingerprint), MAX_FILE_BYTES)
            arrays = safetensors.numpy.load(content)
            row, digest = arrays["activation"], arrays["digest"]
            if row.dtype != np.int16 or row.shape != (self.n_values,):
                raise ValueError(f"it holds {row.dtype} values of shape {row.shape}")
            if digest.tobytes() != self._digest(fingerprint, row):
                raise ValueError("its content does not match its digest")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            warnings.warn(
                f"activations kept in {str(self.folder)!r} are damaged or cannot be read; they are "
                f"passed over and computed again: {error}",
                stacklevel=2,
            )
            return None
        return row

    def put_many(self, rows):
        """Write rows by fingerprint, and return whether all are; nothing follows a failure."""
        for fingerprint, row in rows.items():
            if self._has_refused:
                break
            digest = np.frombuffer(self._digest(fingerprint, row), np.uint8)
            content = safetensors.numpy.save({"activation": row, "digest": digest})
            try:
                self._write(self._path(fingerprint), content)
            except OSError as error:
                self._has_refused = True
                warnings.warn(
                    f"activations cannot be kept in {str(self.folder)!r} ({system_reason(error)}); "
                    "they are computed again when they are needed. Free some space, or name "
                    "another folder",
                    stacklevel=2,
                )
        return not self._has_refused

    def _path(self, fingerprint):
        name = fingerprint.hex()
        return self.folder / name[:2] / (name + SUFFIX)

    def _digest(self, fingerprint, row):
        digest = blake2b(self._key + fingerprint, digest_size=_DIGEST_BYTES)
        digest.update(np.ascontiguousarray(row).data)
        return digest.digest()
