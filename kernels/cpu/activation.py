"""ReLU with its bias in one pass. Arrays with a bias are (L, D, S), the bias (D,)."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel


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


@kernel(fastmath={"reassoc"})
def bias_relu_grad(first, last, gx, gb, gy, y):
    """Write gx and, summed in float64, gb for bias elements first..last."""
    n_, _, s_ = y.shape
    for d in range(first, last):
        total = 0.0
        for n in range(n_):
            source, out, target = gy[n, d], y[n, d], gx[n, d]
            for s in range(s_):
                g = gy.dtype.type(0) if out[s] <= 0 else source[s]
                target[s] = g
                total += np.float64(g)
        gb[d] = total


@kernel()
def bias_relu_grad_rows(first, last, gx, gb, gy, y):
    """Write gx and, in float64, gb for bias elements first..last of arrays (L, D): by rows, as memory lies."""
    total = gb[first:last]
    total[:] = 0
    for n in range(y.shape[0]):
        source, out, target = gy[n, first:last], y[n, first:last], gx[n, first:last]
        for d in range(total.size):
            g = gy.dtype.type(0) if out[d] <= 0 else source[d]
            target[d] = g
            total[d] += np.float64(g)
