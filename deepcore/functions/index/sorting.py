"""Sorting: sort, argsort, topk, unique. NaN counts as the largest number, and equals keep their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.variable import wrap
from deepcore.dtypes import int64
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.axes import normalise_dim
from deepcore.functions.index.gathering import ScatterAlong

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "argsort",
    "sort",
    "topk",
    "unique",
]


class Sort(Function):
    """Values in order along one axis and the places that they came from; `count` keeps the first of them."""

    intermediates = ("place",)

    def __init__(self, dim: int, descending: bool, name: str = "sort", count: int | None = None) -> None:
        self.dim, self.descending, self.name, self.count = dim, descending, name, count

    def forward(self, x: Any) -> Any:
        axis = normalise_dim(self.name, self.dim, x.ndim)
        size = x.shape[axis] if x.ndim else 1
        if self.count is not None and not 0 <= self.count <= size:
            found = got(on=self.backend.device, x=x, k=self.count, dim=self.dim)
            raise ConfigError(message(self.name, f"0 <= k <= {size}, the length of dim", found))
        self.x_shape, xp = x.shape, self.backend.xp
        if x.ndim == 0:
            return x.copy(), xp.zeros((), dtype=int64)
        if self.descending:  # from the back, so that equals keep their order
            place = size - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis=axis, kind="stable"), axis)
        else:
            place = xp.argsort(x, axis=axis, kind="stable")
        if self.count is not None:
            place = place[(slice(None),) * axis + (slice(self.count),)]
        self.place = place = self.backend.contiguous(place.astype(int64, copy=False))
        return xp.take_along_axis(x, place, axis=axis), place

    def backward(self, gy: Any, _: Any = None) -> Any:
        return gy if not self.x_shape else ScatterAlong(self.dim, self.x_shape, repeats=False)(gy, self.place)


def sort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> tuple[Tensor, Tensor]:
    """(values, indices): x in order along `dim`, and the int64 places that the values came from.

    Always stable (equals keep their order); `stable` is there for PyTorch's signature. NaN is the largest number.

    >>> import deepcore as dc
    >>> dc.sort(dc.tensor([3.0, 1.0, 2.0]))
    (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    return Sort(dim, descending)(x)


def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The int64 places that put x in order along `dim`; see sort."""
    return Sort(dim, descending, "argsort")(x.detach())[1]


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """(values, indices) of the k largest (or smallest) along `dim`, in order; of equals the first.

    `sorted=False` allows any order in PyTorch; here it is the same. Raises ConfigError for k beyond the axis.
    """
    return Sort(dim, largest, "topk", k)(x)


def unique(
    x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different values of x (or the different slices along `dim`), in order; each NaN is one of its own.

    return_inverse: also int64 places of x's elements (or slices) in the result; return_counts: how often each occurs.
    The result is always sorted. Its shape depends on the values, so the host waits for the device.
    """
    backend, array = x.backend, x.array
    if dim is not None and x.ndim == 0:
        raise ShapeError(message("unique", "at least one axis, or dim=None", got(x=x, dim=dim)))
    axis = None if dim is None else normalise_dim("unique", dim, x.ndim)
    options = {"return_inverse": True, "return_counts": True, "equal_nan": False}
    if axis is None:
        values, inverse, counts = backend.xp.unique(array.reshape(-1), **options)
    else:
        values, inverse, counts = backend.xp.unique(array, axis=axis, **options)
    inverse = inverse.reshape(x.shape if axis is None else (x.shape[axis],))
    chosen = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    tensors = [wrap(a if a is values else a.astype(int64, copy=False), backend) for a in chosen]
    return tensors[0] if len(tensors) == 1 else tuple(tensors)
