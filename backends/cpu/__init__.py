"""The backend of device "cpu": NumPy arrays, Numba kernels, BLAS.

A method is overridden, in its family's file, only where it was measured to be faster than the reference; the rest is
inherited.
"""

from __future__ import annotations

from deepcore.backends.cpu.activation import CpuActivation
from deepcore.backends.cpu.attention import CpuAttention
from deepcore.backends.cpu.conv import CpuConv, choice, pinned
from deepcore.backends.cpu.ctc import CpuCtc
from deepcore.backends.cpu.elementwise import CpuElementwise
from deepcore.backends.cpu.gates import CpuGates
from deepcore.backends.cpu.loss import CpuLoss
from deepcore.backends.cpu.norm import CpuNorm
from deepcore.backends.cpu.optim import CpuOptim
from deepcore.backends.cpu.places import CpuPlaces
from deepcore.backends.cpu.pool import CpuPool
from deepcore.backends.cpu.products import CpuProducts
from deepcore.backends.cpu.random import CpuRandom
from deepcore.backends.cpu.recurrent import CpuRecurrent
from deepcore.backends.cpu.rows import CpuRows
from deepcore.backends.cpu.vision import CpuVision
from deepcore.kernels import cpu as kernels

__all__ = ["CpuBackend", "choice", "pinned"]


class CpuBackend(
    CpuActivation,
    CpuAttention,
    CpuConv,
    CpuCtc,
    CpuElementwise,
    CpuGates,
    CpuLoss,
    CpuNorm,
    CpuOptim,
    CpuPlaces,
    CpuPool,
    CpuProducts,
    CpuRandom,
    CpuRecurrent,
    CpuRows,
    CpuVision,
):
    """The default device."""

    name = "cpu"
    device = "cpu"

    def __init__(self) -> None:
        kernels.memory.keep_freed_memory()
