"""Entries for elements in another arrangement: roll, triangles, diagonals, repetition; and running products."""

from __future__ import annotations

import math

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import ConfigError, ShapeError


def _cumprod(x, dim):
    if x.ndim == 0:
        return x
    rows = np.moveaxis(x, dim, 0)
    parts = [math.prod(list(rows[: i + 1])) for i in range(len(rows))]
    return np.stack(parts, dim) if parts else x


def _roll(x, shifts, dims=None):
    if dims is None:
        return _roll(x.reshape(-1), shifts, 0).reshape(x.shape)
    pairs = [(shifts, dims)] if isinstance(dims, int) else list(zip(shifts, dims, strict=True))
    for shift, dim in pairs:
        n = x.shape[dim]
        x = np.stack([np.take(x, (i - shift) % n, dim) for i in range(n)], dim) if n else x
    return x


def _triangle(x, keep):
    y = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        if keep(at[-1] - at[-2]):
            y[at] = x[at]
    return y


def _diagonal(x, offset=0, dim1=0, dim2=1):
    m = np.moveaxis(x, (dim1, dim2), (0, 1))
    parts = [m[i, i + offset] for i in range(m.shape[0]) if 0 <= i + offset < m.shape[1]]
    return np.stack(parts, -1) if parts else np.zeros((*m.shape[2:], 0))


