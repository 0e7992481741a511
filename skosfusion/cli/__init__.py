"""The command `skosfusion`: the main jobs for those who do not write Python."""

import importlib

from ._main import main

__all__ = ["main"]

# What the scripts beside the package share with the command. Each is opened when it is first asked
# for: help and errors of the command line must not wait for torch to load.
_FACE = {
    "PAPER": "_results",
    "Output": "_output",
    "add_comparators": "_patients",
    "add_ablation_options": "_options",
    "check_ablation_options": "_options",
    "comparators": "_patients",
    "machine_facts": "_machine",
    "multiplies_bf16": "_machine",
    "prepare": "_protocol",
    "run_units": "_units",
    "set_aside": "_files",
    "sweep_temporary_files": "_files",
    "versions": "_machine",
    "wrapped": "_results",
    "write_atomically": "_files",
    "write_predictions": "_predictions",
    "write_record": "_files",
}


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_FACE[name]}", __name__), name)
