"""Axis arguments: negative axes, tuples, None, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore.errors import ShapeError, message

Dim = int | Sequence[int] | None


def normalise_dim(op: str, dim: int, ndim: int) -> int:
    """A single axis as a number from 0; a 0-d tensor takes 0 and -1."""
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(message(op, "dim as an int", f"dim={dim!r}"))
    size = max(ndim, 1)
    if not -size <= dim < size:
        raise ShapeError(message(op, f"-{size} <= dim < {size}", f"dim={dim} for a tensor with {ndim} axes"))
    return dim % size


def normalise_dims(op: str, dim: Dim, ndim: int) -> tuple[int, ...]:
    """Several axes as sorted numbers from 0; None and () mean all."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    dims = [dim] if isinstance(dim, int) else list(dim)
    found = [normalise_dim(op, d, ndim) for d in dims]
    if len(set(found)) != len(found):
        raise ShapeError(message(op, "each axis once", f"dim={tuple(dims)}"))
    return () if ndim == 0 else tuple(sorted(found))


def keep_dims(shape: tuple[int, ...], dims: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a reduction over `dims` with keepdim."""
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def flat_ints(op: str, values: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` alike: a tuple of ints."""
    if len(values) == 1 and not isinstance(values[0], int) and hasattr(values[0], "__iter__"):
        values = tuple(values[0])
    try:
        return tuple(v.__index__() for v in values)
    except (AttributeError, TypeError):
        raise TypeError(message(op, "ints", repr(values))) from None
