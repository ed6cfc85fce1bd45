"""Maximum pooling undone: every maximum back at its place (Zeiler & Fergus 2014; Badrinarayanan et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.errors import IndexRangeError, ShapeError, got, message
from deepcore.functions.conv.conv2d import Pair
from deepcore.functions.index.places import TakeAtPlaces
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.shape import reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


class MaxUnpool2d(Function):
    """Zeros with each value put at its place in the flattened result."""

    def __init__(self, places: Any, shape: tuple[int, ...]) -> None:
        self.places, self.shape = places, shape

    def forward(self, x: Any) -> Any:
        xp = self.backend.xp
        y = xp.zeros((math.prod(self.shape),), dtype=x.dtype)
        y[xp.maximum(self.places, 0).reshape(-1)] = x.reshape(-1)
        y = y.reshape(self.shape)
        if not self.backend.on_host:  # on the host the places were checked
            y = xp.where((self.places < 0).any(axis=(2, 3), keepdims=True), math.nan, y).astype(x.dtype, copy=False)
        return y

    def backward(self, gy: Any) -> Any:
        return TakeAtPlaces(self.places)(gy)


def max_unpool2d(
    x: Tensor,
    indices: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of max_pool2d put back at their places, zeros elsewhere: x (N, C, OH, OW) -> (N, C, H, W).

    indices: what max_pool2d(..., return_indices=True) gave, int64, h * W + w. The size is (OH - 1) * stride - 2 *
    padding + kernel_size, or output_size (H, W), or a whole shape that ends so, less than one stride away from that.
    Where an index repeats in an image one of its values stands. Zeiler & Fergus (2014); Badrinarayanan et al. (2017).
    Raises ShapeError, DTypeError, and on host devices IndexRangeError for an index outside the image (elsewhere, where
    looking would wait for the device, that image is NaN).

    >>> import deepcore as dc
    >>> max_unpool2d(dc.tensor([[[[5.0]]]]), dc.tensor([[[[2]]]]), 2)
    tensor([[[[0., 0.],
              [5., 0.]]]])
    """
    return _unpool("max_unpool2d", "(N, C, H, W)", x, indices, kernel_size, stride, padding, output_size)


def max_unpool1d(
    x: Tensor,
    indices: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of max_pool1d put back at their places, zeros elsewhere: x (N, C, OT) -> (N, C, T).

    Arguments and errors as of `max_unpool2d`.
    """
    return _unpool("max_unpool1d", "(N, C, T)", x, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    x: Tensor,
    indices: Tensor,
    kernel_size: int | tuple[int, int, int],
    stride: int | tuple[int, int, int] | None = None,
    padding: int | tuple[int, int, int] = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The maxima of max_pool3d put back at their places, zeros elsewhere: x (N, C, OD, OH, OW) -> (N, C, D, H, W).

    Arguments and errors as of `max_unpool2d`; indices as (d * H + h) * W + w.
    """
    return _unpool("max_unpool3d", "(N, C, D, H, W)", x, indices, kernel_size, stride, padding, output_size)


def _unpool(
    op: str, layout: str, x: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    """One of the three; in memory a sequence or a volume is an image of one row."""
    axes = layout.count(",") - 1
    if len(x.shape) != axes + 2 or tuple(x.shape) != tuple(indices.shape) or indices.dtype.kind != "i":
        expected = f"x {layout} and integer indices of the same shape"
        raise ShapeError(message(op, expected, got(x=x, indices=indices)))
    same_dtype(op, x=x)
    size = _unpooled_size(op, x.shape, kernel_size, stride, padding, output_size)
    n, c = x.shape[:2]
    count, pooled = math.prod(size), math.prod(x.shape[2:])
    xp, places = x.backend.xp, indices.array.reshape(n, c, 1, pooled)
    inside = (places >= 0) & (places < count)
    if x.backend.on_host and not bool(inside.all()):
        hint = "pass output_size, the size before pooling"
        raise IndexRangeError(message(op, f"indices 0..{count - 1}", got(x=x, indices=indices), hint))
    image = (xp.arange(n * c) * count).reshape(n, c, 1, 1)
    y = MaxUnpool2d(xp.where(inside, places + image, -1), (n, c, 1, count))(reshape(x, (n, c, 1, pooled)))
    return reshape(y, (n, c, *size))


def _unpooled_size(
    op: str, shape: tuple[int, ...], kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> tuple[int, ...]:
    axes = len(shape) - 2
    kernel = _each(op, "kernel_size", kernel_size, 1, axes)
    step = kernel if stride is None else _each(op, "stride", stride, 1, axes)
    cut = _each(op, "padding", padding, 0, axes)
    usual = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(shape[2:], step, cut, kernel, strict=True))
    if output_size is None:
        size = usual
    else:
        size = tuple(output_size)[-axes:]
        close = len(size) == axes and all(abs(n - u) < s for n, u, s in zip(size, usual, step, strict=True))
        if len(output_size) not in (axes, axes + 2) or not close:
            expected = f"output_size less than stride {step} away from {usual}"
            raise ShapeError(message(op, expected, f"output_size={tuple(output_size)}"))
    if min(size) < 1:
        raise ShapeError(message(op, "at least one element in each axis", f"x {tuple(shape)}, size {size}"))
    return size


def _each(op: str, name: str, value: Any, least: int, axes: int) -> tuple[int, ...]:
    """One number for each axis."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(given) != axes or not all(isinstance(n, int) and n >= least for n in given):
        several = "" if axes == 1 else f", or {axes} of them"
        raise ShapeError(message(op, f"{name} as an int, at least {least}{several}", f"{name}={value!r}"))
    return given
