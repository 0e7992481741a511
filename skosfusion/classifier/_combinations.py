"""Which heads, fusions, scalings and ways to train go together."""

from torch.nn import CrossEntropyLoss

from ..network import FusionNetwork

#: The default of `C`, which only a linear head may change.
USUAL_C = 0.01
# What trains a network step by step, and has no part in a head that is solved for.
_OF_STEPS = ("callbacks__", "criterion__", "iterator_train__", "optimizer__")


def check_combination(estimator):
    """Refuse parameters that exclude each other, by name; `docs/recipe.md` has them as a table."""
    trains_encoder = estimator.image_column is not None and estimator.frozen_epochs != "all"
    training = f"frozen_epochs={estimator.frozen_epochs!r}", "use frozen_epochs='all'"
    if estimator.unfreeze is not None:
        training = (
            f"unfreeze={estimator.unfreeze!r}",
            "use unfreeze=None and frozen_epochs='all'",
        )
    if estimator.head == "linear":
        _check_linear_head(estimator, training if trains_encoder else None)
    elif estimator.C != USUAL_C:
        _refuse(
            f"head={estimator.head!r}",
            f"C={estimator.C!r}",
            "it is the penalty of head='linear' alone; use that head, or leave C out",
        )
    if estimator.feature_scaling is not None and trains_encoder:
        other, remedy = training
        _refuse(
            f"feature_scaling={estimator.feature_scaling!r}",
            other,
            "features change while the encoder trains, and their scale is that of a fixed one; "
            f"{remedy}, or feature_scaling=None",
        )
    is_ours = isinstance(estimator.module, type) and issubclass(estimator.module, FusionNetwork)
    for name, default in (("head", "mlp"), ("fusion", "concat"), ("feature_scaling", None)):
        if not is_ours and getattr(estimator, name) != default:
            _refuse(
                f"{name}={getattr(estimator, name)!r}",
                f"module={getattr(estimator.module, '__name__', estimator.module)}",
                f"only FusionNetwork and classes derived from it know it; use {name}={default!r}",
            )
    if estimator.steps_per_epoch is not None:
        for name in ("sampler", "batch_sampler", "drop_last"):
            if hasattr(estimator, f"iterator_train__{name}"):
                _refuse(
                    f"steps_per_epoch={estimator.steps_per_epoch}",
                    f"iterator_train__{name}",
                    "both decide the batches of an epoch; leave one of them out",
                )


def _check_linear_head(estimator, training):
    """Refuse what a linear head cannot do; `training` tells what trains the encoder, if any."""
    head = "head='linear'"
    if estimator.fusion == "gated":
        _refuse(head, "fusion='gated'", "a gate is not linear; use fusion='concat' or head='mlp'")
    if training is not None:
        other, remedy = training
        reason = "it is solved for on fixed features, so no encoder trains with it"
        _refuse(head, other, f"{reason}; {remedy}, or head='mlp'")
    if estimator.criterion is not CrossEntropyLoss:
        _refuse(
            head,
            f"criterion={getattr(estimator.criterion, '__name__', estimator.criterion)}",
            "its loss is cross entropy; use criterion=torch.nn.CrossEntropyLoss or head='mlp'",
        )
    for name, default in (
        ("callbacks", None),
        ("train_split", None),
        ("head_dropout", 0.0),
        ("steps_per_epoch", None),
        ("warm_start", False),
    ):
        value = getattr(estimator, name)
        if value != default and value is not False:
            _refuse(
                head,
                f"{name}={value!r:.100}",
                f"it is solved for at once, without epochs; use {name}={default!r} or head='mlp'",
            )
    for name in vars(estimator):
        if name.startswith(_OF_STEPS):
            _refuse(head, name, f"it is solved for, without steps; leave {name} out")


def refuse_going_on(estimator):
    """Refuse to train a head further that is solved for as a whole."""
    fitted = getattr(estimator, "fitted_params_", {}) if estimator.initialized_ else {}
    if "linear" in (estimator.head, fitted.get("head")):
        raise ValueError(
            "head='linear' is fitted to convergence on all samples at once, so partial_fit cannot "
            "go on from there; call fit with all samples, or use head='mlp'"
        )


def _refuse(name, other, reason):
    raise ValueError(f"{name} and {other} exclude each other: {reason}")
