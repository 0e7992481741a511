"""Features in a cache folder, many in a file."""

import hashlib
import os
import warnings

import numpy as np
import safetensors
import safetensors.numpy

from .._utils.files import read_regular_file
from .._utils.kept_files import MAX_FILE_BYTES, SUFFIX, KeptFiles, system_reason

_FINGERPRINT_BYTES = 32


class FeatureFiles(KeptFiles):
    """The features that one encoder gives; each file is named by the SHA-256 digest of its content.

    What has been read or written is remembered: a file is read again only for a value that it
    holds.
    """

    kind = "features"

    def __init__(self, folder, key, n_features):
        super().__init__(folder, key, parameter="memory")
        self.n_features = n_features
        self._forget()

    def _forget(self):
        self._names, self._name_of = set(), {}

    def __contains__(self, fingerprint):
        return fingerprint in self._name_of

    def forget_if_gone(self):
        """Notice that a user has deleted the folder."""
        if not os.path.isdir(self.folder):
            self._forget()

    def get_many(self, fingerprints):
        """Return all features of new files, and those wanted that lie in files read before."""
        again = {self._name_of[wanted] for wanted in fingerprints if wanted in self._name_of}
        present = self._listed_names()
        self._forget_files(self._names - present)
        features = {}
        for name in sorted(present - self._names | again):
            part = self._read_part(self.folder / name)
            features |= part
            self._remember(name, part)
        return features

    def _listed_names(self):
        try:
            return {name for name in os.listdir(self.folder) if name.endswith(SUFFIX)}
        except OSError:  # there is no folder yet, or `put_many` will warn
            return set()

    def _forget_files(self, gone):
        """Notice that files have been pruned, by another process perhaps."""
        if gone:
            self._names -= gone
            self._name_of = {f: name for f, name in self._name_of.items() if name not in gone}

    def _remember(self, name, fingerprints):
        self._names.add(name)
        self._name_of |= dict.fromkeys(fingerprints, name)

    def _read_part(self, path):
        try:
            content, _ = read_regular_file(path, MAX_FILE_BYTES)
            if hashlib.sha256(content).hexdigest() != path.stem:
                raise ValueError("its content does not match its name")
            arrays = safetensors.numpy.load(content)
            fingerprints, features = arrays["fingerprints"], arrays["features"]
            if fingerprints.dtype != np.uint8 or fingerprints.shape[1:] != (_FINGERPRINT_BYTES,):
                raise ValueError(f"its fingerprints have shape {fingerprints.shape}")
            expected = len(fingerprints), self.n_features
            if features.dtype != np.float32 or features.shape != expected:
                raise ValueError(
                    f"its features have shape {features.shape} and type {features.dtype}"
                )
        except FileNotFoundError:
            # Another process has pruned the folder.
            return {}
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            warnings.warn(
                f"feature file {str(path)!r} is passed over, its images are encoded again: {error}",
                stacklevel=2,
            )
            return {}
        return {row.tobytes(): vector for row, vector in zip(fingerprints, features, strict=True)}

    def put_many(self, features):
        """Write features by fingerprint as one file, and return whether that was possible."""
        content = safetensors.numpy.save(
            {
                "fingerprints": np.stack([np.frombuffer(f, np.uint8) for f in features]),
                "features": np.stack(list(features.values())),
            }
        )
        name = hashlib.sha256(content).hexdigest() + SUFFIX
        try:
            self._write(self.folder / name, content)
        except OSError as error:
            warnings.warn(
                f"features cannot be kept in {str(self.folder)!r} ({system_reason(error)}); they "
                "are used now and computed again in the next run. Free some space, or name another "
                "folder",
                stacklevel=2,
            )
            return False
        self._remember(name, features)
        return True
