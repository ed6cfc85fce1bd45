"""Elements chosen by a mask: masked_fill, masked_select, nonzero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.observer import composite
from deepcore.autograd.variable import wrap
from deepcore.dtypes import int64, result_type
from deepcore.errors import DTypeError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.index.indexing import getitem
from deepcore.functions.shape import broadcast_to, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "masked_fill",
    "masked_select",
    "nonzero",
]


def _check_mask(op: str, x: Any, mask: Any) -> None:
    if getattr(getattr(mask, "dtype", None), "kind", "") != "b":
        raise DTypeError(message(op, "a bool mask", got(x=x, mask=mask), "compare first, for example x > 0"))


def masked_fill(x: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """x with `value` where the bool mask holds; shapes broadcast.

    value: a number or a 0-d tensor. Raises DTypeError where it does not fit the dtype of x, as 0.5 does not an integer.
    """
    _check_mask("masked_fill", x, mask)
    if getattr(value, "shape", ()) != ():
        raise ShapeError(message("masked_fill", "value as a number or a 0-d tensor", got(x=x, value=value)))
    if isinstance(value, float) and x.dtype.kind in "iu" and value.is_integer():
        value = int(value)
    if result_type(x, value) != x.dtype:
        raise DTypeError(message("masked_fill", f"a value that fits {x.dtype}", got(x=x, value=value)))
    return where(mask, value, x)


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements of x where the bool mask holds, as one axis; x and mask broadcast against each other.

    The shape depends on the values, so the host waits for the device.
    """
    _check_mask("masked_select", x, mask)
    try:
        shape = np.broadcast_shapes(x.shape, mask.shape)
    except ValueError:
        raise ShapeError(message("masked_select", "shapes that broadcast", got(x=x, mask=mask))) from None
    if not shape:
        return getitem(reshape(x, (1,)), reshape(mask, (1,)))
    return getitem(broadcast_to(x, shape), broadcast_to(mask, shape))


@composite
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """The places where x is not 0: (count, ndim) int64, or with as_tuple one tensor (count,) an axis, for x[...].

    The shape depends on the values, so the host waits for the device.
    """
    backend = x.backend
    array = x.array if x.ndim else x.array.reshape(1)
    found = [f.astype(int64, copy=False) for f in backend.xp.nonzero(array)]
    if as_tuple:
        return tuple(wrap(f, backend) for f in found)
    if x.ndim == 0:
        return wrap(backend.xp.zeros((found[0].size, 0), dtype=int64), backend)
    return wrap(backend.xp.stack(found, axis=-1), backend)
