"""Device "cuda", "cuda:1": CuPy arrays, Numba's CUDA kernels, cuBLAS.

Importing this file needs neither CuPy nor a GPU; `CudaBackend()` says what is missing.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from deepcore.backends.base import MemoryUse
from deepcore.backends.cuda.families import CudaFamilies
from deepcore.backends.errors import DeviceError, message
from deepcore.kernels.cuda.diagnose import Facts, Gpu, diagnose
from deepcore.kernels.cuda.gemm import CublasGemm
from deepcore.kernels.cuda.launcher import CupyLauncher

__all__ = ["CudaBackend", "Facts", "Gpu", "diagnose"]


class _Namespace:
    """`xp`: cupy. With several GPUs reading it makes the backend's own the current one, as CuPy allocates there."""

    def __get__(self, backend: Any, owner: type) -> Any:
        if backend is None:
            return self
        if backend.one_gpu:
            backend.__dict__["xp"] = backend.cupy  # found first from now on
        else:
            backend.activate()
        return backend.cupy


class CudaBackend(CudaFamilies):
    """One NVIDIA GPU. Raises DeviceError with the line that helps where there is none to use.

    Work goes to CuPy's current stream. Without numba-cuda or libNVVM it works on CuPy alone, slower, with one warning.
    """

    name = "cuda"
    queued = True
    xp: Any = _Namespace()

    def __init__(self, index: int = 0) -> None:
        self.device = f"cuda:{index}"
        self.index = index
        facts = diagnose()
        if facts.problem is not None:
            raise DeviceError(message(f'device "{self.device}"', "a working CUDA device", facts.problem, facts.fix))
        if index >= len(facts.devices):
            there = ", ".join(map(str, facts.devices))
            hint = "CUDA_VISIBLE_DEVICES hides and renumbers devices"
            raise DeviceError(message(f'device "{self.device}"', f"one of {there}", f'"{self.device}"', hint))
        self.cupy = cupy = importlib.import_module("cupy")
        self.array_type = cupy.ndarray
        self.one_gpu = len(facts.devices) == 1
        gpu = facts.devices[index]
        self.launch = CupyLauncher(cupy, gpu.capability, gpu.processors)
        self.gemm = CublasGemm(cupy, cupy.cuda.cublas, cupy.cuda.device.get_cublas_handle)
        self.kernel_fix = facts.kernel_fix
        if facts.kernel_problem is None:
            self.load_kernels()
        else:
            self.without_kernels(facts.kernel_problem)
        self.activate()

    def activate(self) -> None:
        """Make this GPU the current one of the calling thread."""
        if self.cupy.cuda.runtime.getDevice() != self.index:
            self.cupy.cuda.Device(self.index).use()

    def from_host(self, array):
        """Copy a host array or nested sequence of numbers to this GPU; an array that is there already stays."""
        self.activate()
        if isinstance(array, self.array_type):
            return array if array.device.id == self.index else self.cupy.array(array)
        return self.cupy.array(super().from_host(array))

    def to_host(self, array):
        """Copy an array to the host and wait for it."""
        return self.cupy.asnumpy(array)

    def synchronize(self) -> None:
        """Wait for all work on this GPU, whatever its stream."""
        self.cupy.cuda.Device(self.index).synchronize()

    def mark(self):
        """An event in the current stream."""
        self.activate()
        event = self.cupy.cuda.Event()
        event.record()
        return event

    def seconds_between(self, start, end) -> float:
        """Time between two events that the device has passed; to half a microsecond."""
        return self.cupy.cuda.get_elapsed_time(start, end) / 1000

    def push_range(self, name: str) -> None:
        """An NVTX range, which Nsight Systems shows."""
        if self.nvtx is not None:
            self.nvtx.RangePush(name)

    def pop_range(self) -> None:
        """End the NVTX range that was begun last."""
        if self.nvtx is not None:
            self.nvtx.RangePop()

    @functools.cached_property
    def nvtx(self) -> Any:
        """CuPy's binding of NVTX, or None where CuPy was built without it."""
        found = getattr(self.cupy.cuda, "nvtx", None)
        return found if found is not None and getattr(found, "available", True) else None

    def memory(self) -> MemoryUse:
        """What the pool of CuPy gave out and keeps, what is free, and all that there is or that the pool may take."""
        self.activate()
        pool = self.cupy.get_default_memory_pool()
        live, held, limit = pool.used_bytes(), pool.total_bytes(), pool.get_limit()
        free, total = self.cupy.cuda.runtime.memGetInfo()
        if limit:
            free, total = min(free, max(0, limit - held)), min(total, limit)
        return MemoryUse(live, held - live, free, total)

    def free_cache(self) -> None:
        """Give the blocks that CuPy's pool keeps back to the driver."""
        self.activate()
        self.cupy.get_default_memory_pool().free_all_blocks()
