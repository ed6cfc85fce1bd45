"""The backend of device "cpu": NumPy arrays, Numba kernels, BLAS."""

from __future__ import annotations

from deepcore.backends.base import Backend


class CpuBackend(Backend):
    """The default device: the reference with kernels where they were measured to pay."""

    name = "cpu"
    device = "cpu"
