"""Counter-based random numbers: the same (seed, offset) gives the same bits on every backend.

Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011). Block i of a draw
encrypts the counter offset + i under the key seed, and gives four 32-bit words.
"""

from __future__ import annotations

import math

import numpy

MASK = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10

# Wichura 1988, Algorithm AS 241 (PPND16): numerators and denominators, highest power first
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

# fdlibm e_log.c: log(1 + f) = f - (f*f/2 - s*(f*f/2 + R)), s = f / (2 + f), R = s*s * poly(s*s)
LOG_POLY = (
    1.479819860511658591e-1, 1.531383769920937332e-1, 1.818357216161805012e-1, 2.222219843214978396e-1,
    2.857142874366239149e-1, 3.999999999940941908e-1, 6.666666666666735130e-1,
)  # fmt: skip
LOG2_HIGH = 6.93147180369123816490e-1
LOG2_LOW = 1.90821492927058770002e-10
SQRT_HALF = 0.70710678118654752440


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
        float16: (word >> 21) * 2**-11.
        """
        n = math.prod(shape)
        dtype = numpy.dtype(dtype)
        if dtype == numpy.float64:
            pairs = self.philox(seed, offset, 2 * n).reshape(n, 2).astype("uint64")
            high, low = pairs[:, 0] >> 5, pairs[:, 1] >> 6
            values = (high * 2**26 + low).astype("float64") * 2.0**-53
        else:
            bits = 11 if dtype == numpy.float16 else 24
            values = (self.philox(seed, offset, n) >> (32 - bits)).astype(dtype) * 2.0**-bits
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
