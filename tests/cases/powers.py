"""Entries for angles, hyperbolic functions, further powers and logarithms, and rounding."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, floating_result, normal, positive, sample
from deepcore.errors import DTypeError


def _shapes(make):
    return lambda rng: [sample("2-d", make(rng, 3, 4)), sample("0-d", make(rng)), sample("empty", make(rng, 0, 4))]


def _inside(rng, *shape):
    """Numbers of both signs between -0.8 and 0.8."""
    return np.asarray(rng.uniform(0.1, 0.8, shape) * rng.choice([-1.0, 1.0], shape))


def _above_1(rng, *shape):
    return 1 + positive(rng, *shape)


def _fractions(rng, *shape):
    """Numbers at least 0.1 away from where rounding jumps."""
    return np.asarray(rng.integers(-4, 4, shape) + rng.choice([0.2, 0.35, 0.7, 0.85], shape))


def _case(name, oracle, make, **more):
    return OpCase(
        name, getattr(dc, name), oracle, _shapes(make), dtypes=FLOATS + INTS, result_dtype=floating_result, **more
    )


def _rounding(name, oracle):
    whole = bad("truth values", DTypeError, rf"^{name}: .*bool", np.ones(2, dtype=bool))
    return OpCase(name, getattr(dc, name), oracle, _shapes(_fractions), dtypes=FLOATS + INTS, errors=[whole])


CASES = [
    _case("tan", np.tan, _inside),
    _case("asin", np.arcsin, _inside),
    _case("acos", np.arccos, _inside),
    _case("atan", np.arctan, normal),
    _case("sinh", np.sinh, normal),
    _case("cosh", np.cosh, normal),
    _case("asinh", np.arcsinh, normal),
    _case("acosh", np.arccosh, _above_1),
    _case("atanh", np.arctanh, _inside),
    _case("expm1", np.expm1, normal),
    _case("exp2", np.exp2, normal),
    _case("log2", np.log2, positive),
    _case("log10", np.log10, positive),
    _case("reciprocal", lambda x: np.true_divide(1, x), normal),
    _case("rsqrt", lambda x: np.true_divide(1, np.sqrt(x)), positive),
    _rounding("ceil", np.ceil),
    _rounding("floor", np.floor),
    _rounding("round", np.round),
    _rounding("trunc", np.trunc),
]
