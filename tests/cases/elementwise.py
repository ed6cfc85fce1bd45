"""Entries for functions of one element at a time, clipping and choosing."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, distinct, floating_result, normal, positive, sample
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _shapes(make):
    def samples(rng):
        return [
            sample("2-d", make(rng, 3, 4)),
            sample("0-d", make(rng)),
            sample("empty", make(rng, 0, 4)),
        ]

    return samples


def _where_samples(rng):
    mask = rng.random((3, 4)) < 0.5
    return [
        sample("same shape", mask, normal(rng, 3, 4), normal(rng, 3, 4)),
        sample("broadcast", mask, normal(rng, 4), normal(rng)),
        sample("broadcast condition", mask[:, :1], normal(rng, 2, 1, 4), normal(rng, 4)),
        sample("empty", mask[:0], normal(rng, 4), normal(rng, 1)),
    ]


def _clip_samples(rng):
    x = distinct(rng, 4, 5)
    return [
        sample("both", x, min=-0.5, max=0.52),
        sample("min", x, min=0.03),
        sample("max", x, max=0.03),
        sample("0-d", x[0, 0], min=-0.01, max=0.01),
        sample("empty", x[:0], min=-1.0, max=1.0),
    ]


def _pairs(rng):
    both = distinct(rng, 2, 3, 4)
    return [
        sample("same shape", both[0], both[1]),
        sample("broadcast", both[0], both[1, :1]),
        sample("0-d", both[0, 0, 0], both[1, 0, 0]),
        sample("empty", both[0, :0], both[1, :1]),
    ]


_mismatch = (np.ones((2, 3)), np.ones((2, 4)))
_mask = np.ones((2, 2), dtype=bool)

CASES = [
    OpCase("exp", dc.exp, np.exp, _shapes(normal), dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("log", dc.log, np.log, _shapes(positive), dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("log1p", dc.log1p, np.log1p, _shapes(positive), dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("sqrt", dc.sqrt, np.sqrt, _shapes(positive), dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("square", dc.square, lambda x: x * x, _shapes(normal), dtypes=FLOATS + INTS),
    OpCase("sin", dc.sin, np.sin, _shapes(normal), dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("cos", dc.cos, np.cos, _shapes(normal), dtypes=FLOATS + INTS, result_dtype=floating_result),
    OpCase("sign", dc.sign, np.sign, _shapes(normal), dtypes=FLOATS + INTS),
    OpCase(
        "where",
        dc.where,
        np.where,
        _where_samples,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 12,
        errors=[
            bad("condition is not bool", DTypeError, r"^where: .*bool.*float64", np.ones(2), np.ones(2), np.ones(2)),
            bad("shapes do not broadcast", ShapeError, r"^where: .*\(2, 2\).*\(3,\)", _mask, np.ones(3), np.ones(2)),
        ],
    ),
    OpCase(
        "clip",
        dc.clip,
        lambda x, min=None, max=None: np.clip(x, min, max),
        _clip_samples,
        names=("clip", "clamp"),
        dtypes=FLOATS + INTS,
        result_dtype=floating_result,  # the limits are not integers
        errors=[bad("no bound", ConfigError, r"^(clip|clamp): .*min.*max", np.ones(3))],
    ),
    OpCase(
        "maximum",
        dc.maximum,
        np.maximum,
        _pairs,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 12,
        errors=[bad("shapes do not broadcast", ShapeError, r"^maximum: .*\(2, 3\).*\(2, 4\)", *_mismatch)],
    ),
    OpCase(
        "minimum",
        dc.minimum,
        np.minimum,
        _pairs,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 12,
        errors=[bad("shapes do not broadcast", ShapeError, r"^minimum: .*\(2, 3\).*\(2, 4\)", *_mismatch)],
    ),
]
