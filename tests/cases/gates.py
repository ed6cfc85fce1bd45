"""Entries for the smooth activations; SciPy has their error function and logarithms."""

from __future__ import annotations

import numpy as np
from scipy import special

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.errors import ConfigError, ShapeError


def _shapes(rng):
    return [
        sample("2-d", normal(rng, 3, 5)),
        sample("0-d", normal(rng)),
        sample("empty", normal(rng, 0, 4)),
        sample("every piece", np.array([-7.0, -4.6, -3.3, -0.44, -1e-3, 1e-4, 0.41, 0.52, 2.9, 4.4, 9.0])),
        sample("saturated", np.array([-45.0, -21.0, 21.0, 45.0])),
        sample("large", np.array([-6e4, -800.0, 800.0, 6e4]), diff=()),
    ]


def _gelu_samples(rng):
    return [*_shapes(rng), *(sample(f"tanh, {s.name}", *s.args, diff=s.diff, approximate="tanh") for s in _shapes(rng))]


def _gelu(x, approximate="none"):
    if approximate == "none":
        return x * special.ndtr(x)
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _softplus_samples(rng):
    return [
        *_shapes(rng),
        sample("beta", normal(rng, 3, 5), beta=3.0),
        sample("negative beta", normal(rng, 3, 5), beta=-2.0),
        sample("threshold", normal(rng, 3, 5) * 2, beta=2.0, threshold=1.7),
    ]


def _softplus(x, beta=1.0, threshold=20.0):
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def _glu_samples(rng):
    return [
        sample("last", normal(rng, 3, 4)),
        sample("first", normal(rng, 6, 2), dim=0),
        sample("middle", normal(rng, 2, 2, 3), dim=-2),
        sample("empty", normal(rng, 0, 4)),
    ]


def _glu(x, dim=-1):
    a, b = np.split(x, 2, axis=dim)
    return a * special.expit(b)


def _softmin_samples(rng):
    return [
        sample("last", normal(rng, 3, 4), dim=-1),
        sample("first", normal(rng, 3, 4), dim=0),
        sample("large", normal(rng, 2, 3) * 500.0, dim=1, diff=()),
        sample("empty", normal(rng, 0, 4), dim=1),
    ]


CASES = [
    OpCase("erf", F.erf, special.erf, _shapes, kernels=True),
    OpCase(
        "gelu",
        F.gelu,
        _gelu,
        _gelu_samples,
        errors=[bad("unknown formula", ConfigError, r"^gelu: .*approximate='tan'", np.ones(2), approximate="tan")],
        kernels=True,
    ),
    OpCase("silu", F.silu, lambda x: x * special.expit(x), _shapes, kernels=True),
    OpCase("mish", F.mish, lambda x: x * np.tanh(np.logaddexp(0, x)), _shapes, kernels=True),
    OpCase(
        "softplus",
        F.softplus,
        _softplus,
        _softplus_samples,
        errors=[bad("beta is 0", ConfigError, r"^softplus: .*beta=0", np.ones(2), beta=0)],
        kernels=True,
    ),
    OpCase("softsign", F.softsign, lambda x: x / (1 + np.abs(x)), _shapes),
    OpCase("logsigmoid", F.logsigmoid, special.log_expit, _shapes),
    OpCase(
        "softmin",
        F.softmin,
        lambda x, dim: special.softmax(-x, axis=dim),
        _softmin_samples,
        length=lambda x, dim: x.shape[dim] if x.ndim else 1,
        errors=[bad("no such dimension", ShapeError, r"^softmin: .*dim=2", np.ones((2, 3)), dim=2)],
    ),
    OpCase(
        "glu",
        F.glu,
        _glu,
        _glu_samples,
        errors=[
            bad("odd", ShapeError, r"^glu: .*even.*dim=1.*\(2, 3\)", np.ones((2, 3)), dim=1),
            bad("0-d", ShapeError, r"^glu: .*\(\)", np.ones(())),
            bad("no such dimension", ShapeError, r"^glu: .*dim=2", np.ones((2, 4)), dim=2),
        ],
    ),
]
