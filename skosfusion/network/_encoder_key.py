"""One digest of all that features depend on beside the image file."""

import hashlib
import os
import sys

import torch
import torchvision

from ..images import decoding_versions
from ._compiled import native_code_facts
from ._identity import library_versions, network_identity
from ._inference import encoding_batch_size

# Increase this when the same encoder and image would give other features than before.
_FEATURE_FORMAT = 3
# Where torch keeps what decides on number formats and kernels. Not every version has all of them.
_SETTINGS = (
    "are_deterministic_algorithms_enabled",
    "backends.cuda.cudnn_sdp_enabled",
    "backends.cuda.flash_sdp_enabled",
    "backends.cuda.math_sdp_enabled",
    "backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_fp16_accumulation",
    "backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
    "backends.cuda.matmul.allow_tf32",
    "backends.cuda.matmul.fp32_precision",
    "backends.cuda.mem_efficient_sdp_enabled",
    "backends.cudnn.allow_tf32",
    "backends.cudnn.benchmark",
    "backends.cudnn.conv.fp32_precision",
    "backends.cudnn.deterministic",
    "backends.cudnn.enabled",
    "backends.cudnn.fp32_precision",
    "backends.cudnn.version",
    "backends.fp32_precision",
    "backends.mha.get_fastpath_enabled",
    "backends.mkldnn.allow_tf32",
    "backends.mkldnn.conv.fp32_precision",
    "backends.mkldnn.deterministic",
    "backends.mkldnn.enabled",
    "backends.mkldnn.fp32_precision",
    "backends.mkldnn.matmul.fp32_precision",
    "backends.nnpack.enabled",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "version.cuda",
)
_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
)
# Processors of one vector unit differ in which of these multiply bf16, and each rounds in its way.
_BF16_UNITS = "amx_bf16", "avx512_bf16", "avx_ne_convert"
# The smallest normal number of float32 is 1.2e-38.
_DENORMAL = 1e-40


def encoder_key(network, image_options, identity=None, engine="eager"):
    """Return a digest of encoder, engine, reading options, number formats and software versions.

    A network that nobody can tell from others gets a new key each time.
    """
    identity = network_identity(network) if identity is None else identity
    digest = hashlib.sha256(identity.digest or os.urandom(32))
    software = *_versions(network, image_options), repr(library_versions(identity.libraries))
    # Features of the first engine have been kept since before there were others.
    engines = () if engine == "eager" else (f"engine {engine}",)
    engines += native_code_facts() if engine == "compiled" else ()
    parts = (*software, *engines, *_settings(network.pixel_mean.device), *_bf16_units(network))
    for part in (*parts, repr(sorted(image_options.items()))):
        digest.update(part.encode() + b"\0")
    return digest.digest()


def _versions(network, image_options):
    contrast = image_options.get("contrast")
    own, pillow, *others = decoding_versions(contrast)
    format_ = f"{own} {_FEATURE_FORMAT} {encoding_batch_size(network)}"
    capability = torch.backends.cpu.get_cpu_capability()
    python = ".".join(map(str, sys.version_info[:2]))  # code objects are those of a version
    software = torch.__version__, torchvision.__version__, python, pillow, *others
    return format_, *software, capability


def _settings(device):
    """Return what else decides on the last digits of a feature, or more of them."""
    settings = [f"{name} {_setting(name)}" for name in _SETTINGS]
    settings += [f"{name} {os.environ.get(name)}" for name in _VARIABLES]
    settings.append(f"autocast {torch.is_autocast_enabled(device.type)}")
    settings.append(f"{torch.get_autocast_dtype(device.type)}")
    settings.append(f"denormal {(torch.tensor(_DENORMAL) * 1.0).item()}")
    if device.type == "cuda":
        settings.append(torch.cuda.get_device_name(device))
    return settings


def _bf16_units(network):
    """Return what multiplies bf16 where the encoder computes in it on a processor."""
    if network.encoder_dtype is not torch.bfloat16 or network.pixel_mean.device.type != "cpu":
        return []
    there = torch.cpu.get_capabilities()
    return [f"{unit} {bool(there.get(unit))}" for unit in _BF16_UNITS]


def _setting(name):
    found = torch
    try:
        for part in name.split("."):
            found = getattr(found, part)
        return found() if callable(found) else found
    # RuntimeError: an older and a newer switch were set at once.
    except (AttributeError, RuntimeError) as error:
        return type(error).__name__
