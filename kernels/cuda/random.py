"""Random numbers from Philox counters, with the reference's bits: integers, and + - * / that are never fused.

A thread encrypts one counter and so makes four words. Outputs are padded to whole blocks by the caller, except dropout's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float32, float64, uint32, uint64

from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import philox_block

__all__ = ["dropout", "normal", "normal_double", "philox", "uniform", "uniform_double"]

# Wichura 1988, Algorithm AS 241 (PPND16); the same numbers as in the reference, which a test holds
CENTRE_P = (
    2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
    1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0,
)  # fmt: skip
CENTRE_Q = (
    5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
    5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
)  # fmt: skip
TAIL_P = (
    7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
    3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0,
)  # fmt: skip
TAIL_Q = (
    1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
    6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0,
)  # fmt: skip
FAR_P = (
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
    2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0,
)  # fmt: skip
FAR_Q = (
    2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
    1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
)  # fmt: skip
LOG_POLY = (
    1.479819860511658591e-1, 1.531383769920937332e-1, 1.818357216161805012e-1, 2.222219843214978396e-1,
    2.857142874366239149e-1, 3.999999999940941908e-1, 6.666666666666735130e-1,
)  # fmt: skip
LOG2_HIGH = 6.93147180369123816490e-1
LOG2_LOW = 1.90821492927058770002e-10
SQRT_HALF = 0.70710678118654752440

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
    """Natural logarithm of x > 0 (fdlibm's e_log.c)."""
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
