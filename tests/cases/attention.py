"""Entries for attention."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import recurrent as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _three(rng, lead=(2,), rows=3, columns=4):
    return normal(rng, *lead, rows, 3), normal(rng, *lead, columns, 3), normal(rng, *lead, columns, 2)


def _mask(rows=3, columns=4):
    """A bool mask whose second row lets nothing through."""
    mask = np.add.outer(np.arange(rows), np.arange(columns)) % 3 > 0
    mask[1] = False
    return mask


def _dot_samples(rng):
    return [
        sample("plain", *_three(rng)),
        sample("2-d", *_three(rng, ())),
        sample("heads", *_three(rng, (2, 2))),
        sample("broadcast", normal(rng, 2, 1, 3, 3), normal(rng, 2, 4, 3), normal(rng, 4, 2)),
        sample("bool mask", *_three(rng), _mask()),
        sample("added mask", *_three(rng), normal(rng, 3, 4)),
        sample("added mask of each item", *_three(rng), normal(rng, 2, 1, 4)),
        sample("causal", *_three(rng), is_causal=True),
        sample("causal, more queries", *_three(rng, rows=5, columns=2), is_causal=True),
        sample("scale", *_three(rng), scale=0.3),
        sample("no keys", *_three(rng, columns=0)),
        sample("no queries", *_three(rng, rows=0), is_causal=True),
        sample("no items", *_three(rng, (0,)), _mask()),
    ]


def _additive_samples(rng):
    weights = normal(rng, 5, 3), normal(rng, 5, 3), normal(rng, 5)
    return [
        sample("plain", *_three(rng), *weights),
        sample("2-d", *_three(rng, ()), *weights),
        sample("bias", *_three(rng), *weights, normal(rng, 5)),
        sample("bool mask", *_three(rng), *weights, None, _mask()),
        sample("added mask", *_three(rng), *weights, normal(rng, 5), normal(rng, 3, 4)),
        sample("no keys", *_three(rng, columns=0), *weights),
        sample("no items", *_three(rng, (0,)), *weights),
    ]


_q, _k, _v = np.ones((2, 3, 3)), np.ones((2, 4, 3)), np.ones((2, 4, 2))
_w, _u = np.ones((5, 3)), np.ones(5)


def _length(*args, **kwargs):
    return 4 * max(a.size for a in args if isinstance(a, np.ndarray))


CASES = [
    OpCase(
        "scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        oracles.scaled_dot_product_attention,
        _dot_samples,
        length=_length,
        errors=[
            bad("sizes", ShapeError, r"^scaled_dot_product_attention: .*\(2, 4, 2\)", _q, _v, _v),
            bad("keys", ShapeError, r"^scaled_dot_product_attention: .*\(\.\.\., S, EV\)", _q, _k, _v[:, :2]),
            bad("1-d", ShapeError, r"^scaled_dot_product_attention: ", _u, _k, _v),
            bad("mask", ShapeError, r"^scaled_dot_product_attention: .*\(2, 3, 4\)", _q, _k, _v, np.ones((2, 5)) > 0),
            bad("mask dtype", DTypeError, r"^scaled_dot_product_attention: .*int64", _q, _k, _v, np.ones((3, 4), int)),
            bad("two masks", ConfigError, r"^scaled_dot_product_attention: ", _q, _k, _v, _mask(), is_causal=True),
            bad("dropout", ConfigError, r"^dropout: .*1\.5", _q, _k, _v, dropout_p=1.5),
            bad("dtypes", DTypeError, r"^scaled_dot_product_attention: ", _q, _k, _v.astype("float32")),
        ],
    ),
    OpCase(
        "additive_attention",
        F.additive_attention,
        oracles.additive_attention,
        _additive_samples,
        length=_length,
        errors=[
            bad("weights", ShapeError, r"^additive_attention: .*\(5, 3\)", _q, _k, _v, _w, _w.T, _u),
            bad("v", ShapeError, r"^additive_attention: .*v \(A,\)", _q, _k, _v, _w, _w, _w),
            bad("keys", ShapeError, r"^additive_attention: ", _q, _k, _v[:, :2], _w, _w, _u),
            bad("mask", ShapeError, r"^additive_attention: ", _q, _k, _v, _w, _w, _u, None, np.ones((2, 5)) > 0),
        ],
    ),
]
