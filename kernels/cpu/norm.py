"""Batch normalisation; x is (N, C, S) with S pixels, sums are in float64, each channel's in one fixed order."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel

SUMS = {"reassoc", "contract"}  # vector sums; infinities and NaN stay what they are


@kernel(fastmath=SUMS)
def stats(first, last, mean, var, x):
    """Write mean and biased variance (C,) of channels first..last, in two passes."""
    n_, _, s_ = x.shape
    for c in range(first, last):
        total = 0.0
        for n in range(n_):
            for s in range(s_):
                total += np.float64(x[n, c, s])
        centre = total / (n_ * s_)
        squares = 0.0
        for n in range(n_):
            for s in range(s_):
                d = np.float64(x[n, c, s]) - centre
                squares += d * d
        mean[c] = centre
        var[c] = squares / (n_ * s_)


@kernel()
def apply(first, last, y, x, mean, scale, shift):
    """Write (x - mean) * scale + shift for planes first..last of the N * C planes; vectors are (C,)."""
    _, c_, s_ = x.shape
    for plane in range(first, last):
        n, c = plane // c_, plane % c_
        m, a, b = mean[c], scale[c], shift[c]
        for s in range(s_):
            y[n, c, s] = (x[n, c, s] - m) * a + b


@kernel(fastmath=SUMS)
def gradient(first, last, gx, gw, gb, gy, x, mean, rstd, scale):
    """Write gx, and gw and gb (C,), for channels first..last; scale is rstd * w."""
    n_, _, s_ = x.shape
    for c in range(first, last):
        m, r = mean[c], rstd[c]
        sum_gy = 0.0
        sum_gy_xhat = 0.0
        for n in range(n_):
            for s in range(s_):
                sum_gy += np.float64(gy[n, c, s])
                sum_gy_xhat += np.float64(gy[n, c, s] * ((x[n, c, s] - m) * r))
        gb[c] = sum_gy
        gw[c] = sum_gy_xhat
        mean_gy = x.dtype.type(sum_gy / (n_ * s_))
        mean_gy_xhat = x.dtype.type(sum_gy_xhat / (n_ * s_))
        for n in range(n_):
            for s in range(s_):
                xhat = (x[n, c, s] - m) * r
                gx[n, c, s] = scale[c] * (gy[n, c, s] - mean_gy - xhat * mean_gy_xhat)
