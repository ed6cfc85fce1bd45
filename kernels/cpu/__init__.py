"""CPU kernels, one file per family; a file (and Numba with it) is imported when its first kernel is wanted.

A kernel is a serial function over a range, kernel(first, last, ...); kernels.cpu.team spreads the range over the cores.
"""

from __future__ import annotations

import importlib
from types import ModuleType

_FILES = (
    "activation",
    "attention",
    "blas",
    "conv",
    "ctc",
    "detection",
    "direct",
    "direct_tiles",
    "gates",
    "gemm",
    "indexing",
    "loss",
    "memory",
    "norm",
    "optim",
    "planes",
    "pool",
    "pool_2x2",
    "random",
    "recurrent",
    "roi",
    "rows",
    "vision",
    "winograd",
    "winograd_layout",
    "winograd_weight",
)


def __getattr__(name: str) -> ModuleType:
    if name in _FILES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
