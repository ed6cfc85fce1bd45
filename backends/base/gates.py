"""Smooth activations and the error function, written so that no finite input overflows.

Arrays of any shape and floating dtype, 0-d included; float16 is computed in float32. A method `<name>_grad(gy, x)`
returns gy times the derivative at x.
"""

from __future__ import annotations

import math

from deepcore.backends.base.array import accumulator
from deepcore.kernels.constants import (
    ERF_FAR_BOTTOM,
    ERF_FAR_TOP,
    ERF_MIDDLE_BOTTOM,
    ERF_MIDDLE_TOP,
    ERF_NEAR_BOTTOM,
    ERF_NEAR_TOP,
    FLAT,
    MIDDLE,
    NEAR,
    TANH_CUBE,
    TANH_SLOPE,
)


def polynomial(x, coefficients):
    """Return the polynomial with these coefficients, highest power first (Horner)."""
    y = coefficients[0]
    for c in coefficients[1:]:
        y = y * x + c
    return y


def widened(x):
    """Return x, as float32 where it is float16."""
    return x.astype(accumulator(x.dtype), copy=False)


class Gates:
    """A mixin of Backend."""

    def _in_dtype_of(self, y, x):
        """Return y as an array in the dtype of x."""
        return self.xp.asarray(y).astype(x.dtype, copy=False)

    def _erf_near(self, x):
        """Return erf(x), right for |x| <= 0.46875."""
        z = self.xp.clip(x, -NEAR, NEAR) ** 2
        return x * (polynomial(z, ERF_NEAR_TOP) / polynomial(z, ERF_NEAR_BOTTOM))

    def _erfc_above(self, a):
        """Return erfc(a), right for a >= 0.46875, with its digits also where it is tiny."""
        xp = self.xp
        b = xp.clip(a, NEAR, MIDDLE)
        middle = polynomial(b, ERF_MIDDLE_TOP) / polynomial(b, ERF_MIDDLE_BOTTOM)
        b = xp.clip(a, MIDDLE, FLAT)
        z = 1 / (b * b)
        far = (1 / math.sqrt(math.pi) - z * polynomial(z, ERF_FAR_TOP) / polynomial(z, ERF_FAR_BOTTOM)) / b
        b = xp.clip(a, NEAR, FLAT)
        s = xp.floor(b * 16) / 16  # s * s is exact, so exp(-a^2) loses nothing to the rounding of a^2
        return xp.exp(-s * s) * xp.exp(-(b - s) * (b + s)) * xp.where(a <= MIDDLE, middle, far)

    def _normal_cdf(self, x):
        """Return the distribution function of the standard normal distribution, erfc(-x / sqrt(2)) / 2."""
        z = x * -math.sqrt(0.5)
        a = self.xp.abs(z)
        above = self._erfc_above(a)
        return 0.5 * self.xp.where(a <= NEAR, 1 - self._erf_near(z), self.xp.where(z < 0, 2 - above, above))

    def erf(self, x):
        """Return 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x (Cody 1969)."""
        z = widened(x)
        a = self.xp.abs(z)
        above = 1 - self._erfc_above(a)
        return self._in_dtype_of(self.xp.where(a <= NEAR, self._erf_near(z), self.xp.where(z < 0, -above, above)), x)

    def gelu(self, x, approximate):
        """Return x Phi(x) (Hendrycks & Gimpel 2016), or with approximate="tanh" their formula by tanh."""
        z = widened(x)
        return self._in_dtype_of(z * (self._normal_cdf(z) if approximate == "none" else self._tanh_cdf(z)[0]), x)

    def gelu_grad(self, gy, x, approximate):
        """Return gy (Phi(x) + x Phi'(x))."""
        z = widened(x)
        if approximate == "none":
            b = self.xp.clip(z, -FLAT, FLAT)
            cdf, density = self._normal_cdf(z), self.xp.exp(-0.5 * b * b) / math.sqrt(2 * math.pi)
        else:
            cdf, density = self._tanh_cdf(z)
        return self._in_dtype_of(gy * (cdf + z * density), x)

    def _tanh_cdf(self, z):
        """Return (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2 and its derivative."""
        b = self.xp.clip(z, -FLAT, FLAT)
        cdf = self.sigmoid(
            self.xp.asarray(2 * TANH_SLOPE * (b + TANH_CUBE * b * b * b))
        )  # the same, with its digits also near 0
        return cdf, cdf * (1 - cdf) * (2 * TANH_SLOPE * (1 + 3 * TANH_CUBE * b * b))

    def silu(self, x):
        """Return x sigmoid(x)."""
        z = widened(x)
        return self._in_dtype_of(z * self.sigmoid(z), x)

    def silu_grad(self, gy, x):
        """Return gy s (1 + x (1 - s)) with s = sigmoid(x)."""
        z = widened(x)
        s = self.sigmoid(z)
        return self._in_dtype_of(gy * (s * (1 + z * (1 - s))), x)

    def _tanh_softplus(self, z):
        """Return t = tanh(log(1 + exp(z))) and 1 - t, both without cancellation."""
        u = self.xp.exp(-self.xp.abs(z))
        top = self.xp.where(z > 0, 1 + 2 * u, u * (u + 2))
        rest = self.xp.where(z > 0, 2 * u * u, 2)
        return top / (top + rest), rest / (top + rest)

    def mish(self, x):
        """Return x tanh(log(1 + exp(x))) (Misra 2019)."""
        z = widened(x)
        return self._in_dtype_of(z * self._tanh_softplus(z)[0], x)

    def mish_grad(self, gy, x):
        """Return gy (t + x sigmoid(x) (1 - t^2)) with t = tanh(log(1 + exp(x)))."""
        z = widened(x)
        t, rest = self._tanh_softplus(z)
        return self._in_dtype_of(gy * (t + z * self.sigmoid(z) * rest * (1 + t)), x)

    def softplus(self, x, beta, threshold):
        """Return log(1 + exp(beta x)) / beta, and x where beta x > threshold."""
        z = widened(x)
        v = z * beta
        smooth = (self.xp.maximum(v, 0) + self.xp.log1p(self.xp.exp(-self.xp.abs(v)))) / beta
        return self._in_dtype_of(self.xp.where(v > threshold, z, smooth), x)

    def softplus_grad(self, gy, x, beta, threshold):
        """Return gy sigmoid(beta x), and gy where beta x > threshold."""
        v = self.xp.asarray(widened(x) * beta)
        return self._in_dtype_of(self.xp.where(v > threshold, gy, gy * self.sigmoid(v)), x)

    def elu(self, x, alpha, scale):
        """Return scale times (x where x > 0, else alpha (exp(x) - 1)) (Clevert et al. 2015)."""
        z = widened(x)
        below = self.xp.expm1(self.xp.minimum(z, 0))
        return self._in_dtype_of(self.xp.where(z > 0, z * scale, below * (alpha * scale)), x)

    def elu_grad(self, gy, x, alpha, scale):
        """Return gy scale times (1 where x > 0, else alpha exp(x))."""
        z = widened(x)
        slope = self.xp.where(z > 0, scale, self.xp.exp(self.xp.minimum(z, 0)) * (alpha * scale))
        return self._in_dtype_of(gy * slope, x)
