"""The device of a run: `auto` takes a working GPU, else the CPU, and says which and why."""

from __future__ import annotations

import numpy as np

from deepcore.backends import get_backend
from deepcore.kernels.cuda.diagnose import diagnose


def choose(name: str) -> tuple[str, str]:
    """(device, one line that says which and why) for a device name or `auto`.

    Raises DeviceError for a device that is unknown or cannot be used here; `auto` never does.
    """
    if name != "auto":
        device = get_backend(name).device
        return device, f"device: {device} (as asked)"
    facts = diagnose()
    if not facts.driver:
        return "cpu", "device: cpu (no usable GPU: no NVIDIA driver was found)"
    if facts.problem:
        return "cpu", f"device: cpu (no usable GPU: {facts.problem}; `deepcore info` says how to mend it)"
    try:
        return _checked_gpu(), f"device: cuda:0 ({facts.devices[0].name} answers)"
    except Exception as error:  # whatever CuPy, Numba or the driver raise: `auto` goes on without the GPU
        reason = " ".join(str(error).split())
        return "cpu", f"device: cpu (the GPU does not compute: {reason})"


def _checked_gpu() -> str:
    """The GPU's device name, after a product on it came out right: a driver may load and still not compute."""
    backend = get_backend("cuda")
    ones = backend.from_host(np.ones((2, 2), np.float32))
    product = backend.to_host(backend.matmul(ones, ones))
    if not (product == 2).all():
        raise ArithmeticError(f"ones(2, 2) times itself came out as {product.tolist()}")
    return backend.device
