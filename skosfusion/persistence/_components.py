"""Parameters as JSON and back; only classes that are listed, or that the user trusts, are built."""

import inspect
import math
import numbers
import os

import numpy as np
import torch
from sklearn import model_selection
from skorch.callbacks import EarlyStopping, EpochScoring, GradientNormClipping
from skorch.dataset import Dataset, ValidSplit
from torch.utils.data import DataLoader

from ..network import FusionNetwork

# Named, never made, while a file is read.
_CLASSES = {
    "skosfusion.network.FusionNetwork": FusionNetwork,
    "skorch.dataset.Dataset": Dataset,
    "torch.utils.data.DataLoader": DataLoader,
}
_CLASSES |= {
    f"torch.optim.{name}": value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
}
_CLASSES["torch.nn.CrossEntropyLoss"] = torch.nn.CrossEntropyLoss
# Made with their parameters. None of them opens a file or calls what it is given by name.
_MADE = {
    f"skorch.{kind.__name__}": kind
    for kind in (ValidSplit, EarlyStopping, EpochScoring, GradientNormClipping)
}
_MADE |= {
    f"sklearn.model_selection.{name}": getattr(model_selection, name)
    for name in (
        "GroupKFold",
        "GroupShuffleSplit",
        "KFold",
        "ShuffleSplit",
        "StratifiedGroupKFold",
        "StratifiedKFold",
        "StratifiedShuffleSplit",
    )
}
_NAMES = {kind: name for name, kind in (_CLASSES | _MADE).items()}


def class_name(kind):
    """Name a class as model files do.

    Parameters
    ----------
    kind : type
        The class.

    Returns
    -------
    str
        Its name, with the module.
    """
    return _NAMES.get(kind, f"{kind.__module__}.{kind.__qualname__}")


def encode(value):
    """Turn a parameter into what JSON can hold.

    Parameters
    ----------
    value : object
        Numbers, texts, None, paths, devices, classes, and components of skorch and scikit-learn
        that are listed here; lists, tuples and dicts of these.

    Returns
    -------
    object
        The same for JSON; everything but numbers, texts and lists is an object with one key.

    Raises
    ------
    TypeError
        For anything else.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return number if math.isfinite(number) else {"float": str(number)}
    if isinstance(value, (os.PathLike, torch.device)):
        return str(value)
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, type):
        return {"class": class_name(value)}
    if type(value) in _MADE.values():
        return {"object": _NAMES[type(value)], "parameters": _changed_parameters(value)}
    raise TypeError(f"{value!r} ({type(value).__name__}) has no form in a model file")


def _changed_parameters(component):
    signature = inspect.signature(type(component))
    values = {name: getattr(component, name) for name in signature.parameters}
    return {
        name: encode(value)
        for name, value in values.items()
        if value is not signature.parameters[name].default
    }


def check_trusted(trusted, *kinds):
    """Check the parameter `trusted` of loaders.

    Parameters
    ----------
    trusted : iterable
        What the user trusts.
    *kinds : type
        What its items may be.

    Returns
    -------
    list
        The items.

    Raises
    ------
    TypeError
        For anything else, such as a class that is not in a list.
    """
    items = None if isinstance(trusted, (str, type)) or not np.iterable(trusted) else list(trusted)
    if items is None or not all(isinstance(item, kinds) for item in items):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"trusted={trusted!r:.100} must be a list of items of type {names}")
    return items


class Decoder:
    """Turns what `encode` gave back into parameters.

    Parameters
    ----------
    trusted : iterable of type, default=()
        Classes of the user's that files may name.
    """

    def __init__(self, trusted=()):
        self._classes = dict(_CLASSES)
        for kind in trusted:
            if isinstance(kind, type):
                # A script's own class is called after __main__, or after its module.
                self._classes |= {class_name(kind): kind, kind.__qualname__: kind}

    def decode(self, encoded):
        """Turn one value back.

        Parameters
        ----------
        encoded : object
            From `encode`, or of a stranger.

        Returns
        -------
        object
            The parameter.

        Raises
        ------
        ValueError, TypeError, KeyError
            For anything that `encode` does not give, and classes that are not trusted.
        """
        if isinstance(encoded, list):
            return [self.decode(item) for item in encoded]
        if not isinstance(encoded, dict):
            return encoded
        kinds = tuple(sorted(encoded))
        if kinds == ("object", "parameters"):
            parameters = encoded["parameters"].items()
            return _MADE[encoded["object"]](**{k: self.decode(v) for k, v in parameters})
        if kinds == ("tuple",):
            return tuple(self.decode(item) for item in encoded["tuple"])
        if kinds == ("dict",):
            return {self.decode(key): self.decode(value) for key, value in encoded["dict"]}
        if kinds == ("float",):
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[encoded["float"]]
        if kinds == ("class",):
            return self._class(encoded["class"])
        raise ValueError(f"it holds a value of unknown kind, {kinds!r:.100}")

    def _class(self, name):
        for known in (name, name.rpartition(".")[2]):
            if known in self._classes:
                return self._classes[known]
        raise ValueError(
            f"it names the class {name!r:.200}, which is not trusted; if you know where the file "
            "comes from, pass the class itself: trusted=[...]"
        )
