"""Activations made of pieces: step, and the relatives of ReLU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import Variable
from deepcore.dtypes import floating
from deepcore.errors import ArgumentError, ConfigError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.elementwise import exp
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.shape import reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "elu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "identity",
    "prelu",
    "relu6",
    "selu",
    "step",
]

# Klambauer et al. 2017, "Self-Normalizing Neural Networks": with these, mean 0 and variance 1 are a fixed point.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class Step(Function):
    """1 where x > 0, else 0; its gradient is 0, or by straight-through that of the identity."""

    def __init__(self, straight_through: bool) -> None:
        self.straight_through = straight_through

    def forward(self, x: Any) -> Any:
        return self.backend.xp.where(x != x, x, x > 0).astype(x.dtype)  # NaN stays NaN

    def backward(self, gy: Any) -> Any:
        return gy if self.straight_through else gy * 0


class Prelu(Function):
    """x where positive, else w * x, the two broadcast against each other."""

    broadcasts = True

    def forward(self, x: Any, w: Any) -> Any:
        self.saved = (x, w)
        return self.backend.xp.where(x > 0, x, x * w)

    def backward(self, gy: Any) -> Any:
        x, w = self.saved
        gx = where(x > 0, gy, gy * w) if self.wants(0) else None
        return gx, (where(x > 0, gy * 0, gy * x) if self.wants(1) else None)


class Elu(Function):
    """scale * (x where positive, else alpha * (exp(x) - 1))."""

    def __init__(self, name: str, alpha: float, scale: float) -> None:
        self.name, self.alpha, self.scale = name, alpha, scale

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.elu(floating(x), self.alpha, self.scale)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return self.backend.elu_grad(gy, x, self.alpha, self.scale)

    def formula(self, x: Any) -> Any:
        below = exp(where(x > 0, 0.0, x)) - 1
        return where(x > 0, x, self.alpha * below) * self.scale


class Hardtanh(Function):
    """x limited to [low, high]; unlike clamp's, the gradient is 0 at the limits too."""

    def __init__(self, name: str, low: float, high: float) -> None:
        self.name, self.low, self.high = name, low, high

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        low, high = self.low, self.high
        least = {"i": -128, "u": 0}.get(x.dtype.kind, math.inf)
        if least <= low <= high <= 127 and low == int(low) and high == int(high):
            return self.backend.xp.clip(x, int(low), int(high))  # integers stay what they are, as with relu
        return self.backend.xp.clip(floating(x), low, high)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return where((x <= self.low) | (x >= self.high), gy * 0, gy)


class Hardsigmoid(Function):
    """(x + 3) / 6, limited to [0, 1]."""

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.xp.clip(floating(x) + 3, 0, 6) / 6

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return where((x > -3) & (x < 3), gy / 6, gy * 0)


class Hardswish(Function):
    """x times hardsigmoid(x)."""

    may_overflow = True  # infinity times 0

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        x = floating(x)
        return x * (self.backend.xp.clip(x + 3, 0, 6) / 6)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return where(x <= -3, gy * 0, where(x < 3, gy * (x / 3 + 0.5), gy))


def step(x: Tensor, straight_through: bool = False) -> Tensor:
    """1 where x > 0, else 0, in the dtype of x; the perceptron's activation.

    The gradient is 0 everywhere. With straight_through=True it passes as if the step were the identity, so that layers
    below it learn (Bengio et al. 2013).

    >>> import deepcore as dc
    >>> step(dc.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 1.])
    """
    return Step(straight_through)(x)


def identity(x: Tensor) -> Tensor:
    """x itself: the output activation of a regression."""
    if not isinstance(x, Variable):
        raise ArgumentError(message("identity", "x to be a Tensor", f"x={x!r}"))
    return x


@cast_as_one
def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """x where positive, else weight * x, with a slope that is learnt (He et al. 2015).

    x (N, C, ...) floating; weight of the same dtype: one number, 0-d or (1,), or (C,) with one for each channel. A
    vector x (C,) counts as one channel. The gradient at 0 is that of the slope. Raises ShapeError and DTypeError.
    """
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.shape not in ((), (1,)) and (x.ndim == 0 or weight.shape != (channels,)):
        raise ShapeError(message("prelu", f"weight () or (1,) or ({channels},)", got(x=x, weight=weight)))
    same_dtype("prelu", x=x, weight=weight)
    if x.ndim > 1 and weight.ndim:
        weight = reshape(weight, (1, -1) + (1,) * (x.ndim - 2))
    elif weight.ndim:
        weight = reshape(weight, (1,) * x.ndim)
    return Prelu()(x, weight)


def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6); the gradient at 0 and 6 is 0."""
    return Hardtanh("relu6", 0, 6)(x)


def hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]; the gradient at the limits is 0. Raises ConfigError for min_val > max_val.

    >>> import deepcore as dc
    >>> hardtanh(dc.tensor([-2.0, 0.5, 2.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise ConfigError(message("hardtanh", "min_val <= max_val", got(min_val=min_val, max_val=max_val)))
    return Hardtanh("hardtanh", min_val, max_val)(x)


def hardsigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6: the sigmoid in three straight pieces."""
    return Hardsigmoid()(x)


def hardswish(x: Tensor) -> Tensor:
    """x * relu6(x + 3) / 6 (Howard et al. 2019, "Searching for MobileNetV3")."""
    return Hardswish()(x)


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, else alpha * (exp(x) - 1) (Clevert et al. 2015)."""
    return Elu("elu", alpha, 1.0)(x)


def selu(x: Tensor) -> Tensor:
    """elu with the two constants under which layers keep mean 0 and variance 1 (Klambauer et al. 2017)."""
    return Elu("selu", SELU_ALPHA, SELU_SCALE)(x)
