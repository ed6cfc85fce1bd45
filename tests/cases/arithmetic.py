"""Entries for + - * / ** and comparisons, with broadcasting."""

from __future__ import annotations

import operator

import numpy as np

from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, floating_result, normal, positive, sample
from deepcore.errors import ShapeError


def _pairs(make_left, make_right):
    """Samples of two operands over the ways to broadcast."""

    def samples(rng):
        shapes = {
            "same shape": ((2, 3), (2, 3)),
            "broadcast both": ((2, 1, 3), (4, 1)),
            "broadcast left": ((), (3, 2)),
            "0-d": ((), ()),
            "empty": ((0, 3), (1, 3)),
        }
        return [sample(name, make_left(rng, *a), make_right(rng, *b)) for name, (a, b) in shapes.items()]

    return samples


def _fanned_out(*args, **kwargs):
    """Broadcasting's backward sums over what was broadcast: at most all elements of the operands."""
    return sum(np.size(a) for a in args)


def _mismatch(name):
    return [
        bad("shapes do not broadcast", ShapeError, rf"^{name}: .*\(2, 3\).*\(2, 4\)", np.ones((2, 3)), np.ones((2, 4)))
    ]


def _binary(name, op, oracle, left=normal, right=normal, **more):
    more.setdefault("dtypes", FLOATS + INTS)
    return OpCase(name, op, oracle, _pairs(left, right), length=_fanned_out, errors=_mismatch(name), **more)


def _with_scalar(name, op, oracle, make=normal, names=()):
    def samples(rng):
        return [sample("2-d", make(rng, 2, 3)), sample("0-d", make(rng)), sample("empty", make(rng, 0, 2))]

    return OpCase(name, op, oracle, samples, names=names)


def _compare(name, op):
    def samples(rng):
        left = rng.integers(-2, 3, (3, 4)).astype(np.float64)
        right = rng.integers(-2, 3, (4,)).astype(np.float64)
        return [sample("broadcast", left, right), sample("0-d", left[0, 0], right[0]), sample("empty", left[:0], right)]

    return OpCase(
        name,
        op,
        op,
        samples,
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "bool",
        differentiable=False,
        errors=_mismatch(name),
    )


CASES = [
    _binary("add", operator.add, np.add),
    _binary("sub", operator.sub, np.subtract),
    _binary("mul", operator.mul, np.multiply),
    _binary("div", operator.truediv, np.true_divide, result_dtype=floating_result),
    _binary("pow", operator.pow, np.power, left=positive, dtypes=FLOATS),
    _with_scalar("add_scalar", lambda x: 1.5 + x + 2, lambda x: x + 3.5, names=("add",)),
    _with_scalar(
        "sub_scalar", lambda x: (x - 0.5) * 2 + (1 - x) * 3, lambda x: 2 * (x - 0.5) + 3 * (1 - x), names=("sub",)
    ),
    _with_scalar("mul_scalar", lambda x: 3 * x * 0.5, lambda x: x * 1.5, names=("mul",)),
    _with_scalar("div_scalar", lambda x: x / 4 + 2 / x, lambda x: 0.25 * x + np.true_divide(2.0, x), names=("div",)),
    _with_scalar("pow_scalar", lambda x: x**3 + x**-1, lambda x: x * x * x + 1.0 / x, names=("pow",)),
    _with_scalar("pow_half", lambda x: x**0.5, np.sqrt, make=positive, names=("pow",)),
    _with_scalar("pow_base", lambda x: 2.0**x, np.exp2, names=("pow",)),
    _with_scalar("neg", operator.neg, np.negative),
    _with_scalar("abs", abs, np.abs),
    _compare("lt", operator.lt),
    _compare("le", operator.le),
    _compare("gt", operator.gt),
    _compare("ge", operator.ge),
    _compare("eq", operator.eq),
    _compare("ne", operator.ne),
]
