"""What device "cuda" and its simulator share: launching kernels, GEMM, and falling back to the reference.

A subclass sets `xp`, `array_type`, `launch` (kernels/cuda/launcher.py) and `gemm` (kernels/cuda/gemm.py).
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels.cuda.compiler import CompilerMissing
from deepcore.kernels.cuda.declare import FAMILIES

WIDE = ("float32", "float64")
LIMIT = 2**31 - 1  # kernels and cuBLAS count in int32


def on_kernels(inplace: tuple[str, ...] = (), float16: bool = False) -> Callable:
    """As `override` for float32 and float64, and for float16 where that is said.

    Falls back also above int32 sizes and where nothing can be compiled.
    """

    def mark(function: Callable) -> Callable:
        reference = getattr(Backend, function.__name__)

        @functools.wraps(function)
        def guarded(self: Any, *args: Any) -> Any:
            if self.kernel_problem is not None or too_large(args):
                return reference(self, *args)
            try:
                return function(self, *args)
            except CompilerMissing as missing:  # raised at a kernel's first launch, before anything was written
                self.without_kernels(str(missing))
                return reference(self, *args)

        return override(dtypes=("float16", *WIDE) if float16 else WIDE, inplace=inplace)(guarded)

    return mark


def too_large(values: Any) -> bool:
    """Whether an array among `values`, lists of arrays included, has more elements than an int32 counts."""
    for value in values:
        if type(value) is list:
            if too_large(value):
                return True
        elif getattr(value, "size", 0) > LIMIT:
            return True
    return False


class KernelBackend(Backend):
    """The reference on `xp`, with kernels and GEMM where a subclass brings them."""

    on_host = False
    autocast_dtype = "float16"
    launch: Any
    gemm: Any
    kernels: Any
    kernel_problem: str | None = None
    kernel_fix: str | None = None

    def load_kernels(self) -> None:
        """Import the kernels' modules (and so Numba), by family: self.kernels.conv.im2col."""
        modules = {name: importlib.import_module(f"deepcore.kernels.cuda.{name}") for name in FAMILIES}
        self.kernels = SimpleNamespace(**modules)

    def without_kernels(self, problem: str) -> None:
        """Go on without kernels, and say so once."""
        self.kernel_problem = problem
        fix = f" Fix: {self.kernel_fix}." if self.kernel_fix else ""
        text = f"{self.device}: our CUDA kernels are off, because {problem}; slower array operations take their place."
        warnings.warn(text + fix, RuntimeWarning, stacklevel=2)

    def matmul(self, a, b):
        """Return a @ b with the shape rules of numpy.matmul, by cuBLAS; transposed views are read in place."""
        if self._gemm_takes(a, b):
            if b.ndim == 2:  # every row of a, whatever its axes, times one matrix
                rows = a if a.ndim == 2 else a.reshape(-1, a.shape[-1])
                out = self.xp.empty((rows.shape[0], b.shape[1]), dtype=a.dtype)
                return self.gemm(rows, b, out).reshape(*a.shape[:-1], b.shape[1])
            if a.shape[:-2] == b.shape[:-2]:
                stack_a, stack_b = as_stack(a), as_stack(b)
                out = self.xp.empty((stack_a.shape[0], a.shape[-2], b.shape[-1]), dtype=a.dtype)
                return self.gemm(stack_a, stack_b, out).reshape(*a.shape[:-1], b.shape[-1])
        return super().matmul(a, b)

    def _gemm_takes(self, a: Any, b: Any) -> bool:
        return (
            self.gemm is not None
            and a.dtype == b.dtype
            and a.dtype.char in "efd"
            and a.ndim >= 2
            and b.ndim >= 2
            and a.shape[-1] == b.shape[-2]
            and 0 < a.size <= LIMIT
            and 0 < b.size <= LIMIT
        )

    def linear(self, x, w, b):
        """Return x @ w.T + b: x (..., D), w (O, D), b (O,) or None -> (..., O)."""
        y = self.matmul(x, w.T)
        if b is None:
            return y
        if y.dtype == b.dtype:
            y += b  # y is ours
            return y
        return y + b


def as_stack(x: Any) -> Any:
    """View (..., M, K) as (B, M, K), last two axes possibly transposed in memory; copies only where no view exists."""
    if x.ndim == 3:
        return x
    turned = x.swapaxes(-1, -2)
    if turned.flags.c_contiguous:
        return turned.reshape(-1, *turned.shape[-2:]).swapaxes(1, 2)
    return x.reshape(-1, *x.shape[-2:])
