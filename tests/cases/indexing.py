"""Entries for x[...]: slices, integers, new axes, boolean masks, arrays of integers, and mixtures."""

from __future__ import annotations

import numpy as np

from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import DTypeError, IndexRangeError


def _pick(x, *arrays, key):
    """x[key], where the strings 'a', 'b' in the key stand for the first and the second array argument."""
    return x[tuple(arrays["ab".index(k)] if isinstance(k, str) else k for k in key)]


def _samples(rng):
    x = normal(rng, 3, 4, 5)
    rows, columns = np.array([2, 0, 2, -1]), np.array([1, 1, 3, -2])
    mask = rng.random((3, 4)) < 0.5
    everything = slice(None)
    return [
        sample("integer", x, key=(1,)),
        sample("to 0-d", x, key=(0, -1, 2)),
        sample("slices", x, key=(slice(1, None), slice(None, None, 2), slice(-3, -1))),
        sample("backwards", x, key=(everything, slice(None, None, -1))),
        sample("new axis and ellipsis", x, key=(None, 1, Ellipsis, None)),
        sample("empty", x, key=(slice(3, 3),)),
        sample("rows", x, rows, key=("a",)),
        sample("pairs", x, rows, columns, key=("a", "b")),
        sample("grid of positions", x, rows.reshape(4, 1), columns[:2], key=("a", "b")),
        sample("slice and integer", x, key=(everything, slice(0, 2), 1)),
        sample("array behind a slice", x, columns, key=(everything, "a")),
        sample("arrays apart", x, rows, columns, key=("a", everything, "b")),
        sample("array and integer", x, columns, key=(1, "a")),
        sample("array, slice, new axis", x, columns, key=(slice(1, 3), None, "a", slice(None, None, 2))),
        sample("mask of the whole", x, x > 0, key=("a",)),
        sample("mask of two dimensions", x, mask, key=("a",)),
        sample("mask behind a slice", x, mask[0], key=(everything, "a")),
        sample("mask of nothing", x, np.zeros(3, dtype=bool), key=("a",)),
        sample("no rows", x, rows[:0], key=("a",)),
    ]


_x = np.ones((3, 4))

CASES = [
    OpCase(
        "getitem",
        _pick,
        _pick,
        _samples,
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 4,
        errors=[
            bad("integer outside", IndexRangeError, r"(index|getitem).*\(3, 4\)", _x, key=(3,)),
            bad("array outside", IndexRangeError, r"(index|getitem)", _x, np.array([0, 3]), key=("a",)),
            bad("too many", IndexRangeError, r"(index|getitem).*\(3, 4\)", _x, key=(0, 0, 0)),
            bad(
                "mask of another shape",
                IndexRangeError,
                r"(index|getitem).*\(3, 4\)",
                _x,
                np.ones(4, dtype=bool),
                key=("a",),
            ),
            bad(
                "float index",
                DTypeError,
                r"(index|getitem).*float64",
                _x,
                np.array([0.0, 1.0]),
                key=("a",),
            ),
        ],
    ),
]
