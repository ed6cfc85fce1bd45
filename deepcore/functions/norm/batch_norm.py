"""Batch normalisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.errors import ShapeError, got, message
from deepcore.functions.activation.basic import ReluGrad, relu
from deepcore.functions.elementwise import sqrt
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.reduce import mean, sum
from deepcore.functions.shape import reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "batch_norm",
    "batch_norm_relu",
]


class BatchNorm(Function):
    """Training mode: normalised by the statistics of this batch (Ioffe & Szegedy 2015)."""

    intermediates = ("batch_mean", "batch_var", "rstd")

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        y, self.batch_mean, self.batch_var, self.rstd = self.backend.batch_norm_train(x, w, b, self.eps)
        self.saved = (x, w, b)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, _ = self.saved
        return self.backend.batch_norm_grad(gy, x, self.batch_mean, self.rstd, w)

    def formula(self, x: Any, w: Any, b: Any) -> Any:
        axes = (0, *range(2, x.ndim))
        centred = x - mean(x, axes, keepdim=True)
        y = centred / sqrt(mean(centred * centred, axes, keepdim=True) + self.eps)
        return _affine(y, w, b)


class BatchNormRelu(BatchNorm):
    """relu(batch_norm(x) + residual) in training mode; what the ReLU got is neither written nor kept."""

    def forward(self, x: Any, w: Any, b: Any, residual: Any = None) -> Any:
        result = self.backend.batch_norm_relu_train(x, w, b, self.eps, residual)
        y, self.batch_mean, self.batch_var, self.rstd = result
        self.saved = (x, w, b, residual, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, b, residual, y = self.saved
        return self.backend.batch_norm_relu_grad(
            gy, y, x, self.batch_mean, self.rstd, w, b, residual is not None and self.wants(3)
        )

    def formula(self, x: Any, w: Any, b: Any, residual: Any = None) -> Any:
        y = super().formula(x, w, b)
        return relu(y if residual is None else y + residual)


class BatchNormEval(Function):
    """Evaluation mode: normalised by given statistics, which are constants."""

    name = "batch_norm"

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x: Any, mean_: Any, var_: Any, w: Any, b: Any) -> Any:
        rstd = 1 / self.backend.xp.sqrt(var_ + self.eps)
        self.saved = (x, mean_, rstd, w)
        return self.backend.batch_norm_apply(x, mean_, rstd, w, b)

    def backward(self, gy: Any) -> Any:
        x, mean_, rstd, w = self.saved[:4]
        axes = (0, *range(2, len(x.shape)))
        r = _along(rstd, len(x.shape))
        gx = gy * (r if w is None else r * _along(w, len(x.shape))) if self.wants(0) else None
        gw = sum(gy * (x - _along(mean_, len(x.shape))) * r, axes) if self.wants(3) and w is not None else None
        return gx, None, None, gw, (sum(gy, axes) if self.wants(4) else None)


class BatchNormReluEval(BatchNormEval):
    """relu(batch_norm(x) + residual) in evaluation mode."""

    name = "batch_norm_relu"

    def forward(self, x: Any, mean_: Any, var_: Any, w: Any, b: Any, residual: Any = None) -> Any:
        rstd = 1 / self.backend.xp.sqrt(var_ + self.eps)
        y = self.backend.batch_norm_relu_apply(x, mean_, rstd, w, b, residual)
        self.saved = (x, mean_, rstd, w, y)
        return y

    def backward(self, gy: Any) -> Any:
        g = ReluGrad()(gy, self.saved[4])
        return *super().backward(g), g


def _along(vector: Any, ndim: int) -> Any:
    """(C,) in a shape that broadcasts over axis 1 of ndim axes."""
    return reshape(vector, (1, vector.shape[0]) + (1,) * (ndim - 2))


def _affine(y: Any, w: Any, b: Any) -> Any:
    if w is not None:
        y = y * _along(w, y.ndim)
    return y if b is None else y + _along(b, y.ndim)


@cast_as_one
def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel: x (N, C, ...), all others (C,) or None.

    In training mean and biased var come from the batch, and the running statistics are moved in place by `momentum`
    towards the batch's mean and *unbiased* variance; otherwise they are the running statistics. Raises ShapeError for
    shapes that do not fit and for training on one value per channel.
    """
    op = "batch_norm"
    _check(op, x, running_mean, running_var, weight, bias, training)
    if not training:
        return BatchNormEval(eps)(x, running_mean, running_var, weight, bias)
    fn = BatchNorm(eps)
    y = fn(x, weight, bias)
    _move_both(running_mean, running_var, fn, x, momentum)
    return y


@cast_as_one
def batch_norm_relu(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    residual: Tensor | None = None,
) -> Tensor:
    """relu(batch_norm(...) + residual) in one op: the end of a residual block (He et al. 2016), or without residual.

    The arguments are those of batch_norm; residual has the shape and dtype of x. Raises what batch_norm raises, and
    ShapeError and DTypeError for another residual.
    """
    op = "batch_norm_relu"
    _check(op, x, running_mean, running_var, weight, bias, training)
    if residual is not None:
        if residual.shape != x.shape:
            raise ShapeError(message(op, "a residual in the shape of x", got(x=x, residual=residual)))
        same_dtype(op, x=x, residual=residual)
    if not training:
        return BatchNormReluEval(eps)(x, running_mean, running_var, weight, bias, residual)
    fn = BatchNormRelu(eps)
    y = fn(x, weight, bias, residual)
    _move_both(running_mean, running_var, fn, x, momentum)
    return y


def _check(op: str, x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool) -> None:
    """Raise for shapes and dtypes that do not fit, and for statistics that are missing."""
    others = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    if x.ndim < 2 or any(t is not None and t.shape != (x.shape[1],) for t in others.values()):
        raise ShapeError(message(op, "x (N, C, ...) and (C,) for all others", got(x=x, **others)))
    same_dtype(op, x=x)
    for name, other in others.items():
        if other is not None:
            same_dtype(op, **{name: other})
    if not training and (running_mean is None or running_var is None):
        hint = "pass training=True to use the statistics of the batch"
        raise ShapeError(message(op, "running_mean and running_var in evaluation mode", got(x=x, **others), hint))
    if training and math.prod(x.shape) // max(x.shape[1], 1) == 1:
        hint = "use a larger batch, or eval()"
        raise ShapeError(message(op, "more than one value per channel in training", got(x=x), hint))


def _move_both(running_mean: Any, running_var: Any, fn: BatchNorm, x: Any, momentum: float) -> None:
    """Move the running statistics towards the mean and the unbiased variance of x."""
    count = math.prod(x.shape) // max(x.shape[1], 1)
    if running_mean is not None and running_var is not None and count:
        _move(running_mean, fn.batch_mean, momentum)
        _move(running_var, fn.batch_var * (count / (count - 1)), momentum)


def _move(running: Any, batch: Any, momentum: float) -> None:
    running.array *= 1 - momentum
    running.array += (momentum * batch).astype(running.dtype)
    running._bump_version()
