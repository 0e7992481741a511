"""Random numbers of a fit: one seed for everything that draws, and the caller's states put back."""

import contextlib
import os
import random
import threading

import numpy as np
import torch

from .._utils.locks import DRAWING
from .._utils.random_states import common_states_kept, torch_states_kept

# These states belong to the whole process: who seeds them must have them alone.
_LOCK = threading.RLock()
_seeding = threading.local()


def _renew_lock():
    """Free the lock in a forked child: who held it in the parent is not there."""
    global _LOCK
    _LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextlib.contextmanager
def seeded(seed, device):
    """Seed the global random states of torch, numpy and Python, and put the caller's back."""
    with _LOCK, contextlib.ExitStack() as stack:
        with DRAWING:
            stack.enter_context(torch_states_kept(device))
            torch.default_generator.manual_seed(seed)
        outer = getattr(_seeding, "is_under_way", False)
        _seeding.is_under_way = True
        try:
            with common_states_kept():
                if device.type == "cuda":
                    with torch.cuda.device(device):
                        torch.cuda.manual_seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002 - others draw from it
                random.seed(seed)
                yield
        finally:
            _seeding.is_under_way = outer
            with DRAWING:
                stack.close()


def reseed(seed):
    """Seed the states of the processor anew, within `seeded`."""
    with DRAWING:
        torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - others draw from it
    random.seed(seed)


def drawing():
    """Return what to hold while a network runs, so that no fork falls into what it draws."""
    is_under_way = getattr(_seeding, "is_under_way", False)
    return DRAWING if is_under_way else contextlib.nullcontext()


def draws_random_numbers(network):
    """Return whether a layer may draw random numbers: torch's dropout, or anything not torch's."""
    return any(map(_may_draw, network.modules()))


def _may_draw(layer):
    name = type(layer).__name__.lower()
    if "dropout" in name or "stochasticdepth" in name:
        return True
    return not type(layer).__module__.startswith(("torch.nn.", "torchvision.", "skosfusion."))
