"""Which device computes, and in which number format."""

import torch


def resolve_device(device):
    """Turn the `device` parameter into a torch device that exists.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes CUDA where there is one and the CPU elsewhere; anything
        else is taken as it is.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ValueError
        If the device is not known to torch or not on this machine; there is no
        silent fall-back.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used on this machine ({reason}); allowed: 'auto', 'cpu', "
            "or a device that torch finds here, such as 'cuda'"
        ) from error
    return resolved


def resolve_encoder_dtype(precision, device):
    """Turn the `precision` parameter into the encoder's number format.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16"}
        "auto" takes bf16 where the device multiplies it natively
        (AVX512-BF16, AMX, CUDA from compute capability 8) and fp32 elsewhere.
    device : torch.device
        Where the encoder computes.

    Returns
    -------
    torch.dtype or None
        ``torch.bfloat16`` for mixed precision, None for float32.
    """
    if precision == "fp32":
        return None
    if precision == "bf16" or _multiplies_bf16(device):
        return torch.bfloat16
    return None


def _multiplies_bf16(device):
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
