"""The types that a model file may name, and the names by which they go.

skops trusts every estimator of scikit-learn by default, since making one runs no code. That is not
enough: the values in some of them are used as addresses without a check. A tree (trusted until
skops 0.15) or a `OneHotEncoder` with planted indices ends the process at `predict`, and a
`PolynomialFeatures` of a planted degree fills the memory. So a file may only name what stands here
and what the user trusts. Before a type is added: what do planted values in it do to `transform`?
"""

import sys

import numpy as np
import torch
from sklearn import compose, decomposition, feature_selection, impute, model_selection, pipeline
from sklearn import preprocessing as scaling
from skorch.callbacks import EarlyStopping, EpochScoring, GradientNormClipping
from skorch.dataset import Dataset, ValidSplit
from torch.utils.data import DataLoader

from .. import preprocessing
from ..classifier import FusionClassifier
from ..network import FusionNetwork

_LIBRARIES = {"joblib", "numpy", "pandas", "scipy", "skorch", "sklearn", "torch", "torchvision"}


def public_name(module, name):
    """Name a class or function by the nearest public module that has it, or by its own."""
    parts = module.split(".")
    thing = getattr(sys.modules.get(module), name, None)
    if thing is None or not any(part.startswith("_") for part in parts):
        return f"{module}.{name}"
    for end in range(len(parts) - 1, 0, -1):
        parent = ".".join(parts[:end])
        is_public = not any(part.startswith("_") for part in parts[:end])
        if is_public and getattr(sys.modules.get(parent), name, None) is thing:
            return f"{parent}.{name}"
    return f"{module}.{name}"


def name_of(kind):
    """Name a class or function as model files do."""
    return _NAMES.get(kind) or public_name(kind.__module__, kind.__qualname__)


def is_private(name):
    """Return whether nobody can be asked to trust this: local, or a library's inner part."""
    parts = name.split(".")
    found = getattr(sys.modules.get(name.rpartition(".")[0]), parts[-1], None)
    inner = parts[0] in _LIBRARIES and any(part.startswith("_") for part in parts)
    return found is None or inner


def check_trusted(trusted):
    """Return the items of `trusted` as a list, or raise TypeError."""
    is_one = isinstance(trusted, str) or not np.iterable(trusted)
    items = None if is_one else list(trusted)
    if items is None or not all(isinstance(item, str) or callable(item) for item in items):
        raise TypeError(
            f"trusted={trusted!r:.100} is not allowed; allowed: a list of classes, functions, and "
            "names of functions such as 'my_module.my_function'"
        )
    return items


def _named(module, things):
    return {f"{module}.{thing.__name__}": thing for thing in things}


# Named, never made, while a file is read.
CLASSES = {
    "skosfusion.classifier.FusionClassifier": FusionClassifier,
    "skosfusion.network.FusionNetwork": FusionNetwork,
    "skorch.dataset.Dataset": Dataset,
    "torch.utils.data.DataLoader": DataLoader,
} | {
    f"{module.__name__}.{name}": kind
    for module, base in (
        (torch.nn, torch.nn.modules.loss._Loss),
        (torch.optim, torch.optim.Optimizer),
    )
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, base)
}

# Made with their parameters. None of them opens a file or calls what it is given by name.
COMPONENTS = (
    _named("skorch.dataset", [ValidSplit])
    | _named("skorch.callbacks", [EarlyStopping, EpochScoring, GradientNormClipping])
    | _named(
        "sklearn.model_selection",
        [
            model_selection.GroupKFold,
            model_selection.GroupShuffleSplit,
            model_selection.KFold,
            model_selection.ShuffleSplit,
            model_selection.StratifiedGroupKFold,
            model_selection.StratifiedKFold,
            model_selection.StratifiedShuffleSplit,
        ],
    )
)

# Steps before the classifier: what `transform` of these does with planted values is an error or
# a wrong number, computed by numpy, which checks every index.
TRANSFORMERS = (
    _named(
        "skosfusion.preprocessing",
        [
            kind
            for kind in (getattr(preprocessing, name) for name in preprocessing.__all__)
            if isinstance(kind, type)
        ],
    )
    | _named("sklearn.compose", [compose.ColumnTransformer, compose.make_column_selector])
    | _named("sklearn.decomposition", [decomposition.PCA])
    | _named("sklearn.feature_selection", [feature_selection.VarianceThreshold])
    | _named("sklearn.impute", [impute.MissingIndicator, impute.SimpleImputer])
    | _named("sklearn.pipeline", [pipeline.FeatureUnion, pipeline.Pipeline])
    | _named(
        "sklearn.preprocessing",
        [
            scaling.Binarizer,
            scaling.FunctionTransformer,
            scaling.MaxAbsScaler,
            scaling.MinMaxScaler,
            scaling.Normalizer,
            scaling.OrdinalEncoder,
            scaling.PowerTransformer,
            scaling.QuantileTransformer,
            scaling.RobustScaler,
            scaling.StandardScaler,
        ],
    )
)

# For a FunctionTransformer.
FUNCTIONS = _named(
    "numpy",
    [
        np.absolute,
        np.arcsinh,
        np.cbrt,
        np.exp,
        np.expm1,
        np.log,
        np.log10,
        np.log1p,
        np.log2,
        np.sign,
        np.sqrt,
        np.square,
    ],
)

# Types of values, as a parameter `dtype` holds them, and types of scalars.
SCALARS = _named("builtins", [bool, float, int, object, str]) | _named(
    "numpy",
    [
        np.bool_,
        np.float16,
        np.float32,
        np.float64,
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.object_,
        np.str_,
        np.uint8,
        np.uint16,
        np.uint32,
        np.uint64,
    ],
)

_NAMES = {kind: name for name, kind in (CLASSES | COMPONENTS | TRANSFORMERS).items()}
