"""Entries for adaptive and p-norm pooling of sequences and volumes, and for unpooling there."""

from __future__ import annotations

from functools import partial

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, distinct, normal, positive, sample
from deepcore.check.oracles import norm_pool as oracles
from deepcore.errors import ConfigError, ShapeError

_x, _row = np.ones((2, 3, 5, 4)), np.ones((2, 3, 5))
_places = np.array([[[[3, 99]]]])


def _count(*args, kernel_size, **kwargs):
    """How many elements a window has, at most."""
    return int(np.prod(np.broadcast_to(kernel_size, 3)))


def _adaptive_nd_samples(rng, *sizes, **options):
    x = distinct(rng, 2, 2, *sizes)
    found = [
        sample("one", x, output_size=1, **options),
        sample("does not divide", x, output_size=2, **options),
        sample("larger than the input", x, output_size=6),
        sample("empty", x[:0], output_size=2),
    ]
    return found if len(sizes) == 1 else [*found, sample("keep one size", x, output_size=(2, None, 3), **options)]


def _adaptive_errors(name, x):
    return [
        bad("too few axes", ShapeError, rf"^{name}: .*\(5,\)", np.ones(5), output_size=2),
        bad("negative", ShapeError, rf"^{name}: .*output_size=-1", x, output_size=-1),
        bad("two sizes", ShapeError, rf"^{name}: .*output_size=\(1, 2\)", x, output_size=(1, 2)),
    ]


CASES = [
    OpCase(
        "adaptive_max_pool1d",
        F.adaptive_max_pool1d,
        partial(oracles.adaptive_pool, np.max),
        lambda rng: _adaptive_nd_samples(rng, 7, return_indices=True),
        length=lambda x, **kwargs: x.size,
        errors=_adaptive_errors("adaptive_max_pool1d", _row),
    ),
    OpCase(
        "adaptive_avg_pool1d",
        F.adaptive_avg_pool1d,
        partial(oracles.adaptive_pool, np.mean),
        lambda rng: _adaptive_nd_samples(rng, 7),
        length=lambda x, **kwargs: x.size,
        errors=_adaptive_errors("adaptive_avg_pool1d", _row),
    ),
    OpCase(
        "adaptive_max_pool3d",
        F.adaptive_max_pool3d,
        partial(oracles.adaptive_pool, np.max),
        lambda rng: _adaptive_nd_samples(rng, 3, 4, 5, return_indices=True),
        length=lambda x, **kwargs: x.size,
        errors=_adaptive_errors("adaptive_max_pool3d", _x[None]),
    ),
    OpCase(
        "adaptive_avg_pool3d",
        F.adaptive_avg_pool3d,
        partial(oracles.adaptive_pool, np.mean),
        lambda rng: _adaptive_nd_samples(rng, 3, 4, 5),
        length=lambda x, **kwargs: x.size,
        errors=_adaptive_errors("adaptive_avg_pool3d", _x[None]),
    ),
    OpCase(
        "lp_pool1d",
        F.lp_pool1d,
        lambda x, p, kernel_size, stride=None, ceil_mode=False: oracles.lp_pool2d(
            x[:, :, None], p, (1, kernel_size), None if stride is None else (1, stride), ceil_mode
        )[:, :, 0],
        lambda rng: [
            sample("euclidean", normal(rng, 2, 2, 7), 2, kernel_size=3, stride=2),
            sample("a root, ceil mode", positive(rng, 2, 2, 7), 1.5, kernel_size=2, ceil_mode=True),
            sample("empty", normal(rng, 0, 2, 7), 2, kernel_size=2),
        ],
        length=_count,
        errors=[
            bad("p of 0", ConfigError, r"^lp_pool1d: .*norm_type=0", _row, 0, kernel_size=2),
            bad("not rows", ShapeError, r"^lp_pool1d: .*\(5,\)", np.ones(5), 2, kernel_size=2),
        ],
    ),
    OpCase(
        "lp_pool3d",
        F.lp_pool3d,
        lambda x, p, kernel_size, stride=None: (
            (oracles.pool3d(x**p, kernel_size, stride, largest=False) * np.prod(np.broadcast_to(kernel_size, 3)))
            ** (1 / p)
        ),
        lambda rng: [
            sample("euclidean", normal(rng, 2, 1, 3, 4, 4), 2, kernel_size=2),
            sample("cubes", positive(rng, 1, 2, 3, 4, 2), 3, kernel_size=(2, 3, 1), stride=1),
            sample("empty", normal(rng, 0, 1, 3, 4, 4), 2, kernel_size=2),
        ],
        length=_count,
        errors=[
            bad("infinite p", ConfigError, r"^lp_pool3d: .*norm_type=inf", _x[None], np.inf, kernel_size=2),
            bad("not a volume", ShapeError, r"^lp_pool3d: .*\(2, 3, 5, 4\)", _x, 2, kernel_size=2),
        ],
    ),
    OpCase(
        "max_unpool1d",
        F.max_unpool1d,
        oracles.max_unpool_nd,
        lambda rng: [
            sample("plain", normal(rng, 2, 2, 3), np.array([[[0, 3, 4], [5, 2, 1]]] * 2), kernel_size=2),
            sample("size", normal(rng, 1, 1, 2), np.array([[[6, 3]]]), kernel_size=(3,), stride=3, output_size=(7,)),
            sample("empty", normal(rng, 0, 2, 3), np.zeros((0, 2, 3), np.int64), kernel_size=2),
        ],
        errors=[bad("not rows", ShapeError, r"^max_unpool1d: .*\(2, 3, 5, 4\)", _x, _places, kernel_size=2)],
    ),
    OpCase(
        "max_unpool3d",
        F.max_unpool3d,
        oracles.max_unpool_nd,
        lambda rng: [
            sample(
                "plain",
                normal(rng, 2, 1, 2, 1, 3),
                np.stack([rng.permutation(48)[:6] for _ in range(2)]).reshape(2, 1, 2, 1, 3),
                kernel_size=2,
            ),
            sample(
                "padding",
                normal(rng, 1, 1, 2, 2, 2),
                rng.permutation(30)[:8].reshape(1, 1, 2, 2, 2),
                kernel_size=(2, 3, 3),
                stride=(2, 2, 3),
                padding=(1, 1, 1),
                output_size=(3, 3, 5),
            ),
            sample("empty", normal(rng, 0, 1, 2, 1, 3), np.zeros((0, 1, 2, 1, 3), np.int64), kernel_size=2),
        ],
        errors=[
            bad("not a volume", ShapeError, r"^max_unpool3d: .*\(2, 3, 5, 4\)", _x, _places, kernel_size=2),
            bad(
                "kernel of two",
                ShapeError,
                r"^max_unpool3d: .*kernel_size=\(2, 2\)",
                np.ones((1, 1, 1, 1, 2)),
                _places[None],
                kernel_size=(2, 2),
            ),
        ],
    ),
]
