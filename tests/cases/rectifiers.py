"""Entries for the step function and the relatives of ReLU."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import FLOATS, OpCase, bad, normal, sample
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _shapes(rng):
    return [
        sample("2-d", normal(rng, 3, 5)),
        sample("0-d", normal(rng)),
        sample("empty", normal(rng, 0, 4)),
    ]


def _wide(rng):
    """Every piece of the hard functions, away from their kinks at -3, -1, 0, 1, 3 and 6; and large numbers."""
    return [
        *_shapes(rng),
        sample("pieces", np.array([-9.0, -3.5, -2.5, -1.2, -0.4, 0.3, 0.9, 1.3, 2.7, 3.4, 5.5, 6.5])),
        sample("large", np.array([-6e4, -300.0, 300.0, 6e4]), diff=()),
    ]


def _elu_samples(rng):
    return [*_wide(rng), sample("alpha", normal(rng, 3, 5) * 2, alpha=0.3)]


def _hardtanh_samples(rng):
    return [*_wide(rng), sample("limits", normal(rng, 3, 5) * 3, min_val=-2.4, max_val=0.2)]


def _prelu_samples(rng):
    return [
        sample("one slope", normal(rng, 3, 4), normal(rng, 1)),
        sample("0-d slope", normal(rng, 2, 3, 2), normal(rng)),
        sample("channels", normal(rng, 2, 3, 2, 2), normal(rng, 3)),
        sample("vector", normal(rng, 5), normal(rng, 1)),
        sample("0-d", normal(rng), normal(rng, 1)),
        sample("empty", normal(rng, 0, 4), normal(rng, 4)),
    ]


def _prelu(x, w):
    if w.size > 1 or x.ndim > 1:
        w = w.reshape([-1 if d == 1 else 1 for d in range(x.ndim)])
    y = np.where(x > 0, x, w * x)
    return y.reshape(x.shape)


def _elu(x, alpha=1.0, scale=1.0):
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _hard_gate(x):
    return np.clip(x / 6 + 0.5, 0, 1)


CASES = [
    OpCase("step", F.step, lambda x: np.heaviside(x, 0.0), _wide, dtypes=(*FLOATS, "int64")),
    OpCase(
        "step_straight_through",
        # The same values, but the gradient of the identity: x and the rounding to 0 or 1, which is a constant.
        lambda x: F.step(x, straight_through=True) - x,
        lambda x: np.heaviside(x, 0.0) - x,
        _shapes,
        names=("step",),
        differentiable=False,
    ),
    OpCase("identity", F.identity, lambda x: x, _shapes, dtypes=(*FLOATS, "int64")),
    OpCase(
        "prelu",
        F.prelu,
        _prelu,
        _prelu_samples,
        length=lambda x, w: x.size,
        errors=[
            bad("slopes do not fit", ShapeError, r"^prelu: .*\(2, 3\).*\(2,\)", np.ones((2, 3)), np.ones(2)),
            bad("slopes of a vector", ShapeError, r"^prelu: .*\(1,\).*\(3,\)", np.ones(3), np.ones(3)),
            bad("a matrix of slopes", ShapeError, r"^prelu: .*\(1, 2\)", np.ones((3, 2)), np.ones((1, 2))),
            bad("dtypes", DTypeError, r"^prelu: .*float32", np.ones(3), np.ones(1, np.float32)),
        ],
    ),
    OpCase("relu6", F.relu6, lambda x: np.clip(x, 0, 6), _wide, dtypes=(*FLOATS, "int64")),
    OpCase(
        "hardtanh",
        F.hardtanh,
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        _hardtanh_samples,
        errors=[bad("limits", ConfigError, r"^hardtanh: .*min_val=2.*max_val=1", np.ones(2), min_val=2, max_val=1)],
    ),
    OpCase("hardsigmoid", F.hardsigmoid, _hard_gate, _wide),
    OpCase("hardswish", F.hardswish, lambda x: x * _hard_gate(x), _wide),
    OpCase("elu", F.elu, _elu, _elu_samples, kernels=True),
    OpCase("selu", F.selu, lambda x: _elu(x, 1.6732632423543772, 1.0507009873554805), _wide, kernels=True),
]
