"""The gamma function's logarithm and its derivatives, and the inverse of the error function.

Arrays of any shape and floating dtype, 0-d included. All is computed in float64 and rounded once. Sources: for the
gamma function Abramowitz & Stegun, "Handbook of mathematical functions" (1964), chapter 6, and near 2 the rational
approximation of Cephes (Moshier 1989, `gamma.c`); for the inverse error function Wichura 1988 (AS 241), the one that
normal random numbers are made with.
"""

from __future__ import annotations

import math

from deepcore.backends.base.random import polynomial
from deepcore.kernels.constants import CENTRE_P, CENTRE_Q, FAR_P, FAR_Q, TAIL_P, TAIL_Q

# B_2, B_4, ..., the coefficients of the asymptotic series.
BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
    854513 / 138,
    -236364091 / 2730,
)
# log(gamma(2 + t)) / t for 0 <= t < 1 is the quotient of two polynomials, highest power first (Cephes, B and C).
NEAR_2_TOP = (
    -1.37825152569120859100e3,
    -3.88016315134637840924e4,
    -3.31612992738871184744e5,
    -1.16237097492762307383e6,
    -1.72173700820839662146e6,
    -8.53555664245765465627e5,
)
NEAR_2_BOTTOM = (
    1.0,
    -3.51815701436523470549e2,
    -1.70642106651881159223e4,
    -2.20528590553854454839e5,
    -1.13933444367982507207e6,
    -2.53252307177582951285e6,
    -2.01889141433532773231e6,
)
# From here on the asymptotic series with these many terms are right to the last bits.
LGAMMA_FAR, DIGAMMA_FAR, SERIES_TERMS = 13, 10, 7


