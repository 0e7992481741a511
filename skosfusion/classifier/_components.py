"""What skorch's parameters may be here: the one list of those that are refused, and why."""

import fnmatch
import inspect
import multiprocessing

import torch
from joblib.parallel import get_active_backend
from skorch.callbacks import Checkpoint, LRScheduler, TrainEndCheckpoint
from skorch.callbacks.scoring import BatchScoring, EpochScoring
from torch.utils.data import DataLoader

from .._utils.validation import did_you_mean

# Parameters that skorch takes and that would have no effect, or change the number or the order of
# predictions, by name: what to do instead.
REFUSED = {
    "dataset__*": "the classifier makes datasets of its own; change the table",
    "compile__*": "the network is not compiled; leave them out",
    "iterator_train__collate_fn": "batches are gathered whole; change what the network is given in "
    "a module of your own",
    "iterator_valid__collate_fn": "batches are gathered whole; change what the network is given in "
    "a module of your own",
    "iterator_valid__batch_sampler": "predictions come one a row, in the order of the rows",
    "iterator_valid__drop_last": "predictions come one a row, in the order of the rows",
    "iterator_valid__sampler": "predictions come one a row, in the order of the rows",
    "iterator_valid__shuffle": "predictions come one a row, in the order of the rows",
    "iterator_train__dataset": "the classifier makes datasets of its own; change the table",
    "iterator_valid__dataset": "the classifier makes datasets of its own; change the table",
    "module__backbone": "use backbone",
    "module__encoder_state": "use weights",
    "iterator_train__generator": "random_state decides the order of the batches",
    "module__clinical_names": "they are those of the columns of X",
    "module__feature_scaling": "use feature_scaling",
    "module__fusion": "use fusion",
    "module__head": "use head",
    "module__head_dropout": "use head_dropout",
    "module__modality_dropout": "use modality_dropout",
    "module__n_classes": "the classes are those of y",
    "module__n_clinical": "the clinical inputs are the columns of X",
    "optimizer__lr": "use lr",
    "optimizer__params": "all parameters of the network train; fix the encoder with frozen_epochs",
}
_DEFAULT_CALLBACKS = {
    "epoch_timer",
    "lr_scheduler",
    "progress",
    "train_loss",
    "valid_acc",
    "valid_loss",
}
_COMPONENTS = ("module", "criterion", "optimizer", "iterator_train", "iterator_valid")


def check_components(estimator):
    """Refuse parameters of components that have no effect or that there are not."""
    parameters = [n for n in vars(estimator) if "__" in n and not n.startswith("_")]
    for name in parameters:
        component, _, rest = name.partition("__")
        remedy = REFUSED.get(name, REFUSED.get(f"{component}__*"))
        if name.endswith("_"):
            raise ValueError(
                f"{name} ends in an underscore, as what a fit has found does; rename this argument "
                "of your class"
            )
        if remedy is not None:
            raise ValueError(f"{name} is not allowed: {remedy}")
        if component in _COMPONENTS:
            _check_name(estimator, component, rest)
        elif component != "callbacks":
            hint = did_you_mean(component, [*_COMPONENTS, "callbacks"])
            raise ValueError(f"{name}: there is no component {component!r}; {hint}".rstrip("; "))
    weight = getattr(estimator, "criterion__weight", None)
    if estimator.class_weight is not None and weight is not None:
        raise ValueError(
            f"class_weight={estimator.class_weight!r} and criterion__weight={weight!r} both weigh "
            "the classes; leave one of them out"
        )
    _check_loaders(estimator)
    callbacks = estimator.callbacks if isinstance(estimator.callbacks, list) else []
    callbacks = [cb[1] if isinstance(cb, tuple) else cb for cb in callbacks]
    _check_callback_names(estimator, parameters, callbacks)
    for callback in callbacks:
        _check_callback(estimator, callback)


def _check_name(estimator, component, rest):
    kind = getattr(estimator, component)
    try:
        known = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # what is written in C may have no signature
        return
    if any(parameter.kind.name == "VAR_KEYWORD" for parameter in known.values()):
        return
    name = rest.split("__")[0]
    if name not in known and not (component == "optimizer" and name == "param_groups"):
        names = [f"{component}__{one}" for one in known if one != "self"]
        hint = did_you_mean(f"{component}__{rest}", names)
        raise ValueError(
            f"{component}__{rest} is not a parameter of {getattr(kind, '__name__', kind)}; "
            f"{hint}".rstrip("; ")
        )


