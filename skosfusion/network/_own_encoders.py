"""What a module of the user's must be to serve as an encoder; said before anything is computed."""

import copy
import inspect

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def own_encoder(backbone):
    """Build the encoder that the user's callable makes, a copy of which nobody else holds."""
    _refuse_missing_arguments(backbone)
    encoder = backbone()
    if not isinstance(encoder, nn.Module):
        raise TypeError(
            f"backbone={backbone!r:.200} made a {type(encoder).__name__}; it must make a "
            "torch.nn.Module"
        )
    problem = _problem(encoder)
    if problem is None:
        # A callable may hand out one module again and again, and a class may build on one that it
        # does not make; no fit may train it for the next.
        try:
            copied = copy.deepcopy(encoder)
        except Exception as error:  # noqa: BLE001 - of any attribute of the user's
            problem = (
                f"it cannot be copied ({type(error).__name__}: {error}); keep what has no copy, "
                "such as open files, locks and results of layers, out of its attributes"
            )
        else:
            name = _function_with_a_module(copied)
            if name is None:
                return copied
            problem = (
                f"the function {name!r} in its attributes or hooks holds a module or tensor from "
                "around it, which copies of the encoder would share, and weights and training "
                "would not reach; make it a method, or a hook that uses the layer it is given"
            )
    raise TypeError(
        f"backbone={backbone!r:.200} made a {type(encoder).__name__} that cannot be an encoder: "
        f"{problem}"
    )


def check_backbone(backbone):
    """Raise TypeError unless a backbone is a name or a callable."""
    if isinstance(backbone, str) or (callable(backbone) and not isinstance(backbone, nn.Module)):
        return
    must = "a name or a class or callable that makes a torch.nn.Module"
    if backbone is None:
        raise TypeError(
            f"backbone=None must be {must}; for a model without images give image_column=None"
        )
    if isinstance(backbone, nn.Module):
        backbone = f"a {type(backbone).__name__}"
    raise TypeError(
        f"backbone={backbone!r:.200} must be {must}; pass the class itself or a functools.partial "
        "of it, not an instance, so that no fold starts from another fold's weights"
    )


def _function_with_a_module(encoder):
    """Name a function that an encoder holds and that holds a module or tensor itself, or None."""
    for module in encoder.modules():
        values = list(vars(module).values())
        hooks = [hook for value in values if isinstance(value, dict) for hook in value.values()]
        for function in filter(inspect.isfunction, values + hooks):
            cells = inspect.getclosurevars(function).nonlocals.values()
            held = [*cells, *(function.__defaults__ or ())]
            if any(isinstance(value, nn.Module | torch.Tensor) for value in held):
                return function.__qualname__
    return None


def _refuse_missing_arguments(backbone):
    try:
        signature = inspect.signature(backbone)
    except (TypeError, ValueError):  # not every callable shows it
        return
    try:
        signature.bind()
    except TypeError as error:
        raise TypeError(
            f"backbone={backbone!r:.200} cannot be called without arguments: {error}; bind them "
            "with functools.partial(backbone, ...)"
        ) from None


def _problem(encoder):
    """Say what keeps a module from being an encoder, with the remedy, or return None."""
    if isinstance(encoder, torch.jit.ScriptModule):
        return "it is TorchScript, whose code cannot be told or saved; pass the Python class"
    tensors = [*encoder.named_parameters(), *encoder.named_buffers()]
    for name, tensor in tensors:
        if is_lazy(tensor):
            return (
                f"{name!r} has no shape yet; give its layer the sizes, such as Conv2d in the place "
                "of LazyConv2d"
            )
        if tensor.is_meta:
            return f"{name!r} is on 'meta' and has no values; build it without torch.device('meta')"
        if tensor.layout is not torch.strided:
            return f"{name!r} is a tensor of layout {tensor.layout}; make it dense: .to_dense()"
    for name, value in encoder.state_dict().items():
        if not isinstance(value, torch.Tensor):
            return (
                f"its state dict holds a {type(value).__name__} in {name!r}, and copies and files "
                "keep tensors alone; register it as a buffer, or leave get_extra_state out"
            )
    return None
