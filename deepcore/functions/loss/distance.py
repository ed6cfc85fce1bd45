"""Distances, similarities, and the losses made of them: robust regression, ranking, pairs and triplets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.backends.base.array import accumulator
from deepcore.dtypes import floating, is_floating, result_type
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions.activation.gates import logsigmoid
from deepcore.functions.arithmetic import clamp, minimum, where
from deepcore.functions.axes import normalise_dim
from deepcore.functions.elementwise import abs, sign, sqrt
from deepcore.functions.loss.classification import _check_reduction, _reduce, _same_shape, l1_loss
from deepcore.functions.reduce import amax, amin, sum
from deepcore.functions.shape import broadcast_to, cast

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "huber_loss",
    "margin_ranking_loss",
    "pairwise_distance",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]

# What PyTorch adds to the squared lengths in cosine_embedding_loss.
COSINE_EPSILON = 1e-12


class SmoothL1(Function):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = x - t."""

    name = "smooth_l1_loss"
    may_overflow = True

    def __init__(self, beta: float) -> None:
        self.beta = beta

    def forward(self, x: Any, t: Any) -> Any:
        self.saved = (x, t)
        a = self.backend.xp.abs(floating(x - t))
        return self.backend.xp.where(a < self.beta, 0.5 * a * (a / self.beta), a - 0.5 * self.beta)

    def backward(self, gy: Any) -> Any:
        x, t = self.saved
        gx = gy * clamp((x - t) / self.beta, -1.0, 1.0)
        return gx, (-gx if self.wants(1) else None)


class Huber(Function):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = x - t."""

    name = "huber_loss"
    may_overflow = True

    def __init__(self, delta: float) -> None:
        self.delta = delta

    def forward(self, x: Any, t: Any) -> Any:
        self.saved = (x, t)
        a = self.backend.xp.abs(floating(x - t))
        return self.backend.xp.where(a <= self.delta, 0.5 * a * a, self.delta * (a - 0.5 * self.delta))

    def backward(self, gy: Any) -> Any:
        x, t = self.saved
        gx = gy * clamp(x - t, -self.delta, self.delta)
        return gx, (-gx if self.wants(1) else None)


def _widened(*tensors: Any) -> tuple[Any, list[Any]]:
    """The dtype of the result, and the tensors with 16 bits as float32: squares and small epsilons need its range."""
    dtype = tensors[0].dtype
    for t in tensors[1:]:
        dtype = result_type(tensors[0], t)
    return dtype, [cast(t, accumulator(t.dtype)) for t in tensors]


def _narrowed(y: Any, dtype: Any) -> Any:
    return cast(y, dtype) if accumulator(dtype) != dtype else y


def _broadcast(op: str, **tensors: Any) -> None:
    try:
        np.broadcast_shapes(*(t.shape for t in tensors.values()))
    except ValueError:
        hint = "trailing axes must be equal or 1"
        raise ShapeError(message(op, "shapes that broadcast", got(**tensors), hint)) from None


@cast_as_one
def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = input - target; equal shapes.

    beta=0 is l1_loss. It is huber_loss with delta=beta, divided by beta (Girshick 2015, "Fast R-CNN").
    Raises ConfigError for beta < 0, ShapeError for shapes that differ.
    """
    op = "smooth_l1_loss"
    _check_reduction(op, reduction)
    _same_shape(op, input, target)
    if not beta >= 0:
        raise ConfigError(message(op, "beta >= 0", f"beta={beta}"))
    if beta == 0:
        return l1_loss(input, target, reduction)
    dtype, (x, t) = _widened(input, target)
    return _narrowed(_reduce(SmoothL1(beta)(x, t), reduction), dtype)


