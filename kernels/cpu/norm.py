"""Batch normalisation, alone or with the ReLU (and the sum) behind it; x is (N, C, S) with S pixels.

Sums are in float64, each channel's in one fixed order. A group of channels is done with all its passes before the next
one, so that only the first pass reads from memory. `kind` says what follows: NOTHING, RELU, or ADD_RELU, a residual
and then the ReLU.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import BYTES, vectorised
from deepcore.kernels.cpu.vector_math import by_vectors

NOTHING, RELU, ADD_RELU = 0, 1, 2


@vectorised
def add_moments(v, x, sums, shift, c, count):
    """Add x - shift[c] and its square to sums: v.lanes sums of the one, then of the other."""
    centre, total, squares = v.broadcast(shift + c), v.variable(v.load(sums)), v.variable(v.load(sums + v.lanes))

    def body(at, rest=None):
        away = v.widen(v.load(x + at, rest)) - centre
        away = away if rest is None else v.only(away, rest)
        total.set(total.vector + away)
        squares.set(squares.vector + away * away)

    by_vectors(v, count, body)
    v.store(sums, total.vector)
    v.store(sums + v.lanes, squares.vector)


def apply_and(kind):
    """Return the function that writes (x - mean) * scale + shift of one plane, and what follows."""

    @vectorised
    def apply_plane(v, y, x, residual, mean, scale, shift, c, count):
        centre, factor, bias = v.broadcast(mean + c), v.broadcast(scale + c), v.broadcast(shift + c)

        def body(at, rest=None):
            value = v.fma(v.load(x + at, rest) - centre, factor, bias)
            if kind == ADD_RELU:
                value = value + v.load(residual + at, rest)
            v.store(y + at, value if kind == NOTHING else v.gate(value, value), rest)

        by_vectors(v, count, body)

    return apply_plane


apply_plane, apply_relu, apply_add_relu = (apply_and(kind) for kind in (NOTHING, RELU, ADD_RELU))


def add_slopes_through(kind):
    """Return the function that adds g and g * xhat of one plane to sums; g is what the ReLU lets through of gy.

    Where a residual was added, the sign is that of y, and g is written; else it is that of what the forward computed
    from x, in the same operations.
    """

    @vectorised
    def add_slopes(v, gy, x, y, g, sums, mean, rstd, scale, shift, c, count):
        centre, inverse, factor, bias = (v.broadcast(a + c) for a in (mean, rstd, scale, shift))
        total, products = v.variable(v.load(sums)), v.variable(v.load(sums + v.lanes))

        def body(at, rest=None):
            away = v.load(x + at, rest) - centre
            through = v.load(gy + at, rest)  # 0 behind the end
            if kind == RELU:
                through = v.gate(through, v.fma(away, factor, bias))
            elif kind == ADD_RELU:
                through = v.gate(through, v.load(y + at, rest))
                v.store(g + at, through, rest)
            total.set(total.vector + v.widen(through))
            products.set(products.vector + v.widen(through * (away * inverse)))

        by_vectors(v, count, body)
        v.store(sums, total.vector)
        v.store(sums + v.lanes, products.vector)

    return add_slopes


add_slopes, add_slopes_relu, add_slopes_add_relu = (add_slopes_through(kind) for kind in (NOTHING, RELU, ADD_RELU))


def slope_through(relu):
    """Return the function that writes gx = scale * g + steepness * (x - mean) + level of one plane."""

    @vectorised
    def slope(v, gx, gy, x, mean, scale, shift, steepness, level, c, count):
        centre, factor, bias = (v.broadcast(a + c) for a in (mean, scale, shift))
        steep, start = v.broadcast(steepness + c), v.broadcast(level + c)

        def body(at, rest=None):
            away, through = v.load(x + at, rest) - centre, v.load(gy + at, rest)
            if relu:
                through = v.gate(through, v.fma(away, factor, bias))
            v.store(gx + at, v.fma(factor, through, v.fma(steep, away, start)), rest)

        by_vectors(v, count, body)

    return slope


slope, slope_relu = slope_through(False), slope_through(True)


@kernel()
def lane_sum(sums, start, lanes):
    """Return the sum of `lanes` numbers from start on."""
    total = 0.0
    for i in range(start, start + lanes):
        total += sums[i]
    return total


@kernel()
def moments(first, last, mean, var, x):
    """Write mean and biased variance (C,), float64, of channels first..last.

    In one pass over x - k, where k is a sample of the channel: (mean - k)^2 <= count * variance, so that in float64 no
    digit of float32 is lost. float64 itself takes a second pass, where k is the mean.
    """
    n_, _, s_ = x.shape
    lanes = BYTES // x.itemsize
    sums = np.empty((last - first, 2 * lanes), np.float64)
    for c in range(first, last):
        sample = np.float64(x[0, c, 0])
        mean[c] = sample if np.isfinite(sample) else 0.0
    for _ in range(x.itemsize // 4):
        sums[:] = 0
        for n in range(n_):
            for c in range(first, last):
                add_moments(x[n, c], sums[c - first], mean, c, s_)
        for c in range(first, last):
            away = lane_sum(sums[c - first], 0, lanes) / (n_ * s_)
            var[c] = lane_sum(sums[c - first], lanes, lanes) / (n_ * s_) - away * away
            mean[c] += away


@kernel()
def apply(first, last, y, x, residual, mean, scale, shift, kind):
    """Write (x - mean) * scale + shift, and what follows, for planes first..last of the N * C planes."""
    _, c_, s_ = x.shape
    for plane in range(first, last):
        n, c = plane // c_, plane % c_
        if kind == NOTHING:
            apply_plane(y[n, c], x[n, c], x[n, c], mean, scale, shift, c, s_)
        elif kind == RELU:
            apply_relu(y[n, c], x[n, c], x[n, c], mean, scale, shift, c, s_)
        else:
            apply_add_relu(y[n, c], x[n, c], residual[n, c], mean, scale, shift, c, s_)


@kernel()
def train(first, last, y, means, variances, rstd, x, residual, w, b, eps, group, kind):
    """Write y, the float64 means and variances, and rstd (C,), for channels first..last."""
    n_, c_, s_ = x.shape
    mean, scale = np.empty(c_, x.dtype), np.empty(c_, x.dtype)
    for start in range(first, last, group):
        end = min(start + group, last)
        moments(start, end, means, variances, x)
        for c in range(start, end):
            variances[c] = max(variances[c], 0.0) if variances[c] == variances[c] else variances[c]
            mean[c], rstd[c] = means[c], 1 / np.sqrt(variances[c] + eps)
            scale[c] = rstd[c] * w[c]
        for n in range(n_):
            for c in range(start, end):
                if kind == NOTHING:
                    apply_plane(y[n, c], x[n, c], x[n, c], mean, scale, b, c, s_)
                elif kind == RELU:
                    apply_relu(y[n, c], x[n, c], x[n, c], mean, scale, b, c, s_)
                else:
                    apply_add_relu(y[n, c], x[n, c], residual[n, c], mean, scale, b, c, s_)


@kernel()
def gradient(first, last, gx, gw, gb, g, gy, y, x, mean, rstd, scale, shift, group, kind):
    """Write gx, gw and gb (C,), and g, the residual's gradient, for channels first..last; scale is rstd * w."""
    n_, c_, s_ = x.shape
    lanes = BYTES // x.itemsize
    steepness, level = np.empty(c_, x.dtype), np.empty(c_, x.dtype)
    sums = np.empty((min(group, last - first), 2 * lanes), np.float64)
    for start in range(first, last, group):
        end = min(start + group, last)
        sums[:] = 0
        for n in range(n_):
            for c in range(start, end):
                here = sums[c - start]
                if kind == NOTHING:
                    add_slopes(gy[n, c], x[n, c], x[n, c], gx[n, c], here, mean, rstd, scale, shift, c, s_)
                elif kind == RELU:
                    add_slopes_relu(gy[n, c], x[n, c], x[n, c], gx[n, c], here, mean, rstd, scale, shift, c, s_)
                else:
                    add_slopes_add_relu(gy[n, c], x[n, c], y[n, c], g[n, c], here, mean, rstd, scale, shift, c, s_)
        for c in range(start, end):
            total, products = lane_sum(sums[c - start], 0, lanes), lane_sum(sums[c - start], lanes, lanes)
            gb[c], gw[c] = total, products
            factor = np.float64(scale[c]) / (n_ * s_)
            level[c], steepness[c] = -factor * total, -factor * np.float64(rstd[c]) * products
        for n in range(n_):
            for c in range(start, end):
                if kind == NOTHING:
                    slope(gx[n, c], gy[n, c], x[n, c], mean, scale, shift, steepness, level, c, s_)
                elif kind == RELU:
                    slope_relu(gx[n, c], gy[n, c], x[n, c], mean, scale, shift, steepness, level, c, s_)
                else:
                    slope(gx[n, c], g[n, c], x[n, c], mean, scale, shift, steepness, level, c, s_)


