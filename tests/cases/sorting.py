"""Entries for what puts elements in order."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, distinct, normal, sample
from deepcore.errors import ConfigError, ShapeError


def _order(row, descending):
    """Places in order; equals in their own order; NaN is the largest."""
    key = [(np.isnan(v), 0.0 if np.isnan(v) else v) for v in row.tolist()]
    if descending:
        key = [(not nan, -v) for nan, v in key]
    return sorted(range(len(row)), key=key.__getitem__)


def _sort(x, dim=-1, descending=False, count=None):
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    rows = np.moveaxis(x, dim, -1)
    n = x.shape[dim] if count is None else count
    values = np.zeros((*rows.shape[:-1], n), x.dtype)
    places = np.zeros(values.shape, np.int64)
    for at in np.ndindex(rows.shape[:-1]):
        places[at] = _order(rows[at], descending)[:n]
        values[at] = [rows[at][k] for k in places[at]]
    return np.moveaxis(values, -1, dim), np.moveaxis(places, -1, dim)


def _unique(x, dim=None):
    slices = list(x.reshape(-1)) if dim is None else [tuple(s.reshape(-1)) for s in np.moveaxis(x, dim, 0)]
    found = sorted(set(slices))
    inverse = np.array([found.index(s) for s in slices], np.int64).reshape(x.shape if dim is None else -1)
    first = [slices.index(s) for s in found]
    values = np.array(found, x.dtype) if dim is None else np.stack([np.take(x, k, dim) for k in first], dim)
    return values, inverse, np.array([slices.count(s) for s in found], np.int64)


def _sort_samples(rng):
    return [
        sample("last axis", distinct(rng, 3, 4)),
        sample("falling", distinct(rng, 3, 4), descending=True),
        sample("first axis", distinct(rng, 4, 2, 2), dim=0),
        sample("equals", np.array([2.0, 1.0, 2.0, 1.0, 1.0]), diff=()),
        sample("equals falling", np.array([2.0, 1.0, 2.0, 1.0, 1.0]), descending=True, diff=()),
        sample("NaN", np.array([2.0, np.nan, 1.0]), diff=()),
        sample("NaN falling", np.array([2.0, np.nan, 1.0]), descending=True, diff=()),
        sample("0-d", np.asarray(1.5)),
        sample("empty", normal(rng, 3, 0)),
    ]


CASES = [
    OpCase(
        "sort",
        dc.sort,
        _sort,
        _sort_samples,
        dtypes=FLOATS + INTS,
        errors=[bad("no such axis", ShapeError, r"^sort: .*dim=2", np.ones((3, 4)), dim=2)],
    ),
    OpCase(
        "argsort",
        dc.argsort,
        lambda x, **kwargs: _sort(x, **kwargs)[1],
        _sort_samples,
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "int64",
        differentiable=False,
        errors=[bad("no such axis", ShapeError, r"^argsort: .*dim=2", np.ones((3, 4)), dim=2)],
    ),
    OpCase(
        "topk",
        dc.topk,
        lambda x, k, dim=-1, largest=True: _sort(x, dim, largest, k),
        lambda rng: [
            sample("two largest", distinct(rng, 3, 5), k=2),
            sample("smallest", distinct(rng, 4, 3), k=3, dim=0, largest=False),
            sample("equals", np.array([1.0, 2.0, 2.0, 2.0]), k=2, diff=()),
            sample("none", distinct(rng, 3, 4), k=0),
            sample("0-d", np.asarray(1.5), k=1),
            sample("empty", normal(rng, 0, 4), k=2),
        ],
        dtypes=FLOATS + INTS,
        errors=[
            bad("beyond the axis", ConfigError, r"^topk: .*\(3, 4\).*k=5", np.ones((3, 4)), k=5),
            bad("negative", ConfigError, r"^topk: .*k=-1", np.ones((3, 4)), k=-1),
        ],
    ),
    OpCase(
        "unique",
        lambda x, dim=None: dc.unique(x, return_inverse=True, return_counts=True, dim=dim),
        _unique,
        lambda rng: [
            sample("floats", np.array([[2.0, 1.0], [1.0, -3.0]])),
            sample("few values", rng.integers(0, 3, (3, 4)).astype(np.float64)),
            sample("columns", rng.integers(0, 2, (2, 5)).astype(np.float64), dim=1),
            sample("0-d", np.asarray(1.5)),
            sample("empty", np.zeros((0, 2))),
        ],
        dtypes=FLOATS + INTS,
        differentiable=False,
        errors=[bad("no such axis", ShapeError, r"^unique: .*dim=2", np.ones((3, 4)), dim=2)],
    ),
]
