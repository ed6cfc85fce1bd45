"""Pooling in one dimension: images of one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.errors import ShapeError, got, message
from deepcore.functions.conv.conv2d import pair
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.pool.pool2d import AvgPool2d, MaxPool2d, Windows, _pooled_length
from deepcore.functions.shape import reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "avg_pool1d",
    "max_pool1d",
]


def _row(op: str, name: str, value: Any, least: int, rest: int) -> tuple[int, int]:
    """The size of a 1-d window as that of a window over an image of one row."""
    (size,) = value if isinstance(value, tuple | list) and len(value) == 1 else (value,)
    if not isinstance(size, int):
        raise ShapeError(message(op, f"{name} as an int, at least {least}", f"{name}={value!r}"))
    return (rest, pair(op, name, size, least)[1])


def _windows1d(op: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Windows:
    """Windows over rows x (N, C, T); raises ShapeError."""
    if len(x.shape) != 3:
        raise ShapeError(message(op, "x (N, C, T)", got(x=x)))
    kernel = _row(op, "kernel_size", kernel_size, 1, 1)
    windows = Windows(
        op,
        kernel,
        kernel if stride is None else _row(op, "stride", stride, 1, 1),
        _row(op, "padding", padding, 0, 0),
        _row(op, "dilation", dilation, 1, 1),
        ceil_mode,
    )
    sizes = (windows.kernel_size[1], windows.stride[1], windows.padding[1], windows.dilation[1])
    if _pooled_length(x.shape[2], *sizes, ceil_mode) < 1:
        found = got(x=x, kernel_size=kernel[1], padding=windows.padding[1], dilation=windows.dilation[1])
        raise ShapeError(message(op, "a window that fits into the padded input", found))
    return windows


def _with_row(x: Any) -> Any:
    return reshape(x, (*x.shape[:2], 1, x.shape[2]))


def _without_row(x: Any) -> Any:
    return reshape(x, (*x.shape[:2], x.shape[3]))


def max_pool1d(
    x: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window: x (N, C, T) -> (N, C, OT); stride None means kernel_size.

    The first of equal maxima wins and NaN beats all. With return_indices also the places, int64. Raises ShapeError.
    """
    windows = _windows1d("max_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode)
    y, indices = MaxPool2d(windows)(_with_row(x))
    return (_without_row(y), _without_row(indices)) if return_indices else _without_row(y)


def avg_pool1d(
    x: Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window: x (N, C, T) -> (N, C, OT); stride None means kernel_size.

    count_include_pad: padding counts in the divisor. Raises ShapeError and DTypeError.
    """
    windows = _windows1d("avg_pool1d", x, kernel_size, stride, padding, 1, ceil_mode)
    same_dtype("avg_pool1d", x=x)
    return _without_row(AvgPool2d(windows, count_include_pad, None)(_with_row(x)))
