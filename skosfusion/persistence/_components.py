"""Parameters as JSON and back; only classes that are listed, or that the user trusts, are built."""

import inspect
import math
import numbers
import os

import numpy as np
import torch

from ._trusted import CLASSES, COMPONENTS, name_of


def encode(value):
    """Turn a parameter into what JSON can hold, or raise TypeError."""
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
        return {"class": name_of(value)}
    if type(value) in COMPONENTS.values():
        return {"object": name_of(type(value)), "parameters": _changed_parameters(value)}
    raise TypeError(f"{value!r} ({type(value).__name__}) has no form in a model file")


def _changed_parameters(component):
    signature = inspect.signature(type(component))
    values = {name: getattr(component, name) for name in signature.parameters}
    return {
        name: encode(value)
        for name, value in values.items()
        if value is not signature.parameters[name].default
    }


class Decoder:
    """Turns what `encode` gave back into parameters; knows the classes that the user trusts."""

    def __init__(self, trusted=()):
        self._classes = dict(CLASSES)
        for kind in trusted:
            if isinstance(kind, type):
                # A script's own class is called after __main__, or after its module.
                self._classes |= {name_of(kind): kind, kind.__qualname__: kind}

    def decode(self, encoded):
        """Turn one value back, or raise ValueError, TypeError or KeyError."""
        if isinstance(encoded, list):
            return [self.decode(item) for item in encoded]
        if not isinstance(encoded, dict):
            return encoded
        kinds = tuple(sorted(encoded))
        if kinds == ("object", "parameters"):
            parameters = encoded["parameters"].items()
            return COMPONENTS[encoded["object"]](**{k: self.decode(v) for k, v in parameters})
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
