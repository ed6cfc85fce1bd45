"""Entries for values at places along an axis: gather, scatter, index_select, embedding, one_hot, masks."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import ConfigError, DTypeError, IndexRangeError, ShapeError

# --- oracles: one element after another -------------------------------------------------------------------------------


def _place(at, dim, k):
    """The position `at` with the index k on the axis `dim`."""
    at = list(at)
    if at:
        at[dim] = k
    return tuple(at)


def _gather(x, index, dim):
    y = np.zeros(index.shape, x.dtype)
    for at in np.ndindex(index.shape):
        y[at] = x[_place(at, dim, index[at])]
    return y


def _scatter(x, index, src, dim):
    y = x.copy()
    for at in np.ndindex(index.shape):
        y[_place(at, dim, index[at])] = src if np.ndim(src) == 0 else src[at]
    return y


def _scatter_add(x, index, src, dim):
    y = x.copy()
    for at in np.ndindex(index.shape):
        y[_place(at, dim, index[at])] += src[at]
    return y


def _take_along_dim(x, indices, dim=None):
    if dim is None:
        return np.array([x.flat[k] for k in indices.flat], dtype=x.dtype)
    shape = [max(n, m) if 0 not in (n, m) else 0 for n, m in zip(x.shape, indices.shape, strict=True)]
    shape[dim] = indices.shape[dim]
    y = np.zeros(shape, x.dtype)
    for at in np.ndindex(*shape):
        k = indices[tuple(0 if n == 1 else i for i, n in zip(at, indices.shape, strict=True))]
        y[at] = x[_place([0 if n == 1 else i for i, n in zip(at, x.shape, strict=True)], dim, k)]
    return y


def _index_add(x, index, source, dim, alpha=1):
    y = np.moveaxis(x.copy(), dim, 0)
    for k, values in zip(index, np.moveaxis(source, dim, 0), strict=True):
        y[k] = y[k] + alpha * values
    return np.moveaxis(y, 0, dim)


def _index_select(x, index, dim):
    slices = [np.moveaxis(x, dim, 0)[k] for k in index]
    return np.stack(slices, dim) if slices else np.take(x, [], axis=dim)


def _embedding(index, weight, padding_idx=None):
    y = np.zeros((*index.shape, weight.shape[1]))
    for at in np.ndindex(index.shape):
        y[at] = weight[index[at]]
    return y


def _embedding_without_padding(index, weight, padding_idx):
    """As embedding; what belongs to the padding does not follow the weight, so that its derivative is 0."""
    y = _embedding(index, weight)
    y[index == padding_idx % len(weight)] = 0
    return y


def _one_hot(x, num_classes=-1):
    count = num_classes if num_classes > 0 else int(x.max()) + 1
    y = np.zeros((*x.shape, count), np.int64)
    for at in np.ndindex(x.shape):
        y[(*at, x[at])] = 1
    return y


def _masked_fill(x, mask, value):
    x, mask = np.broadcast_arrays(x, mask)
    return np.array([value if m else v for v, m in zip(x.flat, mask.flat, strict=True)], x.dtype).reshape(x.shape)


def _masked_select(x, mask):
    x, mask = np.broadcast_arrays(x, mask)
    return np.array([v for v, m in zip(x.flat, mask.flat, strict=True) if m], x.dtype)


def _nonzero(x, as_tuple=False):
    if as_tuple and not x.ndim:  # as in PyTorch a single number counts as one element of an axis
        x = x[None]
    rows = [at for at in np.ndindex(x.shape) if x[at] != 0]
    table = np.array(rows, np.int64).reshape(len(rows), x.ndim)
    return tuple(table.T) if as_tuple else table


# --- samples ----------------------------------------------------------------------------------------------------------


def _gather_samples(rng):
    x = normal(rng, 3, 4)
    return [
        sample("rows", x, rng.integers(0, 3, (5, 4)), dim=0),
        sample("columns, smaller", x, rng.integers(0, 4, (2, 3)), dim=-1),
        sample("3-d", normal(rng, 2, 3, 2), rng.integers(0, 3, (2, 4, 2)), dim=1),
        sample("int32 index", x, rng.integers(0, 4, (3, 1)).astype(np.int32), dim=1),
        sample("0-d", x[0, 0], np.array(0), dim=0),
        sample("no index", x, np.zeros((0, 4), np.int64), dim=0),
    ]


def _scatter_samples(rng):
    x = normal(rng, 3, 4)
    places = np.stack([rng.permutation(4)[:3] for _ in range(2)])
    return [
        sample("columns", x, places, normal(rng, 2, 3), dim=1),
        sample("larger src", x, places, normal(rng, 3, 5), dim=-1),
        sample("rows", x, np.array([[2, 0, 1, 2]]), normal(rng, 1, 4), dim=0),
        sample("no index", x, np.zeros((0, 4), np.int64), normal(rng, 1, 4), dim=0),
        sample("no index, narrow src", x, np.zeros((0, 4), np.int64), normal(rng, 1, 1), dim=0),
    ]


def _scatter_add_samples(rng):
    x = normal(rng, 3, 4)
    return [
        sample("columns", x, rng.integers(0, 4, (2, 5)), normal(rng, 2, 5), dim=1),
        sample("larger src", x, rng.integers(0, 3, (4, 3)), normal(rng, 5, 4), dim=0),
        sample("0-d", x[0, 0], np.array(0), x[0, 1], dim=0),
        sample("no index", x, np.zeros((0, 4), np.int64), normal(rng, 1, 4), dim=0),
    ]


def _outside(index):
    return np.array(index)


_x = np.ones((3, 4))
_i = np.zeros((3, 4), np.int64)

CASES = [
    OpCase(
        "gather",
        lambda x, index, dim: dc.gather(x, dim, index),
        _gather,
        _gather_samples,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 5,
        errors=[
            bad("index outside", IndexRangeError, r"^gather: .*< 4", _x, _i + 4, dim=1, nan_off_host=True),
            bad("negative index", IndexRangeError, r"^gather: .*\(3, 4\)", _x, _i - 1, dim=1, nan_off_host=True),
            bad("float index", DTypeError, r"^gather: .*float64.*long", _x, _x, dim=1),
            bad("axes differ", ShapeError, r"^gather: .*\(3, 4\).*\(3,\)", _x, _i[:, 0], dim=1),
            bad("index too long", ShapeError, r"^gather: .*\(5, 4\)", _x, np.zeros((5, 4), np.int64), dim=1),
            bad("no such axis", ShapeError, r"^gather: .*dim=2", _x, _i, dim=2),
        ],
        kernels=True,
    ),
    OpCase(
        "scatter",
        lambda x, index, src, dim: dc.scatter(x, dim, index, src),
        _scatter,
        _scatter_samples,
        dtypes=FLOATS + INTS,
        errors=[
            bad("index outside", IndexRangeError, r"^scatter: .*< 4", _x, _i + 4, _x, dim=1, nan_off_host=True),
            bad("src too short", ShapeError, r"^scatter: .*src", _x, _i, _x[:, :2], dim=1),
            bad("dtypes differ", DTypeError, r"^scatter: .*int64", _x, _i, _i, dim=1),
        ],
    ),
    OpCase(
        "scatter a number",
        lambda x, index, dim: dc.scatter(x, dim, index, 2.5),
        lambda x, index, dim: _scatter(x, index, 2.5, dim),
        lambda rng: [
            sample("columns", normal(rng, 3, 4), np.array([[0, 2], [3, 3]]), dim=1),
            sample("0-d", np.asarray(1.5), np.array(0), dim=0),
            sample("empty", normal(rng, 0, 4), np.zeros((0, 2), np.int64), dim=1),
        ],
        names=("scatter",),
    ),
    OpCase(
        "scatter_add",
        lambda x, index, src, dim: dc.scatter_add(x, dim, index, src),
        _scatter_add,
        _scatter_add_samples,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 6,
        errors=[
            bad("index outside", IndexRangeError, r"^scatter.*< 4", _x, _i + 4, _x, dim=1, nan_off_host=True),
            bad("src too short", ShapeError, r"^scatter_add: .*src", _x, _i, _x[:, :2], dim=1),
            bad("dtypes differ", DTypeError, r"^scatter_add: .*int64", _x, _i, _i, dim=1),
        ],
        kernels=True,
    ),
    OpCase(
        "take_along_dim",
        lambda x, indices, dim=None: dc.take_along_dim(x, indices, dim),
        _take_along_dim,
        lambda rng: [
            sample("broadcast indices", normal(rng, 3, 4), np.array([[3], [0]])[:1], dim=1),
            sample("broadcast x", normal(rng, 1, 4), rng.integers(0, 4, (3, 2)), dim=-1),
            sample("flat", normal(rng, 3, 4), rng.integers(0, 12, (2, 3))),
            sample("empty", normal(rng, 3, 4), np.zeros((3, 0), np.int64), dim=1),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 6,
        errors=[
            bad("axes differ", ShapeError, r"^take_along_dim: .*\(3, 4\).*\(3,\)", _x, _i[:, 0], dim=1),
            bad("do not broadcast", ShapeError, r"^take_along_dim: .*\(2, 4\)", _x, _i[:2], dim=1),
            bad("index outside", IndexRangeError, r"^take_along_dim: ", _x, _i + 9, dim=1, nan_off_host=True),
        ],
    ),
    OpCase(
        "index_select",
        lambda x, index, dim: dc.index_select(x, dim, index),
        _index_select,
        lambda rng: [
            sample("rows", normal(rng, 3, 4), np.array([2, 0, 2]), dim=0),
            sample("columns", normal(rng, 2, 4, 2), np.array([3]), dim=-2),
            sample("none", normal(rng, 3, 4), np.zeros(0, np.int64), dim=1),
            sample("empty", normal(rng, 3, 0), np.array([1]), dim=0),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 3,
        errors=[
            bad("outside", IndexRangeError, r"^index_select: .*< 3", _x, _outside([3]), dim=0, nan_off_host=True),
            bad("2-d index", ShapeError, r"^index_select: .*\(3, 4\)", _x, _i, dim=0),
            bad("float index", DTypeError, r"^index_select: .*float64", _x, np.ones(2), dim=0),
        ],
        kernels=True,
    ),
    OpCase(
        "index_add",
        lambda x, index, source, dim, alpha=1: dc.index_add(x, dim, index, source, alpha=alpha),
        _index_add,
        lambda rng: [
            sample("rows", normal(rng, 3, 4), np.array([2, 0, 2]), normal(rng, 3, 4), dim=0),
            sample("alpha", normal(rng, 3, 4), np.array([1, 1]), normal(rng, 3, 2), dim=1, alpha=3),
            sample("none", normal(rng, 3, 4), np.zeros(0, np.int64), normal(rng, 0, 4), dim=0),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 4,
        errors=[
            bad("outside", IndexRangeError, r"^index_add: ", _x, _outside([3]), _x[:1], dim=0, nan_off_host=True),
            bad("source too long", ShapeError, r"^index_add: .*\(3, 4\).*\(2,\)", _x, _outside([0, 1]), _x, dim=0),
            bad("dtypes differ", DTypeError, r"^index_add: .*int64", _x, _outside([0, 1, 2]), _i, dim=0),
        ],
        kernels=True,
    ),
    OpCase(
        "embedding",
        F.embedding,
        _embedding,
        lambda rng: [
            sample("1-d", np.array([4, 0, 4]), normal(rng, 5, 3)),
            sample("2-d", rng.integers(0, 5, (2, 3)), normal(rng, 5, 3)),
            sample("0-d", np.array(2), normal(rng, 5, 3)),
            sample("padding elsewhere", np.array([4, 1]), normal(rng, 5, 3), padding_idx=2),
            sample("no index", np.zeros((0, 2), np.int64), normal(rng, 5, 3)),
        ],
        length=lambda *args, **kwargs: 6,
        errors=[
            bad("outside", IndexRangeError, r"^embedding: .*< 3", np.array([3]), _x, nan_off_host=True),
            bad("float input", DTypeError, r"^embedding: .*long", np.ones(2), _x),
            bad("weight 1-d", ShapeError, r"^embedding: .*\(4,\)", np.array([0]), np.ones(4)),
            bad("padding_idx", ConfigError, r"^embedding: .*padding_idx=3", np.array([0]), _x, padding_idx=3),
        ],
        kernels=True,
    ),
    OpCase(
        "embedding with padding",
        lambda index, weight, padding_idx: (
            F.embedding(index, weight, padding_idx) * (index != padding_idx % weight.shape[0]).unsqueeze(-1)
        ),
        _embedding_without_padding,
        lambda rng: [
            sample("first row", np.array([0, 3, 0, 3]), normal(rng, 5, 3), padding_idx=0),
            sample("last row", np.array([[4, 3]]), normal(rng, 5, 3), padding_idx=-1),
            sample("no index", np.zeros(0, np.int64), normal(rng, 5, 3), padding_idx=0),
        ],
        names=("embedding",),
        length=lambda *args, **kwargs: 4,
    ),
    OpCase(
        "one_hot",
        F.one_hot,
        _one_hot,
        lambda rng: [
            sample("as many as needed", np.array([2, 0, 1])),
            sample("more classes", rng.integers(0, 3, (2, 2)), num_classes=5),
            sample("0-d", np.array(1), num_classes=2),
            sample("empty", np.zeros((0, 2), np.int64), num_classes=3),
        ],
        result_dtype=lambda dtype: "int64",
        differentiable=False,
        errors=[
            bad("float", DTypeError, r"^one_hot: .*float64", np.ones(2)),
            bad("empty", ConfigError, r"^one_hot: .*\(0,\)", np.zeros(0, np.int64)),
            bad("no classes", ConfigError, r"^one_hot: .*num_classes=0", np.array([0]), num_classes=0),
        ],
    ),
    OpCase(
        "masked_fill",
        dc.masked_fill,
        _masked_fill,
        lambda rng: [
            sample("same shape", normal(rng, 3, 4), rng.random((3, 4)) < 0.5, value=-2.0),
            sample("mask broadcasts", normal(rng, 3, 4), np.array([[True], [False], [True]]), value=7),
            sample("infinity", normal(rng, 4), np.array([True, False, False, True]), value=float("-inf"), diff=()),
            sample("0-d", np.asarray(1.5), np.array(True), value=0),
            sample("empty", normal(rng, 0, 4), np.zeros((0, 4), bool), value=1.0),
        ],
        errors=[
            bad("mask of integers", DTypeError, r"^masked_fill: .*int64", _x, _i, value=0.0),
            bad("value does not fit", DTypeError, r"^masked_fill: .*0.5", _i, _i > 0, value=0.5),
            bad("shapes", ShapeError, r"^where: .*\(3, 4\)", _x, np.ones(3, bool), value=0.0),
        ],
    ),
    OpCase(
        "masked_select",
        dc.masked_select,
        _masked_select,
        lambda rng: [
            sample("same shape", normal(rng, 3, 4), rng.random((3, 4)) < 0.5),
            sample("mask broadcasts", normal(rng, 3, 4), np.array([True, False, True, False])),
            sample("x broadcasts", normal(rng, 4), rng.random((3, 4)) < 0.5),
            sample("0-d", np.asarray(1.5), np.array(True)),
            sample("empty", normal(rng, 0, 4), np.zeros((0, 4), bool)),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 3,
        errors=[
            bad("mask of integers", DTypeError, r"^masked_select: .*int64", _x, _i),
            bad("shapes", ShapeError, r"^masked_select: .*\(3, 4\).*\(3,\)", _x, np.ones(3, bool)),
        ],
    ),
    OpCase(
        "nonzero",
        dc.nonzero,
        _nonzero,
        lambda rng: [
            sample("2-d", normal(rng, 3, 4) * (rng.random((3, 4)) < 0.5)),
            sample("tuple", normal(rng, 3, 4) * (rng.random((3, 4)) < 0.5), as_tuple=True),
            sample("bool", rng.random((2, 2, 2)) < 0.5),
            sample("0-d", np.asarray(1.0)),
            sample("empty", normal(rng, 0, 4)),
        ],
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "int64",
        differentiable=False,
    ),
]
