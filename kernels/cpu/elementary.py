"""Exponentials and what is made of them, without branches or calls, so that LLVM vectorises the loops around them.

Numba calls the C library for np.exp, one number at a time. All take float32 or float64 and keep NaN; their errors are
a few units in the last place. What would be below the smallest normal number may become 0.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from deepcore.kernels.cpu.compiler import kernel

LOG2_E = 1.4426950408889634
# log(2) in two parts, the first with so few bits that a small whole number times it is exact (Cody & Waite 1980)
LOG2_HIGH = {4: 0.693359375, 8: 0.6931471803691238}
LOG2_LOW = {4: -2.1219444005469057e-4, 8: 1.9082149292705877e-10}
# a number with this added has lost its fraction, rounded; its last bits are the exponent of 2**k
ROUND = {4: 1.5 * 2.0**23 + 127, 8: 1.5 * 2.0**52 + 1023}
LEAST = {4: -127 / LOG2_E, 8: -1023 / LOG2_E}  # where the bits of that exponent are 0: a power of two that is 0
TERMS = {4: 7, 8: 13}  # of exp's Taylor series on |r| <= log(2) / 2; the next one is below half a unit
LOG_TERMS = {4: 8, 8: 17}  # of atanh's series on |s| <= 1 / 3

FMA = {"contract"}  # a product and a sum in one rounding: nothing else is changed
INLINED = {"fastmath": FMA, "forceinline": True, "error_model": "numpy"}


def real_of(x):
    """Return NumPy's type of Numba's float32 or float64."""
    return np.float32 if x.bitwidth == 32 else np.float64


def horner(coefficients):
    """Return a function of x, for kernels: the polynomial with these coefficients, highest power first.

    The loop is short and the coefficients are constants, so that LLVM unrolls it: up to ten of them.
    """

    def polynomial(x):
        raise NotImplementedError

    @overload(polynomial, jit_options=INLINED)
    def typed(x):
        real, count = real_of(x), len(coefficients)
        c = tuple(real(value) for value in coefficients)

        def evaluate(x):
            total = c[0]
            for i in range(1, count):
                total = total * x + c[i]
            return total

        return evaluate

    return polynomial


@intrinsic
def power_of_two(typing_context, x):
    """Return 2**k, where x = k + ROUND holds the biased exponent in its last bits; 0 for the least k."""

    def generate(context, builder, signature, values):
        real, size = values[0].type, 32 if isinstance(values[0].type, ir.FloatType) else 64
        bits = builder.bitcast(values[0], ir.IntType(size))
        return builder.bitcast(builder.shl(bits, ir.Constant(bits.type, 23 if size == 32 else 52)), real)

    return x(x), generate


@intrinsic
def whole_registers(typing_context):
    """Let LLVM fill the widest registers in the loops of the function that calls this.

    By itself it uses half of AVX-512's, for the sake of the clock rate of what runs beside; loops with much arithmetic
    gain more than they lose.
    """

    def generate(context, builder, signature, values):
        # llvmlite knows only attributes without a value
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


def reduced(x):
    """Return (q, s) with exp(x) = s * (1 + q) of x <= 0, s a power of two, or 0 where exp(x) is no normal number."""


@overload(reduced, jit_options=INLINED)
def _reduced(x):
    size = x.bitwidth // 8
    real = real_of(x)
    low, shift, log2_e = real(LEAST[size]), real(ROUND[size]), real(LOG2_E)
    part_1, part_2 = real(LOG2_HIGH[size]), real(LOG2_LOW[size])
    series = tuple(real(1 / math.factorial(n)) for n in range(TERMS[size], 1, -1))

    if size == 4:
        c7, c6, c5, c4, c3, c2 = series

        def reduce_4(x):
            x = low if x < low else x
            moved = x * log2_e + shift
            k = moved - shift
            r = (x - k * part_1) - k * part_2
            square = r * r
            p = ((c7 * r + c6) * square + (c5 * r + c4)) * square + (c3 * r + c2)
            return p * square + r, power_of_two(moved)

        return reduce_4

    c13, c12, c11, c10, c9, c8, c7, c6, c5, c4, c3, c2 = series

    def reduce_8(x):
        x = low if x < low else x
        moved = x * log2_e + shift
        k = moved - shift
        r = (x - k * part_1) - k * part_2
        p = (((((c13 * r + c12) * r + c11) * r + c10) * r + c9) * r + c8) * r + c7
        p = ((((p * r + c6) * r + c5) * r + c4) * r + c3) * r + c2
        return p * (r * r) + r, power_of_two(moved)

    return reduce_8


@kernel(fastmath=FMA, inlined=True)
def decay(x):
    """Return exp(x) of x <= 0."""
    q, s = reduced(x)
    return q * s + s


@kernel(fastmath=FMA, inlined=True)
def expm1(x):
    """Return exp(x) - 1 of x <= 0, with its digits also near 0."""
    q, s = reduced(x)
    return q * s + (s - type(x)(1))


@kernel(fastmath=FMA, inlined=True)
def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    one = type(x)(1)
    e = decay(-abs(x))
    return (one if x >= 0 else e) / (one + e)


@kernel(fastmath=FMA, inlined=True)
def tanh(x):
    """Return the hyperbolic tangent, with its digits also near 0."""
    m = expm1(type(x)(-2) * abs(x))
    t = m / (type(x)(2) + m)
    return t if x <= 0 else -t  # of 0 it is 0, not -0


def log1p(u):
    """Return log(1 + u) of 0 <= u <= 1, with its digits also near 0: 2 atanh(u / (2 + u)), as a series."""


@overload(log1p, jit_options=INLINED)
def _log1p(u):
    size = u.bitwidth // 8
    real = real_of(u)
    two = real(2)
    c = tuple(real(2 / (2 * n + 1)) for n in range(LOG_TERMS[size] + 1))
    c0, c1, c2, c3, c4, c5, c6, c7, c8 = c[:9]

    if size == 4:

        def log1p_4(u):
            s = u / (two + u)
            z = s * s
            total = (((((((c8 * z + c7) * z + c6) * z + c5) * z + c4) * z + c3) * z + c2) * z + c1) * z + c0
            return total * s

        return log1p_4

    c9, c10, c11, c12, c13, c14, c15, c16, c17 = c[9:]

    def log1p_8(u):
        s = u / (two + u)
        z = s * s
        total = ((((((((c17 * z + c16) * z + c15) * z + c14) * z + c13) * z + c12) * z + c11) * z + c10) * z + c9) * z
        total = ((((((((total + c8) * z + c7) * z + c6) * z + c5) * z + c4) * z + c3) * z + c2) * z + c1) * z + c0
        return total * s

    return log1p_8
