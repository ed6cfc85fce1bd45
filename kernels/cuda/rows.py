"""Softmax and normalisation of rows x (R, D): one block a row, sums as a tree in a fixed order.

The block size is a power of two.
"""

from __future__ import annotations

import math

from numba import cuda

from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import block_max, block_sum, quotient

__all__ = ["layer_norm", "layer_norm_columns", "layer_norm_grad", "log_softmax_grad", "softmax", "softmax_grad"]


@kernel("x: T*, y: T*, width: i32, logarithm: i32")
def softmax(x, y, width, logarithm):
    """y = exp(x) / sum(exp(x)) of every row, or its logarithm."""
    base = cuda.blockIdx.x * width
    top = x[base]
    real = type(top)
    shared = cuda.shared.array(256, real)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        if x[base + d] > top:
            top = x[base + d]
    top = block_max(shared, top)
    total = real(0)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        total += real(math.exp(x[base + d] - top))
    total = block_sum(shared, total)
    log_sum = real(math.log(total))
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        moved = x[base + d] - top
        y[base + d] = moved - log_sum if logarithm else real(math.exp(moved)) / total


@kernel("gy: T*, y: T*, gx: T*, width: i32")
def softmax_grad(gy, y, gx, width):
    """gx = y (gy - sum(gy y)) of every row."""
    base = cuda.blockIdx.x * width
    real = type(y[base])
    shared = cuda.shared.array(256, real)
    total = real(0)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        total += gy[base + d] * y[base + d]
    total = block_sum(shared, total)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        gx[base + d] = y[base + d] * (gy[base + d] - total)


@kernel("gy: T*, y: T*, gx: T*, width: i32")
def log_softmax_grad(gy, y, gx, width):
    """gx = gy - exp(y) sum(gy) of every row."""
    base = cuda.blockIdx.x * width
    real = type(y[base])
    shared = cuda.shared.array(256, real)
    total = real(0)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        total += gy[base + d]
    total = block_sum(shared, total)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        gx[base + d] = gy[base + d] - real(math.exp(y[base + d])) * total


@kernel("x: T*, w: T*, b: T*, y: T*, mean: T*, rstd: T*, eps: T, width: i32, with_w: i32, with_b: i32, centred: i32")
def layer_norm(x, w, b, y, mean, rstd, eps, width, with_w, with_b, centred):
    """y = (x - mean) * rstd * w + b; mean (R,) is 0 unless `centred`, and then it is not written."""
    real = type(eps)
    shared = cuda.shared.array(256, real)
    row = cuda.blockIdx.x
    base = row * width
    centre = real(0)
    if centred:
        total = real(0)
        for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
            total += x[base + d]
        centre = block_sum(shared, total) / real(width)
    squares = real(0)
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        away = x[base + d] - centre
        squares += away * away
    scale = real(1) / real(math.sqrt(block_sum(shared, squares) / real(width) + eps))
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        value = (x[base + d] - centre) * scale
        if with_w:
            value *= w[d]
        y[base + d] = value + b[d] if with_b else value
    if cuda.threadIdx.x == 0:
        rstd[row] = scale
        if centred:
            mean[row] = centre


@kernel("gy: T*, x: T*, mean: T*, rstd: T*, w: T*, gx: T*, zero: T, width: i32, with_w: i32, centred: i32")
def layer_norm_grad(gy, x, mean, rstd, w, gx, zero, width, with_w, centred):
    """gx = rstd * (g - mean(g) - xhat * mean(g * xhat)) with g = gy * w; without mean(g) unless `centred`."""
    real = type(zero)
    shared = cuda.shared.array(256, real)
    row = cuda.blockIdx.x
    base = row * width
    centre, scale = mean[row] if centred else zero, rstd[row]
    total, along = zero, zero
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        g = gy[base + d] * w[d] if with_w else gy[base + d]
        total += g
        along += g * ((x[base + d] - centre) * scale)
    along = block_sum(shared, along) / real(width)
    total = block_sum(shared, total) / real(width) if centred else zero
    for d in range(cuda.threadIdx.x, width, cuda.blockDim.x):
        g = gy[base + d] * w[d] if with_w else gy[base + d]
        gx[base + d] = scale * (g - total - (x[base + d] - centre) * scale * along)


@kernel("gy: T*, x: T*, mean: T*, rstd: T*, gw: T*, gb: T*, zero: T, rows: i32, width: i32, parts: i32, centred: i32")
def layer_norm_columns(gy, x, mean, rstd, gw, gb, zero, rows, width, parts, centred):
    """Sums of gy * xhat and of gy over every part of the rows, each (parts, D); a thread takes one column of a part."""
    i = cuda.grid(1)
    if i < parts * width:
        part = quotient(i, width)
        d = i - part * width
        sum_w, sum_b = zero, zero
        for row in range(part, rows, parts):
            g = gy[row * width + d]
            centre = mean[row] if centred else zero
            sum_w += g * ((x[row * width + d] - centre) * rstd[row])
            sum_b += g
        gw[i], gb[i] = sum_w, sum_b
