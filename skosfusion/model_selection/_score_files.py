"""Scores of one row on one fold in a file: what names it, how it is written, when it is read."""

import hashlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from scipy import sparse

from .._utils.files import read_regular_file, sweep_temporary_files, write_atomically
from .._utils.private_folders import make_private_folder, warn_of_shared_folder
from ._response import METRICS

_LIBRARIES = ("skosfusion", "scikit-learn", "numpy", "scipy", "pandas", "torch", "torchvision")
_FORMAT = 1
# They decide where and how loudly a model is fitted.
_IDLE = {"memory", "verbose", "n_jobs"}
_BYTES_A_SCORE = 40


def versions():
    """Return the versions of the libraries that decide a result; None for one that is missing."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None


class ScoreFiles:
    """Finished scores in a folder, one file for each row and fold, by a digest of all they need."""

    def __init__(self, folder, X, y, n_classes):
        self.folder, self.n_classes = Path(folder), n_classes
        make_private_folder(self.folder)
        warn_of_shared_folder(self.folder, parameter="folder")
        sweep_temporary_files(self.folder)
        self._common = _joined(str(_FORMAT), json.dumps(versions()), data_digest(X, y))

    def name(self, row, fold, params):
        """Name the scores of one row, an estimator, on one fold."""
        rows = [np.asarray(part, np.int64).tobytes() for part in fold]
        return _joined(self._common, estimator_digest(row), _value_digest(params), *rows)

    def read(self, name, n_samples):
        """Return finished scores, or None for those that are not there, damaged or not these."""
        width = () if self.n_classes == 2 else (self.n_classes,)
        most = 4096 + _BYTES_A_SCORE * n_samples * self.n_classes
        try:
            content, _ = read_regular_file(self._path(name), most)
            kept = json.loads(content)
            body = kept["part"]
            if kept["sha256"] != _joined(_as_json(body)) or body["name"] != name:
                return None
            result = {metric: float(body[metric]) for metric in METRICS}
            result["n_clipped"] = int(body["n_clipped"])
            engine = body.get("engine")  # files of before there were engines have none
            result["engine"] = None if engine is None else str(engine)
            scores = np.array(body["scores"], dtype=np.float64)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
        shares = [result[metric] for metric in METRICS]
        if (
            not all(0 <= share <= 1 for share in shares)
            or not 0 <= result["n_clipped"] <= n_samples
        ):
            return None
        if scores.shape != (n_samples, *width) or not np.isfinite(scores).all():
            return None
        return result | {"scores": scores}

    def write(self, name, result):
        """Keep finished scores; JSON gives each float back to the bit."""
        body = {"name": name} | result | {"scores": result["scores"].tolist()}
        text = json.dumps({"part": body, "sha256": _joined(_as_json(body))})
        write_atomically(self._path(name), text.encode(), mode=0o600)

    def _path(self, name):
        return self.folder / f"{name[:32]}.json"


def data_digest(X, y):
    """Digest a table and its labels; a cell that names a file counts by its name and content.

    Not by its folder, so that scores are found again where the images have moved.
    """
    if sparse.issparse(X):
        labels = str(np.asarray(y).dtype), repr(np.asarray(y).tolist())
        return _joined("sparse", repr(X.shape), joblib.hash(X.tocsr()), *labels)
    table, parts = pd.DataFrame(X), []
    for column in table:
        cells = table[column]
        texts = [_plain_cell(cell) for cell in cells]
        if not pd.api.types.is_numeric_dtype(cells.dtype):
            files = {text for text in texts if isinstance(text, str | os.PathLike)}
            files = {file: _named_file(file) for file in files if os.path.isfile(file)}
            texts = [files.get(text, text) for text in texts]
        parts += [repr(column), str(cells.dtype), repr(texts)]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            parts.append(repr((cells.cat.categories.tolist(), cells.cat.ordered)))
    return _joined(*parts, str(np.asarray(y).dtype), repr(np.asarray(y).tolist()))


def _named_file(path):
    return "file", os.path.basename(os.fspath(path)), _file_digest(path)


def _plain_cell(cell):
    """Return a cell whose text tells it; that of an array is cut."""
    if cell is None or isinstance(cell, str | bool | int | float | np.generic | os.PathLike):
        return cell
    return repr(cell) if pd.api.types.is_scalar(cell) else joblib.hash(cell)


def estimator_digest(estimator):
    """Digest an unfitted estimator: its class and parameters, those of estimators in it, too."""
    parts = [_value_digest(type(estimator))]
    for name, value in sorted(estimator.get_params(deep=False).items()):
        if name not in _IDLE:
            parts += [name, _value_digest(value)]
    return _joined(*parts)


def _value_digest(value):
    if hasattr(value, "get_params") and not isinstance(value, type):
        return estimator_digest(value)
    if isinstance(value, list | tuple):
        return _joined(type(value).__name__, *map(_value_digest, value))
    if isinstance(value, dict):
        return _joined(
            "dict", *(part for item in value.items() for part in map(_value_digest, item))
        )
    if isinstance(value, str | os.PathLike) and os.path.isfile(value):
        return _file_digest(value)
    # Here and not above: it loads torch, and only those who keep files need it.
    from .._utils.content import NOT_TOLD, Content

    try:
        return Content().digest(value).hex()
    except NOT_TOLD as error:
        raise ValueError(
            f"folder: whether {value!r:.200} is the same in a later run cannot be told ({error}); "
            "use a function or class of a module, or folder=None"
        ) from error


def _file_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_json(body):
    return json.dumps(body, sort_keys=True)


def _joined(*parts):
    digest = hashlib.sha256()
    for part in parts:
        part = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
