"""Philox 4x32-10 and what is drawn from it. No fastmath: the bits are those of the reference (backends/base/random.py).

Block i of a draw is the counter offset + i under the key. The words of a chunk are made first, so that the loop over
blocks is vectorised.
"""

from __future__ import annotations

import math

import numpy as np

from deepcore.kernels.constants import (
    CENTRE_P,
    CENTRE_Q,
    FAR_P,
    FAR_Q,
    KEY_STEPS,
    LOG2_HIGH,
    LOG2_LOW,
    LOG_POLY,
    MASK,
    MULTIPLIERS,
    ROUNDS,
    SQRT_HALF,
    TAIL_P,
    TAIL_Q,
)
from deepcore.kernels.cpu.compiler import kernel

u64 = np.uint64
CHUNK = 1024
LOW = u64(MASK)
HALF = u64(32)
M0, M1 = (u64(m) for m in MULTIPLIERS)
STEP0, STEP1 = (u64(s) for s in KEY_STEPS)


@kernel()
def block(seed, counter):
    """Return the four words of one block, as uint64."""
    k0, k1 = seed & LOW, seed >> HALF
    c0, c1, c2, c3 = counter & LOW, counter >> HALF, u64(0), u64(0)
    for _ in range(ROUNDS):
        p0, p1 = c0 * M0, c2 * M1
        c0, c1, c2, c3 = (p1 >> HALF) ^ c1 ^ k0, p1 & LOW, (p0 >> HALF) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + STEP0) & LOW, (k1 + STEP1) & LOW
    return c0, c1, c2, c3


@kernel()
def philox(first, last, words, seed, offset):
    """Write the words of blocks first..last to words (n,) uint32."""
    whole = min(last, words.size // 4)
    out = words[4 * first : 4 * max(first, whole)]
    start = offset + u64(first)
    for i in range(out.size // 4):
        out[4 * i], out[4 * i + 1], out[4 * i + 2], out[4 * i + 3] = block(seed, start + u64(i))
    if whole < last:
        four = block(seed, offset + u64(whole))
        for j in range(words.size - 4 * whole):
            words[4 * whole + j] = four[j]


@kernel()
def dropout(first, last, y, x, seed, offset, limit, scale):
    """Write x * scale where the element's word is at least `limit`, else 0: chunks first..last of flat arrays."""
    buffer = np.empty(CHUNK, np.uint32)
    nothing = x.dtype.type(0)
    for chunk in range(first, last):
        source, target = x[chunk * CHUNK : (chunk + 1) * CHUNK], y[chunk * CHUNK : (chunk + 1) * CHUNK]
        words = buffer[: source.size]
        philox(0, (words.size + 3) // 4, words, seed, offset + u64(chunk * CHUNK // 4))
        for i in range(words.size):
            target[i] = source[i] * scale if words[i] >= limit else nothing


@kernel()
def polynomial(coefficients, x):
    """Evaluate a polynomial, highest power first."""
    total = x * coefficients[0] + coefficients[1]
    for i in range(2, len(coefficients)):
        total = total * x + coefficients[i]
    return total


@kernel()
def log(x):
    """Return the logarithm of x > 0, operation for operation as the reference does."""
    mantissa, exponent = math.frexp(x)
    if mantissa < SQRT_HALF:
        f, k = mantissa * 2 - 1.0, np.float64(exponent - 1)
    else:
        f, k = mantissa - 1.0, np.float64(exponent)
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    r = z * polynomial(LOG_POLY, z)
    return k * LOG2_HIGH - ((half - (s * (half + r) + k * LOG2_LOW)) - f)


@kernel()
def inverse_normal(u):
    """Return the standard normal quantile of u in (0, 1)."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * polynomial(CENTRE_P, r) / polynomial(CENTRE_Q, r)
    r = math.sqrt(-log(u if q < 0 else 1.0 - u))
    if r <= 5.0:
        tail = polynomial(TAIL_P, r - 1.6) / polynomial(TAIL_Q, r - 1.6)
    else:
        tail = polynomial(FAR_P, r - 5.0) / polynomial(FAR_Q, r - 5.0)
    return -tail if q < 0 else tail


@kernel()
def uniform(first, last, out, seed, offset):
    """Write values in [0, 1) to chunks first..last of out (n,)."""
    buffer = np.empty(2 * CHUNK, np.uint32)
    for chunk in range(first, last):
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        if out.itemsize == 8:
            words = buffer[: 2 * part.size]
            philox(0, (words.size + 3) // 4, words, seed, offset + u64(chunk * CHUNK // 2))
            for i in range(part.size):
                bits = u64(words[2 * i] >> 5) * u64(1 << 26) + u64(words[2 * i + 1] >> 6)
                part[i] = np.float64(bits) * 2.0**-53
        else:
            words = buffer[: part.size]
            philox(0, (words.size + 3) // 4, words, seed, offset + u64(chunk * CHUNK // 4))
            for i in range(part.size):
                part[i] = np.float64(words[i] >> 8) * 2.0**-24


@kernel()
def normal(first, last, out, seed, offset):
    """Write standard normal values to chunks first..last of out (n,)."""
    buffer = np.empty(2 * CHUNK, np.uint32)
    for chunk in range(first, last):
        part = out[chunk * CHUNK : (chunk + 1) * CHUNK]
        double = out.itemsize == 8
        words = buffer[: 2 * part.size] if double else buffer[: part.size]
        philox(0, (words.size + 3) // 4, words, seed, offset + u64(chunk * CHUNK // (2 if double else 4)))
        for i in range(part.size):
            if double:
                bits = u64(words[2 * i] >> 6) * u64(1 << 26) + u64(words[2 * i + 1] >> 6)
                part[i] = inverse_normal((np.float64(bits) + 0.5) * 2.0**-52)
            else:
                part[i] = inverse_normal((np.float64(words[i]) + 0.5) * 2.0**-32)
