"""Features on disk, shared by processes and runs; safetensors only, so nothing in them can run."""

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from .._utils.files import sweep_temporary_files, write_atomically
from ..images import read_file

_SUFFIX = ".safetensors"
_FINGERPRINT_BYTES = 32


class FeatureFiles:
    """The feature files of one encoder in a cache folder.

    Each file holds a part of the features and is named by the SHA-256 digest of
    its content: files appear whole or not at all, several processes write side
    by side, and a damaged file is noticed and passed over.

    Parameters
    ----------
    folder : path-like
        The cache folder; made when needed.
    encoder_key : str
        Digest of everything but the image that the features depend on.
    n_features : int
        Length of a feature vector.

    Raises
    ------
    ValueError
        If `folder` is not a folder.
    """

    def __init__(self, folder, encoder_key, n_features):
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise ValueError(
                f"memory={os.fspath(folder)!r} is not a folder; name a folder, or None to keep "
                "nothing between runs"
            )
        self.folder = Path(folder).absolute() / "features" / encoder_key
        self.n_features = n_features

    def read(self, skip=()):
        """Read the features that are there.

        Parameters
        ----------
        skip : set of str, default=()
            Names of files to leave out.

        Returns
        -------
        features : dict of bytes to ndarray of shape (n_features,)
            Features by image digest.
        names : set of str
            The files that were read.
        """
        features = {}
        paths = [path for path in self.folder.glob("*" + _SUFFIX) if path.name not in skip]
        for path in sorted(paths):
            features.update(self._read_part(path))
        return features, {path.name for path in paths}

    def _read_part(self, path):
        try:
            content, _ = read_file(path)
            if hashlib.sha256(content).hexdigest() != path.stem:
                raise ValueError("its content does not match its name")
            arrays = safetensors.numpy.load(content)
            fingerprints, features = arrays["fingerprints"], arrays["features"]
            if fingerprints.dtype != np.uint8 or fingerprints.shape[1:] != (_FINGERPRINT_BYTES,):
                raise ValueError(f"its fingerprints have shape {fingerprints.shape}")
            if features.dtype != np.float32 or features.shape != (
                len(fingerprints),
                self.n_features,
            ):
                raise ValueError(
                    f"its features have shape {features.shape} and type {features.dtype}"
                )
        except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
            warnings.warn(
                f"feature file {str(path)!r} is passed over, its images are encoded again: {error}",
                stacklevel=2,
            )
            return []
        return [(row.tobytes(), vector) for row, vector in zip(fingerprints, features, strict=True)]

    def write(self, features):
        """Add features; where that is impossible, warn and go on.

        Parameters
        ----------
        features : dict of bytes to ndarray of shape (n_features,)
            Features by image digest.

        Returns
        -------
        str or None
            Name of the file; None if it cannot be written.
        """
        content = safetensors.numpy.save(
            {
                "fingerprints": np.stack([np.frombuffer(f, np.uint8) for f in features]),
                "features": np.stack(list(features.values())),
            }
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sweep_temporary_files(self.folder)
            name = hashlib.sha256(content).hexdigest() + _SUFFIX
            write_atomically(self.folder / name, content)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            warnings.warn(
                f"features cannot be kept in {str(self.folder)!r} ({reason}); they are used now "
                "and computed again in the next run. Free some space, or name another folder",
                stacklevel=2,
            )
            return None
        return name