# Vectors along the channels, for arrays (N, C) without pixels. The ReLU's sign is that of y.


@kernel()
def moments_rows(first, last, mean, var, x):
    """moments of x (N, C)."""
    total, squares = np.empty(last - first), np.empty(last - first)
    mean, var = mean[first:last], var[first:last]
    for c in range(mean.size):
        sample = np.float64(x[0, first + c])
        mean[c] = sample if np.isfinite(sample) else 0.0
    for _ in range(x.itemsize // 4):
        total[:] = 0
        squares[:] = 0
        for n in range(x.shape[0]):
            row = x[n, first:last]
            for c in range(row.size):
                away = np.float64(row[c]) - mean[c]
                total[c] += away
                squares[c] += away * away
        for c in range(mean.size):
            away = total[c] / x.shape[0]
            var[c] = squares[c] / x.shape[0] - away * away
            mean[c] += away


@kernel()
def apply_rows(first, last, y, x, residual, mean, scale, shift, kind):
    """Apply to rows first..last of arrays (N, C)."""
    nothing = x.dtype.type(0)
    for n in range(first, last):
        source, target, more = x[n], y[n], residual[n]
        for c in range(target.size):
            target[c] = (source[c] - mean[c]) * scale[c] + shift[c]
        if kind == ADD_RELU:
            for c in range(target.size):
                target[c] += more[c]
        if kind != NOTHING:
            for c in range(target.size):
                target[c] = nothing if target[c] <= 0 else target[c]


@kernel()
def gradient_rows(first, last, gx, gw, gb, g, gy, y, x, mean, rstd, scale, kind):
    """Gradient of arrays (N, C), channels first..last; g is written where kind is not NOTHING, and may be gx."""
    total, products = np.zeros(last - first), np.zeros(last - first)
    rows, real = x.shape[0], x.dtype.type
    centre, inverse, factor = mean[first:last], rstd[first:last], scale[first:last]
    for n in range(rows):
        source, through = x[n, first:last], gy[n, first:last]
        if kind != NOTHING:
            out, through = y[n, first:last], g[n, first:last]
            for c in range(through.size):
                through[c] = real(0) if out[c] <= 0 else gy[n, first + c]
        for c in range(through.size):
            total[c] += np.float64(through[c])
            products[c] += np.float64(through[c] * ((source[c] - centre[c]) * inverse[c]))
    level, steepness = np.empty(last - first, x.dtype), np.empty(last - first, x.dtype)
    for c in range(last - first):
        gb[first + c], gw[first + c] = total[c], products[c]
        level[c] = -np.float64(factor[c]) / rows * total[c]
        steepness[c] = -np.float64(factor[c]) / rows * np.float64(inverse[c]) * products[c]
    for n in range(rows):
        source, target = x[n, first:last], gx[n, first:last]
        through = gy[n, first:last] if kind == NOTHING else g[n, first:last]
        for c in range(target.size):
            target[c] = factor[c] * through[c] + (steepness[c] * (source[c] - centre[c]) + level[c])
