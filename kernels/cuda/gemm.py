"""The one door to cuBLAS: out = a @ b (+ out) for matrices and stacks of matrices, transposes without copies.

float32 is computed in IEEE float32, float64 in float64; float16 is added up in float32. Where tf32 is switched on, for
all in deepcore.kernels.precision or for one object, float32 operands are cut to TF32's 10 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deepcore.kernels import precision

__all__ = ["CublasGemm", "HostGemm", "Layout", "layout"]

CUDA_R_32F, CUDA_R_64F, CUDA_R_16F = 0, 1, 2
OP_N, OP_T = 0, 1
DEFAULT_ALGORITHM = -1
COMPUTE_32F_FAST_TF32 = 77


class Layout(NamedTuple):
    """How a matrix lies in memory: rows (or, transposed, columns) `leading` elements apart, matrices `stack` apart."""

    transposed: bool
    leading: int
    stack: int


def layout(x: Any) -> Layout | None:
    """Layout of a matrix (M, K) or stack (B, M, K) that cuBLAS can read in place; None where it must be copied.

    >>> layout(np.zeros((2, 3, 4)).swapaxes(1, 2))
    Layout(transposed=True, leading=4, stack=12)
    """
    rows, columns = x.shape[-2:]
    row_step, column_step = (step // x.itemsize for step in x.strides[-2:])
    stack = x.strides[0] // x.itemsize if x.ndim == 3 and x.shape[0] > 1 else 0
    if stack < 0:
        return None
    if columns == 1 or column_step == 1:
        leading = row_step if rows > 1 else columns
        if leading >= columns:
            return Layout(False, leading, stack)
    if rows == 1 or row_step == 1:
        leading = column_step if columns > 1 else rows
        if leading >= rows:
            return Layout(True, leading, stack)
    return None


class CublasGemm:
    """cuBLAS through CuPy's wrapper, on CuPy's current stream: gemm(a, b, out, accumulate)."""

    def __init__(self, xp: Any, cublas: Any, handle: Any) -> None:
        """xp: cupy; cublas: cupy.cuda.cublas, whose reading loads the library; handle: returns the current handle."""
        self.xp, self.cublas, self.handle = xp, cublas, handle
        self.kinds = {
            np.dtype(np.float32): (CUDA_R_32F, cublas.CUBLAS_COMPUTE_32F),
            np.dtype(np.float64): (CUDA_R_64F, cublas.CUBLAS_COMPUTE_64F),
            np.dtype(np.float16): (CUDA_R_16F, cublas.CUBLAS_COMPUTE_32F),
        }
        self.tf32 = False
        factors = {dtype: np.result_type(dtype, np.float32) for dtype in self.kinds}  # of the dtype that adds up
        self.zero = {dtype: np.zeros((), wide) for dtype, wide in factors.items()}
        self.one = {dtype: np.ones((), wide) for dtype, wide in factors.items()}

    def __call__(self, a: Any, b: Any, out: Any, accumulate: bool = False) -> Any:
        """out (M, N) or (B, M, N), C-contiguous; a (M, K) and b (K, N), or stacks of them; a matrix serves all of B.

        All of one dtype: float16, float32 or float64.
        """
        la, lb = layout(a), layout(b)
        if la is None:
            a, la = self._copied(a)
        if lb is None:
            b, lb = self._copied(b)
        lo = layout(out)
        m, k = a.shape[-2:]
        n = b.shape[-1]
        dtype = out.dtype
        kind, compute = self.kinds[dtype]
        if (self.tf32 or precision.tf32()) and kind == CUDA_R_32F:
            compute = COMPUTE_32F_FAST_TF32
        alpha = self.one[dtype].ctypes.data
        beta = (self.one if accumulate else self.zero)[dtype].ctypes.data
        # cuBLAS counts in columns: what it sees is out.T = b.T @ a.T, and a row-major matrix is its own transpose there
        self.cublas.gemmStridedBatchedEx(
            self.handle(),
            OP_T if lb.transposed else OP_N,
            OP_T if la.transposed else OP_N,
            n, m, k,
            alpha,
            b.data.ptr, kind, lb.leading, lb.stack,
            a.data.ptr, kind, la.leading, la.stack,
            beta,
            out.data.ptr, kind, max(lo.leading, n), lo.stack,
            out.shape[0] if out.ndim == 3 else 1,
            compute,
            DEFAULT_ALGORITHM,
        )  # fmt: skip
        return out

    def _copied(self, x: Any) -> tuple[Any, Layout]:
        x = self.xp.ascontiguousarray(x)
        return x, layout(x)


class HostGemm:
    """The same interface on an array library's own matmul, for the simulator."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def __call__(self, a: Any, b: Any, out: Any, accumulate: bool = False) -> Any:
        """As CublasGemm."""
        if a.dtype == np.float16:  # added up in float32, as cuBLAS does
            a, b = a.astype("float32"), b.astype("float32")
        product = self.xp.matmul(a, b)
        out[...] = out + product if accumulate else product
        return out
