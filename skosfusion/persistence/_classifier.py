"""A fitted classifier as description and tensors for a model file, and back."""

import os
import re
import warnings
from contextlib import suppress
from importlib.metadata import version

import numpy as np
import torch
from skorch.history import History
from torch.utils.data import DataLoader

from .. import __version__
from .._utils.cells import is_number
from ..classifier import (
    FusionClassifier,
    check_combination,
    check_parameters,
    copied_params,
    resolve_device,
)
from ..images import read_options
from ..network import ENGINES, FusionNetwork, encoder_part, feature_length, make_head
from ._changed_attributes import warn_of_changed_attributes
from ._components import encode
from ._trusted import CLASSES, name_of

_VERSIONS = ("torch", "torchvision", "skorch", "scikit-learn", "numpy", "pillow")
# Of the machine, or able to do harm where the file is untrusted.
_NOT_KEPT = re.compile(
    r"memory|compile|torch_load_kwargs|iterator_train__(num_workers|pin_memory|timeout)"
    r"|iterator_valid__(?!batch_size$).*"
)
# Not needed to predict: what has no form in a file is left out.
_OF_TRAINING = re.compile(
    r"(callbacks|optimizer|iterator_train|train_split)(__.*)?|criterion__.*|random_state"
    r"|augmentation"
)
_OF_COMPONENTS = re.compile(
    r"(module|criterion|optimizer|callbacks|iterator_train|iterator_valid|dataset)__\w+"
)
# Batches are padded to their full size, and images are read in theirs.
_LARGEST = {
    "batch_size": 2**15,
    "iterator_valid__batch_size": 2**15,
    "image_size": 2**13,
    "steps_per_epoch": 2**20,
}
_MOST_EPOCHS = 20_000
_MODULE, _ENCODER = "module.", "encoder."
_OF_HEAD = ("head", "fusion", "hidden_units", "head_dropout", "modality_dropout")
_CONSTANTS = ("pixel_mean", "pixel_std")
_LABELS = {"b": bool, "i": int, "u": int, "f": float, "U": str}
_NUMBER_FORMATS = {None: None, "bfloat16": torch.bfloat16}


def versions():
    """Return the version of each package that decides how a model computes."""
    return {"skosfusion": __version__} | {name: version(name) for name in _VERSIONS}


def describe(classifier):
    """Turn a fitted classifier into a description for JSON, and tensors by name."""
    module = classifier.module_
    _refuse_other_shapes(classifier, module.state_dict())
    tensors = {_MODULE + name: value for name, value in module.state_dict().items()}
    tensors |= {name: getattr(module, name) for name in _CONSTANTS if hasattr(module, name)}
    for name, value in tensors.items():
        _refuse_unusable_values(name, value)
    warn_of_changed_attributes(classifier)
    description = {
        "class": name_of(type(classifier)),
        "parameters": _describe_parameters(classifier.fitted_params_),
        **_describe_inputs(classifier),
        **_describe_labels(classifier),
        **_describe_network(classifier),
        "history": _describe_history(classifier.history_),
        "versions": versions(),
    }
    return description, tensors


def restore(description, tensors, decoder):
    """Make a fitted classifier of an untrusted description and its tensors, or raise anything."""
    kind = decoder.decode({"class": description["class"]})
    if not issubclass(kind, FusionClassifier):
        raise TypeError(f"its class {description['class']!r:.100} is not a FusionClassifier")
    classifier = kind(**_restore_parameters(kind, description["parameters"], decoder))
    _check_restored_parameters(classifier)
    _place(classifier, description["device"])
    classifier.fitted_params_ = copied_params(classifier)
    _restore_inputs(classifier, description)
    _restore_labels(classifier, description)
    _restore_image_size(classifier, description)
    _restore_network(classifier, description, tensors)
    classifier.history_ = _restore_history(description["history"], decoder)
    _restore_learning_rate(classifier)
    _warn_of_versions(description["versions"])
    return classifier


# Parameters


