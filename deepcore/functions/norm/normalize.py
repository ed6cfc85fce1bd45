"""Division by a norm of the values themselves: unit vectors, and local response normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.observer import composite
from deepcore.autograd.precision import cast_as_one
from deepcore.backends.base.array import accumulator
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.axes import Dim
from deepcore.functions.elementwise import abs, sqrt
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.reduce import amax, amin, sum
from deepcore.functions.shape import cast

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "local_response_norm",
    "normalize",
]


class ChannelWindowSum(Function):
    """The sum over a window of channels; its transpose is the sum over the mirrored window."""

    def __init__(self, before: int, after: int) -> None:
        self.before, self.after = before, after

    def forward(self, x: Any) -> Any:
        return self.backend.channel_window_sum(x, self.before, self.after)

    def backward(self, gy: Any) -> Any:
        return ChannelWindowSum(self.after, self.before)(gy)


@composite
def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of the squares of `size` channels around) ** beta: x (N, C, ...), as in PyTorch.

    Channels c - size // 2 .. c + (size - 1) // 2; those outside count as zeros. Krizhevsky et al. (2012, section 3.3)
    sum the squares: their alpha is this one divided by size. Raises ShapeError, DTypeError and ConfigError.
    """
    op = "local_response_norm"
    if len(x.shape) < 3:
        raise ShapeError(message(op, "x (N, C, ...) with at least 3 axes", got(x=x)))
    same_dtype(op, x=x)
    if not isinstance(size, int) or size < 1:
        raise ConfigError(message(op, "size as an int, at least 1", f"size={size!r}"))
    wide = cast(x, accumulator(x.dtype))
    total = ChannelWindowSum(size // 2, (size - 1) // 2)(wide * wide)
    return cast(wide / (total * (alpha / size) + k) ** beta, x.dtype)


@cast_as_one
def normalize(x: Tensor, p: float = 2.0, dim: Dim = 1, eps: float = 1e-12) -> Tensor:
    """x / max(norm, eps) with the p-norm over `dim`; p may be 0 (elements other than 0), inf or -inf.

    Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> normalize(dc.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    same_dtype("normalize", x=x)
    wide = cast(x, accumulator(x.dtype))
    return cast(wide / clamp(_p_norm(wide, float(p), dim), min=eps), x.dtype)


def _p_norm(x: Any, p: float, dim: Dim) -> Any:
    """The p-norm with keepdim; its gradient is 0 where the norm is 0."""
    if math.isinf(p):
        return amax(abs(x), dim, keepdim=True) if p > 0 else amin(abs(x), dim, keepdim=True)
    if p == 0:
        return cast(sum(x != 0, dim, keepdim=True), x.dtype)
    if p == 1:
        return sum(abs(x), dim, keepdim=True)
    if p == 2:
        total = sum(x * x, dim, keepdim=True)
    else:
        size = abs(x)
        none = size == 0
        total = sum(where(none, size * 0 if p > 0 else size * 0 + math.inf, where(none, 1.0, size) ** p), dim, True)
    # At 0 the root has no derivative: there the sum itself stands in, which is 0 too and whose gradient is 0.
    zero = total == 0
    inside = where(zero, 1.0, total)
    return where(zero, total, sqrt(inside) if p == 2 else inside ** (1 / p))
