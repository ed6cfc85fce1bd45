"""What a result has to say of the machine, the source tree and the libraries of a process."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deepcore import machine
from deepcore.bench.result import Machine

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512vl", "avx512_bf16", "amx_bf16", "asimd", "neon", "sve")
THREAD_VARIABLES = (
    "DEEPCORE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
"""Each library reads its own, when it is loaded."""


def describe_machine(devices: Iterable[str] = ()) -> Machine:
    """The machine; `devices` are those of the run, of which CUDA's are asked for their names."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=machine.processor(),
        cores=machine.cores(),
        flags=flags(),
        memory_bytes=memory_bytes(),
        gpus=_gpus() if any(name.startswith("cuda") for name in devices) else [],
        load=load,
    )


def flags() -> list[str]:
    """The vector instructions that the processor has, of those in VECTORS; empty where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                has = set(value.split())
                return [flag for flag in VECTORS if flag in has]
    return []


def memory_bytes() -> int:
    """Main memory in bytes; 0 where the system does not say."""
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return 0


def _gpus() -> list[str]:
    from deepcore.kernels.cuda.diagnose import diagnose

    return [str(device) for device in diagnose().devices]


def commit() -> str:
    """The commit of the source tree, with "+changes" where tracked files differ; "" where there is no git tree."""
    if not (ROOT / ".git").exists():
        return ""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those packages that are installed."""
    found = {}
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def blas() -> list[str]:
    """The BLAS and OpenMP libraries that this process has loaded, with their threads."""
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    return [
        f"{pool['internal_api']} {pool.get('version') or ''}".strip() + f", {pool['num_threads']} threads"
        for pool in threadpool_info()
    ]


def threads_for(count: int) -> dict[str, str]:
    """The variables that give every library of a new process `count` threads."""
    return {name: str(count) for name in THREAD_VARIABLES}
