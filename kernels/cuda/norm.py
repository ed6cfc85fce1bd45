"""Batch normalisation. x is (N, C, S); an item is a place of one channel, items = N * S.

Sums go in two stages, so that few channels still fill the device: the block (channel, part) handles every `parts`-th
stretch of the channel's items; a second kernel puts the parts together in order. Same shapes, same bits.
"""

from __future__ import annotations

from numba import cuda

from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import quotient

__all__ = [
    "batch_norm_apply",
    "batch_norm_grad",
    "batch_norm_grad_merge",
    "batch_norm_grad_parts",
    "batch_norm_stats_merge",
    "batch_norm_stats_parts",
]


@device
def _merge(count_a, mean_a, m2_a, count_b, mean_b, m2_b):
    """Count, mean and sum of squared deviations of two samples together (Chan, Golub, LeVeque 1979)."""
    if count_b == 0:
        return count_a, mean_a, m2_a
    count = count_a + count_b
    delta = mean_b - mean_a
    share = count_b / count
    return count, mean_a + delta * share, m2_a + m2_b + delta * delta * count_a * share


@kernel("x: T*, counts: T*, means: T*, m2s: T*, zero: T, channels: i32, inner: i32, items: i32")
def batch_norm_stats_parts(x, counts, means, m2s, zero, channels, inner, items):
    """Count, mean and squared deviations of every part, each (C, parts).

    A thread sums deviations from its own first value. Because that value is one of the sample, the cancellation in
    sum(d*d) - sum(d)**2 / n costs at most a factor n, its own few items, even where mean**2 >> variance.
    """
    real = type(zero)
    shared_count = cuda.shared.array(256, real)
    shared_mean = cuda.shared.array(256, real)
    shared_m2 = cuda.shared.array(256, real)
    channel, thread = cuda.blockIdx.x, cuda.threadIdx.x
    i = cuda.blockIdx.y * cuda.blockDim.x + thread
    count = 0
    shift, total, squares = zero, zero, zero
    while i < items:
        n = quotient(i, inner)
        value = x[(n * channels + channel) * inner + i - n * inner]
        if count == 0:
            shift = value
        d = value - shift
        total += d
        squares += d * d
        count += 1
        i += cuda.gridDim.y * cuda.blockDim.x
    size = real(count)
    mean = total / size if count > 0 else zero
    shared_count[thread] = size
    shared_mean[thread] = shift + mean
    shared_m2[thread] = squares - total * mean
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if thread < half:
            other = thread + half
            shared_count[thread], shared_mean[thread], shared_m2[thread] = _merge(
                shared_count[thread],
                shared_mean[thread],
                shared_m2[thread],
                shared_count[other],
                shared_mean[other],
                shared_m2[other],
            )
        cuda.syncthreads()
        half >>= 1
    if thread == 0:
        place = channel * cuda.gridDim.y + cuda.blockIdx.y
        counts[place], means[place], m2s[place] = shared_count[0], shared_mean[0], shared_m2[0]


@kernel("counts: T*, means: T*, m2s: T*, mean: T*, var: T*, channels: i32, parts: i32")
def batch_norm_stats_merge(counts, means, m2s, mean, var, channels, parts):
    """mean (C,) and biased var (C,) from the parts."""
    channel = cuda.grid(1)
    if channel < channels:
        base = channel * parts
        count, centre, m2 = counts[base], means[base], m2s[base]
        for part in range(1, parts):
            count, centre, m2 = _merge(count, centre, m2, counts[base + part], means[base + part], m2s[base + part])
        mean[channel] = centre
        var[channel] = m2 / count


@kernel("x: T*, mean: T*, rstd: T*, w: T*, b: T*, y: T*, channels: i32, inner: i32, with_w: i32, with_b: i32")
def batch_norm_apply(x, mean, rstd, w, b, y, channels, inner, with_w, with_b):
    """y = (x - mean) * rstd * w + b; a block column is one plane (n, c)."""
    plane = cuda.blockIdx.x
    channel = plane - quotient(plane, channels) * channels
    centre, scale = mean[channel], rstd[channel]
    if with_w:
        scale *= w[channel]
    i = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while i < inner:
        value = (x[plane * inner + i] - centre) * scale
        if with_b:
            value += b[channel]
        y[plane * inner + i] = value
        i += cuda.gridDim.y * cuda.blockDim.x


@kernel("gy: T*, x: T*, mean: T*, rstd: T*, gb_parts: T*, gw_parts: T*, zero: T, channels: i32, inner: i32, items: i32")
def batch_norm_grad_parts(gy, x, mean, rstd, gb_parts, gw_parts, zero, channels, inner, items):
    """Sums of gy and of gy * xhat over every part, each (C, parts)."""
    real = type(zero)
    shared_gb = cuda.shared.array(256, real)
    shared_gw = cuda.shared.array(256, real)
    channel, thread = cuda.blockIdx.x, cuda.threadIdx.x
    centre, scale = mean[channel], rstd[channel]
    gb, gw = zero, zero
    i = cuda.blockIdx.y * cuda.blockDim.x + thread
    while i < items:
        n = quotient(i, inner)
        place = (n * channels + channel) * inner + i - n * inner
        gb += gy[place]
        gw += gy[place] * ((x[place] - centre) * scale)
        i += cuda.gridDim.y * cuda.blockDim.x
    shared_gb[thread], shared_gw[thread] = gb, gw
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if thread < half:
            shared_gb[thread] += shared_gb[thread + half]
            shared_gw[thread] += shared_gw[thread + half]
        cuda.syncthreads()
        half >>= 1
    if thread == 0:
        place = channel * cuda.gridDim.y + cuda.blockIdx.y
        gb_parts[place], gw_parts[place] = shared_gb[0], shared_gw[0]


@kernel("gb_parts: T*, gw_parts: T*, gb: T*, gw: T*, zero: T, channels: i32, parts: i32")
def batch_norm_grad_merge(gb_parts, gw_parts, gb, gw, zero, channels, parts):
    """gb (C,) and gw (C,) from the parts."""
    channel = cuda.grid(1)
    if channel < channels:
        total_b, total_w = zero, zero
        for part in range(parts):
            total_b += gb_parts[channel * parts + part]
            total_w += gw_parts[channel * parts + part]
        gb[channel], gw[channel] = total_b, total_w


@kernel(
    "gy: T*, x: T*, mean: T*, rstd: T*, w: T*, gb: T*, gw: T*, gx: T*, per_item: T, "
    "channels: i32, inner: i32, with_w: i32"
)
def batch_norm_grad(gy, x, mean, rstd, w, gb, gw, gx, per_item, channels, inner, with_w):
    """gx = w * rstd * (gy - gb / items - xhat * gw / items), per_item = 1 / items."""
    plane = cuda.blockIdx.x
    channel = plane - quotient(plane, channels) * channels
    centre, spread = mean[channel], rstd[channel]
    scale = spread * w[channel] if with_w else spread
    mean_b, mean_w = gb[channel] * per_item, gw[channel] * per_item
    i = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while i < inner:
        place = plane * inner + i
        xhat = (x[place] - centre) * spread
        gx[place] = scale * (gy[place] - mean_b - xhat * mean_w)
        i += cuda.gridDim.y * cuda.blockDim.x
