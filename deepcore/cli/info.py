"""What `deepcore info` prints: versions, devices, threads, and what a GPU would still need."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.text import Text

import deepcore.kernels.cpu.diagnose as cpu
from deepcore.backends import available
from deepcore.devices import get_float32_matmul_precision
from deepcore.kernels.cuda import diagnose as cuda

Rows = list[tuple[str, str]]
PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "numba-cuda", "scikit-learn", "matplotlib", "safetensors", "pillow")


def info_command() -> None:
    """Prints every section."""
    console = Console()
    facts = cuda.diagnose()
    for title, rows in (
        ("versions", versions()),
        ("devices", devices(facts)),
        ("threads", threads()),
        ("CUDA", cuda_rows(facts)),
    ):
        console.print(Text(title, "bold"))
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            console.print(f"  {name:<{width}}  {value}", markup=False, highlight=False, soft_wrap=True)


def versions() -> Rows:
    """deepcore, Python, the system and the packages below deepcore."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    python = f"{platform.python_version()} ({sys.executable})"
    rows = [("deepcore", version("deepcore")), ("Python", python), ("system", system)]
    return rows + [(name, _version(name)) for name in PACKAGES]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def devices(facts: cuda.Facts) -> Rows:
    """Every device, whether it works, and why not."""
    rows = []
    for name, usable, reason in available():
        short = facts.problem if name == "cuda" and facts.problem else reason  # the section below has the rest
        rows.append((name, "works" if usable else f"cannot be used: {short}"))
    return rows + [(f"cuda:{gpu.index}", str(gpu)) for gpu in facts.devices]


def threads() -> Rows:
    """Cores, the BLAS libraries with their threads, Numba's threads and threading layer."""
    facts = cpu.diagnose()  # before the pools are counted: it loads SciPy's BLAS and Numba's thread library
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    rows = [("cores", f"{_cores()} usable of {os.cpu_count()}")]
    for pool in threadpool_info():
        if pool["user_api"] == "blas":
            kernel = f", {pool['architecture']}" if pool.get("architecture") else ""
            owner = os.path.basename(os.path.dirname(pool["filepath"])).removesuffix(".libs")
            rows.append(
                (f"BLAS of {owner}", f"{pool['internal_api']} {pool['version']}{kernel}, {pool['num_threads']} threads")
            )
    if len(rows) == 1:
        rows.append(("BLAS", "unknown to threadpoolctl (Accelerate of macOS, for example)"))
    rows.append(("kernels", f"{facts.team} threads of deepcore's own"))
    rows.append(("Numba", f"{facts.threads} threads, threading layer {facts.layer} (deepcore's kernels do not use it)"))
    settings = (
        "DEEPCORE_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
    )
    return rows + [(name, os.environ[name]) for name in settings if name in os.environ]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cuda_rows(facts: cuda.Facts) -> Rows:
    """Driver, runtime, CuPy wheels and compiler, each with what is missing and the line that brings it."""
    rows = [
        ("driver", f"CUDA {_dotted(facts.driver)}" if facts.driver else "none"),
        ("runtime", f"CUDA {_dotted(facts.runtime)}" if facts.runtime else "none"),
        ("CuPy", _wheels(facts.wheels)),
        ("numba-cuda", facts.numba_cuda or "not installed"),
        ("float32", f"products of precision {get_float32_matmul_precision()!r}"),
    ]
    if facts.problem:
        rows.append(("missing", facts.problem))
    if facts.fix:
        rows.append(("fix", facts.fix))
    if facts.kernel_problem:
        rows.append(("kernels", facts.kernel_problem))
    if facts.kernel_fix and facts.kernel_fix != facts.fix:
        rows.append(("fix", facts.kernel_fix))
    return rows


def _wheels(wheels: tuple[str, ...]) -> str:
    if not wheels:
        return "not installed"
    names = ", ".join(wheels)
    return names if len(wheels) == 1 else f"{names}: {len(wheels)} wheels at once, which break each other"


def _dotted(number: int) -> str:
    """12040 as 12.4, as CUDA counts its versions."""
    return f"{number // 1000}.{number % 1000 // 10}"
