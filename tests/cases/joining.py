"""Entries for joining tensors, cutting them up and padding them."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import ConfigError, ShapeError

_x = np.ones((2, 3))


def _cat_samples(rng):
    return [
        sample("rows", normal(rng, 2, 3), normal(rng, 1, 3), normal(rng, 4, 3), dim=0),
        sample("last", normal(rng, 2, 3), normal(rng, 2, 1), dim=-1),
        sample("one", normal(rng, 2, 3), dim=0),
        sample("empty", normal(rng, 0, 3), normal(rng, 2, 3), dim=0),
    ]


def _stack_samples(rng):
    return [
        sample("first", normal(rng, 2, 3), normal(rng, 2, 3), dim=0),
        sample("last", normal(rng, 2, 3), normal(rng, 2, 3), dim=-1),
        sample("0-d", normal(rng), normal(rng), dim=0),
        sample("empty", normal(rng, 0, 3), normal(rng, 0, 3), dim=1),
    ]


def _split(x, size, dim=0):
    sizes = [size] * max(1, -(-x.shape[dim] // size)) if isinstance(size, int) else list(size)
    stops = np.cumsum(sizes)
    return [
        np.take(x, range(stop - n, min(stop, x.shape[dim])), axis=dim) for n, stop in zip(sizes, stops, strict=True)
    ]


def _split_samples(rng):
    return [
        sample("equal", normal(rng, 4, 3), size=2),
        sample("last is smaller", normal(rng, 3, 5), size=2, dim=1),
        sample("sizes", normal(rng, 3, 6), size=(1, 3, 2), dim=-1),
        sample("empty", normal(rng, 0, 4), size=2, dim=1),
    ]


def _chunk(x, chunks, dim=0):
    return _split(x, -(-x.shape[dim] // chunks) or [0] * chunks, dim)


def _chunk_samples(rng):
    return [
        sample("equal", normal(rng, 4, 3), chunks=2),
        sample("last is smaller", normal(rng, 3, 5), chunks=3, dim=1),
        sample("fewer than asked", normal(rng, 5), chunks=4),
        sample("empty", normal(rng, 0, 4), chunks=2, dim=1),
        sample("nothing to cut", normal(rng, 4, 0), chunks=3, dim=1),
    ]


def _unbind_samples(rng):
    return [
        sample("rows", normal(rng, 2, 3)),
        sample("last", normal(rng, 2, 3), dim=-1),
        sample("1-d", normal(rng, 3)),
        sample("empty", normal(rng, 2, 0)),
    ]


def _pad(x, pad, mode="constant", value=0):
    """`pad` counts from the last dimension, as in PyTorch."""
    widths = [(0, 0)] * x.ndim
    for i in range(len(pad) // 2):
        widths[x.ndim - 1 - i] = (pad[2 * i], pad[2 * i + 1])
    cut = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(widths, x.shape, strict=True))
    widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    if mode == "constant":
        return np.pad(x[cut], widths, constant_values=value)
    return np.pad(x[cut], widths, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])


def _pad_samples(rng):
    return [
        sample("last", normal(rng, 2, 3), pad=(1, 2)),
        sample("two", normal(rng, 1, 2, 3, 4), pad=(1, 0, 2, 1), value=1.5),
        sample("cut", normal(rng, 2, 5), pad=(-1, -2)),
        sample("all cut off", normal(rng, 2, 3), pad=(-1, -2)),
        sample("grow and cut", normal(rng, 2, 5), pad=(2, -1, 0, 1), value=-1.0),
        sample("reflect", normal(rng, 1, 2, 3, 4), pad=(2, 1, 1, 2), mode="reflect"),
        sample("replicate", normal(rng, 1, 2, 3, 4), pad=(2, 1, 0, 3), mode="replicate"),
        sample("circular", normal(rng, 1, 2, 3, 4), pad=(2, 1, 1, 2), mode="circular"),
        sample("reflect one dimension", normal(rng, 1, 2, 4), pad=(2, 3), mode="reflect"),
        sample("empty", normal(rng, 0, 2, 3), pad=(1, 1)),
    ]


CASES = [
    OpCase(
        "cat",
        lambda *xs, dim: dc.cat(xs, dim=dim),
        lambda *xs, dim: np.concatenate(xs, axis=dim),
        _cat_samples,
        dtypes=FLOATS + INTS,
        errors=[
            bad("sizes differ", ShapeError, r"^cat: .*\(2, 3\).*\(2, 4\)", _x, np.ones((2, 4)), dim=0),
            bad("no such dimension", ShapeError, r"^cat: ", _x, _x, dim=2),
            bad("nothing to join", ShapeError, r"^cat: ", dim=0),
        ],
    ),
    OpCase(
        "stack",
        lambda *xs, dim: dc.stack(xs, dim=dim),
        lambda *xs, dim: np.stack(xs, axis=dim),
        _stack_samples,
        dtypes=FLOATS + INTS,
        errors=[
            bad("shapes differ", ShapeError, r"^stack: .*\(2, 3\).*\(3, 2\)", _x, np.ones((3, 2)), dim=0),
            bad("nothing to join", ShapeError, r"^stack: ", dim=0),
        ],
    ),
    OpCase(
        "split",
        lambda x, size, dim=0: dc.split(x, list(size) if isinstance(size, tuple) else size, dim=dim),
        _split,
        _split_samples,
        dtypes=FLOATS + INTS,
        errors=[
            bad("sizes do not add up", ShapeError, r"^split: .*\(2, 3\)", _x, size=(1, 1), dim=1),
            bad("size below one", (ShapeError, ConfigError), r"^split: ", _x, size=0),
        ],
    ),
    OpCase(
        "chunk",
        dc.chunk,
        _chunk,
        _chunk_samples,
        dtypes=FLOATS + INTS,
        errors=[bad("no chunks", (ShapeError, ConfigError), r"^chunk: ", _x, chunks=0)],
    ),
    OpCase(
        "unbind",
        dc.unbind,
        lambda x, dim=0: list(np.moveaxis(x, dim, 0)),
        _unbind_samples,
        dtypes=FLOATS + INTS,
        errors=[bad("0-d", ShapeError, r"^unbind: ", np.ones(()))],
    ),
    OpCase(
        "pad",
        F.pad,
        _pad,
        _pad_samples,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 16,
        errors=[
            bad("odd number of widths", (ShapeError, ConfigError), r"^pad: ", _x, pad=(1, 2, 3)),
            bad("more pairs than dimensions", ShapeError, r"^pad: .*\(2, 3\)", _x, pad=(1, 1, 1, 1, 1, 1)),
            bad(
                "reflect wider than the image",
                ShapeError,
                r"^pad: .*\(1, 1, 2, 3\)",
                np.ones((1, 1, 2, 3)),
                pad=(3, 0),
                mode="reflect",
            ),
            bad("unknown mode", ConfigError, r"^pad: .*mirror", _x, pad=(1, 1), mode="mirror"),
            bad("value and mode", ConfigError, r"^pad: .*'replicate'", _x, pad=(1, 1), mode="replicate", value=1.0),
        ],
    ),
]
