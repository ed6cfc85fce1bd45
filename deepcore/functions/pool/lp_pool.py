"""Pooling by p-norms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepcore.backends.base.array import accumulator
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.conv.conv2d import Pair
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.pool.pool2d import AvgPool2d, Windows
from deepcore.functions.shape import cast

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "lp_pool2d",
]


def lp_pool2d(
    x: Tensor, norm_type: float, kernel_size: Pair, stride: Pair | None = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x ** p over each window) ** (1 / p): x (N, C, H, W) -> (N, C, OH, OW); stride None means kernel_size.

    Without absolute values, as in PyTorch: for an odd p use it on x >= 0. A window that ceil_mode lets hang over counts
    as if its mean filled it. Where the sum is 0 so is the gradient. Raises ShapeError, DTypeError and ConfigError.

    >>> import deepcore as dc
    >>> lp_pool2d(dc.tensor([[[[3.0, 4.0]]]]), 2, (1, 2))
    tensor([[[[5.]]]])
    """
    op = "lp_pool2d"
    p = float(norm_type)
    if not math.isfinite(p) or p == 0:
        raise ConfigError(message(op, "norm_type finite and not 0", f"norm_type={norm_type}", "max_pool2d is p = inf"))
    windows = Windows(op, kernel_size, stride, 0, 1, ceil_mode)
    if len(x.shape) != 4:
        raise ShapeError(message(op, "x (N, C, H, W)", got(x=x)))
    same_dtype(op, x=x)
    powers = cast(x, accumulator(x.dtype)) ** p
    total = AvgPool2d(windows, True, None)(powers) * math.prod(windows.kernel_size)
    zero = total == 0
    return cast(where(zero, total, where(zero, 1.0, total) ** (1 / p)), x.dtype)
