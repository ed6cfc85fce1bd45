"""Python kernel -> PTX (Numba) -> cubin (nvJitLink), without a GPU. Every call to numba-cuda's compiler is here.

A cubin and not PTX is loaded: a driver refuses PTX that is newer than itself, and a cubin is compiled once and kept.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import re
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from deepcore.kernels.cuda import cache
from deepcore.kernels.cuda.declare import Kernel

__all__ = ["CompilerMissing", "Cubin", "compile_kernel", "compiler_problem", "device", "simulating", "tally"]

TOOLS = re.compile(r"(numba|numba-cuda|llvmlite|cuda-core|cuda-bindings|nvidia-(cuda-nvcc|nvvm|nvjitlink)(-cu\d+)?)")
NOTICE_AFTER = 1.0  # seconds of compiling before a line is printed


class CompilerMissing(RuntimeError):
    """A piece that compiles kernels is not installed or does not work; the message names it."""


@dataclass(frozen=True)
class Cubin:
    """A compiled kernel: machine code for one compute capability, and what the compilers said about it."""

    code: bytes
    entry: str
    registers: int
    spill_bytes: int
    float64_instructions: int
    fused_instructions: int


def device(function: Callable) -> Callable:
    """Decorator of a helper that kernels call."""
    if simulating() and "cuda" in function.__code__.co_names:  # the simulator puts its own `cuda` there for a call
        from numba import cuda

        return cuda.jit(device=True)(function)
    try:
        from numba.cuda.extending import register_jitable
    except ImportError:
        from numba.extending import register_jitable
    return register_jitable(function)


def simulating() -> bool:
    """Whether Numba runs its CUDA simulator in this process (NUMBA_ENABLE_CUDASIM=1 before the first import)."""
    from numba.core import config

    return bool(config.ENABLE_CUDASIM)


@functools.cache
def compiler_problem() -> str | None:
    """What keeps kernels from being compiled in this process, in a few words; None if nothing."""
    if simulating():
        return "Numba's CUDA simulator is on in this process (NUMBA_ENABLE_CUDASIM)"
    try:
        importlib.metadata.version("numba-cuda")
        from numba import cuda  # noqa: F401
    except ImportError:
        return "numba-cuda is not installed"
    try:
        from cuda.core import Linker  # noqa: F401
    except ImportError:
        return "cuda-core (nvJitLink's Python binding) is not installed"
    try:
        from numba.cuda.cudadrv import nvvm

        nvvm.NVVM()
    except Exception as error:  # numba-cuda raises its own types here, which differ between versions
        return f"libNVVM was not found ({str(error).strip().splitlines()[0]})"
    return None


def compile_kernel(kernel: Kernel, real: np.dtype, capability: tuple[int, int]) -> Cubin:
    """Machine code of `kernel` with T = `real` for compute capability (major, minor); from the disk if it was kept.

    Raises CompilerMissing where a compiler is missing.
    """
    name = _cache_name(kernel, np.dtype(real), capability)
    if (kept := cache.load(name)) is not None:
        with contextlib.suppress(TypeError):  # a file of another format
            cubin = Cubin(code=kept[1], **kept[0])
            tally.found += 1
            return cubin
    if problem := compiler_problem():
        raise CompilerMissing(problem)
    with _NOTICE.watch():
        cubin = _compile(kernel, np.dtype(real), capability)
    tally.compiled += 1
    facts = asdict(cubin)
    cache.store(name, {key: facts[key] for key in facts if key != "code"}, cubin.code)
    return cubin


def _compile(kernel: Kernel, real: np.dtype, capability: tuple[int, int]) -> Cubin:
    entry = kernel.name.replace(".", "_")
    ptx = _renamed(_ptx(kernel, real, capability), entry)
    body = re.sub(r"(?m)^\s*\.reg .*$", "", ptx)
    fused = len(re.findall(r"\bfma\.", body))
    if fused and not kernel.fma:
        raise RuntimeError(f"kernel {kernel.name}: declared fma=False, but the PTX holds {fused} fused instructions")
    code, log = _link(ptx, capability, kernel.fma)
    registers = re.search(r"Used (\d+) registers", log)
    spills = [int(size) for size in re.findall(r"(\d+) bytes (?:spill|stack frame)", log)]
    return Cubin(
        code=code,
        entry=entry,
        registers=int(registers[1]) if registers else -1,
        spill_bytes=sum(spills) if registers else -1,
        float64_instructions=len(re.findall(r"\.f64\b", body)),
        fused_instructions=fused,
    )


def _ptx(kernel: Kernel, real: np.dtype, capability: tuple[int, int]) -> str:
    from numba import cuda
    from numba import types as nb

    values = [getattr(nb, p.dtype(real).name) for p in kernel.parameters]
    signature = nb.void(*(nb.CPointer(v) if p.pointer else v for p, v in zip(kernel.parameters, values, strict=True)))
    with _compiling_for(capability, kernel.fma):
        try:
            ptx, _ = cuda.compile(
                kernel.function,
                signature,
                device=False,
                abi="numba",
                cc=capability,
                output="ptx",
                launch_bounds=kernel.max_threads,
            )
        except Exception as error:
            if type(error).__name__ != "DynamicLibNotFoundError":  # of cuda-pathfinder, which moves its modules about
                raise
            reason = str(error).splitlines()[0]
            raise CompilerMissing(f"a library of NVIDIA's compiler was not found ({reason})") from error
    return ptx


def _renamed(ptx: str, entry: str) -> str:
    """PTX with a short name of the kernel, which profilers show, and without Numba's counters in its names.

    So the same source gives the same bytes.
    """
    mangled = re.search(r"\.visible \.entry (\w+)", ptx)[1]
    ptx = ptx.replace(mangled, entry)
    for number, name in enumerate(dict.fromkeys(re.findall(r"\b_Z\w+", ptx))):
        ptx = re.sub(rf"\b{name}\b", f"numba_{number}", ptx)
    return ptx


_LOCK = threading.Lock()


@contextlib.contextmanager
def _compiling_for(capability: tuple[int, int], fma: bool) -> Iterator[None]:
    """Two things that numba-cuda has no argument for, set while one kernel is compiled.

    Helpers are typed for "the current device", which would start a driver: answer with the target instead. And libNVVM
    fuses a*b+c unless it is told `fma=0`; `cuda.compile` has no way to tell it.
    """
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvvm

    with _LOCK:
        find_device, compile_ir = dispatcher.get_current_device, nvvm.compile_ir
        dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=capability)
        if not fma:
            nvvm.compile_ir = functools.partial(compile_ir, fma=0)
        try:
            yield
        finally:
            dispatcher.get_current_device, nvvm.compile_ir = find_device, compile_ir


def _link(ptx: str, capability: tuple[int, int], fma: bool) -> tuple[bytes, str]:
    """Cubin and ptxas' log (registers, spills) of a PTX text."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    architecture = "sm_{}{}".format(*capability)
    options = LinkerOptions(arch=architecture, ptxas_options="-v", fma=fma)
    try:
        linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
        code = bytes(linker.link("cubin").code)
    except Exception as error:  # a GPU newer than the toolkit, mostly; the exception's class is private to cuda-core
        reason = " ".join(str(error).split())
        raise CompilerMissing(f"nvJitLink makes no code for {architecture} ({reason})") from error
    return code, f"{linker.get_info_log()}\n{linker.get_error_log()}"


