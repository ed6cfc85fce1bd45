"""Adaptive and p-norm pooling of sequences and volumes: by images, one axis after the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.variable import wrap
from deepcore.backends.base.array import accumulator
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.pool.adaptive import adaptive_max_pool2d
from deepcore.functions.pool.pool1d import _windows1d, _with_row, _without_row
from deepcore.functions.pool.pool2d import AvgPool2d, adaptive_avg_pool2d
from deepcore.functions.pool.pool3d import Triple, avg_pool3d
from deepcore.functions.shape import cast, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool3d",
    "lp_pool1d",
    "lp_pool3d",
]

Sizes = int | tuple[int | None, int | None, int | None]


def _sizes(op: str, x: Any, output_size: Any, axes: int) -> tuple[int, ...]:
    """The sizes of the result, None filled in from x; raises ShapeError."""
    layout = "x (N, C, T)" if axes == 1 else "x (N, C, D, H, W)"
    if len(x.shape) != axes + 2 or 0 in x.shape[2:]:
        raise ShapeError(message(op, f"{layout} with at least one element to pool", got(x=x)))
    same_dtype(op, x=x)
    several = isinstance(output_size, tuple | list)
    given = tuple(output_size) if several else (output_size,) * axes
    whole = all(n is None or (isinstance(n, int) and n >= 1) for n in given)
    if len(given) != axes or not whole or (axes == 1 and None in given):
        expected = "output_size as an int, at least 1" + ("" if axes == 1 else ", or three, each an int or None")
        raise ShapeError(message(op, expected, f"output_size={output_size!r}"))
    return tuple(m if n is None else n for n, m in zip(given, x.shape[2:], strict=True))


def adaptive_avg_pool1d(x: Tensor, output_size: int | tuple[int]) -> Tensor:
    """Means over output_size windows that cover the sequence: x (N, C, T) -> (N, C, OT).

    Window i spans floor(i * T / OT) .. ceil((i + 1) * T / OT); output_size=1 is the mean over time. Raises ShapeError
    and DTypeError.
    """
    (size,) = _sizes("adaptive_avg_pool1d", x, output_size, 1)
    return _without_row(adaptive_avg_pool2d(_with_row(x), (1, size)))


def adaptive_max_pool1d(x: Tensor, output_size: int | tuple[int], return_indices: bool = False) -> Any:
    """Maxima over output_size windows that cover the sequence: x (N, C, T) -> (N, C, OT), windows as for the means.

    The first of equal maxima wins, NaN beats all. With return_indices also the places, int64. Raises ShapeError and
    DTypeError.
    """
    (size,) = _sizes("adaptive_max_pool1d", x, output_size, 1)
    y, indices = adaptive_max_pool2d(_with_row(x), (1, size), return_indices=True)
    return (_without_row(y), _without_row(indices)) if return_indices else _without_row(y)


def adaptive_avg_pool3d(x: Tensor, output_size: Sizes) -> Tensor:
    """Means over windows that cover the volume: x (N, C, D, H, W) -> (N, C, OD, OH, OW); None keeps an axis.

    output_size=1 is global average pooling. Raises ShapeError and DTypeError.
    """
    od, oh, ow = _sizes("adaptive_avg_pool3d", x, output_size, 3)
    n, c, d, h, w = x.shape
    y = adaptive_avg_pool2d(reshape(x, (n, c * d, h, w)), (oh, ow))
    y = adaptive_avg_pool2d(reshape(y, (n, c, d, oh * ow)), (od, oh * ow))
    return reshape(y, (n, c, od, oh, ow))


def adaptive_max_pool3d(x: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """Maxima over windows that cover the volume: x (N, C, D, H, W) -> (N, C, OD, OH, OW); None keeps an axis.

    The first of equal maxima wins, NaN beats all. With return_indices also the places, int64, as (d * H + h) * W + w.
    Raises ShapeError and DTypeError.
    """
    od, oh, ow = _sizes("adaptive_max_pool3d", x, output_size, 3)
    n, c, d, h, w = x.shape
    area = oh * ow
    y, inside = adaptive_max_pool2d(reshape(x, (n, c * d, h, w)), (oh, ow), return_indices=True)
    y, columns = adaptive_max_pool2d(reshape(y, (n, c, d, area)), (od, area), return_indices=True)
    y = reshape(y, (n, c, od, oh, ow))
    if not return_indices:
        return y
    found = columns.array.reshape(n, c, od * area)
    flat = x.backend.xp.take_along_axis(inside.array.reshape(n, c, d * area), found, axis=2)
    return y, wrap((found // area * (h * w) + flat).reshape(y.shape), x.backend)


def _exponent(op: str, norm_type: float) -> float:
    p = float(norm_type)
    if not math.isfinite(p) or p == 0:
        raise ConfigError(message(op, "norm_type finite and not 0", f"norm_type={norm_type}", "max pooling is p = inf"))
    return p


def _root(total: Any, p: float, dtype: Any) -> Any:
    """total ** (1 / p), with the gradient 0 where the sum is 0."""
    zero = total == 0
    return cast(where(zero, total, where(zero, 1.0, total) ** (1 / p)), dtype)


def lp_pool1d(
    x: Tensor,
    norm_type: float,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """(sum of x ** p over each window) ** (1 / p): x (N, C, T) -> (N, C, OT); see `lp_pool2d`.

    >>> import deepcore as dc
    >>> lp_pool1d(dc.tensor([[[3.0, 4.0, 0.0]]]), 2, 2, 1)
    tensor([[[5., 4.]]])
    """
    op = "lp_pool1d"
    p = _exponent(op, norm_type)
    windows = _windows1d(op, x, kernel_size, stride, 0, 1, ceil_mode)
    same_dtype(op, x=x)
    means = AvgPool2d(windows, True, None)(_with_row(cast(x, accumulator(x.dtype)) ** p))
    return _without_row(_root(means * math.prod(windows.kernel_size), p, x.dtype))


def lp_pool3d(
    x: Tensor, norm_type: float, kernel_size: Triple, stride: Triple | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x ** p over each window) ** (1 / p): x (N, C, D, H, W) -> (N, C, OD, OH, OW); see `lp_pool2d`."""
    op = "lp_pool3d"
    p = _exponent(op, norm_type)
    if len(x.shape) != 5:
        raise ShapeError(message(op, "x (N, C, D, H, W)", got(x=x)))
    same_dtype(op, x=x)
    count = math.prod((kernel_size,) * 3 if isinstance(kernel_size, int) else kernel_size)
    means = avg_pool3d(cast(x, accumulator(x.dtype)) ** p, kernel_size, stride, 0, ceil_mode)
    return _root(means * count, p, x.dtype)
