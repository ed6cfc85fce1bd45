"""What the machine can do at most: the rate of a large matrix product, and of copying what no cache holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from deepcore.bench.result import Roof

SIDE = 2048
MEGABYTES = 256
REPEAT = 3


def measure(threads: int, side: int = SIDE, megabytes: int = MEGABYTES) -> Roof:
    """The best of a few runs of each, in this process, with the threads that it has."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((side, side), dtype=np.float32) for _ in range(2))
    out = np.empty_like(a)
    product = _best(lambda: np.matmul(a, b, out=out))
    source = np.resize(rng.random(1 << 16), megabytes * 2**20 // 8)
    target = np.empty_like(source)
    copied = _best(lambda: _copy(target, source, threads))
    return Roof(
        gemm_flops_per_s=2 * side**3 / product,
        copy_bytes_per_s=2 * source.nbytes / copied,
        gemm=f"numpy.matmul {side}x{side}x{side} float32, {threads} threads",
        copy=f"numpy.copyto of {megabytes} MB, {threads} threads; read and written",
    )


def _best(run: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEAT + 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _copy(target: np.ndarray, source: np.ndarray, threads: int) -> None:
    """NumPy copies without the GIL, so threads share it out."""
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    team = [threading.Thread(target=np.copyto, args=part) for part in parts[1:]]
    for member in team:
        member.start()
    np.copyto(*parts[0])
    for member in team:
        member.join()