def _describe_parameters(parameters):
    described, left_out = {}, []
    for name, value in parameters.items():
        if _NOT_KEPT.fullmatch(name):
            continue
        if name in _LARGEST and isinstance(value, int) and value > _LARGEST[name]:
            raise ValueError(f"{name}={value} cannot be saved; at most {_LARGEST[name]} can")
        if name == "weights":
            value = _without_folder(value)
        try:
            described[name] = encode(value)
        except TypeError as error:
            if not _OF_TRAINING.fullmatch(name):
                raise ValueError(
                    f"{name} cannot be saved: {error}; the model needs it to predict, so put it "
                    "into a class of your own, and trust that class in load_model"
                ) from error
            left_out.append(name)
    if left_out:
        warnings.warn(
            f"{', '.join(left_out)} cannot be saved and will be missing in the loaded model, which "
            "does not need them to predict; set them again before it is trained",
            stacklevel=4,
        )
    return described


def _without_folder(weights):
    """Keep a file's name; folders of this machine concern nobody else."""
    return weights if weights is None else os.path.basename(os.fspath(weights))


def _restore_parameters(kind, described, decoder):
    known = kind().get_params(deep=False)
    parameters = {}
    for name, value in described.items():
        if name not in known and not _OF_COMPONENTS.fullmatch(name):
            raise ValueError(f"{kind.__name__} has no parameter {name!r:.50}")
        if not _NOT_KEPT.fullmatch(name):
            parameters[name] = decoder.decode(value)
    for name, largest in _LARGEST.items():
        value = parameters.get(name)
        if value is None:  # the default of the class, or for image_size that of the weights
            continue
        if type(value) is not int or value > largest or value < (-1 if name == "batch_size" else 1):
            raise ValueError(f"{name}={parameters[name]!r:.50} is not allowed; at most {largest}")
    if isinstance(parameters.get("weights"), str):
        parameters["weights"] = _without_folder(parameters["weights"])
    return parameters


def _check_restored_parameters(classifier):
    check_parameters(classifier)
    check_combination(classifier)
    own = classifier.predict_nonlinearity
    # A class that is listed is one of another use; what is left was trusted by the user.
    if own not in ("auto", None) and (not isinstance(own, type) or own in CLASSES.values()):
        raise ValueError(f"predict_nonlinearity={own!r:.50}")
    read_options(image_size=classifier.image_size, **(classifier.image_options or {}))
    if not issubclass(classifier.iterator_valid, DataLoader):
        raise TypeError(f"iterator_valid={classifier.iterator_valid!r:.50} is not a DataLoader")


def _place(classifier, device):
    """Let a model of an accelerator that is not here compute on the processor."""
    if not isinstance(device, str):
        raise TypeError(f"its device is {device!r:.50}")
    try:
        here = resolve_device(classifier.device).type
    except ValueError:
        here = classifier.device = "cpu"
    if here == "meta":
        raise ValueError("its device is 'meta', which holds no values")
    if here != device:
        warnings.warn(
            f"the model was fitted on {device!r:.20} and computes on {here!r} here, where results "
            "may differ in the last digits",
            stacklevel=4,
        )


# Inputs and labels


def _describe_inputs(classifier):
    names = getattr(classifier, "feature_names_in_", None)
    return {
        "n_features_in": classifier.n_features_in_,
        "feature_names_in": None if names is None else names.tolist(),
    }


def _restore_inputs(classifier, description):
    n_features, names = description["n_features_in"], description["feature_names_in"]
    if type(n_features) is not int or n_features < 1:
        raise ValueError(f"n_features_in={n_features!r:.50} is not a number of columns")
    classifier.n_features_in_ = n_features
    if names is not None:
        if len(names) != n_features or not all(isinstance(name, str) for name in names):
            raise ValueError("its names of columns do not fit their number")
        classifier.feature_names_in_ = np.array(names, dtype=object)
    image = classifier.image_column
    if image is not None and (names is None or image not in names):
        raise ValueError(f"its image column {image!r:.50} is not among its columns")


def _describe_labels(classifier):
    classes, weights = classifier.classes_, classifier.class_weights_
    kind = classes.dtype.kind
    if kind == "O" and all(isinstance(label, (str, bool, int, float)) for label in classes):
        described = {"dtype": "object", "values": classes.tolist()}
    elif kind in _LABELS:
        described = {"dtype": classes.dtype.str, "values": encode(classes.tolist())}
    else:
        raise ValueError(
            f"labels of type {classes.dtype} cannot be saved; use texts, numbers or booleans"
        )
    return {
        "classes": described,
        "class_weights": None if weights is None else encode(weights.tolist()),
    }


