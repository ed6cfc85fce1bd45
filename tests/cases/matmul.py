"""Entries for the matrix product and the fully connected layer."""

from __future__ import annotations

import operator

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import ShapeError


def _matmul_samples(rng):
    shapes = {
        "2-d": ((3, 4), (4, 5)),
        "1-d 1-d": ((4,), (4,)),
        "1-d 2-d": ((4,), (4, 5)),
        "2-d 1-d": ((3, 4), (4,)),
        "batched": ((2, 3, 4), (2, 4, 5)),
        "batched 1-d": ((2, 3, 4), (4,)),
        "1-d batched": ((3,), (2, 3, 4)),
        "broadcast": ((2, 1, 3, 4), (5, 4, 2)),
        "3-d 2-d": ((2, 3, 4), (4, 5)),
        "empty rows": ((0, 4), (4, 5)),
        "empty sum": ((3, 0), (0, 2)),
    }
    return [sample(name, normal(rng, *a), normal(rng, *b)) for name, (a, b) in shapes.items()]


def _linear_samples(rng):
    w, b = normal(rng, 5, 4), normal(rng, 5)
    return [
        sample("2-d", normal(rng, 3, 4), w, b),
        sample("no bias", normal(rng, 3, 4), w, None),
        sample("1-d", normal(rng, 4), w, b),
        sample("4-d", normal(rng, 2, 2, 3, 4), w, b),
        sample("empty", normal(rng, 0, 4), w, b),
        sample("1-d to nothing", normal(rng, 4), w[:0], b[:0]),
    ]


def _linear(x, w, b):
    y = np.einsum("...d,od->...o", x, w)
    return y if b is None else y + b


def _matmul_oracle(a, b):
    """Sums of products over explicit axes, by einsum; NumPy's matmul is what the op itself calls."""
    if a.ndim == 1:
        return np.einsum("k,k->", a, b) if b.ndim == 1 else np.einsum("k,...kj->...j", a, b)
    return np.einsum("...ik,k->...i", a, b) if b.ndim == 1 else np.einsum("...ik,...kj->...ij", a, b)


def _fanned_out(*args, **kwargs):
    return max(a.size for a in args if a is not None)


CASES = [
    OpCase(
        "matmul",
        operator.matmul,
        _matmul_oracle,
        _matmul_samples,
        dtypes=FLOATS + INTS,
        length=_fanned_out,
        errors=[
            bad("inner sizes differ", ShapeError, r"^matmul: .*\(3, 4\).*\(5, 2\)", np.ones((3, 4)), np.ones((5, 2))),
            bad("0-d operand", ShapeError, r"^matmul: ", np.ones(()), np.ones((5, 2))),
            bad("batches do not broadcast", ShapeError, r"^matmul: ", np.ones((2, 3, 4)), np.ones((3, 4, 5))),
        ],
    ),
    OpCase(
        "dot",
        dc.dot,
        lambda a, b: (a * b).sum(),
        lambda rng: [
            sample("1-d", normal(rng, 4), normal(rng, 4)),
            sample("empty", normal(rng, 0), normal(rng, 0)),
        ],
        dtypes=FLOATS + INTS,
        length=_fanned_out,
        errors=[
            bad("2-d", ShapeError, r"^dot: .*\(2, 2\)", np.ones((2, 2)), np.ones((2, 2))),
            bad("sizes differ", ShapeError, r"\(2,\).*\(3,\)", np.ones(2), np.ones(3)),
        ],
    ),
    OpCase(
        "linear",
        F.linear,
        _linear,
        _linear_samples,
        length=_fanned_out,
        errors=[
            bad(
                "features differ", ShapeError, r"^linear: .*\(3, 4\).*\(5, 6\)", np.ones((3, 4)), np.ones((5, 6)), None
            ),
            bad("bias size", ShapeError, r"^linear: .*\(4,\)", np.ones((3, 4)), np.ones((5, 4)), np.ones(4)),
            bad("weight not 2-d", ShapeError, r"^linear: ", np.ones((3, 4)), np.ones(4), None),
        ],
    ),
    OpCase(
        "linear_relu",
        F.linear_relu,
        lambda x, w, b: np.where(_linear(x, w, b) > 0, _linear(x, w, b), 0.0),
        _linear_samples,
        length=_fanned_out,
        errors=[bad("bias size", ShapeError, r"^linear: .*\(4,\)", np.ones((3, 4)), np.ones((5, 4)), np.ones(4))],
    ),
]
