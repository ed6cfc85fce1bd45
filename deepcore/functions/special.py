"""The logarithm of the gamma function and its derivatives, and the inverse of the error function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.errors import ConfigError, message
from deepcore.functions.elementwise import _Unary, exp

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "digamma",
    "erfinv",
    "lgamma",
    "polygamma",
]


class Lgamma(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.lgamma(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * digamma(x)


class Polygamma(_Unary):
    """The n-th derivative of digamma, and digamma itself for n = 0."""

    may_overflow = True

    def __init__(self, n: int) -> None:
        self.n = n
        self.name = "polygamma" if n else "digamma"

    def compute(self, x: Any) -> Any:
        return self.backend.polygamma(self.n, x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * Polygamma(self.n + 1)(x)


class Erfinv(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.erfinv(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * exp(y * y) * (math.sqrt(math.pi) / 2)


def lgamma(x: Tensor) -> Tensor:
    """log |gamma(x)|, and so log((n - 1)!) for a whole number n; inf at 0, -1, -2, ...

    >>> import deepcore as dc
    >>> lgamma(dc.tensor([1.0, 5.0]))  # 0! and 4! = 24
    tensor([0.    , 3.1781])
    """
    return Lgamma()(x)


def digamma(x: Tensor) -> Tensor:
    """The derivative of lgamma; -inf at 0, NaN at -1, -2, ...

    >>> import deepcore as dc
    >>> digamma(dc.tensor([1.0]))  # minus Euler's constant
    tensor([-0.5772])
    """
    return Polygamma(0)(x)


def polygamma(n: int, x: Tensor) -> Tensor:
    """The n-th derivative of digamma, for n = 0, 1, 2, ...: n comes first, as in PyTorch. Raises ConfigError.

    At 0, -1, -2, ... it is inf for odd n and -inf for even n > 0.
    """
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ConfigError(message("polygamma", "an integer n >= 0", f"n={n!r}"))
    return Polygamma(n)(x)


def erfinv(x: Tensor) -> Tensor:
    """The number whose erf is x; infinite at 1 and -1, NaN beyond.

    >>> import deepcore as dc
    >>> erfinv(dc.erf(dc.tensor([0.5, -2.0])))
    tensor([ 0.5, -2. ])
    """
    return Erfinv()(x)
