"""Entries for the activation functions."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, floating_result, normal, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ShapeError


def _shapes(rng):
    return [
        sample("2-d", normal(rng, 3, 4)),
        sample("4-d", normal(rng, 2, 3, 2, 2)),
        sample("0-d", normal(rng)),
        sample("empty", normal(rng, 0, 4)),
    ]


def _saturated(rng):
    """Also where exp(-x) would overflow; float16 still has these numbers."""
    return [*_shapes(rng), sample("saturated", np.array([-800.0, -30.0, 30.0, 800.0]))]


def _leaky_samples(rng):
    return [*_shapes(rng), sample("slope", normal(rng, 3, 4), negative_slope=0.3)]


def _bias_samples(rng):
    """The sum x + b stays away from the kink at 0: |x| is at least 0.5, |b| at most 0.3."""
    return [
        sample("rows", normal(rng, 3, 4), normal(rng, 4) * 0.2),
        sample("channels", normal(rng, 2, 3, 2, 2), normal(rng, 3) * 0.2),
        sample("last", normal(rng, 2, 3, 4), normal(rng, 4) * 0.2, dim=-1),
        sample("empty", normal(rng, 0, 4), normal(rng, 4)),
    ]


def _with_bias(x, b, dim):
    return x + b.reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])


def _softmax_samples(rng):
    return [
        sample("last", normal(rng, 3, 4), dim=-1),
        sample("first", normal(rng, 3, 4), dim=0),
        sample("middle", normal(rng, 2, 3, 4), dim=1),
        sample("large", normal(rng, 2, 3) * 500.0, dim=1, diff=()),
        sample("long rows", normal(rng, 3, 37), dim=1),
        sample("0-d", normal(rng), dim=0),
        sample("one class", normal(rng, 3, 1), dim=1),
        sample("empty", normal(rng, 0, 4), dim=1),
    ]


def _row(*args, **kwargs):
    return args[0].shape[kwargs["dim"]] if args[0].ndim else 1


def _no_dim(name):
    return bad("no such dimension", ShapeError, rf"^{name}: .*dim=2", np.ones((2, 3)), dim=2)


CASES = [
    OpCase("relu", F.relu, lambda x: np.where(x > 0, x, 0.0), _shapes, dtypes=FLOATS + INTS, kernels=True),
    OpCase(
        "leaky_relu",
        F.leaky_relu,
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        _leaky_samples,
        dtypes=FLOATS + INTS,
        result_dtype=floating_result,
    ),
    OpCase(
        "bias_relu",
        F.bias_relu,
        lambda x, b, dim=1: np.where(_with_bias(x, b, dim) > 0, _with_bias(x, b, dim), 0.0),
        _bias_samples,
        length=lambda x, *rest, **kwargs: x.size,
        kernels=True,
        errors=[
            bad("bias size", ShapeError, r"^bias_relu: .*\(2, 3\).*\(2,\)", np.ones((2, 3)), np.ones(2)),
            bad("no such dimension", ShapeError, r"^bias_relu: .*dim=2", np.ones((2, 3)), np.ones(3), dim=2),
        ],
    ),
    OpCase(
        "sigmoid",
        dc.sigmoid,
        oracles.sigmoid,
        _saturated,
        dtypes=FLOATS + INTS,
        result_dtype=floating_result,
        kernels=True,
    ),
    OpCase("tanh", dc.tanh, np.tanh, _saturated, dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase(
        "softmax",
        F.softmax,
        oracles.softmax,
        _softmax_samples,
        length=_row,
        errors=[_no_dim("softmax")],
        kernels=True,
    ),
    OpCase(
        "log_softmax",
        F.log_softmax,
        oracles.log_softmax,
        _softmax_samples,
        length=_row,
        errors=[_no_dim("log_softmax")],
        kernels=True,
    ),
]
