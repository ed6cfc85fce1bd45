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


def _norm_relu_samples(rng):
    x, r, w, b = normal(rng, 3, 2, 2, 4), normal(rng, 3, 2, 2, 4), normal(rng, 2), normal(rng, 2)
    mean, var = normal(rng, 2), positive(rng, 2)
    return [
        sample("training", x, None, None, w, b, training=True),
        sample("training, plain", x, None, None, None, None, training=True),
        sample("training, residual", x, None, None, w, b, True, 0.1, 1e-5, r, diff=(0, 3, 4, 8)),
        sample("training, residual, plain", x, None, None, None, None, True, 0.1, 1e-5, r, diff=(0, 8)),
        sample("training, 2-d", normal(rng, 5, 3), None, None, normal(rng, 3), normal(rng, 3), training=True),
        sample("training, odd", normal(rng, 2, 3, 5, 7), None, None, normal(rng, 3), normal(rng, 3), training=True),
        sample("evaluation", x, mean, var, w, b, diff=(0, 3, 4)),
        sample("evaluation, plain", x, mean, var, None, None, diff=(0,)),
        sample("evaluation, residual", x, mean, var, w, b, False, 0.1, 1e-5, r, diff=(0, 3, 4, 8)),
        sample("evaluation, empty", x[:0], mean, var, w, b, diff=(0, 3, 4)),
    ]


def _norm_relu(x, mean, var, w, b, training=False, momentum=0.1, eps=1e-5, residual=None):
    y = oracles.batch_norm(x, mean, var, w, b, training, momentum, eps)
    return np.maximum(y if residual is None else y + residual, 0)


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


_x, _two, _four = np.ones((3, 2, 2, 2)), np.ones(2), np.ones(4)

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
        "batch_norm_relu",
        F.batch_norm_relu,
        _norm_relu,
        _norm_relu_samples,
        length=lambda x, *rest, **kwargs: x.size,
        kernels=True,
        errors=[
            bad("weight size", ShapeError, r"^batch_norm_relu: .*\(4,\)", _x, None, None, _four, None, training=True),
            bad("no statistics", (ConfigError, ShapeError), r"^batch_norm_relu: .*running_mean", _x, None, None),
            bad(
                "residual shape",
                ShapeError,
                r"^batch_norm_relu: .*residual \(4,\)",
                _x,
                _two,
                _two,
                None,
                None,
                False,
                0.1,
                1e-5,
                _four,
            ),
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
