"""Device "simulator": the host code and the kernels of device "cuda" in Numba's CUDA simulator, without a GPU.

For tests of tiny arrays. Its arrays are those of device "strict", so a hidden copy to the host is found here as well.
Needs NUMBA_ENABLE_CUDASIM=1 in the environment before Numba is first imported.
"""

from __future__ import annotations

import os
from typing import Any

from deepcore.backends.cuda.families import CudaFamilies
from deepcore.backends.errors import DeviceError, message
from deepcore.backends.strict import StrictArray, StrictBackend, refuse
from deepcore.kernels.cuda.compiler import simulating
from deepcore.kernels.cuda.gemm import HostGemm
from deepcore.kernels.cuda.launcher import SimulatorLauncher

__all__ = ["SimulatorBackend"]


class SimulatorBackend(CudaFamilies, StrictBackend):
    """As CudaBackend, with another `xp`, launcher and GEMM. Raises DeviceError where the simulator is not on."""

    name = "simulator"
    device = "simulator"

    def __init__(self) -> None:
        super().__init__()
        if not simulating():
            asked = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
            got = "Numba was imported before the variable was set" if asked else "it is off"
            hint = "start Python with NUMBA_ENABLE_CUDASIM=1"
            raise DeviceError(message('device "simulator"', "Numba's CUDA simulator to be on", got, hint))
        self.launch = SimulatorLauncher(_unwrap)
        self.gemm = HostGemm(self.xp)
        self.load_kernels()


def _unwrap(array: Any) -> Any:
    """The memory that a kernel works on; a host array is refused, as a real device could not read it."""
    if not isinstance(array, StrictArray):
        raise refuse("launching a kernel", array, "backend.from_host(array) copies it to the device")
    return array._host
