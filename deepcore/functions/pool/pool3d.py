"""Pooling of volumes: a window is a rectangle in each slice, then a column of slices, so two 2-d poolings make it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.variable import wrap
from deepcore.backends.base.array import accumulator
from deepcore.errors import ShapeError, got, message
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.pool.pool2d import AvgPool2d, MaxPool2d, Windows, _pooled_length
from deepcore.functions.shape import cast, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "avg_pool3d",
    "max_pool3d",
]

Triple = int | tuple[int, int, int]


def _triple(op: str, name: str, value: Any, least: int) -> tuple[int, int, int]:
    values = (value,) * 3 if isinstance(value, int) else tuple(value) if hasattr(value, "__iter__") else ()
    if len(values) != 3 or not all(isinstance(v, int) and v >= least for v in values):
        raise ShapeError(message(op, f"{name} as an int or three ints, at least {least}", f"{name}={value!r}"))
    return values


def _windows(
    op: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Windows, Windows]:
    """The windows over a slice (H, W) and those over the slices (D, 1); raises ShapeError."""
    if len(x.shape) != 5:
        raise ShapeError(message(op, "x (N, C, D, H, W)", got(x=x)))
    kernel = _triple(op, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else _triple(op, "stride", stride, 1)
    pads, gaps = _triple(op, "padding", padding, 0), _triple(op, "dilation", dilation, 1)
    sizes = zip(x.shape[2:], kernel, steps, pads, gaps, strict=True)
    if min(_pooled_length(*size, ceil_mode) for size in sizes) < 1:
        found = got(x=x, kernel_size=kernel, padding=pads, dilation=gaps)
        raise ShapeError(message(op, "a window that fits into the padded input", found))
    return (
        Windows(op, kernel[1:], steps[1:], pads[1:], gaps[1:], ceil_mode),
        Windows(op, (kernel[0], 1), (steps[0], 1), (pads[0], 0), (gaps[0], 1), ceil_mode),
    )


def _as_slices(x: Any) -> Any:
    """(N, C, D, H, W) as images (N, C * D, H, W)."""
    n, c, d, h, w = x.shape
    return reshape(x, (n, c * d, h, w))


def _as_columns(y: Any, x_shape: tuple[int, ...]) -> Any:
    """Pooled slices (N, C * D, OH, OW) as images (N, C, D, OH * OW)."""
    return reshape(y, (*x_shape[:3], y.shape[2] * y.shape[3]))


def max_pool3d(
    x: Tensor,
    kernel_size: Triple,
    stride: Triple | None = None,
    padding: Triple = 0,
    dilation: Triple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window: x (N, C, D, H, W) -> (N, C, OD, OH, OW); stride None means kernel_size.

    The first of equal maxima wins and NaN beats all. With return_indices also the places, int64, as
    (d * H + h) * W + w. Raises ShapeError.
    """
    in_slice, over_slices = _windows("max_pool3d", x, kernel_size, stride, padding, dilation, ceil_mode)
    y, places = MaxPool2d(in_slice)(_as_slices(x))
    size = y.shape[2:]
    z, columns = MaxPool2d(over_slices)(_as_columns(y, x.shape))
    z = reshape(z, (*z.shape[:3], *size))
    if not return_indices:
        return z
    n, c, d, h, w = x.shape
    xp, area = x.backend.xp, size[0] * size[1]
    found = columns.array.reshape(n, c, columns.shape[2] * area)
    inside = xp.take_along_axis(places.array.reshape(n, c, d * area), xp.maximum(found, 0), axis=2)
    indices = xp.where((found < 0) | (inside < 0), -1, found // area * (h * w) + inside)
    return z, wrap(indices.reshape(z.shape), x.backend)


def avg_pool3d(
    x: Tensor,
    kernel_size: Triple,
    stride: Triple | None = None,
    padding: Triple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: x (N, C, D, H, W) -> (N, C, OD, OH, OW); stride None means kernel_size.

    count_include_pad: padding counts in the divisor. divisor_override: divide by this number instead.
    Raises ShapeError, as PyTorch also where the volume without its padding is smaller than the window; and DTypeError.
    """
    op = "avg_pool3d"
    if divisor_override is not None and divisor_override == 0:
        raise ShapeError(message(op, "divisor_override other than 0", "divisor_override=0"))
    in_slice, over_slices = _windows(op, x, kernel_size, stride, padding, 1, ceil_mode)
    kernel = (over_slices.kernel_size[0], *in_slice.kernel_size)
    if any(size < k for size, k in zip(x.shape[2:], kernel, strict=True)):
        raise ShapeError(message(op, "a volume at least as large as the window", got(x=x, kernel_size=kernel)))
    same_dtype(op, x=x)
    divisor = None if divisor_override is None else 1  # the sums of a window's slices, and their sum
    y = AvgPool2d(in_slice, count_include_pad, divisor)(_as_slices(cast(x, accumulator(x.dtype))))
    z = AvgPool2d(over_slices, count_include_pad, divisor)(_as_columns(y, x.shape))
    z = reshape(z, (*z.shape[:3], *y.shape[2:]))
    return cast(z if divisor_override is None else z / divisor_override, x.dtype)
