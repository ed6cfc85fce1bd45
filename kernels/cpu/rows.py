"""Softmax and normalisation of rows x (R, D), rows first..last; a row stays in the cache for all its passes."""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from deepcore.kernels.cpu import vector_math
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import vectorised

SUMS = {"reassoc", "contract"}  # vector sums; infinities and NaN stay what they are


@vectorised
def softmax_row(v, y, x, count):
    """Write exp(x) / sum(exp(x)) of a row."""
    total = v.sum(vector_math.exponentials(v, y, x, vector_math.largest(v, x, count), count).vector)
    share = v.splat(v.narrow(v.builder.fdiv(ir.Constant(total.type, 1), total)))
    vector_math.by_vectors(v, count, lambda at, rest=None: v.store(y + at, v.load(y + at, rest) * share, rest))


@kernel()
def softmax(first, last, y, x):
    """Write exp(x) / sum(exp(x)) of every row."""
    for r in range(first, last):
        softmax_row(y[r], x[r], x.shape[1])


@vectorised
def logarithm_parts(v, y, x, place, count):
    """Write the maximum of a row to place[0] and sum(exp(x - maximum)) to place[1], float64; y is room for a row."""
    top = v.highest(vector_math.largest(v, x, count))
    total = vector_math.exponentials(v, y, x, v.splat(top), count)
    v.put(place, top if v.itemsize == 8 else v.builder.fpext(top, v.wide.element))
    v.put(place + 1, v.sum(total.vector))


@kernel()
def log_softmax(first, last, y, x):
    """Write log(softmax(x)) of every row."""
    place, real = np.empty(2), x.dtype.type
    for r in range(first, last):
        source, target = x[r], y[r]
        logarithm_parts(target, source, place, source.size)
        top, log_sum = real(place[0]), real(np.log(place[1]))
        for d in range(target.size):
            target[d] = (source[d] - top) - log_sum


@vectorised
def softmax_grad_row(v, gx, gy, y, count):
    """Write y (gy - sum(gy y)) of a row."""
    total = v.variable(v.zero())

    def add(at, rest=None):
        total.set(v.fma(v.load(gy + at, rest), v.load(y + at, rest), total.vector))

    vector_math.by_vectors(v, count, add)
    mean = v.splat(v.sum(total.vector))

    def write(at, rest=None):
        v.store(gx + at, v.load(y + at, rest) * (v.load(gy + at, rest) - mean), rest)

    vector_math.by_vectors(v, count, write)


@kernel()
def softmax_grad(first, last, gx, gy, y):
    """Write y (gy - sum(gy y)) of every row."""
    for r in range(first, last):
        softmax_grad_row(gx[r], gy[r], y[r], y.shape[1])


@kernel(fastmath=SUMS)
def sum_of(row):
    """Return the sum of a row."""
    total = row.dtype.type(0)
    for d in range(row.size):
        total += row[d]
    return total


@vectorised
def log_softmax_grad_row(v, gx, gy, y, count):
    """Write gy - exp(y) sum(gy) of a row."""
    total = v.variable(v.zero())
    vector_math.by_vectors(v, count, lambda at, rest=None: total.set(total.vector + v.load(gy + at, rest)))
    mass = v.splat(v.sum(total.vector))

    def write(at, rest=None):
        v.store(gx + at, v.load(gy + at, rest) - vector_math.decay(v, v.load(y + at, rest)) * mass, rest)

    vector_math.by_vectors(v, count, write)


@kernel()
def log_softmax_grad(first, last, gx, gy, y):
    """Write gy - exp(y) sum(gy) of every row."""
    for r in range(first, last):
        log_softmax_grad_row(gx[r], gy[r], y[r], y.shape[1])


@kernel(fastmath=SUMS)
def layer_norm(first, last, y, mean, rstd, x, w, b, eps):
    """Write y = (x - mean) * rstd * w + b, and mean and rstd (R, 1)."""
    real = x.dtype.type
    count = real(x.shape[1])
    for r in range(first, last):
        source, target = x[r], y[r]
        centre = sum_of(source) / count
        squares = real(0)
        for d in range(source.size):
            away = source[d] - centre
            squares += away * away
        scale = real(1) / np.sqrt(squares / count + eps)
        for d in range(source.size):
            target[d] = (source[d] - centre) * scale * w[d] + b[d]
        mean[r, 0], rstd[r, 0] = centre, scale


@kernel(fastmath=SUMS)
def rms_norm(first, last, y, rrms, x, w, eps):
    """Write y = x * rrms * w, and rrms (R, 1)."""
    real = x.dtype.type
    for r in range(first, last):
        source, target = x[r], y[r]
        squares = real(0)
        for d in range(source.size):
            squares += source[d] * source[d]
        scale = real(1) / np.sqrt(squares / real(source.size) + eps)
        for d in range(source.size):
            target[d] = source[d] * scale * w[d]
        rrms[r, 0] = scale


@kernel(fastmath=SUMS)
def layer_norm_grad(first, last, gx, gw, gb, gy, x, mean, rstd, w):
    """Write gx (R, D), and the sums of gy * xhat and gy over each part of the rows, gw and gb (parts, D).

    The range is over parts. Without means (a mean of length 0): the gradient of rms_norm.
    """
    real = x.dtype.type
    rows, parts = x.shape[0], gw.shape[0]
    count = real(x.shape[1])
    centred = mean.size > 0
    for part in range(first, last):
        sum_w, sum_b = gw[part], gb[part]
        sum_w[:] = real(0)
        sum_b[:] = real(0)
        for r in range(rows * part // parts, rows * (part + 1) // parts):
            source, values, target = gy[r], x[r], gx[r]
            centre, scale = mean[r, 0] if centred else real(0), rstd[r, 0]
            total, along = real(0), real(0)
            for d in range(values.size):
                xhat = (values[d] - centre) * scale
                g = source[d] * w[d]
                total += g
                along += g * xhat
                sum_w[d] += source[d] * xhat
                sum_b[d] += source[d]
            total, along = total / count if centred else real(0), along / count
            for d in range(values.size):
                xhat = (values[d] - centre) * scale
                target[d] = scale * (source[d] * w[d] - total - xhat * along)
