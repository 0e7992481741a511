"""What the processor can do at most, and in which number formats."""

import time

import torch
from _common.machine import multiplies_bf16

from .timing import spread

#: Multiplications and additions of ResNet18's forward pass on one image of 224 x 224, in GFLOP.
RESNET18_GFLOP = 3.64
#: What a share of the limit means that cannot be.
ABOVE_LIMIT = "a share above 1 says that torch's convolutions outrun its matrix products here."
_MATRIX_SIDE = 2048
_N_PRODUCTS = 5


def precisions(requested):
    """List the number formats to measure, the fastest first."""
    if requested != "auto":
        return [requested]
    return ["bf16", "fp32"] if multiplies_bf16() else ["fp32"]


def product_rate(precision):
    """Measure matrix products, the most that convolutions can reach: median GFLOP/s of five."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    left, right = (torch.randn(_MATRIX_SIDE, _MATRIX_SIDE).to(dtype) for _ in range(2))
    rates = []
    for _ in range(_N_PRODUCTS + 1):
        started = time.perf_counter()
        torch.mm(left, right)
        rates.append(2e-9 * _MATRIX_SIDE**3 / (time.perf_counter() - started))
    return spread(rates[1:]).median


def add_limits(candidates, formats, work):
    """Add to what is measured the images a second that the products would allow."""
    for precision in formats:
        candidates[limit_name(precision)] = lambda p=precision: product_rate(p) / work
    return candidates


def limit_name(precision):
    """Name a limit in reports."""
    return f"limit of matrix products, {precision}"
