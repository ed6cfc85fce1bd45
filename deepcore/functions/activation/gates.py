"""Smooth activations: the error function, x times a gate in [0, 1], and what is built from the sigmoid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.dtypes import floating
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.activation.basic import sigmoid, softmax, tanh
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.axes import normalise_dim
from deepcore.functions.elementwise import abs, exp
from deepcore.functions.index.indexing import getitem

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "erf",
    "gelu",
    "glu",
    "logsigmoid",
    "mish",
    "silu",
    "softmin",
    "softplus",
    "softsign",
]


class Erf(Function):
    may_overflow = True

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.erf(floating(x))

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * exp(-x * x) * (2 / math.sqrt(math.pi))


class Gelu(Function):
    may_overflow = True  # infinity times 0

    def __init__(self, approximate: str) -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.gelu(floating(x), self.approximate)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return self.backend.gelu_grad(gy, x, self.approximate)

    def formula(self, x: Any) -> Any:
        if self.approximate == "none":
            return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))
        b = clamp(x, -40.0, 40.0)  # tanh is flat there, and the cube would overflow further out
        return x * sigmoid(math.sqrt(8 / math.pi) * (b + 0.044715 * b * b * b))  # (1 + tanh(z)) / 2 = sigmoid(2 z)


class Silu(Function):
    may_overflow = True  # infinity times 0

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.silu(floating(x))

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return self.backend.silu_grad(gy, x)

    def formula(self, x: Any) -> Any:
        return x * sigmoid(x)


class Mish(Function):
    may_overflow = True  # infinity times 0

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.mish(floating(x))

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return self.backend.mish_grad(gy, x)

    def formula(self, x: Any) -> Any:
        return x * tanh(softplus(x))


class Softplus(Function):
    def __init__(self, beta: float, threshold: float) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.softplus(floating(x), self.beta, self.threshold)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        if not hasattr(gy, "backend"):
            return self.backend.softplus_grad(gy, x, self.beta, self.threshold)
        v = x * self.beta
        return where(v > self.threshold, gy, gy * sigmoid(v))


class Softsign(Function):
    may_overflow = True  # infinity by infinity

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        x = floating(x)
        return x / (1 + self.backend.xp.abs(x))

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        size = 1 + abs(x)
        return gy / size / size


class Logsigmoid(Function):
    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        x, xp = floating(x), self.backend.xp
        return xp.minimum(x, 0) - xp.log1p(xp.exp(-xp.abs(x)))

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * sigmoid(-x)


def erf(x: Tensor) -> Tensor:
    """The error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    >>> import deepcore as dc
    >>> erf(dc.tensor([0.0, 0.5, -3.0]))
    tensor([ 0.    ,  0.5205, -1.    ])
    """
    return Erf()(x)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), with the distribution function Phi of the standard normal (Hendrycks & Gimpel 2016).

    approximate="tanh": 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))). Raises ConfigError for others.
    """
    if approximate not in ("none", "tanh"):
        found = f"approximate={approximate!r}.{nearest(str(approximate), ('none', 'tanh'))}"
        raise ConfigError(message("gelu", "approximate 'none' or 'tanh'", found))
    return Gelu(approximate)(x)


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), also called swish (Elfwing et al. 2017)."""
    return Silu()(x)


def mish(x: Tensor) -> Tensor:
    """x * tanh(softplus(x)) (Misra 2019)."""
    return Mish()(x)


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, without overflow; x itself where beta * x > threshold.

    Raises ConfigError for beta = 0.
    """
    if beta == 0:
        raise ConfigError(message("softplus", "beta other than 0", f"beta={beta}"))
    return Softplus(beta, threshold)(x)


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return Softsign()(x)


def logsigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), in one step that does not overflow."""
    return Logsigmoid()(x)


def softmin(x: Tensor, dim: int) -> Tensor:
    """softmax(-x) along `dim`: the smallest gets the most; floating dtype."""
    normalise_dim("softmin", dim, x.ndim)
    return softmax(-x, dim)


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b) with the halves a and b of x along `dim` (Dauphin et al. 2016).

    x (..., 2 D, ...) -> (..., D, ...). Raises ShapeError for an odd length or a 0-d x.

    >>> import deepcore as dc
    >>> glu(dc.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5, 1. ])
    """
    axis = normalise_dim("glu", dim, x.ndim)
    if x.ndim == 0 or x.shape[axis] % 2:
        raise ShapeError(message("glu", f"an even number of elements along dim={dim}", got(x=x)))
    half, before = x.shape[axis] // 2, (slice(None),) * axis
    return getitem(x, (*before, slice(None, half))) * sigmoid(getitem(x, (*before, slice(half, None))))
