"""The command `skosfusion`: the main jobs for those who do not write Python."""

import importlib

from .._utils.naming import publish
from ._main import main

__all__ = ["main"]

publish(__name__, __all__)

# What the scripts beside the package share with the command. Each is opened when it is first asked
# for: help and errors of the command line must not wait for torch to load.
_FACE = {
    "Output": "_output",
    "add_ablation_options": "_options",
    "add_comparators": "_patients",
    "add_counts": "_results",
    "check_ablation_options": "_options",
    "comparators": "_patients",
    "describe_run": "_units",
    "figures": "_patients",
    "format_figures": "_patients",
    "format_table": "_results",
    "heartbeat": "_units",
    "leakage": "_results",
    "locked": "_lock",
    "machine_facts": "_machine",
    "multiplies_bf16": "_machine",
    "prepare": "_protocol",
    "set_aside": "_files",
    "sweep_temporary_files": "_files",
    "versions": "_machine",
    "weights_digest": "_units",
    "wrapped": "_results",
    "write_ablation": "_results",
    "write_atomically": "_files",
    "write_cohort_report": "_patients",
    "write_record": "_files",
}


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_FACE[name]}", __name__), name)