def _diag_embed(x, offset=0, dim1=-2, dim2=-1):
    n = x.shape[-1] + abs(offset)
    m = np.zeros((n, n, *x.shape[:-1]), x.dtype)
    for i in range(x.shape[-1]):
        m[i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(m, (0, 1), (dim1, dim2))


def _repeat(x, sizes):
    x = x.reshape((1,) * (len(sizes) - x.ndim) + x.shape)
    for axis, n in enumerate(sizes):
        x = np.concatenate([x] * n, axis) if n else np.take(x, [], axis)
    return x


def _repeat_interleave(x, repeats, dim=None):
    if dim is None:
        x, dim = x.reshape(-1), 0
    n = x.shape[dim]
    counts = [repeats] * n if isinstance(repeats, int) else [int(r) for r in repeats]
    return np.take(x, [i for i in range(n) for _ in range(counts[i])], axis=dim)


_x = np.ones((3, 4))

CASES = [
    OpCase(
        "cumprod",
        dc.cumprod,
        _cumprod,
        lambda rng: [
            sample("rows", normal(rng, 3, 4), dim=0),
            sample("last axis", normal(rng, 2, 3, 2), dim=-1),
            sample("zeros", np.array([2.0, 0.0, 3.0, 0.0, 1.0]), dim=0, diff=()),
            sample("0-d", np.asarray(1.5), dim=0),
            sample("empty", normal(rng, 0, 3), dim=0),
        ],
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "int64" if dtype in INTS else dtype,
        length=lambda *args, **kwargs: 4,
        errors=[bad("no such axis", ShapeError, r"^cumprod: .*dim=2", _x, dim=2)],
    ),
    OpCase(
        "roll",
        dc.roll,
        _roll,
        lambda rng: [
            sample("rows", normal(rng, 3, 4), shifts=1, dims=0),
            sample("both", normal(rng, 3, 4), shifts=(-2, 5), dims=(0, -1)),
            sample("flat", normal(rng, 3, 4), shifts=-5),
            sample("empty", normal(rng, 0, 4), shifts=1, dims=1),
        ],
        dtypes=FLOATS + INTS,
        errors=[
            bad("one shift an axis", ConfigError, r"^roll: .*dims=\(0,\)", _x, shifts=(1, 2), dims=(0,)),
            bad("two shifts, no axis", ConfigError, r"^roll: .*\(1, 2\)", _x, shifts=(1, 2)),
            bad("no such axis", ShapeError, r"^roll: .*dim=2", _x, shifts=1, dims=2),
        ],
    ),
    *[
        OpCase(
            name,
            op,
            oracle,
            lambda rng: [
                sample("matrix", normal(rng, 3, 4)),
                sample("above", normal(rng, 2, 4, 3), diagonal=1),
                sample("below", normal(rng, 4, 3), diagonal=-2),
                sample("empty", normal(rng, 0, 4)),
            ],
            dtypes=FLOATS + INTS,
            errors=[bad("1-d", ShapeError, rf"^{name}: .*\(4,\)", _x[0])],
        )
        for name, op, oracle in (
            ("tril", dc.tril, lambda x, diagonal=0: _triangle(x, lambda k: k <= diagonal)),
            ("triu", dc.triu, lambda x, diagonal=0: _triangle(x, lambda k: k >= diagonal)),
        )
    ],
    OpCase(
        "diagonal",
        dc.diagonal,
        _diagonal,
        lambda rng: [
            sample("matrix", normal(rng, 3, 4)),
            sample("above", normal(rng, 3, 4, 2), offset=1, dim1=1, dim2=0),
            sample("below", normal(rng, 2, 3, 4), offset=-1, dim1=-2, dim2=-1),
            sample("empty", normal(rng, 0, 4)),
        ],
        dtypes=FLOATS + INTS,
        errors=[
            bad("1-d", ShapeError, r"^diagonal: .*", _x[0]),
            bad("one axis twice", ShapeError, r"^diagonal: .*dim1=1, dim2=-1", _x, dim1=1, dim2=-1),
        ],
    ),
    OpCase(
        "diag_embed",
        dc.diag_embed,
        _diag_embed,
        lambda rng: [
            sample("vector", normal(rng, 3)),
            sample("batch, above", normal(rng, 2, 3), offset=1),
            sample("other axes", normal(rng, 2, 3), offset=-1, dim1=2, dim2=0),
            sample("empty", normal(rng, 0)),
        ],
        dtypes=FLOATS + INTS,
        errors=[bad("0-d", ShapeError, r"^diag_embed: ", np.asarray(1.0))],
    ),
    OpCase(
        "diag",
        dc.diag,
        lambda x, diagonal=0: _diag_embed(x, diagonal) if x.ndim == 1 else _diagonal(x, diagonal),
        lambda rng: [
            sample("vector", normal(rng, 3), diagonal=-1),
            sample("matrix", normal(rng, 3, 4), diagonal=2),
            sample("empty", normal(rng, 0)),
        ],
        dtypes=FLOATS + INTS,
        errors=[bad("3-d", ShapeError, r"^diag: .*\(2, 2, 2\)", np.ones((2, 2, 2)))],
    ),
    OpCase(
        "trace",
        dc.trace,
        lambda x: np.asarray(sum(x[i, i] for i in range(min(x.shape))), x.dtype),
        lambda rng: [
            sample("wide", normal(rng, 3, 4)),
            sample("tall", normal(rng, 3, 2)),
            sample("empty", normal(rng, 0, 2)),
        ],
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "int64" if dtype in INTS else dtype,
        length=lambda *args: 4,
        errors=[bad("1-d", ShapeError, r"^trace: .*\(4,\)", _x[0])],
    ),
    OpCase(
        "repeat",
        dc.repeat,
        _repeat,
        lambda rng: [
            sample("both axes", normal(rng, 2, 3), sizes=(2, 3)),
            sample("new axis", normal(rng, 3), sizes=(2, 1)),
            sample("once", normal(rng, 2, 1), sizes=(1, 1)),
            sample("0-d", np.asarray(1.5), sizes=(3,)),
            sample("no times", normal(rng, 2, 3), sizes=(0, 2)),
            sample("empty", normal(rng, 0, 3), sizes=(2, 2)),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 6,
        errors=[
            bad("too few sizes", ShapeError, r"^repeat: .*\(3, 4\).*\(2,\)", _x, sizes=(2,)),
            bad("negative", ShapeError, r"^repeat: .*-1", _x, sizes=(-1, 2)),
        ],
    ),
    OpCase(
        "tile",
        dc.tile,
        lambda x, dims: _repeat(x, (1,) * (x.ndim - len(dims)) + dims),
        lambda rng: [
            sample("fewer sizes", normal(rng, 2, 3), dims=(2,)),
            sample("more sizes", normal(rng, 2), dims=(3, 2)),
            sample("empty", normal(rng, 0, 3), dims=(2,)),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 6,
        errors=[bad("negative", ShapeError, r"^tile: .*-1", _x, dims=(-1,))],
    ),
    OpCase(
        "repeat_interleave",
        dc.repeat_interleave,
        _repeat_interleave,
        lambda rng: [
            sample("columns", normal(rng, 2, 3), 2, dim=1),
            sample("flat", normal(rng, 2, 3), 3),
            sample("a count each", normal(rng, 2, 3), np.array([2, 0, 1]), dim=-1),
            sample("no times", normal(rng, 2, 3), 0, dim=0),
            sample("empty", normal(rng, 0, 3), 2, dim=0),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 3,
        errors=[
            bad("negative", ConfigError, r"^repeat_interleave: .*-1", _x, -1),
            bad("counts differ", ConfigError, r"^repeat_interleave: .*\(2,\)", _x, np.array([1, 2]), dim=0),
            bad("counts of floats", ConfigError, r"^repeat_interleave: .*float64", _x, np.ones(3), dim=0),
        ],
    ),
]
