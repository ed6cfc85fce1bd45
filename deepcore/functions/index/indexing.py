"""Indexing with slices, integers, integer and bool tensors, as in NumPy; and its reverse, adding values at an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.autograd.variable import Variable
from deepcore.errors import DeviceError, DTypeError, IndexRangeError, got, message

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "getitem",
]


class GetItem(Function):
    """x[index]: a view for slices and integers, a copy for index arrays."""

    widens = False
    name = "getitem"

    def __init__(self, index: Any) -> None:
        self.index = index
        self.view = self.takes_part = _is_basic(index)

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        if self.view and not x.flags.c_contiguous and min(x.strides) > 0:
            self.memory_order = tuple(sorted(range(x.ndim), key=lambda axis: -x.strides[axis]))
        try:
            return x[self.index]
        except IndexError as error:
            raise IndexRangeError(message("getitem", f"an index within {x.shape}", str(error))) from None

    def backward(self, gy: Any) -> Any:
        return IndexAdd(self.index, self.x_shape)(gy)


class IndexAdd(Function):
    """Zeros of a shape with values added at an index; where an index repeats, they add up."""

    def __init__(self, index: Any, shape: tuple[int, ...]) -> None:
        self.index, self.shape = index, shape

    def forward(self, g: Any) -> Any:
        if _is_basic(self.index):  # no element is met twice
            out = self.backend.xp.zeros(self.shape, dtype=g.dtype)
            out[self.index] = g
            return out
        return self.backend.index_add(self.shape, g.dtype, self.index, g)

    def backward(self, gy: Any) -> Any:
        return GetItem(self.index)(gy)


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or (isinstance(p, slice | int) and not isinstance(p, bool)) for p in parts)


def plain_index(x: Any, index: Any) -> Any:
    """An index without tensors: tensors become their arrays, lists become arrays on the tensor's device."""
    if isinstance(index, tuple):
        return tuple(_plain_part(x, part) for part in index)
    return _plain_part(x, index)


def _plain_part(x: Any, part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice | bool):
        return part
    if isinstance(part, Variable):
        if part.backend is not x.backend:
            hint = f'move the index with .to("{x.device}")'
            raise DeviceError(message("getitem", "an index on the tensor's device", got(x=x, index=part), hint))
        part = part.array
    elif x.backend.is_array(part):
        pass  # an array has __index__ too: asking for it would copy to the host
    elif isinstance(part, list | np.ndarray):
        host = np.asarray(part)
        part = x.backend.from_host(host if host.size else host.astype(np.int64))
    elif hasattr(part, "__index__"):
        return part.__index__()
    if getattr(getattr(part, "dtype", None), "kind", "") not in ("i", "u", "b"):
        raise DTypeError(message("getitem", "slices, integers, bool or integer tensors", got(index=part)))
    return part


def getitem(x: Tensor, index: Any) -> Tensor:
    """x[index], as in NumPy."""
    return GetItem(plain_index(x, index) if isinstance(x, Variable) else index)(x)
