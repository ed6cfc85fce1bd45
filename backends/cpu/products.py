"""Matrix products on device "cpu": own kernels for all but the thin ones, which BLAS computes."""

from __future__ import annotations

import functools

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import ALL, team

LEAST_PRODUCT = 1 << 18  # multiplications from which on the kernels win
LEAST_SHARE = 1 << 18  # multiplications for each thread
# Thin products that BLAS computes: below this a second thread, which has to be woken, gains nothing.
SERIAL_PRODUCT = 1 << 21
LEAST_SIDE = 8  # of a matrix; thinner ones are read once, and packing reads them twice


class CpuProducts(Backend):
    """The products of CpuBackend."""

    @override(strided=True)
    def matmul(self, a, b):
        """Return a @ b; see Array.matmul."""
        if a.ndim < 2 or b.ndim != 2 or a.shape[-1] != b.shape[0]:
            return super().matmul(a, b)
        y = np.empty((*a.shape[:-1], b.shape[1]), a.dtype)
        product(y.reshape(-1, y.shape[-1]), a.reshape(-1, a.shape[-1]), b)
        return y

    @override()
    def linear(self, x, w, b):
        """Return x @ w.T + b; see Array.linear."""
        if x.ndim == 0 or x.shape[-1] != w.shape[1]:
            return super().linear(x, w, b)
        y = np.empty((*x.shape[:-1], w.shape[0]), x.dtype)
        product(y.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1]), w.T, b)
        return y

    @override()
    def linear_relu(self, x, w, b):
        """Return relu(x @ w.T + b); see Array.linear_relu."""
        if x.ndim == 0 or x.shape[-1] != w.shape[1]:
            return super().linear_relu(x, w, b)
        y = np.empty((*x.shape[:-1], w.shape[0]), x.dtype)
        product(y.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1]), w.T, b, relu=True)
        return y


def product(y, a, b, bias=None, relu: bool = False) -> None:
    """Write a @ b to y (m, n), which is C-contiguous; with a bias (n,) and a ReLU behind it."""
    (m, k), n = a.shape, b.shape[1]
    work = m * n * k
    if work < LEAST_PRODUCT or min(m, n, k) < LEAST_SIDE or (bias is not None and bias.shape != (n,)):
        _by_blas(y, a, b, work)
        if bias is not None:
            y += bias
        if relu:
            np.maximum(y, 0, out=y)
        return
    a, b = _with_unit_stride(a), _with_unit_stride(b)
    lowest, nothing = _constants(y.dtype, n)
    down, across = blocks(m, n, max(min(team.size, work // LEAST_SHARE), 1))
    plan = *_layout(y)[:2], *_layout(a), *_layout(b), m, n, k, down, across, 0
    low = lowest[1:] if relu else lowest[:1]
    team.run(kernels.gemm.gemm, down * across, ALL, low, nothing if bias is None else bias, plan)


@functools.lru_cache(4096)
def blocks(m: int, n: int, threads: int) -> tuple[int, int]:
    """Return in how many blocks of rows and of columns a product (m, n) is cut: one for each thread."""
    choices = [(d, threads // d) for d in range(1, threads + 1) if threads % d == 0]
    return min(choices, key=lambda c: (-(-m // c[0]) + -(-n // c[1]), c))


@functools.lru_cache(64)
def _constants(dtype, n: int):
    """Return [-inf, 0] and n zeros."""
    return np.array([-np.inf, 0], dtype), np.zeros(n, dtype)


def _with_unit_stride(x):
    """Return a matrix of which rows or columns lie without gaps, x where it is one."""
    size, (rows, columns), (row, column) = x.itemsize, x.shape, x.strides
    fits = (column == size or columns == 1 or row == size or rows == 1) and not (row % size or column % size)
    return x if fits else np.ascontiguousarray(x)


def _layout(x):
    """Return (address, stride of rows, stride of columns), in elements; one of both strides is 1."""
    row, column = x.strides[0] // x.itemsize, x.strides[1] // x.itemsize
    if x.shape[0] == 1 and column != 1:  # the stride of a single row is never used
        row = 1
    elif x.shape[1] == 1:
        column = 1
    return x.__array_interface__["data"][0], row, column


def _by_blas(y, a, b, work: int) -> None:
    """Write a @ b to y, one block of rows or, where there are more of them, columns for each thread.

    OpenBLAS's own threads wait for each other without sleeping: where other processes want the same cores, small
    products take a hundred times as long.
    """
    m, n = y.shape
    if work < SERIAL_PRODUCT:
        np.matmul(a, b, out=y)
        return
    blocks = min(team.size, max(m, n), work // SERIAL_PRODUCT)

    def share(first, last):
        for i in range(first, last):
            if m >= n:
                part = slice(m * i // blocks, m * (i + 1) // blocks)
                np.matmul(a[part], b, out=y[part])
            else:
                part = slice(n * i // blocks, n * (i + 1) // blocks)
                np.matmul(a, b[:, part], out=y[:, part])

    with kernels.blas.one_thread:
        team.run(share, blocks, ALL)
