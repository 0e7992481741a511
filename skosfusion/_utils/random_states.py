"""The random states that belong to the whole process: kept, and put back."""

import contextlib
import random

import numpy as np
import torch


@contextlib.contextmanager
def common_states_kept():
    """Put back the states of numpy and Python, whatever has drawn from them or seeded them."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002 - others draw from it
    try:
        yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])


def torch_states_kept(device):
    """Return a context that puts back torch's states, of the processor and of this device."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
