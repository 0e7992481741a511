"""The state of an optimiser in a model file, and back."""

import torch

from ._components import encode

_OPTIMIZER = "optimizer."
# How an optimiser computes is for this machine to say: fused kernels trust the shapes of its state.
_WAYS_OF_OPTIMIZERS = {"fused", "foreach", "capturable", "differentiable"}


def split_optimizer(state):
    """Part an optimiser's state into JSON and tensors."""
    tensors, entries = {}, {}
    for number, values in state["state"].items():
        entries[str(number)] = {}
        for name, value in values.items():
            is_tensor = isinstance(value, torch.Tensor)
            if is_tensor:
                tensors[f"{_OPTIMIZER}{number}.{name}"] = value
            entries[str(number)][name] = {"tensor": True} if is_tensor else encode(value)
    return {"state": entries, "param_groups": encode(state["param_groups"])}, tensors


def join_optimizer(described, tensors, decoder):
    """Put together what `split_optimizer` parted; a `Decoder` reads the JSON."""
    state = {}
    for number, values in described["state"].items():
        state[int(number)] = {
            name: tensors[f"{_OPTIMIZER}{number}.{name}"]
            if value == {"tensor": True}
            else decoder.decode(value)
            for name, value in values.items()
        }
    return {"state": state, "param_groups": decoder.decode(described["param_groups"])}


def restore_optimizer(optimizer, state):
    """Load a stranger's state; it must fit, and does not say how this machine computes."""
    fresh = optimizer.state_dict()["param_groups"]
    for group, ours in zip(state["param_groups"], fresh, strict=True):
        if group["params"] != ours["params"]:
            raise ValueError("its optimiser trains other parameters")
        group |= {way: ours[way] for way in _WAYS_OF_OPTIMIZERS & ours.keys()}
        for way in _WAYS_OF_OPTIMIZERS - ours.keys():
            group.pop(way, None)
    optimizer.load_state_dict(state)
    if not any(group.get("fused") for group in optimizer.param_groups):
        return
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            is_tensor = isinstance(value, torch.Tensor)
            if is_tensor and not (
                value.is_floating_point() and (value.ndim == 0 or value.shape == parameter.shape)
            ):
                raise ValueError(f"its optimiser's {name!r:.50} does not fit its parameter")
