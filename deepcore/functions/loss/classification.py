"""Losses, with PyTorch's `reduction`: 'mean', 'sum' or 'none'."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.backends.base.array import accumulator
from deepcore.dtypes import is_floating
from deepcore.errors import (
    ConfigError,
    DeviceError,
    DTypeError,
    IndexRangeError,
    ShapeError,
    got,
    message,
    nearest,
)
from deepcore.functions.activation.basic import log_softmax, sigmoid
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.elementwise import abs, exp, log, log1p
from deepcore.functions.index.indexing import getitem
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.reduce import mean, sum
from deepcore.functions.shape import broadcast_to, movedim, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
]

REDUCTIONS = ("mean", "sum", "none")


def _reduce(loss: Any, reduction: str) -> Any:
    return mean(loss) if reduction == "mean" else sum(loss) if reduction == "sum" else loss


def _check_reduction(op: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        found = f"reduction={reduction!r}.{nearest(str(reduction), REDUCTIONS)}"
        raise ConfigError(message(op, "reduction 'mean', 'sum' or 'none'", found))


def _same_shape(op: str, x: Any, target: Any) -> None:
    if x.shape != target.shape:
        hint = "reshape one of them; losses do not broadcast"
        raise ShapeError(message(op, "input and target of equal shape", got(input=x, target=target), hint))


class SoftmaxCrossEntropy(Function):
    """-log(softmax(logits)[target]) for each row, in one pass: logits (N, C), target (N,) classes -> (N,).

    reduction="sum" gives their sum, and "mean" the sum divided by the weights of the targets that count.
    """

    name = "cross_entropy"
    intermediates = ("target", "weight", "lse", "count")
    may_overflow = True

    def __init__(
        self, target: Any, weight: Any, ignore_index: int, label_smoothing: float, reduction: str = "none"
    ) -> None:
        self.target, self.weight = target, weight
        self.ignore_index, self.label_smoothing, self.reduction = ignore_index, label_smoothing, reduction

    def forward(self, logits: Any) -> Any:
        losses, self.lse = self.backend.softmax_cross_entropy(
            logits, self.target, self.weight, self.ignore_index, self.label_smoothing
        )
        self.saved = (logits,)
        if self.reduction == "none":
            return losses
        total = losses.sum(dtype=losses.dtype)
        if self.reduction == "sum":
            return total
        self.count = _count(self.target, self.weight, self.ignore_index, losses.dtype)
        return total / self.count

    def backward(self, g: Any) -> Any:
        (logits,) = self.saved
        if self.reduction != "none":
            g = g / self.count if self.reduction == "mean" else g
            g = self.backend.xp.broadcast_to(g, self.target.shape).copy()
        return self.backend.softmax_cross_entropy_grad(
            g, logits, self.target, self.lse, self.weight, self.ignore_index, self.label_smoothing
        )

    def formula(self, logits: Any) -> Any:
        # The same as a product with constant coefficients: loss = -sum_c q[n, c] * log_softmax(logits)[n, c].
        xp, (n, c) = self.backend.xp, logits.shape
        kept = self.target != self.ignore_index
        hot = (self.target.reshape(n, 1) == xp.arange(c)).astype(logits.dtype)
        weight = xp.ones(c, dtype=logits.dtype) if self.weight is None else self.weight
        own = hot * weight
        q = (1 - self.label_smoothing) * own + (self.label_smoothing / c) * weight
        losses = sum(log_softmax(logits, 1) * (-q * kept.reshape(n, 1).astype(logits.dtype)), 1)
        if self.reduction == "mean":
            return sum(losses) / wrap(self.count, losses.backend)
        return losses if self.reduction == "none" else sum(losses)


@cast_as_one
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Softmax and cross-entropy of logits, in one step that does not overflow.

    input: logits (C,), (N, C) or (N, C, d1, ...), floating. target: classes, integer, without the axis C; or
    probabilities in the shape and dtype of input. weight: (C,) of each class. ignore_index: a class without a loss.
    reduction='mean' divides by the summed weights of the targets that count. label_smoothing: the share e of the
    uniform distribution in the target (Szegedy et al. 2016).
    Raises ShapeError, DTypeError, ConfigError, and on host devices IndexRangeError for a class outside 0..C-1 (on a
    GPU, where looking would wait for the device, the loss is NaN).

    >>> import deepcore as dc
    >>> cross_entropy(dc.tensor([[2.0, 0.0]]), dc.tensor([0])).item()  # log(1 + exp(-2))
    0.12692801654338837
    """
    op = "cross_entropy"
    _check_reduction(op, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ConfigError(message(op, "0 <= label_smoothing <= 1", f"label_smoothing={label_smoothing}"))
    if input.ndim < 1 or (weight is not None and weight.shape != (input.shape[1 if input.ndim > 1 else 0],)):
        found = got(input=input, target=target, weight=weight)
        raise ShapeError(message(op, "input (C,), (N, C) or (N, C, ...), weight (C,)", found))
    same_dtype(op, input=input, weight=weight)
    _check_some_class(op, input, target)
    if is_floating(target.dtype):
        return _cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing)
    logits, classes = _rows(op, input, target)
    _check_classes(op, classes, logits.shape[1], ignore_index)
    plain = None if weight is None else weight.array
    loss = SoftmaxCrossEntropy(classes.array, plain, ignore_index, label_smoothing, reduction)(logits)
    return reshape(loss, target.shape) if reduction == "none" else loss


