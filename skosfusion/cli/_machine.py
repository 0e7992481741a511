"""What results and figures depend on: the machine and the versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

#: Packages that decide a result.
PACKAGES = (
    "skosfusion", "torch", "torchvision", "skorch", "scikit-learn", "pandas", "numpy", "pillow",
)  # fmt: skip


def machine_facts():
    """Describe the machine; nothing here tells one machine of a kind from another."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "vector unit": torch.backends.cpu.get_cpu_capability(),
        "native bf16": multiplies_bf16(),
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def multiplies_bf16():
    """Return whether the processor multiplies bf16 itself, with AVX512-BF16 or AMX."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def versions(*others):
    """Give the versions that decide a result, those of others, and what torch computes with."""
    found = {"python": platform.python_version()}
    for name in PACKAGES + others:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    capability = "CUDA" if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    return found | {"computes with": capability}