@cast_as_one
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = input - target; equal shapes (Huber 1964).

    weight: a factor of each loss, in the shape of input. Raises ConfigError for delta <= 0, ShapeError for shapes that
    differ.

    >>> import deepcore as dc
    >>> huber_loss(dc.tensor([0.5, 3.0]), dc.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    op = "huber_loss"
    _check_reduction(op, reduction)
    _same_shape(op, input, target)
    if not delta > 0:
        raise ConfigError(message(op, "delta > 0", f"delta={delta}"))
    if weight is not None and weight.shape != input.shape:
        raise ShapeError(message(op, "weight in the shape of input", got(input=input, weight=weight)))
    dtype, (x, t) = _widened(input, target)
    loss = Huber(delta)(x, t)
    return _narrowed(_reduce(loss if weight is None else loss * weight, reduction), dtype)


def _length(d: Any, p: float, dim: int, keepdim: bool) -> Any:
    """The p-norm of d along `dim`; its gradient is 0 where d or the norm is 0, as in PyTorch."""
    if p == 0:
        return sum(sign(abs(d)), dim, keepdim)  # how many are not 0
    if p == 1:
        return sum(abs(d), dim, keepdim)
    if p in (math.inf, -math.inf):
        return (amax if p > 0 else amin)(abs(d), dim, keepdim)
    if p < 0 and 0 in d.shape[dim:]:
        raise ShapeError(message("norm", f"at least one element for p={p}", got(x=d)))
    total = sum(d * d if p == 2 else _power(abs(d), p), dim, keepdim)
    zero = total == 0
    inside = where(zero, 1.0, total)
    return where(zero, 0.0, sqrt(inside) if p == 2 else inside ** (1 / p))


def _power(a: Any, p: float) -> Any:
    if p < 0:
        return a**p
    zero = a == 0
    return where(zero, 0.0, where(zero, 1.0, a) ** p)


@cast_as_one
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis: (N, D) or (D,), broadcast -> (N,) or (); keepdim: (N, 1).

    p may be 0 (how many are not 0), inf or negative. Raises ShapeError for shapes that do not broadcast.

    >>> import deepcore as dc
    >>> pairwise_distance(dc.tensor([[3.0, 4.0]]), dc.zeros(1, 2))
    tensor([5.])
    """
    _broadcast("pairwise_distance", x1=x1, x2=x2)
    dtype, (a, b) = _widened(x1, x2)
    return _narrowed(_length(a - b + eps, p, -1, keepdim), dtype)


@cast_as_one
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`; shapes broadcast, and `dim` counts in the broadcast one.

    Raises ShapeError, and DTypeError where neither is floating.
    """
    op = "cosine_similarity"
    _broadcast(op, x1=x1, x2=x2)
    if not is_floating(x1.dtype) and not is_floating(x2.dtype):
        raise DTypeError(message(op, "a floating dtype", got(x1=x1, x2=x2), "convert with .float()"))
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    axis = normalise_dim(op, dim, len(shape))
    dtype, (a, b) = _widened(x1, x2)
    a, b = (broadcast_to(v, shape) for v in (a, b))  # first: a repeated element counts in the length as often
    product = _unit(a, axis, eps) * _unit(b, axis, eps)
    return _narrowed(sum(product, axis), dtype)


def _unit(x: Any, axis: int, eps: float) -> Any:
    """x divided by its length along `axis`, or by eps where it is shorter."""
    return x / clamp(_length(x, 2, axis, True), min=eps)


def _hinge(x: Any) -> Any:
    """max(x, 0); as in PyTorch the gradient passes at 0."""
    return clamp(x, min=0.0)


@cast_as_one
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.

    input1, input2: (N, D) with target (N,), or (D,) with target (). Raises ShapeError for others.
    """
    op = "cosine_embedding_loss"
    _check_reduction(op, reduction)
    _broadcast(op, input1=input1, input2=input2)
    shape = np.broadcast_shapes(input1.shape, input2.shape)
    if target.ndim > 1 or input1.ndim != target.ndim + 1 or input2.ndim != input1.ndim or target.shape != shape[:-1]:
        found = got(input1=input1, input2=input2, target=target)
        raise ShapeError(message(op, "inputs (N, D) with target (N,), or (D,) with ()", found))
    dtype, (a, b) = _widened(input1, input2)
    squares = (sum(a * a, -1) + COSINE_EPSILON) * (sum(b * b, -1) + COSINE_EPSILON)
    cos = sum(a * b, -1) / sqrt(squares)
    losses = where(target == 1, 1 - cos, 0.0) + where(target == -1, _hinge(cos - margin), 0.0)
    return _narrowed(_reduce(losses, reduction), dtype)


@cast_as_one
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1; input is a distance; equal shapes."""
    _check_reduction("hinge_embedding_loss", reduction)
    _same_shape("hinge_embedding_loss", input, target)
    losses = where(target != 1, _hinge(margin - input), 0.0) + where(target != -1, input, 0.0)
    return _reduce(losses, reduction)


@cast_as_one
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin): target 1 where input1 shall be larger, -1 where input2 shall.

    Equally many axes, which broadcast. Raises ShapeError for others.
    """
    op = "margin_ranking_loss"
    _check_reduction(op, reduction)
    _broadcast(op, input1=input1, input2=input2, target=target)
    if input1.ndim != input2.ndim or input1.ndim != target.ndim:
        found = got(input1=input1, input2=input2, target=target)
        raise ShapeError(message(op, "equally many axes for all", found))
    return _reduce(_hinge(-target * (input1 - input2) + margin), reduction)


@cast_as_one
def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target * input)), without overflow, for targets of 1 and -1; equal shapes."""
    _check_reduction("soft_margin_loss", reduction)
    _same_shape("soft_margin_loss", input, target)
    return _reduce(-logsigmoid(target * input), reduction)


@cast_as_one
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin + |anchor - positive| - |anchor - negative|) with `pairwise_distance`: (N, D) or (D,), broadcast.

    swap: the smaller of |anchor - negative| and |positive - negative| counts (Balntas et al. 2016).
    Raises ConfigError for margin <= 0, ShapeError.
    """
    op = "triplet_margin_loss"
    _check_reduction(op, reduction)
    if not margin > 0:
        raise ConfigError(message(op, "margin > 0", f"margin={margin}"))
    given = {"anchor": anchor, "positive": positive, "negative": negative}
    _broadcast(op, **given)
    if anchor.ndim != positive.ndim or anchor.ndim != negative.ndim:
        raise ShapeError(message(op, "equally many axes for all", got(**given)))
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(_hinge(margin + near - far), reduction)