def _rows(op: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Logits as rows (M, C), targets as (M,)."""
    expected = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    if target.shape != expected:
        hint = "class targets have no axis for the classes; probabilities have input's shape and a floating dtype"
        raise ShapeError(message(op, f"target {expected}", got(input=input, target=target), hint))
    if target.dtype.kind not in "iu":
        raise DTypeError(message(op, "integer classes or floating probabilities", got(target=target)))
    if target.backend is not input.backend:
        raise DeviceError(message(op, "input and target on one device", got(input=input, target=target), "use .to()"))
    if input.ndim > 2:
        input = movedim(input, 1, -1)
    return reshape(input, (math.prod(target.shape), input.shape[-1])), reshape(target, (-1,))


def _check_some_class(op: str, input: Any, target: Any) -> None:
    if not input.shape[1 if input.ndim > 1 else 0]:
        raise ShapeError(message(op, "at least one class", got(input=input, target=target)))


def _check_classes(op: str, classes: Any, count: int, ignore_index: int) -> None:
    """Classes outside 0..C-1 are an error where looking does not make the host wait for a device."""
    if not classes.backend.on_host or not classes.array.size:
        return
    array = classes.array
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high < count:
        return
    wrong = array[((array < 0) | (array >= count)) & (array != ignore_index)]
    if wrong.size:
        hint = "count the classes of the data, or pass ignore_index"
        raise IndexRangeError(message(op, f"classes 0..{count - 1}", f"a target of {int(wrong[0])}", hint))


def _reduce_classes(losses: Any, classes: Any, weight: Any, ignore_index: int, reduction: str, shape: Any) -> Any:
    """The losses of rows reduced; 'mean' divides by the weights of the targets that count."""
    if reduction == "none":
        return reshape(losses, shape)
    total = sum(losses)
    if reduction == "sum":
        return total
    plain = None if weight is None else weight.array
    return total / wrap(_count(classes.array, plain, ignore_index, losses.dtype), losses.backend)


def _count(classes: Any, weight: Any, ignore_index: int, dtype: Any) -> Any:
    """The summed weights of the targets that count, on the device: counting does not make the host wait."""
    kept, wide = classes != ignore_index, accumulator(dtype)
    if weight is None:
        return kept.sum(dtype=wide).astype(dtype)
    inside = classes.clip(0, weight.shape[0] - 1)  # the loss of a class outside is NaN already
    return (weight[inside] * kept).sum(dtype=wide).astype(dtype)


def _cross_entropy_of_probabilities(input: Any, target: Any, weight: Any, reduction: str, smoothing: float) -> Any:
    _same_shape("cross_entropy", input, target)
    same_dtype("cross_entropy", input=input, target=target)
    axis = 1 if input.ndim > 1 else 0
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[axis]
    if weight is not None:
        target = target * reshape(weight, (-1,) + (1,) * (input.ndim - 1 - axis))
    losses = -sum(target * log_softmax(input, axis), axis)
    if reduction == "mean":
        return sum(losses) / (math.prod(losses.shape) or math.nan)
    return _reduce(losses, reduction)


@cast_as_one
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-input[target], the loss of log-probabilities: input (C,), (N, C) or (N, C, ...), target integer classes.

    As cross_entropy, without the softmax.
    """
    op = "nll_loss"
    _check_reduction(op, reduction)
    if input.ndim < 1:
        raise ShapeError(message(op, "input (C,), (N, C) or (N, C, ...)", got(input=input, target=target)))
    _check_some_class(op, input, target)
    rows, classes = _rows(op, input, target)
    if weight is not None and weight.shape != rows.shape[1:]:
        raise ShapeError(message(op, f"weight ({rows.shape[1]},)", got(input=input, weight=weight)))
    same_dtype(op, input=input, weight=weight)
    _check_classes(op, classes, rows.shape[1], ignore_index)
    xp, t = input.backend.xp, classes.array
    inside = (t >= 0) & (t < rows.shape[1]) & (t != ignore_index)
    places = xp.where(inside, t, 0)
    weights = xp.ones(t.shape, dtype=input.dtype) if weight is None else weight.array[places]
    # A class outside gives NaN where it could not be an error: a device cannot raise.
    coefficient = xp.where(inside, weights, xp.where(t == ignore_index, 0, math.nan)).astype(input.dtype)
    losses = -getitem(rows, (xp.arange(rows.shape[0]), places)) * coefficient
    return _reduce_classes(losses, classes, weight, ignore_index, reduction, target.shape)


@cast_as_one
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error (input - target) ** 2, equal shapes."""
    _check_reduction("mse_loss", reduction)
    _same_shape("mse_loss", input, target)
    difference = input - target
    return _reduce(difference * difference, reduction)


@cast_as_one
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute error |input - target|, equal shapes."""
    _check_reduction("l1_loss", reduction)
    _same_shape("l1_loss", input, target)
    return _reduce(abs(input - target), reduction)


@cast_as_one
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t * log(p) + (1 - t) * log(1 - p)) of probabilities p, equal shapes; logs are limited to -100 from below.

    Use binary_cross_entropy_with_logits where you can: it loses no digits. Raises ConfigError on host devices for
    probabilities outside [0, 1].
    """
    op = "binary_cross_entropy"
    _check_reduction(op, reduction)
    _same_shape(op, input, target)
    same_dtype(op, input=input, target=target)
    if input.backend.on_host and input.array.size and not bool(((input.array >= 0) & (input.array <= 1)).all()):
        hint = "pass probabilities (sigmoid), or use binary_cross_entropy_with_logits"
        raise ConfigError(message(op, "0 <= input <= 1", got(input=input), hint))
    loss = -(target * clamp(log(input), min=-100.0) + (1 - target) * clamp(log1p(-input), min=-100.0))
    return _reduce(loss if weight is None else loss * weight, reduction)


class BCEWithLogits(Function):
    """max(x, 0) - x * t + log(1 + exp(-|x|)) and its generalisation with a positive weight."""

    name = "binary_cross_entropy_with_logits"
    may_overflow = True

    def forward(self, x: Any, t: Any, weight: Any) -> Any:
        self.saved = (x, t, weight)
        xp = self.backend.xp
        softplus = xp.log1p(xp.exp(-xp.abs(x))) + xp.maximum(-x, 0)  # log(1 + exp(-x)), without overflow
        if weight is None:
            return (1 - t) * x + softplus
        return (1 - t) * x + (1 + (weight - 1) * t) * softplus

    def backward(self, g: Any) -> Any:
        x, t, weight = self.saved
        p = sigmoid(x)
        if weight is None:
            return g * (p - t), (-g * x if self.wants(1) else None), None
        gx = g * ((1 - t) - (1 + (weight - 1) * t) * (1 - p))
        gt = None
        if self.wants(1):
            softplus = log1p(exp(-abs(x))) + where(x < 0, -x, x * 0)
            gt = g * ((weight - 1) * softplus - x)
        return gx, gt, None


@cast_as_one
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Sigmoid and binary cross-entropy of logits in one step that does not overflow; equal shapes.

    pos_weight: a factor of the positive term, broadcast to the shape of input.
    """
    op = "binary_cross_entropy_with_logits"
    _check_reduction(op, reduction)
    _same_shape(op, input, target)
    same_dtype(op, input=input, target=target, pos_weight=pos_weight)
    if pos_weight is not None and pos_weight.shape != input.shape:
        pos_weight = broadcast_to(pos_weight, input.shape)
    loss = BCEWithLogits()(input, target, pos_weight)
    return _reduce(loss if weight is None else loss * weight, reduction)
