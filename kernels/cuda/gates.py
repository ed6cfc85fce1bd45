"""Smooth activations in one pass; the formulas are those of backends/base/gates.py. Flat arrays of n elements."""

from __future__ import annotations

import math

from numba import cuda

from deepcore.kernels.constants import FLAT, TANH_CUBE, TANH_SLOPE
from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel

__all__ = [
    "elu",
    "elu_grad",
    "erf",
    "gelu",
    "gelu_grad",
    "mish",
    "mish_grad",
    "sigmoid",
    "silu",
    "silu_grad",
    "softplus",
    "softplus_grad",
]

ROOT_HALF, DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
TWO_SLOPES, THREE_CUBES = 2 * TANH_SLOPE, 3 * TANH_CUBE


@device
def sigmoid_of(x):
    """1 / (1 + exp(-x)), by the exponential of -|x| only."""
    real = type(x)
    e = real(math.exp(-abs(x)))
    return (real(1) if x >= real(0) else e) / (real(1) + e)


@device
def _cut(x):
    """x within -FLAT..FLAT."""
    flat = type(x)(FLAT)
    if x > flat:
        return flat
    return -flat if x < -flat else x


@device
def _cdf(x, by_tanh):
    """Distribution function of the standard normal distribution, or what stands for it in gelu by tanh."""
    real = type(x)
    if by_tanh:
        b = _cut(x)
        return sigmoid_of(real(TWO_SLOPES) * (b + real(TANH_CUBE) * b * b * b))
    return real(0.5) * real(math.erfc(-x * real(ROOT_HALF)))


@device
def _tanh_softplus(x):
    """t = tanh(log(1 + exp(x))) and 1 - t, both without cancellation."""
    real = type(x)
    u = real(math.exp(-abs(x)))
    top = real(1) + real(2) * u if x > real(0) else u * (u + real(2))
    rest = real(2) * u * u if x > real(0) else real(2)
    return top / (top + rest), rest / (top + rest)


@kernel("x: T*, y: T*, n: i32")
def sigmoid(x, y, n):
    """y = 1 / (1 + exp(-x))."""
    i = cuda.grid(1)
    while i < n:
        y[i] = sigmoid_of(x[i])
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, n: i32")
def erf(x, y, n):
    """y = the error function of x."""
    i = cuda.grid(1)
    while i < n:
        y[i] = math.erf(x[i])
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, by_tanh: i32, n: i32")
def gelu(x, y, by_tanh, n):
    """y = x Phi(x)."""
    i = cuda.grid(1)
    while i < n:
        y[i] = x[i] * _cdf(x[i], by_tanh)
        i += cuda.gridsize(1)


@kernel("gy: T*, x: T*, gx: T*, by_tanh: i32, n: i32")
def gelu_grad(gy, x, gx, by_tanh, n):
    """gx = gy (Phi(x) + x Phi'(x))."""
    i = cuda.grid(1)
    while i < n:
        real = type(x[i])
        b, cdf = _cut(x[i]), _cdf(x[i], by_tanh)
        if by_tanh:
            slope = cdf * (real(1) - cdf) * (real(TWO_SLOPES) * (real(1) + real(THREE_CUBES) * b * b))
        else:
            slope = real(math.exp(real(-0.5) * b * b)) * real(DENSITY)
        gx[i] = gy[i] * (cdf + x[i] * slope)
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, n: i32")
def silu(x, y, n):
    """y = x sigmoid(x)."""
    i = cuda.grid(1)
    while i < n:
        y[i] = x[i] * sigmoid_of(x[i])
        i += cuda.gridsize(1)


@kernel("gy: T*, x: T*, gx: T*, n: i32")
def silu_grad(gy, x, gx, n):
    """gx = gy s (1 + x (1 - s)) with s = sigmoid(x)."""
    i = cuda.grid(1)
    while i < n:
        real = type(x[i])
        s = sigmoid_of(x[i])
        gx[i] = gy[i] * (s * (real(1) + x[i] * (real(1) - s)))
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, n: i32")
def mish(x, y, n):
    """y = x tanh(log(1 + exp(x)))."""
    i = cuda.grid(1)
    while i < n:
        t, _ = _tanh_softplus(x[i])
        y[i] = x[i] * t
        i += cuda.gridsize(1)


@kernel("gy: T*, x: T*, gx: T*, n: i32")
def mish_grad(gy, x, gx, n):
    """gx = gy (t + x sigmoid(x) (1 - t^2)) with t = tanh(log(1 + exp(x)))."""
    i = cuda.grid(1)
    while i < n:
        t, rest = _tanh_softplus(x[i])
        gx[i] = gy[i] * (t + x[i] * sigmoid_of(x[i]) * rest * (type(t)(1) + t))
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, beta: T, threshold: T, n: i32")
def softplus(x, y, beta, threshold, n):
    """y = log(1 + exp(beta x)) / beta, and x where beta x > threshold."""
    i = cuda.grid(1)
    while i < n:
        real = type(beta)
        v = x[i] * beta
        above = v if v > real(0) else real(0)
        smooth = (above + real(math.log1p(real(math.exp(-abs(v)))))) / beta
        y[i] = x[i] if v > threshold else smooth
        i += cuda.gridsize(1)


@kernel("gy: T*, x: T*, gx: T*, beta: T, threshold: T, n: i32")
def softplus_grad(gy, x, gx, beta, threshold, n):
    """gx = gy sigmoid(beta x), and gy where beta x > threshold."""
    i = cuda.grid(1)
    while i < n:
        v = x[i] * beta
        gx[i] = gy[i] if v > threshold else gy[i] * sigmoid_of(v)
        i += cuda.gridsize(1)


@kernel("x: T*, y: T*, below: T, above: T, n: i32")
def elu(x, y, below, above, n):
    """y = above * x where x > 0, else below * (exp(x) - 1)."""
    i = cuda.grid(1)
    while i < n:
        y[i] = x[i] * above if x[i] > type(below)(0) else type(below)(math.expm1(x[i])) * below
        i += cuda.gridsize(1)


@kernel("gy: T*, x: T*, gx: T*, below: T, above: T, n: i32")
def elu_grad(gy, x, gx, below, above, n):
    """gx = gy times above where x > 0, else below * exp(x)."""
    i = cuda.grid(1)
    while i < n:
        slope = above if x[i] > type(below)(0) else type(below)(math.exp(x[i])) * below
        gx[i] = gy[i] * slope
        i += cuda.gridsize(1)
