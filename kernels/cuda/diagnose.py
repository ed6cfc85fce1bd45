"""What this machine has for CUDA, what is missing, and the line that brings it. Looking never raises.

>>> facts = diagnose()
>>> (facts.problem is None) == bool(facts.devices)
True
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass
from typing import Any

from deepcore.kernels.cuda.compiler import compiler_problem

__all__ = ["Facts", "Gpu", "diagnose"]

DEFAULT_EXTRA = "cuda12"
OLDEST_DRIVER = {12: "525", 13: "580"}  # CUDA's release notes, table of minimum driver versions on Linux
WHEEL = re.compile(r"cupy(-cuda\d+x?|-rocm.*)?")


@dataclass(frozen=True)
class Gpu:
    """One device as CUDA numbers them; `memory` in bytes."""

    index: int
    name: str
    memory: int
    capability: tuple[int, int]
    processors: int

    def __str__(self) -> str:
        major, minor = self.capability
        return f"cuda:{self.index} {self.name}, {self.memory / 2**30:.0f} GiB, sm_{major}{minor}"


@dataclass(frozen=True)
class Facts:
    """`problem` keeps CUDA from working at all; `kernel_problem` only keeps our kernels from being compiled.

    `fix` and `kernel_fix` are the lines to type. Versions of driver and runtime are CUDA's: 12040 is 12.4; 0 means that
    there is none.
    """

    cupy: str | None = None
    wheels: tuple[str, ...] = ()
    driver: int = 0
    runtime: int = 0
    devices: tuple[Gpu, ...] = ()
    numba_cuda: str | None = None
    problem: str | None = None
    fix: str | None = None
    kernel_problem: str | None = None
    kernel_fix: str | None = None

    @property
    def usable(self) -> bool:
        """Whether device "cuda" can be used."""
        return self.problem is None

    def __str__(self) -> str:
        if self.problem is None:
            return "; ".join(map(str, self.devices))
        return f"{self.problem}. Fix: {self.fix}" if self.fix else self.problem


def diagnose() -> Facts:
    """Look at wheels, driver, devices and compilers; about a second the first time (CuPy and Numba are imported)."""
    wheels = _wheels()
    driver = _driver_version()
    known: dict[str, Any] = {"wheels": wheels, "driver": driver, "numba_cuda": _version("numba-cuda")}
    known["kernel_problem"] = compiler_problem()
    if known["kernel_problem"]:
        known["kernel_fix"] = _install(_extra(driver, wheels))
    if not wheels:
        return Facts(**known, problem="CuPy is not installed", fix=_install(_extra(driver, wheels)))
    if len(wheels) > 1:
        remove = f"pip uninstall -y {' '.join(name.split('==')[0] for name in wheels)}"
        several = f"{len(wheels)} CuPy wheels are installed at once ({', '.join(wheels)}) and break each other"
        return Facts(**known, problem=several, fix=f"{remove} && {_install(_extra(driver, ()))}")
    try:
        cupy = _import_cupy()
    except Exception as error:  # CuPy wraps what its libraries raise
        reason = str(error).strip().splitlines()[0]
        broken = f"CuPy ({wheels[0]}) is installed but cannot be imported: {reason}"
        return Facts(**known, problem=broken, fix=f"{_install(_extra(driver, wheels))} --force-reinstall")
    known.update(cupy=cupy.__version__, runtime=_runtime_version(cupy))
    problem, fix = _driver_problem(driver, known["runtime"], wheels)
    if problem is None:
        known["devices"], problem, fix = _devices(cupy)
    return Facts(**known, problem=problem, fix=fix)


def _driver_problem(driver: int, runtime: int, wheels: tuple[str, ...]) -> tuple[str | None, str | None]:
    """A driver works with every runtime of its own major version and with older ones."""
    if sys.platform == "darwin":
        return "macOS has no CUDA", "use --device cpu"
    if driver == 0:
        where = " (inside a container: start it with --gpus all)" if os.path.exists("/.dockerenv") else ""
        oldest = OLDEST_DRIVER.get(runtime // 1000, "the newest")
        return "no NVIDIA driver was found", f"install NVIDIA's driver, version {oldest} or newer{where}"
    if driver // 1000 >= runtime // 1000:
        return None, None
    old = f"the NVIDIA driver is too old: it brings CUDA {_dotted(driver)}, but {wheels[0]} needs {runtime // 1000}.0"
    update = f"update NVIDIA's driver to version {OLDEST_DRIVER.get(runtime // 1000, 'the newest')} or newer"
    if driver // 1000 >= 12:
        extra = f"cuda{driver // 1000}"
        return old, f"{update}, or pip uninstall -y {wheels[0].split('==')[0]} && {_install(extra)}"
    return old, update


def _devices(cupy: Any) -> tuple[tuple[Gpu, ...], str | None, str | None]:
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
        found = tuple(_gpu(index, runtime.getDeviceProperties(index)) for index in range(count))
    except Exception as error:  # CUDARuntimeError, whose class lies in a private module of CuPy
        reason = str(error).strip().splitlines()[0]
        if "NoDevice" not in reason:
            return (), f"CUDA does not start: {reason}", "run nvidia-smi; it should list the GPUs without an error"
        found = ()
    if found:
        return found, None, None
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None:
        return (), f"no GPU is visible (CUDA_VISIBLE_DEVICES={hidden!r})", "unset CUDA_VISIBLE_DEVICES"
    return (), "the driver is there, but it finds no NVIDIA GPU", "run nvidia-smi; it should list the GPUs"


def _gpu(index: int, properties: dict) -> Gpu:
    name = properties["name"]
    return Gpu(
        index=index,
        name=name.decode() if isinstance(name, bytes) else name,
        memory=int(properties["totalGlobalMem"]),
        capability=(int(properties["major"]), int(properties["minor"])),
        processors=int(properties["multiProcessorCount"]),
    )


def _import_cupy() -> Any:
    return importlib.import_module("cupy")


def _runtime_version(cupy: Any) -> int:
    try:
        return int(cupy.cuda.runtime.runtimeGetVersion())
    except Exception:
        return 0


def _driver_version() -> int:
    """CUDA version of the installed driver, 0 where there is none; asked without CuPy."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        version = ctypes.c_int(0)
        library.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return version.value


def _wheels() -> tuple[str, ...]:
    """Installed distributions that hold a package `cupy`, as "name==version"."""
    found = set()
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if WHEEL.fullmatch(name):
            found.add(f"{name}=={distribution.version}")
    return tuple(sorted(found))


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _extra(driver: int, wheels: tuple[str, ...]) -> str:
    """Which extra of deepcore fits: that of the wheel that is there, else that of the driver."""
    if wheels and (match := re.search(r"cuda(\d\d)", wheels[0])) and match[1] in ("12", "13"):
        return f"cuda{match[1]}"
    return "cuda13" if driver // 1000 >= 13 else DEFAULT_EXTRA


def _install(extra: str) -> str:
    return f'pip install "deepcore[{extra}]"'


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