def _cache_name(kernel: Kernel, real: np.dtype, capability: tuple[int, int]) -> str:
    declared = kernel.name, kernel.source, kernel.parameters, kernel.fma, kernel.max_threads
    key = repr((*declared, real.name, capability, _tools()))
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    return "{}-{}-sm{}{}-{}.cubin".format(kernel.name, real.name, *capability, digest)


@functools.cache
def _tools() -> tuple[str, ...]:
    """Names and versions of all that takes part in compiling, this file among them."""
    found = {"deepcore": hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if TOOLS.fullmatch(name):
            found[name] = distribution.version
    return (sys.version.split()[0], *(f"{name}={found[name]}" for name in sorted(found)))


@dataclass
class Tally:
    """Kernels that this process compiled, in how many seconds, and those that it found on the disk."""

    compiled: int = 0
    found: int = 0
    seconds: float = 0.0


tally = Tally()


class _Notice:
    """Prints one line when this process has compiled for more than a second, so that a first run does not look hung."""

    def __init__(self) -> None:
        self.spent, self.said = 0.0, False

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Measure one compilation; the line appears while it runs, not after it."""
        timer = threading.Timer(max(0.0, NOTICE_AFTER - self.spent), self.say)
        timer.daemon = True
        start = time.perf_counter()
        if not self.said:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self.spent += time.perf_counter() - start
            tally.seconds = self.spent

    def say(self) -> None:
        """Print the line, once a process."""
        if not self.said:
            self.said = True
            print(f"deepcore: compiling CUDA kernels, once (kept in {cache.cache_dir()})", file=sys.stderr, flush=True)


_NOTICE = _Notice()
