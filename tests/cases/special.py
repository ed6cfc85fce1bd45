"""Entries for the gamma function's relatives and the inverse error function, against SciPy."""

from __future__ import annotations

import numpy as np
from scipy import special

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, floating_result, positive, sample
from deepcore.errors import ConfigError


def _near_integers(rng, *shape):
    """Numbers from -3 to 12, at least 0.2 away from every integer and so from the poles."""
    return np.asarray(rng.integers(-3, 12, shape) + rng.uniform(0.2, 0.8, shape))


def _samples(rng, *first, **options):
    return [
        sample("both signs", *first, _near_integers(rng, 3, 4), **options),
        sample("large", *first, positive(rng, 5) * 40, **options),
        sample("0-d", *first, positive(rng), **options),
        sample("empty", *first, positive(rng, 0, 3), **options),
    ]


def _orders(rng):
    return [
        *(sample(f"order {n}", n, positive(rng, 2, 3) * 4) for n in range(4)),
        sample("below 0", 1, -positive(rng, 3) * 0.4 - 0.1),
        sample("below 0, order 2", 2, -positive(rng, 3) * 0.4 - 0.1),
        sample("0-d", 2, positive(rng)),
        sample("empty", 1, positive(rng, 0, 3)),
    ]


def _polygamma(n, x):
    """SciPy has it for x > 0; below by the recurrence, one step up at a time."""
    y, sign = 0.0, 1.0 if n % 2 else -1.0
    for _ in range(4):
        below = x < 0
        y = y + np.where(below, sign * special.factorial(n) * np.where(below, x, 1.0) ** (-n - 1.0), 0.0)
        x = np.where(below, x + 1, x)
    return y + (special.psi(x) if n == 0 else special.polygamma(n, x))


CASES = [
    OpCase("lgamma", dc.lgamma, special.gammaln, _samples, dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("digamma", dc.digamma, special.psi, _samples, dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase(
        "polygamma",
        dc.polygamma,
        _polygamma,
        _orders,
        length=lambda n, x: 24,  # terms of the series
        errors=[bad("negative order", ConfigError, r"^polygamma: .*n >= 0; got n=-1", -1, np.ones(2))],
    ),
    OpCase(
        "erfinv",
        dc.erfinv,
        special.erfinv,
        lambda rng: [
            sample("2-d", rng.uniform(0.1, 0.9, (3, 4)) * rng.choice([-1.0, 1.0], (3, 4))),
            sample("0-d", np.asarray(0.3)),
            sample("empty", np.ones((0, 2))),
        ],
    ),
]
