"""Smooth activations in one pass; the formulas are those of backends/base/gates.py. Flat arrays, elements first..last.

The functions of one number compute every case and choose, so that the loops are vectorised.
"""

from __future__ import annotations

import math

import numpy as np

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
from deepcore.kernels.cpu import elementary
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA, decay, expm1, horner, log1p

INVERSE_ROOT_PI = 1 / math.sqrt(math.pi)
DENSITY = 1 / math.sqrt(2 * math.pi)
ROOT_HALF = math.sqrt(0.5)


near_top, near_bottom = horner(ERF_NEAR_TOP), horner(ERF_NEAR_BOTTOM)
middle_top, middle_bottom = horner(ERF_MIDDLE_TOP), horner(ERF_MIDDLE_BOTTOM)
far_top, far_bottom = horner(ERF_FAR_TOP), horner(ERF_FAR_BOTTOM)


@kernel(fastmath=FMA, inlined=True)
def erfc_above(a):
    """Return erfc(a) of a >= NEAR."""
    real = type(a)
    near, middle, flat, step = real(NEAR), real(MIDDLE), real(FLAT), real(16)
    b = near if a < near else a
    b = flat if b > flat else b
    short = middle if b > middle else b
    inner = middle_top(short) / middle_bottom(short)
    long = middle if b < middle else b
    z = real(1) / (long * long)
    outer = (real(INVERSE_ROOT_PI) - z * far_top(z) / far_bottom(z)) / long
    rest = inner if a <= middle else outer
    s = np.floor(b * step) / step
    return decay(-s * s) * decay(-(b - s) * (b + s)) * rest


@kernel(fastmath=FMA, inlined=True)
def erf_near(x):
    """Return erf(x) of |x| <= NEAR."""
    near = type(x)(NEAR)
    b = near if x > near else x
    b = -near if b < -near else b
    z = b * b
    return x * (near_top(z) / near_bottom(z))


@kernel(fastmath=FMA, inlined=True)
def erf_of(x):
    """Return the error function."""
    a = abs(x)
    above = type(x)(1) - erfc_above(a)
    near, far = erf_near(x), -above if x < 0 else above
    return near if a <= type(x)(NEAR) else far


@kernel(fastmath=FMA, inlined=True)
def normal_cdf(x):
    """Return the distribution function of the standard normal distribution."""
    real = type(x)
    z = -x * real(ROOT_HALF)
    a = abs(z)
    above = erfc_above(a)
    near, far = real(1) - erf_near(z), real(2) - above if z < 0 else above
    return real(0.5) * (near if a <= real(NEAR) else far)


@kernel(fastmath=FMA, inlined=True)
def cut(x):
    """Return x in [-FLAT, FLAT]."""
    flat = type(x)(FLAT)
    x = flat if x > flat else x
    return -flat if x < -flat else x


@kernel(fastmath=FMA, inlined=True)
def tanh_cdf(x):
    """Return (1 + tanh(TANH_SLOPE (x + TANH_CUBE x^3))) / 2."""
    real = type(x)
    b = cut(x)
    return elementary.sigmoid(real(2 * TANH_SLOPE) * (b + real(TANH_CUBE) * b * b * b))


@kernel(fastmath=FMA)
def erf(first, last, y, x):
    """Write the error function."""
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = erf_of(x[i])


@kernel(fastmath=FMA)
def gelu(first, last, y, x):
    """Write x Phi(x)."""
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * normal_cdf(x[i])


@kernel(fastmath=FMA)
def gelu_grad(first, last, gx, gy, x):
    """Write gy (Phi(x) + x Phi'(x))."""
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    real = x.dtype.type
    for i in range(x.size):
        b = cut(x[i])
        density = decay(real(-0.5) * b * b) * real(DENSITY)
        gx[i] = gy[i] * (normal_cdf(x[i]) + x[i] * density)


@kernel(fastmath=FMA)
def gelu_tanh(first, last, y, x):
    """Write gelu by tanh."""
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * tanh_cdf(x[i])


@kernel(fastmath=FMA)
def gelu_tanh_grad(first, last, gx, gy, x):
    """Write gy times the slope of gelu by tanh."""
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    real = x.dtype.type
    for i in range(x.size):
        b = cut(x[i])
        cdf = tanh_cdf(x[i])
        slope = cdf * (real(1) - cdf) * (real(2 * TANH_SLOPE) * (real(1) + real(3 * TANH_CUBE) * b * b))
        gx[i] = gy[i] * (cdf + x[i] * slope)


@kernel(fastmath=FMA)
def sigmoid(first, last, y, x):
    """Write 1 / (1 + exp(-x))."""
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = elementary.sigmoid(x[i])


@kernel(fastmath=FMA)
def silu(first, last, y, x):
    """Write x sigmoid(x)."""
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * elementary.sigmoid(x[i])


@kernel(fastmath=FMA)
def silu_grad(first, last, gx, gy, x):
    """Write gy s (1 + x (1 - s)) with s = sigmoid(x)."""
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    one = x.dtype.type(1)
    for i in range(x.size):
        s = elementary.sigmoid(x[i])
        gx[i] = gy[i] * (s * (one + x[i] * (one - s)))


@kernel(fastmath=FMA, inlined=True)
def tanh_softplus(x):
    """Return t = tanh(log(1 + exp(x))) and 1 - t, both without cancellation."""
    real = type(x)
    u = decay(-abs(x))
    top = real(1) + real(2) * u if x > 0 else u * (u + real(2))
    rest = real(2) * u * u if x > 0 else real(2)
    return top / (top + rest), rest / (top + rest)


@kernel(fastmath=FMA)
def mish(first, last, y, x):
    """Write x tanh(log(1 + exp(x)))."""
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * tanh_softplus(x[i])[0]


@kernel(fastmath=FMA)
def mish_grad(first, last, gx, gy, x):
    """Write gy (t + x sigmoid(x) (1 - t^2)) with t = tanh(log(1 + exp(x)))."""
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    one = x.dtype.type(1)
    for i in range(x.size):
        t, rest = tanh_softplus(x[i])
        gx[i] = gy[i] * (t + x[i] * elementary.sigmoid(x[i]) * rest * (one + t))


@kernel(fastmath=FMA)
def softplus(first, last, y, x, beta, threshold):
    """Write log(1 + exp(beta x)) / beta, and x where beta x > threshold."""
    y, x = y[first:last], x[first:last]
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i] * beta
        smooth = ((v if v > 0 else zero) + log1p(decay(-abs(v)))) / beta
        y[i] = x[i] if v > threshold else smooth


@kernel(fastmath=FMA)
def softplus_grad(first, last, gx, gy, x, beta, threshold):
    """Write gy sigmoid(beta x), and gy where beta x > threshold."""
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    for i in range(x.size):
        v = x[i] * beta
        gx[i] = gy[i] if v > threshold else gy[i] * elementary.sigmoid(v)


@kernel(fastmath=FMA)
def elu(first, last, y, x, below, above):
    """Write above * x where x > 0, else below * (exp(x) - 1)."""
    y, x = y[first:last], x[first:last]
    zero = x.dtype.type(0)
    for i in range(x.size):
        low = expm1(zero if x[i] > 0 else x[i]) * below
        y[i] = x[i] * above if x[i] > 0 else low


@kernel(fastmath=FMA)
def elu_grad(first, last, gx, gy, x, below, above):
    """Write gy times above where x > 0, else below * exp(x)."""
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    zero = x.dtype.type(0)
    for i in range(x.size):
        low = decay(zero if x[i] > 0 else x[i]) * below
        gx[i] = gy[i] * (above if x[i] > 0 else low)
