"""Entries for ops that give the same numbers another shape."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import ShapeError

_x = np.ones((2, 3))


def _of(*samples_of, empty=True):
    """Samples that are (name, shape, keywords)."""

    def samples(rng):
        return [sample(name, normal(rng, *shape), **kwargs) for name, shape, kwargs in samples_of]

    return samples


def _flatten(x, start_dim=0, end_dim=-1):
    if x.ndim == 0:
        return x.reshape(1)
    end = end_dim % x.ndim
    return x.reshape(*x.shape[:start_dim], int(np.prod(x.shape[start_dim : end + 1])), *x.shape[end + 1 :])


def _squeeze(x, dim=None):
    if dim is None:
        return np.squeeze(x)
    dims = [d % x.ndim for d in ((dim,) if isinstance(dim, int) else dim)]
    return x.reshape([n for d, n in enumerate(x.shape) if d not in dims or n != 1])


def _expand(x, sizes):
    full = (1,) * (len(sizes) - x.ndim) + x.shape
    return np.broadcast_to(x, [n if size == -1 else size for n, size in zip(full, sizes, strict=True)])


def _sum_to(x, shape):
    """Summed over the axes along which `shape` would be broadcast to x."""
    lead = x.ndim - len(shape)
    axes = (*range(lead), *(lead + d for d, n in enumerate(shape) if n != x.shape[lead + d]))
    return x.sum(axis=axes).reshape(shape)


def _shape_case(name, op, oracle, samples, **more):
    return OpCase(name, op, oracle, samples, dtypes=FLOATS + INTS, **more)


CASES = [
    _shape_case(
        "reshape",
        lambda x, shape: dc.reshape(x, shape),
        lambda x, shape: np.array([*x.flat]).reshape(shape),
        _of(
            ("split", (2, 6), {"shape": (2, 2, 3)}),
            ("guess one", (2, 3, 4), {"shape": (4, -1)}),
            ("to 0-d", (1, 1), {"shape": ()}),
            ("empty", (0, 3), {"shape": (3, 0, 2)}),
        ),
        errors=[
            bad("another number of elements", ShapeError, r"^reshape: .*\(2, 3\).*\(4, 2\)", _x, shape=(4, 2)),
            bad("guess does not divide", ShapeError, r"^reshape: ", _x, shape=(4, -1)),
            bad("two guesses", ShapeError, r"^reshape: ", _x, shape=(-1, -1)),
            bad("a negative size", ShapeError, r"^reshape: .*\(3, -2\)", _x, shape=(3, -2)),
        ],
    ),
    _shape_case(
        "view",
        lambda x, shape: x.view(*shape),
        lambda x, shape: np.array([*x.flat]).reshape(shape),
        _of(("split", (2, 6), {"shape": (3, -1)}), ("empty", (0, 3), {"shape": (3, 0)})),
        # a view of memory that the new shape cannot describe is refused (PyTorch); reshape copies instead
        tags=frozenset({"contiguous input only"}),
        errors=[
            bad("another number of elements", ShapeError, r"^view: .*\(2, 3\).*\(4, 2\)", _x, shape=(4, 2)),
            bad("a negative size", ShapeError, r"^view: .*\(3, -2\)", _x[:0], shape=(3, -2)),
        ],
    ),
    _shape_case(
        "flatten",
        dc.flatten,
        _flatten,
        _of(
            ("all", (2, 3, 4), {}),
            ("after the batch", (2, 3, 2, 2), {"start_dim": 1}),
            ("middle", (2, 3, 2, 2), {"start_dim": 1, "end_dim": 2}),
            ("0-d", (), {}),
            ("empty", (0, 3, 2), {"start_dim": 1}),
        ),
        errors=[bad("no such dimension", ShapeError, r"^flatten: .*dim=2", _x, start_dim=2)],
    ),
    _shape_case(
        "transpose",
        lambda x, dim0, dim1: dc.transpose(x, dim0, dim1),
        lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1),
        _of(
            ("2-d", (2, 3), {"dim0": 0, "dim1": 1}),
            ("negative", (2, 3, 4), {"dim0": 0, "dim1": -1}),
            ("empty", (0, 3), {"dim0": 1, "dim1": 0}),
        ),
        errors=[bad("no such dimension", ShapeError, r"^transpose: .*dim=2", _x, dim0=0, dim1=2)],
    ),
    _shape_case(
        "T", lambda x: x.T, np.transpose, _of(("2-d", (2, 3), {}), ("empty", (0, 3), {})), names=("transpose",)
    ),
    _shape_case(
        "permute",
        lambda x, dims: dc.permute(x, dims),
        lambda x, dims: np.transpose(x, dims),
        _of(
            ("3-d", (2, 3, 4), {"dims": (2, 0, 1)}),
            ("negative", (2, 3, 4), {"dims": (-1, 0, 1)}),
            ("empty", (0, 3), {"dims": (1, 0)}),
        ),
        errors=[
            bad("too few", ShapeError, r"^permute: .*\(2, 3\)", _x, dims=(0,)),
            bad("twice the same", ShapeError, r"^permute: ", _x, dims=(0, -2)),
        ],
    ),
    _shape_case(
        "squeeze",
        dc.squeeze,
        _squeeze,
        _of(
            ("all", (1, 3, 1, 2), {}),
            ("one", (1, 3, 1), {"dim": -1}),
            ("not of size one", (1, 3, 1), {"dim": 1}),
            ("empty", (0, 1, 3), {"dim": 1}),
        ),
        errors=[bad("no such dimension", ShapeError, r"^squeeze: .*dim=2", _x, dim=2)],
    ),
    _shape_case(
        "unsqueeze",
        dc.unsqueeze,
        lambda x, dim: np.expand_dims(x, dim),
        _of(
            ("first", (2, 3), {"dim": 0}),
            ("last", (2, 3), {"dim": -1}),
            ("0-d", (), {"dim": 0}),
            ("empty", (0,), {"dim": 1}),
        ),
        errors=[bad("no such dimension", ShapeError, r"^unsqueeze: .*dim=3", _x, dim=3)],
    ),
    _shape_case(
        "expand",
        lambda x, sizes: x.expand(*sizes),
        _expand,
        _of(
            ("one", (2, 1), {"sizes": (2, 3)}),
            ("new dimension", (2, 1), {"sizes": (3, -1, 2)}),
            ("0-d", (), {"sizes": (2, 2)}),
            ("empty", (0, 1), {"sizes": (0, 3)}),
        ),
        length=lambda *args, **kwargs: 6,
        errors=[bad("size is not one", ShapeError, r"^expand: .*\(2, 3\).*\(4, 3\)", _x, sizes=(4, 3))],
    ),
    _shape_case(
        "flip",
        lambda x, dims: dc.flip(x, dims),
        lambda x, dims: x[
            tuple(slice(None, None, -1 if d in [k % x.ndim for k in dims] else 1) for d in range(x.ndim))
        ],
        _of(("one", (2, 3), {"dims": (1,)}), ("two", (2, 3, 4), {"dims": (0, -1)}), ("empty", (0, 3), {"dims": (0,)})),
        errors=[bad("no such dimension", ShapeError, r"^flip: .*dim=2", _x, dims=(2,))],
    ),
    _shape_case(
        "movedim",
        lambda x, source, destination: dc.movedim(x, source, destination),
        lambda x, source, destination: np.moveaxis(x, source, destination),
        _of(
            ("forward", (2, 3, 4), {"source": 0, "destination": -1}),
            ("back", (2, 3, 4), {"source": 2, "destination": 0}),
            ("empty", (0, 3), {"source": 0, "destination": 1}),
        ),
        errors=[bad("no such dimension", ShapeError, r"^movedim: .*dim=2", _x, source=2, destination=0)],
    ),
    _shape_case(
        "unflatten",
        dc.unflatten,
        lambda x, dim, sizes: x.reshape(*x.shape[: dim % x.ndim], *sizes, *x.shape[dim % x.ndim + 1 :]),
        _of(
            ("first", (6, 2), {"dim": 0, "sizes": (2, 3)}),
            ("guess one", (2, 6), {"dim": -1, "sizes": (3, -1)}),
            ("empty", (0, 6), {"dim": 1, "sizes": (2, 3)}),
        ),
        errors=[bad("another number of elements", ShapeError, r"^unflatten: .*\(2, 3\)", _x, dim=1, sizes=(2, 2))],
    ),
    _shape_case(
        "broadcast_to",
        lambda x, shape: dc.broadcast_to(x, shape),
        lambda x, shape: np.broadcast_to(x, shape),
        _of(
            ("new dimension", (2, 1), {"shape": (3, 2, 2)}),
            ("0-d", (), {"shape": (2,)}),
            ("empty", (0, 1), {"shape": (0, 3)}),
        ),
        length=lambda *args, **kwargs: 6,
        errors=[bad("size is not one", ShapeError, r"^broadcast_to: .*\(2, 3\).*\(4, 3\)", _x, shape=(4, 3))],
    ),
    OpCase(
        "sum_to",
        lambda x, shape: x.sum_to_size(shape),
        lambda x, shape: _sum_to(x, shape),
        _of(
            ("leading", (3, 2, 4), {"shape": (2, 1)}),
            ("all", (2, 3), {"shape": ()}),
            ("same", (2, 3), {"shape": (2, 3)}),
            ("empty", (0, 3), {"shape": (1, 3)}),
        ),
        length=lambda *args, **kwargs: 24,
        errors=[bad("does not broadcast", ShapeError, r"^sum_to_size: .*\(2, 3\).*\(2,\)", _x, shape=(2,))],
    ),
    _shape_case("clone", dc.clone, np.copy, _of(("2-d", (2, 3), {}), ("0-d", (), {}), ("empty", (0, 3), {}))),
    _shape_case(
        "contiguous", lambda x: x.T.contiguous(), np.transpose, _of(("2-d", (2, 3), {}), ("empty", (0, 3), {}))
    ),
]
