"""A device that computes nothing: it compiles the CUDA kernels that a program would launch, for a GPU that is not here.

The host code of device "cuda" decides which kernels those are. What they would write stays 0.
"""

from __future__ import annotations

from typing import Any

import numpy

from deepcore.backends.cuda.families import CudaFamilies
from deepcore.backends.errors import DeviceError, message
from deepcore.backends.strict import StrictBackend, _Namespace
from deepcore.kernels.cuda.compiler import compiler_problem
from deepcore.kernels.cuda.gemm import HostGemm
from deepcore.kernels.cuda.launcher import CompilingLauncher

__all__ = ["CompilingBackend"]


class _Zeros(_Namespace):
    """numpy for device arrays, in which memory is never left as it was found: results that no kernel writes are 0."""

    def _wrapped(self, name: str) -> Any:
        return super()._wrapped({"empty": "zeros", "empty_like": "zeros_like"}.get(name, name))


class CompilingBackend(CudaFamilies, StrictBackend):
    """Device "compiling", for one compute capability. Raises DeviceError where no compiler works."""

    name = "compiling"
    device = "compiling"
    xp = _Zeros(numpy)

    def __init__(self, capability: tuple[int, int]) -> None:
        super().__init__()
        if problem := compiler_problem():
            hint = 'pip install "deepcore[cuda12]"'
            raise DeviceError(message("compiling CUDA kernels", "numba-cuda and NVIDIA's compiler", problem, hint))
        self.launch = CompilingLauncher(capability)
        self.gemm = HostGemm(self.xp)
        self.load_kernels()

    def without_kernels(self, problem: str) -> None:
        """There is nothing to fall back to: the kernels are the result."""
        raise DeviceError(message("compiling CUDA kernels", "them to compile", problem))
