"""Smooth activations in one pass; the formulas are those of backends/base/gates.py. Flat arrays, elements first..last.

The functions of one number compute every case and choose, so that the loops are vectorised.
"""

from __future__ import annotations

import math

from deepcore.kernels.constants import FLAT, TANH_CUBE, TANH_SLOPE
from deepcore.kernels.cpu import elementary
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA, decay, expm1, log1p, whole_registers
from deepcore.kernels.cpu.erf import erf_of, normal

DENSITY = 1 / math.sqrt(2 * math.pi)


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
    whole_registers()
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = erf_of(x[i])


@kernel(fastmath=FMA)
def gelu(first, last, y, x):
    """Write x Phi(x)."""
    whole_registers()
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * normal(x[i])[0]


@kernel(fastmath=FMA)
def gelu_grad(first, last, gx, gy, x):
    """Write gy (Phi(x) + x Phi'(x))."""
    whole_registers()
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    real = x.dtype.type
    for i in range(x.size):
        below, density = normal(x[i])
        gx[i] = gy[i] * (below + x[i] * density * real(DENSITY))


@kernel(fastmath=FMA)
def gelu_tanh(first, last, y, x):
    """Write gelu by tanh."""
    whole_registers()
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * tanh_cdf(x[i])


@kernel(fastmath=FMA)
def gelu_tanh_grad(first, last, gx, gy, x):
    """Write gy times the slope of gelu by tanh."""
    whole_registers()
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
    whole_registers()
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = elementary.sigmoid(x[i])


@kernel(fastmath=FMA)
def silu(first, last, y, x):
    """Write x sigmoid(x)."""
    whole_registers()
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * elementary.sigmoid(x[i])


@kernel(fastmath=FMA)
def silu_grad(first, last, gx, gy, x):
    """Write gy s (1 + x (1 - s)) with s = sigmoid(x)."""
    whole_registers()
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
    whole_registers()
    y, x = y[first:last], x[first:last]
    for i in range(x.size):
        y[i] = x[i] * tanh_softplus(x[i])[0]


@kernel(fastmath=FMA)
def mish_grad(first, last, gx, gy, x):
    """Write gy (t + x sigmoid(x) (1 - t^2)) with t = tanh(log(1 + exp(x)))."""
    whole_registers()
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    one = x.dtype.type(1)
    for i in range(x.size):
        t, rest = tanh_softplus(x[i])
        gx[i] = gy[i] * (t + x[i] * elementary.sigmoid(x[i]) * rest * (one + t))


@kernel(fastmath=FMA)
def softplus(first, last, y, x, beta, threshold):
    """Write log(1 + exp(beta x)) / beta, and x where beta x > threshold."""
    whole_registers()
    y, x = y[first:last], x[first:last]
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i] * beta
        smooth = ((v if v > 0 else zero) + log1p(decay(-abs(v)))) / beta
        y[i] = x[i] if v > threshold else smooth


@kernel(fastmath=FMA)
def softplus_grad(first, last, gx, gy, x, beta, threshold):
    """Write gy sigmoid(beta x), and gy where beta x > threshold."""
    whole_registers()
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    for i in range(x.size):
        v = x[i] * beta
        gx[i] = gy[i] if v > threshold else gy[i] * elementary.sigmoid(v)


@kernel(fastmath=FMA)
def elu(first, last, y, x, below, above):
    """Write above * x where x > 0, else below * (exp(x) - 1)."""
    whole_registers()
    y, x = y[first:last], x[first:last]
    zero = x.dtype.type(0)
    for i in range(x.size):
        low = expm1(zero if x[i] > 0 else x[i]) * below
        y[i] = x[i] * above if x[i] > 0 else low


@kernel(fastmath=FMA)
def elu_grad(first, last, gx, gy, x, below, above):
    """Write gy times above where x > 0, else below * exp(x)."""
    whole_registers()
    gx, gy, x = gx[first:last], gy[first:last], x[first:last]
    zero = x.dtype.type(0)
    for i in range(x.size):
        low = decay(zero if x[i] > 0 else x[i]) * below
        gx[i] = gy[i] * (above if x[i] > 0 else low)
