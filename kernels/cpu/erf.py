"""The error function and the normal distribution, without branches, so that LLVM vectorises the loops around them.

float64: the rational approximations of backends/base/gates.py (Cody 1969). float32: polynomials that were fitted for
the least largest relative error, which is below 6e-9, and a single exponential.
"""

from __future__ import annotations

import math

import numpy as np
from numba.extending import overload

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
)
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA, INLINED, decay, horner

INVERSE_ROOT_PI = 1 / math.sqrt(math.pi)
ROOT_HALF = math.sqrt(0.5)

near_top, near_bottom = horner(ERF_NEAR_TOP), horner(ERF_NEAR_BOTTOM)
middle_top, middle_bottom = horner(ERF_MIDDLE_TOP), horner(ERF_MIDDLE_BOTTOM)
far_top, far_bottom = horner(ERF_FAR_TOP), horner(ERF_FAR_BOTTOM)

# erf(x) = x + x p(x^2) up to 1; 1 - exp(-x q(x)) from there to 4, where it rounds to 1
ERF_ONE, ERF_ALL = 1.0, 4.0
erf_up_to_one = horner(
    (
        7.85386076e-05,
        -8.01019345e-04,
        5.18832767e-03,
        -2.68538119e-02,
        1.12835851e-01,
        -3.76126258e-01,
        1.2837917e-01,
    )
)
erf_above_one = horner(
    (
        1.39622987e-05,
        -3.50590608e-04,
        3.75747111e-03,
        -2.40100567e-02,
        1.06530852e-01,
        6.34969539e-01,
        1.12869433e00,
    )
)
# (1 - Phi(u)) exp(u^2 / 2) (u + MILLS) as a polynomial in (u - MILLS) / (u + MILLS), u from 0 to where exp vanishes
MILLS = 3.5
mills = horner(
    (
        1.15685440e-04,
        4.31255022e-04,
        -4.93875971e-04,
        -3.18125177e-03,
        6.49125227e-03,
        1.74075983e-02,
        -1.16052672e-01,
        3.15424962e-01,
        -5.65561760e-01,
        7.44416075e-01,
    )
)
GONE = 20.0  # exp(-GONE^2 / 2) is 0 in float32


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


def erf_of(x):
    """Return the error function."""
    raise NotImplementedError


@overload(erf_of, jit_options=INLINED)
def _erf_of(x):
    if x.bitwidth == 64:

        def erf_8(x):
            a = abs(x)
            above = 1.0 - erfc_above(a)
            near, far = erf_near(x), -above if x < 0 else above
            return near if a <= NEAR else far

        return erf_8

    one, all_of_it = np.float32(ERF_ONE), np.float32(ERF_ALL)

    def erf_4(x):
        a = abs(x)
        short = one if a > one else a
        near = x * erf_up_to_one(short * short) + x
        b = all_of_it if a > all_of_it else a
        above = one - decay(-b * erf_above_one(b))
        far = -above if x < 0 else above
        return near if a <= one else far

    return erf_4


def normal(x):
    """Return (Phi(x), exp(-x^2 / 2)), Phi being the distribution function of the standard normal distribution."""
    raise NotImplementedError


@overload(normal, jit_options=INLINED)
def _normal(x):
    if x.bitwidth == 64:

        def normal_8(x):
            z = -x * ROOT_HALF
            a = abs(z)
            above = erfc_above(a)
            near, far = 1.0 - erf_near(z), 2.0 - above if z < 0 else above
            b = FLAT if a > FLAT else a
            return 0.5 * (near if a <= NEAR else far), decay(-b * b)

        return normal_8

    half, one, gone, shift = np.float32(-0.5), np.float32(1), np.float32(GONE), np.float32(MILLS)

    def normal_4(x):
        u = abs(x)
        u = gone if u > gone else u
        e = decay(u * half * u)
        inverse = one / (u + shift)
        tail = e * (mills((u - shift) * inverse) * inverse)
        return one - tail if x > 0 else tail, e

    return normal_4
