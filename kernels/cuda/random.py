"""Random numbers from Philox counters, with the reference's bits: integers, and + - * / that are never fused.

A thread encrypts one counter and so makes four words. The caller pads outputs to whole blocks, except dropout's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64, uint32, uint64

from deepcore.kernels.constants import (
    CENTRE_P,
    CENTRE_Q,
    FAR_P,
    FAR_Q,
    LOG2_HIGH,
    LOG2_LOW,
    LOG_POLY,
    SQRT_HALF,
    TAIL_P,
    TAIL_Q,
)
from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import philox_block

__all__ = ["dropout", "normal", "normal_double", "philox", "uniform", "uniform_double"]

# shifts and factors of uint64 words
FIVE, SIX, TWENTY_SIX = np.uint64(5), np.uint64(6), np.uint64(26)


@device
def _polynomial(coefficients, x):
    """Horner's rule, highest power first."""
    total = x * coefficients[0] + coefficients[1]
    for k in range(2, len(coefficients)):
        total = total * x + coefficients[k]
    return total


@device
def _log(x):
    """Natural logarithm of x > 0 (fdlibm's e_log.c), as in the reference."""
    mantissa, exponent = math.frexp(x)
    if mantissa < SQRT_HALF:
        mantissa *= 2.0
        exponent -= 1
    f = mantissa - 1.0
    k = float64(exponent)
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    r = z * _polynomial(LOG_POLY, z)
    return k * LOG2_HIGH - ((half - (s * (half + r) + k * LOG2_LOW)) - f)


@device
def _inverse_normal(u):
    """Standard normal quantile of u in (0, 1)."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _polynomial(CENTRE_P, r) / _polynomial(CENTRE_Q, r)
    r = math.sqrt(-_log(u if q < 0.0 else 1.0 - u))
    if r <= 5.0:
        tail = _polynomial(TAIL_P, r - 1.6) / _polynomial(TAIL_Q, r - 1.6)
    else:
        tail = _polynomial(FAR_P, r - 5.0) / _polynomial(FAR_Q, r - 5.0)
    return -tail if q < 0.0 else tail


@device
def _normal(word):
    """Quantile in the middle of a 32-bit cell."""
    return _inverse_normal((float64(word) + 0.5) * 2.0**-32)


@device
def _normal_double(a, b):
    """Quantile in the middle of a 52-bit cell made of two words."""
    return _inverse_normal((float64(((a >> SIX) << TWENTY_SIX) + (b >> SIX)) + 0.5) * 2.0**-52)


@kernel("out: u32*, seed: u64, offset: u64, blocks: i32")
def philox(out, seed, offset, blocks):
    """out (4 * blocks,): the words of counters offset, offset + 1, ..."""
    i = cuda.grid(1)
    while i < blocks:
        a, b, c, d = philox_block(offset + uint64(i), seed)
        out[4 * i] = uint32(a)
        out[4 * i + 1] = uint32(b)
        out[4 * i + 2] = uint32(c)
        out[4 * i + 3] = uint32(d)
        i += cuda.gridsize(1)


@kernel("out: f32*, seed: u64, offset: u64, blocks: i32", fma=False)
def uniform(out, seed, offset, blocks):
    """out (4 * blocks,) in [0, 1): the upper 24 bits of a word."""
    i = cuda.grid(1)
    scale = float32(2.0**-24)
    while i < blocks:
        a, b, c, d = philox_block(offset + uint64(i), seed)
        out[4 * i] = float32(uint32(a) >> 8) * scale
        out[4 * i + 1] = float32(uint32(b) >> 8) * scale
        out[4 * i + 2] = float32(uint32(c) >> 8) * scale
        out[4 * i + 3] = float32(uint32(d) >> 8) * scale
        i += cuda.gridsize(1)


@kernel("out: f64*, seed: u64, offset: u64, blocks: i32", fma=False, float64=True)
def uniform_double(out, seed, offset, blocks):
    """out (2 * blocks,) in [0, 1): 53 bits of two words."""
    i = cuda.grid(1)
    while i < blocks:
        a, b, c, d = philox_block(offset + uint64(i), seed)
        out[2 * i] = float64(((a >> FIVE) << TWENTY_SIX) + (b >> SIX)) * 2.0**-53
        out[2 * i + 1] = float64(((c >> FIVE) << TWENTY_SIX) + (d >> SIX)) * 2.0**-53
        i += cuda.gridsize(1)


@kernel("out: f32*, seed: u64, offset: u64, blocks: i32", fma=False, float64=True)
def normal(out, seed, offset, blocks):
    """out (4 * blocks,) standard normal, computed in float64 by definition: the same bits on every device."""
    i = cuda.grid(1)
    while i < blocks:
        a, b, c, d = philox_block(offset + uint64(i), seed)
        out[4 * i] = _normal(a)
        out[4 * i + 1] = _normal(b)
        out[4 * i + 2] = _normal(c)
        out[4 * i + 3] = _normal(d)
        i += cuda.gridsize(1)


@kernel("out: f64*, seed: u64, offset: u64, blocks: i32", fma=False, float64=True)
def normal_double(out, seed, offset, blocks):
    """out (2 * blocks,) standard normal, each from two words."""
    i = cuda.grid(1)
    while i < blocks:
        a, b, c, d = philox_block(offset + uint64(i), seed)
        out[2 * i] = _normal_double(a, b)
        out[2 * i + 1] = _normal_double(c, d)
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, zero: T, scale: T, seed: u64, offset: u64, limit: u64, n: i32")
def dropout(x, y, zero, scale, seed, offset, limit, n):
    """y[i] = x[i] * scale where word i >= limit, else 0: no mask in memory."""
    i = cuda.grid(1)
    while 4 * i < n:
        a, b, c, d = philox_block(offset + uint64(i), seed)
        j = 4 * i
        y[j] = x[j] * scale if a >= limit else zero
        if j + 1 < n:
            y[j + 1] = x[j + 1] * scale if b >= limit else zero
        if j + 2 < n:
            y[j + 2] = x[j + 2] * scale if c >= limit else zero
        if j + 3 < n:
            y[j + 3] = x[j + 3] * scale if d >= limit else zero
        i += cuda.gridsize(1)
