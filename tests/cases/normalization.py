"""Entries for batch normalisation and dropout."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, positive, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ConfigError, ShapeError

_SEED = 2**40 + 7


def _norm_samples(rng):
    x, w, b = normal(rng, 3, 2, 2, 4), normal(rng, 2), normal(rng, 2)
    mean, var = normal(rng, 2), positive(rng, 2)
    return [
        sample("training", x, None, None, w, b, training=True),
        sample("training, plain", x, None, None, None, None, training=True),
        sample("training, 2-d", normal(rng, 5, 3), None, None, normal(rng, 3), normal(rng, 3), training=True),
        sample("training, eps", x, None, None, w, b, training=True, eps=0.1),
        sample("evaluation", x, mean, var, w, b, diff=(0, 3, 4)),
        sample("evaluation, plain", x, mean, var, None, None, diff=(0,)),
        sample("evaluation, 3-d", normal(rng, 2, 2, 3), mean, var, w, b, diff=(0, 3, 4)),
        sample("evaluation, empty", x[:0], mean, var, w, b, diff=(0, 3, 4)),
    ]


def _dropout_samples(rng):
    x = normal(rng, 3, 5)
    return [
        sample("half", x, p=0.5),
        sample("little", normal(rng, 2, 3, 4), p=0.1),
        sample("nothing dropped", x, p=0.0),
        sample("empty", x[:0], p=0.5),
    ]


def _dropout(x, p):
    """Every call with the same generator: the mask has to be the same on every device."""
    return F.dropout(x, p, training=True, generator=dc.Generator(_SEED))


_x, _four = np.ones((3, 2, 2, 2)), np.ones(4)

CASES = [
    OpCase(
        "batch_norm",
        F.batch_norm,
        oracles.batch_norm,
        _norm_samples,
        length=lambda x, *rest, **kwargs: x.size,
        kernels=True,
        errors=[
            bad("weight size", ShapeError, r"^batch_norm: .*\(4,\)", _x, None, None, _four, None, training=True),
            bad("statistics size", ShapeError, r"^batch_norm: .*\(4,\)", _x, _four, _four),
            bad("no statistics", (ConfigError, ShapeError), r"^batch_norm: .*running_mean", _x, None, None),
            bad(
                "one value a channel",
                ShapeError,
                r"^batch_norm: .*\(1, 2\)",
                np.ones((1, 2)),
                None,
                None,
                training=True,
            ),
            bad("no channels", ShapeError, r"^batch_norm: .*\(3,\)", np.ones(3), None, None, training=True),
        ],
    ),
    OpCase(
        "dropout",
        _dropout,
        lambda x, p: oracles.dropout(x, p, _SEED),
        _dropout_samples,
        kernels=True,
        errors=[
            bad("p over one", ConfigError, r"^dropout: .*1\.5", _x, p=1.5),
            bad("p below zero", ConfigError, r"^dropout: .*-0\.1", _x, p=-0.1),
        ],
    ),
]
