"""Softmax and normalisation of rows x (R, D), rows first..last; a row stays in the cache for all its passes."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA, decay

LANES = 16
SUMS = {"reassoc", "contract"}  # vector sums; infinities and NaN stay what they are


@kernel(inlined=True)
def largest(row, lanes):
    """Return the maximum of a row; of one that holds NaN any number, which its sum of exponentials then replaces.

    lanes: room for LANES numbers; LLVM does not vectorise a maximum of floats by itself.
    """
    top = row[0]
    lanes[:] = top
    whole = row.size // LANES * LANES
    for start in range(0, whole, LANES):
        part = row[start : start + LANES]
        for i in range(LANES):
            lanes[i] = part[i] if part[i] > lanes[i] else lanes[i]
    for i in range(LANES):
        top = lanes[i] if lanes[i] > top else top
    for d in range(whole, row.size):
        top = row[d] if row[d] > top else top
    return top


@kernel(fastmath=SUMS)
def exponentials(y, x, top):
    """Write exp(x - top) to y and return the sum."""
    total = x.dtype.type(0)
    for d in range(x.size):
        e = decay(x[d] - top)
        y[d] = e
        total += e
    return total


@kernel(fastmath=FMA)
def softmax(first, last, y, x):
    """Write exp(x) / sum(exp(x)) of every row."""
    lanes = np.empty(LANES, x.dtype)
    for r in range(first, last):
        source, target = x[r], y[r]
        share = x.dtype.type(1) / exponentials(target, source, largest(source, lanes))
        for d in range(target.size):
            target[d] *= share


@kernel(fastmath=FMA)
def log_softmax(first, last, y, x):
    """Write log(softmax(x)) of every row."""
    lanes = np.empty(LANES, x.dtype)
    for r in range(first, last):
        source, target = x[r], y[r]
        top = largest(source, lanes)
        log_sum = np.log(exponentials(target, source, top))
        for d in range(target.size):
            target[d] = (source[d] - top) - log_sum


@kernel(fastmath=SUMS)
def softmax_grad(first, last, gx, gy, y):
    """Write y (gy - sum(gy y)) of every row."""
    for r in range(first, last):
        source, out, target = gy[r], y[r], gx[r]
        total = y.dtype.type(0)
        for d in range(out.size):
            total += source[d] * out[d]
        for d in range(out.size):
            target[d] = out[d] * (source[d] - total)


@kernel(fastmath=SUMS)
def sum_of(row):
    """Return the sum of a row."""
    total = row.dtype.type(0)
    for d in range(row.size):
        total += row[d]
    return total


@kernel(fastmath=FMA)
def log_softmax_grad(first, last, gx, gy, y):
    """Write gy - exp(y) sum(gy) of every row."""
    for r in range(first, last):
        source, out, target = gy[r], y[r], gx[r]
        total = sum_of(source)
        for d in range(out.size):
            target[d] = source[d] - decay(out[d]) * total


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
