"""Losses for images whose classes are far from balanced: focal loss and Dice loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.precision import cast_as_one
from deepcore.backends.base.array import accumulator
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.activation.basic import sigmoid
from deepcore.functions.arithmetic import where
from deepcore.functions.elementwise import exp
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.loss.classification import (
    _check_reduction,
    _reduce,
    _same_shape,
    binary_cross_entropy_with_logits,
    cross_entropy,
)
from deepcore.functions.reduce import sum
from deepcore.functions.shape import cast, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "dice_loss",
    "focal_loss",
    "sigmoid_focal_loss",
]


@cast_as_one
def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Tensor:
    """Binary cross-entropy of logits times alpha_t (1 - p_t)^gamma, for images that are mostly background.

    inputs: logits, any shape; targets: 0 or 1 of equal shape and dtype; p_t is the probability of the right answer, so
    that what is classified well counts less (Lin et al. 2017, eq. 5).
    alpha: the weight of the positives, 1 - alpha that of the negatives; below 0 there is no such weight.
    Name, arguments and defaults are torchvision's. Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> round(sigmoid_focal_loss(dc.tensor([0.0]), dc.tensor([1.0]), alpha=-1, reduction="sum").item(), 4)  # log(2) / 4
    0.1733
    """
    op = "sigmoid_focal_loss"
    _check_reduction(op, reduction)
    _check_focus(op, gamma)
    if alpha > 1:
        raise ConfigError(message(op, "alpha <= 1, negative for none", got(alpha=alpha)))
    _same_shape(op, inputs, targets)
    same_dtype(op, inputs=inputs, targets=targets)
    loss = binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    if gamma:
        # 1 - p_t without a difference of nearly equal numbers
        wrong = sigmoid(inputs) * (1 - targets) + sigmoid(-inputs) * targets
        loss = loss * _power(wrong, gamma)
    if alpha >= 0:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return _reduce(loss, reduction)


@cast_as_one
def focal_loss(
    input: Tensor, target: Tensor, gamma: float = 2.0, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Cross-entropy of logits times (1 - p_t)^gamma, for more than two classes (Lin et al. 2017, eq. 4).

    input: logits (C,), (N, C) or (N, C, d1, ...); target: integer classes without the axis C. 'mean' divides by the
    number of targets other than ignore_index, as in cross_entropy, whose errors it raises too.
    """
    op = "focal_loss"
    _check_reduction(op, reduction)
    _check_focus(op, gamma)
    loss = cross_entropy(input, target, ignore_index=ignore_index, reduction="none")
    if gamma:
        loss = loss * _power(1 - exp(-loss), gamma)
    if reduction == "mean":
        return sum(loss) / cast(sum(target != ignore_index), loss.dtype)
    return _reduce(loss, reduction)


def _check_focus(op: str, gamma: float) -> None:
    if gamma < 0:
        raise ConfigError(message(op, "gamma >= 0", got(gamma=gamma), "gamma=0 is the plain cross-entropy"))


def _power(x: Any, gamma: float) -> Any:
    """x ** gamma for x >= 0; at 0 the gradient is 0, also where the derivative of the power is infinite."""
    inside = x > 0
    return where(inside, where(inside, x, 1.0) ** gamma, x * 0)


@cast_as_one
def dice_loss(input: Tensor, target: Tensor, smooth: float = 1.0, reduction: str = "mean") -> Tensor:
    """1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), the soft Dice loss.

    input: probabilities p (N, C, d1, ...), after a sigmoid or softmax; target t: 0 or 1 (or probabilities) in the same
    shape and dtype, one-hot for several classes. The sums run over d1, ..., so that every class of every image counts
    the same; 'none' gives (N, C). smooth keeps an empty class from dividing by 0: it has the loss 0 when predicted so.
    After Milletari et al. 2016, with the denominator of Sudre et al. 2017.
    Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> dice_loss(dc.ones(1, 1, 2, 2), dc.ones(1, 1, 2, 2)).item()
    0.0
    """
    op = "dice_loss"
    _check_reduction(op, reduction)
    if smooth < 0:
        raise ConfigError(message(op, "smooth >= 0", got(smooth=smooth)))
    _same_shape(op, input, target)
    same_dtype(op, input=input, target=target)
    if input.ndim < 3:
        hint = "one image of one class is (1, 1, H, W): use reshape"
        raise ShapeError(message(op, "input (N, C, d1, ...)", got(input=input), hint))
    dtype, rows = input.dtype, (*input.shape[:2], math.prod(input.shape[2:]))
    wide = accumulator(dtype)  # an image has more pixels than float16 can count
    p, t = (reshape(cast(x, wide), rows) for x in (input, target))
    both = 2 * sum(p * t, 2) + smooth
    loss = 1 - both / (sum(p, 2) + sum(t, 2) + smooth)
    return cast(_reduce(loss, reduction), dtype)
