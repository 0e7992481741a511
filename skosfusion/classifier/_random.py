"""Random numbers of a fit: one seed for everything that draws, and the caller's states put back."""

import contextlib
import random
import threading

import numpy as np
import torch

# These states belong to the whole process: who seeds them must have them alone.
_LOCK = threading.RLock()


@contextlib.contextmanager
def seeded(seed, device):
    """Seed the global random states of torch, numpy and Python, and put the caller's back."""
    cuda = [device] if device.type == "cuda" else []
    with _LOCK, torch.random.fork_rng(devices=cuda):
        states = np.random.get_state(), random.getstate()  # noqa: NPY002 - others draw from it
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(states[0])  # noqa: NPY002
            random.setstate(states[1])


def draws_random_numbers(network):
    """Return whether a layer may draw random numbers: torch's dropout, or anything not torch's."""
    return any(map(_may_draw, network.modules()))


def _may_draw(layer):
    name = type(layer).__name__.lower()
    if "dropout" in name or "stochasticdepth" in name:
        return True
    return not type(layer).__module__.startswith(("torch.nn.", "torchvision.", "skosfusion."))
