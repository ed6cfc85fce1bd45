"""Matrix products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.dtypes import is_floating, promote
from deepcore.errors import DTypeError, ShapeError, got, message
from deepcore.functions.reduce import sum
from deepcore.functions.shape import reshape, sum_to, transpose, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "dot",
    "linear",
    "matmul",
]


class Matmul(Function):
    """a @ b with NumPy's rules: 1-d operands are vectors, leading axes are batches and broadcast."""

    def forward(self, a: Any, b: Any) -> Any:
        if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            expected = "x.shape[-1] == other.shape[-2], each at least 1-d"
            raise ShapeError(message("matmul", expected, got(on=self.backend.device, x=a, other=b)))
        self.saved = (a, b)
        try:
            return self.backend.matmul(*promote(a, b))
        except ValueError:
            raise ShapeError(
                message("matmul", "batch axes that broadcast", got(on=self.backend.device, x=a, other=b))
            ) from None

    def backward(self, gy: Any) -> Any:
        a, b = self.saved
        a_vector, b_vector = len(a.shape) == 1, len(b.shape) == 1
        a2 = unsqueeze(a, 0) if a_vector else a
        b2 = unsqueeze(b, 1) if b_vector else b
        if b_vector:
            gy = unsqueeze(gy, -1)
        if a_vector:
            gy = unsqueeze(gy, -2)
        ga = gb = None
        if self.wants(0):
            ga = reshape(_fit_batch(matmul(gy, transpose(b2, -1, -2)), a2.shape), a.shape)
        if self.wants(1):
            gb = reshape(_fit_batch(matmul(transpose(a2, -1, -2), gy), b2.shape), b.shape)
        return ga, gb


def _fit_batch(g: Any, shape: tuple[int, ...]) -> Any:
    return sum_to(g, tuple(shape))


class Linear(Function):
    """x @ w.T + b in one call."""

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        self.check(x, w, b)
        self.saved = (x, w)
        return self.backend.linear(x, w, b)

    def backward(self, gy: Any) -> Any:
        x, w = self.saved
        return *self.input_grads(gy, x, w), (bias_grad(self, gy, -1) if self.wants(2) else None)

    def check(self, x: Any, w: Any, b: Any) -> None:
        """Raise ShapeError or DTypeError for operands that do not fit."""
        if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1] or (b is not None and b.shape != w.shape[:1]):
            expected = "x (..., D), weight (O, D), bias (O,) or None"
            raise ShapeError(message("linear", expected, got(on=self.backend.device, x=x, weight=w, bias=b)))
        same_dtype("linear", self.backend.device, x=x, weight=w, bias=b)

    def input_grads(self, gy: Any, x: Any, w: Any) -> tuple[Any, Any]:
        """(gx, gw), each None where it is not wanted."""
        rows = math.prod(x.shape[:-1])  # said in full: -1 cannot be told where there are no features
        g = reshape(gy, (rows, w.shape[0])) if len(gy.shape) != 2 else gy
        gx = matmul(gy, w) if self.wants(0) else None
        gw = None
        if self.wants(1):
            x = reshape(x, (rows, w.shape[1])) if len(x.shape) != 2 else x
            gw = matmul(transpose(g, 0, 1), x)
        return gx, gw


def bias_grad(fn: Function, gy: Any, axis: int) -> Any:
    """The gradient of a bias along `axis`: gy summed over every other axis."""
    if not hasattr(gy, "backend"):
        return fn.backend.bias_grad(gy, axis)
    others = tuple(i for i in range(len(gy.shape)) if i != axis % len(gy.shape))
    return sum(gy, others) if others else gy  # a sum over no axes would be one over all


def same_dtype(op: str, on: str | None = None, /, **arrays: Any) -> None:
    """Raise DTypeError unless all arrays (None left out) share one floating dtype; `on` names their device."""
    dtypes = {a.dtype for a in arrays.values() if a is not None}
    if len(dtypes) > 1 or not is_floating(dtypes.pop()):
        given = {name: a for name, a in arrays.items() if a is not None}
        hint = "convert with .to(dtype), for example x.float()"
        raise DTypeError(message(op, "one floating dtype for all", got(on, **given), hint))


def matmul(x: Tensor, other: Tensor) -> Tensor:
    """Matrix product x @ other: (..., n, k) @ (..., k, m) -> (..., n, m); 1-d operands are vectors.

    Raises ShapeError when the inner sizes differ.
    """
    return Matmul()(x, other)


@cast_as_one
def dot(x: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors (D,)."""
    if len(x.shape) != 1 or len(other.shape) != 1:
        raise ShapeError(message("dot", "two 1-d tensors", got(x=x, other=other)))
    return Matmul()(x, other)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias: x (..., D), weight (O, D), bias (O,) or None -> (..., O).

    Raises ShapeError or DTypeError for operands that do not fit.
    """
    return Linear()(x, weight, bias)
