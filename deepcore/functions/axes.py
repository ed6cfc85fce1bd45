"""Axis arguments: negative axes, tuples, None, and their errors."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from deepcore.errors import ArgumentError, ShapeError, message

Dim = int | Sequence[int] | None


def normalise_dim(op: str, dim: int, ndim: int) -> int:
    """A single axis as a number from 0; a 0-d tensor takes 0 and -1."""
    if type(dim) is not int:
        dim = _index(op, dim)
    size = max(ndim, 1)
    if not -size <= dim < size:
        raise ShapeError(message(op, f"-{size} <= dim < {size}", f"dim={dim} for a tensor with {ndim} axes"))
    return dim % size


def _index(op: str, dim: Any) -> int:
    """A dim of another integer type, such as NumPy's, as an int."""
    try:
        found = operator.index(dim)
    except TypeError:
        found = None
    if found is None or isinstance(dim, bool):
        raise ArgumentError(message(op, "dim as an int", f"dim={dim!r}"))
    return found


def normalise_dims(op: str, dim: Dim, ndim: int) -> tuple[int, ...]:
    """Several axes as sorted numbers from 0; None and () mean all."""
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        return tuple(range(ndim))
    dims: list[Any] = list(dim) if isinstance(dim, (tuple, list)) else [dim]
    found = [normalise_dim(op, d, ndim) for d in dims]
    if len(set(found)) != len(found):
        raise ShapeError(message(op, "each axis once", f"dim={tuple(dims)}"))
    return () if ndim == 0 else tuple(sorted(found))


def keep_dims(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a reduction over `dims` with keepdim."""
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def flat_ints(op: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike: a tuple of ints."""
    if len(values) == 1 and not isinstance(values[0], int | str | bytes) and hasattr(values[0], "__iter__"):
        values = tuple(values[0])
    try:
        return tuple(v.__index__() for v in values)
    except (AttributeError, TypeError):
        raise ArgumentError(message(op, "ints", repr(values))) from None
