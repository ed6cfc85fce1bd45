"""NVIDIA GPUs: whether there are some, what is in their memory, waiting for them. PyTorch's names.

`device` is "cuda", "cuda:1" or a number; None is "cuda:0". memory_summary also takes any other device of deepcore.
"""

from __future__ import annotations

from typing import Any

from deepcore.autograd.memory import MemoryReport, report
from deepcore.backends import get_backend
from deepcore.backends.base import MemoryUse
from deepcore.errors import OutOfMemoryError
from deepcore.kernels.cuda.diagnose import diagnose

__all__ = [
    "OutOfMemoryError",
    "device_count",
    "empty_cache",
    "is_available",
    "mem_get_info",
    "memory_allocated",
    "memory_report",
    "memory_reserved",
    "memory_summary",
    "synchronize",
]

Device = str | int | None


def is_available() -> bool:
    """Whether device "cuda" can be used; `deepcore info` says what is missing where it cannot."""
    return diagnose().usable


def device_count() -> int:
    """How many GPUs there are to use."""
    return len(diagnose().devices)


def synchronize(device: Device = None) -> None:
    """Wait until the GPU has done all its work."""
    _backend(device).synchronize()


def memory_allocated(device: Device = None) -> int:
    """Bytes in arrays."""
    return _counted(device).live or 0


def memory_reserved(device: Device = None) -> int:
    """Bytes that the allocator holds: those in arrays, and those kept for the next ones."""
    use = _counted(device)
    return (use.live or 0) + (use.cached or 0)


def mem_get_info(device: Device = None) -> tuple[int, int]:
    """(free, total) bytes of the GPU's memory."""
    use = _counted(device)
    return use.free or 0, use.total or 0


def empty_cache(device: Device = None) -> None:
    """Give back the memory that the allocator keeps for the next arrays."""
    _backend(device).free_cache()


def memory_report(device: Device = None) -> MemoryReport:
    """What is in the memory: each piece with what it is, as far as that is known."""
    return report(_backend(device))


def memory_summary(device: Device = None, row_limit: int = 20) -> str:
    """The report as text: bytes in arrays, kept and free; then the largest tensors, by parameter, op and module.

    >>> import deepcore as dc
    >>> layer = dc.nn.Linear(1000, 500)
    >>> "parameter Linear.weight" in memory_summary("cpu")
    True
    """
    return memory_report(device).table(row_limit)


def _backend(device: Device) -> Any:
    if device is None:
        return get_backend("cuda")
    return get_backend(f"cuda:{device}" if isinstance(device, int) else device)


def _counted(device: Device) -> MemoryUse:
    return _backend(device).memory()
