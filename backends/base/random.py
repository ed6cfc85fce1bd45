"""Counter-based random numbers: the same (seed, offset) gives the same bits on every backend.

Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011). Block i of a draw
encrypts the counter offset + i under the key seed, and gives four 32-bit words.
"""

from __future__ import annotations

import math

import numpy

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


def philox_block(xp, c0, c1, c2, c3, key):
    """Encrypt counters (four uint64 arrays of 32-bit words) under key (two Python ints) -> four such arrays."""
    k0, k1 = key
    m0, m1 = (xp.full((), m, dtype="uint64") for m in MULTIPLIERS)
    for _ in range(ROUNDS):
        p0, p1 = c0 * m0, c2 * m1
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK, (k1 + KEY_STEPS[1]) & MASK
    return c0, c1, c2, c3


def polynomial(coefficients, x):
    """Evaluate a polynomial, highest power first, by Horner's rule."""
    total = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        total = total * x + coefficient
    return total


def log(xp, x):
    """Return the natural logarithm of float64 x > 0 from + - * / only, so that its bits are the same everywhere."""
    mantissa, exponent = xp.frexp(x)
    low = mantissa < SQRT_HALF
    f = xp.where(low, mantissa * 2, mantissa) - 1.0
    k = xp.where(low, exponent - 1, exponent).astype("float64")
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    r = z * polynomial(LOG_POLY, z)
    return k * LOG2_HIGH - ((half - (s * (half + r) + k * LOG2_LOW)) - f)


def inverse_normal(xp, u):
    """Return the standard normal quantile of float64 u in (0, 1), relative error about 1e-16 (AS 241)."""
    q = u - 0.5
    r = 0.180625 - q * q
    centre = q * polynomial(CENTRE_P, r) / polynomial(CENTRE_Q, r)
    r = xp.sqrt(-log(xp, xp.where(q < 0, u, 1.0 - u)))
    near, far = r - 1.6, r - 5.0
    tail = xp.where(
        r <= 5.0,
        polynomial(TAIL_P, near) / polynomial(TAIL_Q, near),
        polynomial(FAR_P, far) / polynomial(FAR_Q, far),
    )
    return xp.where(xp.abs(q) <= 0.425, centre, xp.where(q < 0, -tail, tail))


class Random:
    """Draws from (seed, offset); a mixin of Backend. A draw of n words uses ceil(n / 4) counters from offset on."""

    def philox(self, seed, offset, n):
        """Return n random words, uint32 (n,): the four words of block 0, then of block 1, ...

        Counter of block i: (low, high half of the 64-bit offset + i, 0, 0); key: (low, high half of the 64-bit seed).
        """
        xp = self.xp
        counter = xp.arange((n + 3) // 4, dtype="uint64") + xp.full((), offset & (2**64 - 1), dtype="uint64")
        zero = xp.zeros_like(counter)
        key = seed & MASK, (seed >> 32) & MASK
        words = xp.stack(philox_block(xp, counter & MASK, counter >> 32, zero, zero, key), axis=1)
        return words.reshape(words.size)[:n].astype("uint32")

    def uniform(self, seed, offset, shape, dtype):
        """Return values in [0, 1).

        float32: (word >> 8) * 2**-24; float64, two words: ((a >> 5) * 2**26 + (b >> 6)) * 2**-53;
        float16: (word >> 21) * 2**-11; bfloat16: (word >> 24) * 2**-8.
        """
        n = math.prod(shape)
        dtype = numpy.dtype(dtype)
        if dtype == numpy.float64:
            pairs = self.philox(seed, offset, 2 * n).reshape(n, 2).astype("uint64")
            high, low = pairs[:, 0] >> 5, pairs[:, 1] >> 6
            values = (high * 2**26 + low).astype("float64") * 2.0**-53
        else:
            bits = 11 if dtype == numpy.float16 else 8 if dtype.kind == "V" else 24
            values = (self.philox(seed, offset, n) >> (32 - bits)).astype("float32") * 2.0**-bits
            values = values.astype(dtype, copy=False)
        return values.reshape(shape)

    def normal(self, seed, offset, shape, dtype):
        """Return standard normal values: the quantile, in float64, of a uniform value in the middle of its cell.

        u = (word + 0.5) * 2**-32, and with two words for float64
        u = ((a >> 6) * 2**26 + (b >> 6) + 0.5) * 2**-52: 52 bits, so that the half is exact.
        """
        n = math.prod(shape)
        dtype = numpy.dtype(dtype)
        if dtype == numpy.float64:
            pairs = self.philox(seed, offset, 2 * n).reshape(n, 2).astype("uint64")
            u = (((pairs[:, 0] >> 6) * 2**26 + (pairs[:, 1] >> 6)).astype("float64") + 0.5) * 2.0**-52
        else:
            u = (self.philox(seed, offset, n).astype("float64") + 0.5) * 2.0**-32
        return inverse_normal(self.xp, u).astype(dtype, copy=False).reshape(shape)

    def dropout(self, x, seed, offset, p):
        """Zero each element with probability p and scale the rest by 1 / (1 - p); on gy it is its own gradient.

        Element i is kept where word i >= round(p * 2**32).
        """
        limit = round(p * 2**32)
        if limit >= 2**32:
            return self.xp.zeros_like(x)
        keep = (self.philox(seed, offset, x.size) >= limit).reshape(x.shape)
        return self.xp.where(keep, x * (1 / (1 - p)), 0)