def _restore_labels(classifier, description):
    classes, weights = _classes(description["classes"]), description["class_weights"]
    if weights is not None and len(weights) != len(classes):
        raise ValueError("its class weights are not one a class")
    if weights is not None and not all(is_number(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"its class weights are {weights!r:.100}, not numbers of 0 or more")
    classifier.classes_inferred_ = classes
    classifier.class_weights_ = None if weights is None else torch.tensor(weights)


def _classes(described):
    values, dtype = described["values"], described["dtype"]
    if not isinstance(values, list) or len(values) < 2:
        raise ValueError("its classes are not a list of two or more")
    if dtype == "object":
        if not all(isinstance(value, (str, bool, int, float)) for value in values):
            raise TypeError("its classes are not plain values")
        return np.array(values, dtype=object)
    if not re.fullmatch(r"[<>|](b1|[iuf][1248]|U\d{1,4})", dtype):
        raise ValueError(f"its classes have the type {dtype!r:.50}")
    plain = _LABELS[dtype[1]]
    if not all(type(value) is plain for value in values):
        raise TypeError(f"its classes are not all of type {plain.__name__}")
    classes = np.array(values, dtype=dtype)
    if classes.tolist() != values or len(np.unique(classes)) != len(values):
        raise ValueError("its classes are not distinct values of their type")
    return classes


# Network


def _describe_network(classifier):
    module = classifier.module_
    dtype = getattr(module, "encoder_dtype", None)
    return {
        "seed": classifier.seed_,
        "device": next(module.parameters()).device.type,
        "image_size": classifier.image_size_,
        "encoder_dtype": None if dtype is None else str(dtype).removeprefix("torch."),
        "encoder_has_trained": getattr(module, "encoder_has_trained", False),
        "engine": getattr(module, "engine", "eager"),
    }


def _restore_image_size(classifier, description):
    # Files of earlier versions have it among the parameters alone.
    size = description.get("image_size", classifier.image_size)
    if type(size) is not int or not 1 <= size <= _LARGEST["image_size"]:
        raise ValueError(
            f"image_size={size!r:.50} is not allowed; at most {_LARGEST['image_size']}"
        )
    if classifier.image_size not in (None, size):
        raise ValueError(f"its image sizes, {size} and {classifier.image_size!r:.50}, differ")
    classifier.image_size_ = size


def _restore_network(classifier, description, tensors):
    seed = description["seed"]
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ValueError(f"seed={seed!r:.50} is not a seed")
    classifier.seed_ = seed
    state = {
        name.removeprefix(_MODULE): value
        for name, value in tensors.items()
        if name.startswith(_MODULE)
    }
    _refuse_other_shapes(classifier, state)
    for name, value in tensors.items():
        _refuse_unusable_values(name, value)

    encoder_state = _of_encoder(state)
    backbone = classifier.network_arguments()["backbone"]
    if backbone is not None:
        # The encoder will have the types of these.
        for name, value in encoder_part(encoder_state, backbone, "the model file").items():
            _refuse_other_type(_ENCODER + name, encoder_state[name], value)
    classifier.initialize(encoder_state=encoder_state)
    classifier.optimizer_is_fresh_ = True
    module = classifier.module_
    for name, value in module.state_dict().items():
        if name in state:
            _refuse_other_type(name, state[name], value)
    module.load_state_dict(state)
    module.eval()
    for name in _CONSTANTS:
        if hasattr(module, name):
            _refuse_other_type(name, tensors[name], getattr(module, name))
            getattr(module, name).copy_(tensors[name].view_as(getattr(module, name)))
    dtype = _NUMBER_FORMATS[description["encoder_dtype"]]
    if hasattr(module, "encoder_dtype"):
        module.encoder_dtype = dtype
    # Files of earlier versions know of no engines.
    engine = description.get("engine", "eager")
    if engine not in ENGINES:
        raise ValueError(f"engine={engine!r:.50} is not one of {', '.join(ENGINES)}")
    if hasattr(module, "engine"):
        module.engine = engine
    if hasattr(module, "encoder_has_trained"):
        module.encoder_has_trained = bool(description["encoder_has_trained"])


def _refuse_other_type(name, tensor, expected):
    if tensor.dtype != expected.dtype:
        raise ValueError(
            f"its entry {name!r:.100} has the type {tensor.dtype}, and the network has "
            f"{expected.dtype}"
        )


def _refuse_unusable_values(name, tensor):
    """Refuse values that would turn every prediction into NaN."""
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise ValueError(f"its entry {name!r:.100} is not finite")
    is_deviation = name == "pixel_std" or name.endswith("feature_scale")
    if (is_deviation and (tensor <= 0).any()) or (
        name.endswith("running_var") and (tensor < 0).any()
    ):
        raise ValueError(f"its entry {name!r:.100} is not the spread of anything: 0 or negative")


def _refuse_other_shapes(classifier, state):
    """Compare the network that would be built with the tensors there are, before it is built."""
    arguments, kind = classifier.network_arguments(), classifier.fitted_params_["module"]
    if isinstance(arguments["backbone"], str):
        encoder_part(_of_encoder(state), arguments["backbone"], "the model file")
    if kind is FusionNetwork or {"head.0.weight", "head.2.weight"} <= state.keys():
        _refuse_other_head(arguments, kind, state)
    elif max(arguments["hidden_units"], arguments["n_clinical"]) > 2**16:
        raise ValueError(
            f"hidden_units={arguments['hidden_units']} or the number of inputs is too large"
        )


def _refuse_other_head(arguments, kind, state):
    """Compare the head's tensors with those of the head that would be built."""
    backbone, n_clinical = arguments["backbone"], arguments["n_clinical"]
    if backbone is None:
        n_features = 0
    elif kind is FusionNetwork and isinstance(backbone, str):
        n_features = feature_length(backbone, arguments["image_size"])
    elif "head.image.weight" in state:
        n_features = state["head.image.weight"].shape[-1]
    else:
        n_features = state["head.0.weight"].shape[-1] - n_clinical
    found = {name: tuple(value.shape) for name, value in state.items() if name.startswith("head.")}
    if n_features >= 0 and max(arguments["hidden_units"], n_features, n_clinical) <= 2**24:
        names = arguments.get("clinical_names", [f"x{number}" for number in range(n_clinical)])
        options = {name: arguments[name] for name in _OF_HEAD if name in arguments}
        with torch.device("meta"):
            head = make_head(n_features, names, arguments["n_classes"], **options)
        expected = {f"head.{name}": tuple(v.shape) for name, v in head.state_dict().items()}
        # A network class of the user's may have changed the head.
        same = found if kind is FusionNetwork else {name: found.get(name) for name in expected}
        if same == expected:
            return
    raise ValueError(
        f"its head has the shapes {', '.join(map(str, found.values()))}, which do not fit "
        f"hidden_units={arguments['hidden_units']}, {n_clinical} clinical inputs, "
        f"{arguments['n_classes']} classes"
    )


def _of_encoder(state):
    return {
        name.removeprefix(_ENCODER): value
        for name, value in state.items()
        if name.startswith(_ENCODER)
    }


# History and versions


def _describe_history(history):
    """Keep what is plain; callbacks may record anything."""
    epochs = []
    for epoch in history.to_list():
        plain = {}
        for name in epoch.keys() - {"batches"}:
            with suppress(TypeError):
                plain[name] = encode(epoch[name])
        epochs.append(dict(sorted(plain.items())))
    return epochs


def _restore_history(epochs, decoder):
    if len(epochs) > _MOST_EPOCHS:
        raise ValueError(f"its history has {len(epochs)} epochs")
    return History(
        {name: decoder.decode(value) for name, value in epoch.items()} | {"batches": []}
        for epoch in epochs
    )


def _restore_learning_rate(classifier):
    """Let further training go on with the last rate, which milestones have lowered."""
    rate = classifier.history_[-1].get("event_lr") if classifier.history_ else None
    if isinstance(rate, float) and 0 < rate < float("inf"):
        for group in classifier.optimizer_.param_groups:
            group["lr"] = rate


def _warn_of_versions(there):
    here = versions()
    others = [
        f"{name} {there[name]!s:.30} (here {here[name]})"
        for name in here
        if there.get(name) != here[name]
    ]
    if others:
        warnings.warn(
            f"the model was saved with other versions: {', '.join(others)}; compare some "
            "predictions before you rely on it",
            stacklevel=4,
        )
