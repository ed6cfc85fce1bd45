"""Gamma-distributed random numbers, and how they move with the distribution's parameter.

The draws are those of Marsaglia & Tsang, "A simple method for generating gamma variables" (2000): x standard normal, u
uniform, v = (1 + c x)^3 with d = a - 1/3, c = 1 / sqrt(9 d); d v is a draw when log(u) < x^2 / 2 + d - d v + d log(v).
For a < 1 a draw for a + 1 is multiplied by u ** (1 / a).

A proposal is taken with probability 0.95 or more, whatever a. Waiting until every element has one would make the host
wait for the device, so there are always ROUNDS = 8 of them and the first that is accepted counts. All eight are refused
with a probability of less than 4e-11 an element; the draw is then d, near the middle of the distribution.

What decides is made of + - * / and roots alone, so that every device takes the same proposals: the logarithm of a draw
has the same bits everywhere, and the draw itself where a >= 1.
"""

from __future__ import annotations

import math

import numpy

from deepcore.backends.base.random import log

ROUNDS = 8
NODES = 28
SERIES = 40
# For a below this and a draw below max(a, 1), the power series has converged after SERIES terms.
SMALL = 10.0
# Where the integrand has fallen by this power of e, the integral ends.
DECAY = 40.0
_nodes, _weights = numpy.polynomial.legendre.leggauss(NODES)
POINTS = tuple((float(x + 1) / 2, float(w) / 2) for x, w in zip(_nodes, _weights, strict=True))


class Gamma:
    """A mixin of Backend."""

    def gamma_words(self, size: int) -> int:
        """Return how many 32-bit words standard_gamma takes out of the stream for `size` elements."""
        return (2 * ROUNDS + 1) * self._gamma_blocks(size) * 4

    def _gamma_blocks(self, size: int) -> int:
        return -(-2 * size // 4)  # two words for a float64

    def standard_gamma(self, seed, offset, concentration):
        """Return (draws, their logarithms) of Gamma(concentration, 1), float64 in the shape of concentration."""
        xp, shape = self.xp, concentration.shape
        blocks = self._gamma_blocks(math.prod(shape))
        a = concentration.astype("float64")
        low = a < 1
        d = xp.where(low, a + 1, a) - 1 / 3
        c = 1 / xp.sqrt(9 * d)
        chosen, open_ = xp.ones_like(d), xp.ones_like(low)
        for k in range(ROUNDS):
            x = self.normal(seed, offset + 2 * k * blocks, shape, "float64")
            u = 1 - self.uniform(seed, offset + (2 * k + 1) * blocks, shape, "float64")
            root = 1 + c * x
            v = xp.where(root > 0, root * root * root, 1.0)
            taken = (root > 0) & (log(xp, u) < x * x * 0.5 + d * (1 - v + log(xp, v))) & open_
            chosen, open_ = xp.where(taken, v, chosen), open_ & ~taken
            if self.on_host and not bool(open_.any()):
                break  # further rounds would change nothing
        u = 1 - self.uniform(seed, offset + 2 * ROUNDS * blocks, shape, "float64")
        draws, power = d * chosen, xp.where(low, log(xp, u) / xp.where(low, a, 1.0), 0.0)
        return xp.asarray(xp.where(low, draws * xp.exp(power), draws)), xp.asarray(log(xp, draws) + power)

    def standard_gamma_grad(self, concentration, log_draws):
        """Return the derivative of log_draws by concentration, at a fixed value of the distribution function.

        Implicit reparameterisation (Figurnov, Mohamed & Mnih 2018, equation 5): dz / da = -(dF / da) / p(z), F being
        the distribution function and p the density of Gamma(a, 1). F is an integral from 0 to z, 1 - F one from z on;
        with t = z e^(w) for the one that is not near 1, and s = -1 or 1,

            d(log z) / da = s * integral over w > 0 of exp(s a w - z (e^(s w) - 1)) (log z + s w - digamma(a)).

        The exponent is concave and falls from 0: Gauss and Legendre's rule up to where it is -40. Where a < 10 and
        z < max(a, 1) the lower integral is minus the sum of c_n (log z - digamma(a) - H_n), with
        c_n = z^n / (a (a + 1) ... (a + n)) and H_n = 1 / a + ... + 1 / (a + n). Both are right to ten digits or more.
        """
        xp = self.xp
        a, log_z = concentration.astype("float64"), log_draws.astype("float64")
        z = xp.exp(log_z)
        distance = log_z - self._digamma(a)
        by_series = (z < xp.maximum(a, 1.0)) & (a < SMALL)
        series = self._gamma_series(xp.where(by_series, a, 1.0), xp.where(by_series, z, 0.5), distance)
        integral = self._gamma_integral(xp.where(by_series, 1.0, a), xp.where(by_series, 0.5, z), distance)
        return xp.asarray(xp.where(by_series, series, integral))

    def _gamma_series(self, a, z, distance):
        term = 1 / a
        harmonic = term
        total = term * (distance - harmonic)
        for n in range(1, SERIES):
            step = 1 / (a + n)
            term, harmonic = term * z * step, harmonic + step
            total = total + term * (distance - harmonic)
        return -total

    def _gamma_integral(self, a, z, distance):
        xp = self.xp
        s = xp.where(z < a, -1.0, 1.0)
        width = self._gamma_width(a, z, s)
        total = xp.zeros_like(a)
        for point, weight in POINTS:
            w = s * width * point
            total = total + weight * xp.exp(a * w - z * xp.expm1(w)) * (distance + w)
        return s * width * total

    def _gamma_width(self, a, z, s):
        """Return where the exponent s a w - z (e^(s w) - 1) has fallen to -DECAY, by Newton's method from above."""
        xp = self.xp
        # From (e^w - 1) >= w + w^2 / 2, and 1 - e^-w <= w - w^2 / 3 for w <= 1: the roots of two parabolas.
        slope, bend = xp.abs(z - a), z * xp.where(s > 0, 0.5, 1 / 3)
        w = 2 * DECAY / (slope + xp.sqrt(slope * slope + 4 * DECAY * bend))
        w = xp.where((s < 0) & (w > 1), (DECAY + z) / a, w)
        for _ in range(6):
            e = xp.expm1(s * w)
            fall = s * a * w - z * e + DECAY
            w = w - fall / (s * (a - z * (e + 1)))
        return w