class Special:
    """A mixin of Backend."""

    def _in_wide(self, formula, x, *more):
        """Return formula of x in float64, in the dtype of x."""
        return self.xp.asarray(formula(x.astype("float64"), *more)).astype(x.dtype)

    def _fraction(self, x):
        """Return x minus the nearest integer, exactly: sines of pi x keep their digits. 0 where x is infinite."""
        xp = self.xp
        finite = xp.where(xp.isfinite(x), x, 0.0)
        return finite - xp.rint(finite)

    # --- log gamma ----------------------------------------------------------------------------------------------------

    def lgamma(self, x):
        """Return log |gamma(x)|; inf at 0, -1, -2, ... and at both infinities.

        For x <= 0 by reflection: gamma(x) gamma(1 - x) = pi / sin(pi x) (A&S 6.1.17).
        """
        return self._in_wide(self._lgamma, x)

    def _lgamma(self, x):
        xp = self.xp
        reflected = x <= 0
        above = self._lgamma_above_0(xp.where(reflected, 1.0 - x, x))
        sine = xp.abs(xp.sin(self._fraction(x) * math.pi))
        y = xp.where(reflected, math.log(math.pi) - xp.log(sine) - above, above)
        return xp.where(xp.isinf(x), math.inf, y)

    def _lgamma_above_0(self, x):
        """Return log(gamma(x)) for x > 0: Stirling's series, or x gamma(x) = gamma(x + 1) from between 2 and 3."""
        xp = self.xp
        is_far = x >= LGAMMA_FAR
        t = xp.where(is_far, 2.0, x)
        factor = divisor = xp.ones_like(t)
        for _ in range(LGAMMA_FAR - 3):
            high = t >= 3
            t = xp.where(high, t - 1, t)
            factor = xp.where(high, factor * t, factor)
        for _ in range(2):
            low = t < 2
            divisor = xp.where(low, divisor * t, divisor)
            t = xp.where(low, t + 1, t)
        t = t - 2
        near = xp.log(factor) - xp.log(divisor) + t * (polynomial(NEAR_2_TOP, t) / polynomial(NEAR_2_BOTTOM, t))
        z = xp.where(is_far, x, LGAMMA_FAR)
        series = _series([b / (2 * k * (2 * k - 1)) for k, b in enumerate(BERNOULLI[:SERIES_TERMS], 1)], 1 / z)
        return xp.where(is_far, (z - 0.5) * xp.log(z) - z + 0.5 * math.log(2 * math.pi) + series * z, near)

    # --- its derivatives ----------------------------------------------------------------------------------------------

    def digamma(self, x):
        """Return the derivative of lgamma; -inf at 0 (inf at -0.0), NaN at -1, -2, ... and at minus infinity.

        For x <= 0 by reflection: digamma(x) = digamma(1 - x) - pi / tan(pi x) (A&S 6.3.7).
        """
        return self._in_wide(self._digamma, x)

    def _digamma(self, x):
        xp = self.xp
        reflected = x <= 0
        above = self._digamma_above_0(xp.where(reflected, 1.0 - x, x))
        y = xp.where(reflected, above - math.pi / xp.tan(self._fraction(xp.where(reflected, x, 0.25)) * math.pi), above)
        pole = reflected & (xp.floor(x) == x)
        return xp.where(pole, xp.where(x == 0, xp.copysign(math.inf, -x), math.nan), y)

    def _digamma_above_0(self, x):
        """Return digamma(x) for x > 0: the asymptotic series, reached by digamma(x + 1) = digamma(x) + 1 / x."""
        xp = self.xp
        steps = xp.zeros_like(x)
        for _ in range(DIGAMMA_FAR):
            low = x < DIGAMMA_FAR
            steps = xp.where(low, steps + 1 / x, steps)
            x = xp.where(low, x + 1, x)
        series = _series([b / (2 * k) for k, b in enumerate(BERNOULLI[:SERIES_TERMS], 1)], 1 / x)
        return xp.log(x) - 0.5 / x - series - steps

    def polygamma(self, n, x):
        """Return the n-th derivative of digamma, n at least 0; at 0, -1, -2, ... inf for odd n, -inf for even n > 0.

        (-1)^(n+1) n! zeta(n + 1, x) (A&S 6.4.10), for x <= 0 by reflection, with (-1)^n pi times the n-th derivative
        of cot(pi x) (A&S 6.4.7).
        """
        return self.digamma(x) if n == 0 else self._in_wide(self._polygamma, x, n)

    def _polygamma(self, x, n):
        xp = self.xp
        sign = 1.0 if n % 2 else -1.0
        factorial = float(math.factorial(n)) if n <= 170 else math.inf
        reflected = x <= 0
        above = factorial * self._zeta(n + 1, xp.where(reflected, 1.0 - x, x))
        cotangent = 1 / xp.tan(self._fraction(xp.where(reflected, x, 0.25)) * math.pi)
        turn = polynomial(_cotangent_derivative(n), cotangent) * math.pi ** (n + 1)
        y = xp.where(reflected, -above - turn, sign * above)
        y = xp.where(reflected & (xp.floor(x) == x), sign * math.inf, y)
        return xp.where(x == -math.inf, math.nan, y)

    def _zeta(self, s, x):
        """Return the sum of (x + k) ** -s over k = 0, 1, ... for x > 0 and an integer s > 1 (Hurwitz's zeta).

        The first terms one by one, the rest by the formula of Euler and Maclaurin (A&S 23.1.30).
        """
        xp = self.xp
        total, far = xp.zeros_like(x), DIGAMMA_FAR + s
        for _ in range(far):
            low = x < far
            total = xp.where(low, total + x ** float(-s), total)
            x = xp.where(low, x + 1, x)
        coefficients, product = [], float(s)
        for k, b in enumerate(BERNOULLI, 1):
            coefficients.append(b * product / math.factorial(2 * k))
            product *= (s + 2 * k - 1) * (s + 2 * k)
        rest = x ** float(-s) * (x / (s - 1) + 0.5 + _series(coefficients, 1 / x) * x)
        return xp.where(xp.isinf(x), 0.0, total + rest)

    # --- the inverse of the error function ----------------------------------------------------------------------------

    def erfinv(self, y):
        """Return x with erf(x) = y: inf at 1, -inf at -1, NaN beyond."""
        return self._in_wide(self._erfinv, y)

    def _erfinv(self, y):
        xp = self.xp
        q = y * 0.5  # the standard normal quantile of 0.5 + q, divided by the root of 2
        inside = xp.where(xp.abs(y) < 1, y, 0.0)
        r = 0.180625 - q * q
        centre = q * polynomial(CENTRE_P, r) / polynomial(CENTRE_Q, r)
        r = xp.sqrt(-xp.log((1 - xp.abs(inside)) * 0.5))
        near, far = r - 1.6, r - 5.0
        tail = xp.where(
            r <= 5.0,
            polynomial(TAIL_P, near) / polynomial(TAIL_Q, near),
            polynomial(FAR_P, far) / polynomial(FAR_Q, far),
        )
        x = xp.where(xp.abs(q) <= 0.425, centre, xp.copysign(tail, y)) * math.sqrt(0.5)
        return xp.where(xp.abs(y) < 1, x, xp.where(xp.abs(y) == 1, y * math.inf, math.nan))


def _series(coefficients, z):
    """Return coefficients[0] z^2 + coefficients[1] z^4 + ..."""
    square = z * z
    return polynomial((*coefficients[::-1], 0.0), square)


def _cotangent_derivative(n):
    """Return the n-th derivative of cot as a polynomial in cot, highest power first: cot' = -(1 + cot^2).

    >>> _cotangent_derivative(2)
    [2.0, 0.0, 2.0, 0.0]
    """
    p = [0.0, 1.0]  # lowest power first
    for _ in range(n):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [0.0 - a - b for a, b in zip([*slope, 0.0, 0.0], [0.0, 0.0, *slope], strict=True)]
    return p[::-1]
