"""ReLU with its bias in one pass. Arrays with a bias are (L, D, S), the bias (D,)."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import BYTES, vectorised
from deepcore.kernels.cpu.vector_math import by_vectors


@kernel()
def relu_grad(first, last, gx, gy, y):
    """Write gy where y > 0 (or NaN), else 0; flat arrays."""
    gx, gy, y = gx[first:last], gy[first:last], y[first:last]
    for i in range(gx.size):
        gx[i] = 0 if y[i] <= 0 else gy[i]


@kernel()
def bias_relu(first, last, y, x, b):
    """Write max(x + b, 0) for rows first..last of the L * D rows."""
    _, d_, s_ = x.shape
    for row in range(first, last):
        n, d = row // d_, row % d_
        source, target, bias = x[n, d], y[n, d], b[d]
        for s in range(s_):
            value = source[s] + bias
            target[s] = 0 if value <= 0 else value


@kernel()
def bias_relu_rows(first, last, y, x, b):
    """Write max(x + b, 0) for rows first..last of arrays (L, D)."""
    for n in range(first, last):
        source, target = x[n], y[n]
        for d in range(b.size):
            value = source[d] + b[d]
            target[d] = 0 if value <= 0 else value


def add_plane(relu):
    """Return the function that adds the numbers of a plane to v.lanes sums; of a ReLU's gradient, which it writes."""

    @vectorised
    def add(v, gx, gy, y, sums, count):
        total = v.variable(v.load(sums))

        def body(at, rest=None):
            g = v.load(gy + at, rest)
            if relu:
                g = v.gate(g, v.load(y + at, rest))
                v.store(gx + at, g, rest)
            total.set(total.vector + v.widen(g))

        by_vectors(v, count, body)
        v.store(sums, total.vector)

    return add


def add_rows_of(rows, relu):
    """Return the function that adds `rows` rows to the sums of their columns; of a ReLU's gradient, which it writes."""

    @vectorised
    def add(v, gx, gy, y, sums, place, stride, count):
        def body(at, rest=None):
            total = v.load(sums + at)  # there is room for whole vectors
            for row in range(rows):
                here = place + at + stride * row
                g = v.load(gy + here, rest)
                if relu:
                    g = v.gate(g, v.load(y + here, rest))
                    v.store(gx + here, g, rest)
                total = total + v.widen(g)
            v.store(sums + at, total)

        by_vectors(v, count, body)

    return add


ROWS = 8  # that are read side by side: each sum is fetched once for all of them
plane, plane_relu = add_plane(False), add_plane(True)
one_row, some_rows, one_row_relu, some_rows_relu = (add_rows_of(n, relu) for relu in (False, True) for n in (1, ROWS))


@kernel()
def bias_grad(first, last, gb, gy):
    """Write, in float64, the sums over L and S for bias elements first..last, lane by lane and then over the lanes."""
    sums = np.zeros((last - first, BYTES // gy.itemsize))
    for n in range(gy.shape[0]):
        for d in range(first, last):
            plane(gy[n, d], gy[n, d], gy[n, d], sums[d - first], gy.shape[2])
    for d in range(first, last):
        gb[d] = sums[d - first].sum()


@kernel()
def bias_grad_rows(first, last, gb, gy):
    """Write, in float64, the sums over L for bias elements first..last of gy (L, D): by rows, as memory lies."""
    n_, d_ = gy.shape
    flat, count = gy.reshape(gy.size), last - first
    total = np.zeros(count + BYTES // gy.itemsize)
    whole = n_ // ROWS * ROWS
    for n in range(0, whole, ROWS):
        some_rows(flat, flat, flat, total, n * d_ + first, d_, count)
    for n in range(whole, n_):
        one_row(flat, flat, flat, total, n * d_ + first, d_, count)
    for i in range(count):  # Numba takes seconds to compile an assignment of a slice
        gb[first + i] = total[i]


@kernel()
def bias_relu_grad(first, last, gx, gb, gy, y):
    """Write gx and, summed in float64, gb for bias elements first..last."""
    sums = np.zeros((last - first, BYTES // gy.itemsize))
    for n in range(y.shape[0]):
        for d in range(first, last):
            plane_relu(gx[n, d], gy[n, d], y[n, d], sums[d - first], y.shape[2])
    for d in range(first, last):
        gb[d] = sums[d - first].sum()


@kernel()
def bias_relu_grad_rows(first, last, gx, gb, gy, y):
    """Write gx and, in float64, gb for bias elements first..last of arrays (L, D): by rows, as memory lies."""
    n_, d_ = y.shape
    count = last - first
    total = np.zeros(count + BYTES // gy.itemsize)
    into, given, out = gx.reshape(gx.size), gy.reshape(gy.size), y.reshape(y.size)
    whole = n_ // ROWS * ROWS
    for n in range(0, whole, ROWS):
        some_rows_relu(into, given, out, total, n * d_ + first, d_, count)
    for n in range(whole, n_):
        one_row_relu(into, given, out, total, n * d_ + first, d_, count)
    for i in range(count):
        gb[first + i] = total[i]