def check_parameter_groups(estimator, prefix, names):
    """Refuse groups of the optimizer that no parameter of the network belongs to."""
    for pattern, _ in getattr(estimator, f"{prefix}__param_groups", None) or ():
        if not fnmatch.filter(names, pattern):
            shown_names = ", ".join(names[:3] + names[-2:])
            raise ValueError(
                f"{prefix}__param_groups holds {pattern!r}, and no parameter of the network has "
                f"such a name; they are {shown_names}, ... (all of them: "
                "[name for name, _ in classifier.module_.named_parameters()])"
            )


def _check_loaders(estimator):
    for name in ("iterator_train", "iterator_valid"):
        loader = getattr(estimator, name)
        if not (isinstance(loader, type) and issubclass(loader, DataLoader)):
            raise ValueError(
                f"{name}={loader!r} is not allowed; allowed: torch.utils.data.DataLoader, or a "
                "class derived from it that takes the same arguments"
            )


def _check_callback_names(estimator, parameters, callbacks):
    own = {
        type(cb).__name__.lower() if not isinstance(cb, type) else cb.__name__.lower()
        for cb in callbacks
    }
    pairs = estimator.callbacks if isinstance(estimator.callbacks, list) else []
    own |= {cb[0] for cb in pairs if isinstance(cb, tuple)}
    for parameter in parameters:
        component, _, rest = parameter.partition("__")
        if component != "callbacks":
            continue
        name = rest.split("__")[0]
        if name not in _DEFAULT_CALLBACKS | own and name.rpartition("_")[0] not in own:
            hint = did_you_mean(name, _DEFAULT_CALLBACKS | own)
            raise ValueError(f"{parameter}: there is no callback {name!r}; {hint}".rstrip("; "))


def _check_callback(estimator, callback):
    kind = callback if isinstance(callback, type) else type(callback)
    has_milestones = estimator.lr_milestones and (
        getattr(estimator, "callbacks__lr_scheduler", callback) is not None
    )
    if issubclass(kind, LRScheduler) and has_milestones:
        raise ValueError(
            f"callbacks holds a {kind.__name__}, and lr_milestones={estimator.lr_milestones!r} is "
            "a second schedule; pass lr_milestones=None"
        )
    if not estimator.train_split and _needs_validation(callback):
        raise ValueError(
            f"{kind.__name__} looks at validation samples, and train_split=None sets none aside; "
            "pass train_split=skorch.dataset.ValidSplit(5, stratified=True) and the patients as "
            "groups to fit, or let it look at the training loss (monitor='train_loss', "
            "on_train=True)"
        )
    if getattr(callback, "use_caching", True) is False:
        raise ValueError(
            f"{kind.__name__}(use_caching=False) is not allowed: scores are those of the "
            "validation step; leave use_caching out"
        )
    if kind in (Checkpoint, TrainEndCheckpoint) and _is_parallel():
        raise ValueError(
            f"{kind.__name__} writes all fits that run at the same time to one dirname, so that a "
            "fold could load the weights of another; use EarlyStopping(load_best=True), n_jobs=1, "
            "or a class derived from it that gives each fit a dirname of its own"
        )


def _needs_validation(callback):
    if isinstance(callback, type):
        return False
    if isinstance(callback, (EpochScoring, BatchScoring)):
        return not callback.on_train
    monitor = getattr(callback, "monitor", None)
    return isinstance(monitor, str) and monitor.startswith("valid")


def _is_parallel():
    """Return whether joblib runs this fit beside others."""
    backend, _ = get_active_backend()
    in_worker = multiprocessing.parent_process() is not None
    return in_worker or getattr(backend, "nesting_level", 0) > 0


def is_of_torch(thing):
    """Return whether a class or object is torch's own."""
    kind = thing if isinstance(thing, type) else type(thing)
    return kind.__module__.startswith("torch.") or kind is torch.nn.CrossEntropyLoss
