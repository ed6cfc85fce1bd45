"""Further powers, logarithms and roots of one operand, and rounding to whole numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.errors import DTypeError, got, message
from deepcore.functions.elementwise import _Unary

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "ceil",
    "exp2",
    "expm1",
    "floor",
    "log2",
    "log10",
    "reciprocal",
    "round",
    "rsqrt",
    "trunc",
]


class Expm1(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.expm1(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * (y + 1)


class Exp2(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.exp2(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * y * math.log(2)


class Log2(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.log2(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / (x * math.log(2))


class Log10(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.log10(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / (x * math.log(10))


class Reciprocal(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return 1 / x

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return -gy * y * y


class Rsqrt(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return 1 / self.backend.xp.sqrt(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * y * y * y * -0.5


class _Rounding(_Unary):
    """Steps: the gradient is 0. Integers stay as they are."""

    needs_floating = False
    function = ""

    def compute(self, x: Any) -> Any:
        if x.dtype.kind == "b":
            hint = "they are whole already: x.int()"
            raise DTypeError(message(self.name, "numbers", got(on=self.backend.device, x=x), hint))
        return x.copy() if x.dtype.kind in "iu" else getattr(self.backend.xp, self.function)(x)

    def keep(self, x: Any, y: Any) -> None:
        pass

    def backward(self, gy: Any) -> Any:
        return gy * 0


class Ceil(_Rounding):
    function = "ceil"


class Floor(_Rounding):
    function = "floor"


class Round(_Rounding):
    function = "rint"


class Trunc(_Rounding):
    function = "trunc"


def ceil(x: Tensor) -> Tensor:
    """The smallest whole number that is not below x; its gradient is 0."""
    return Ceil()(x)


def exp2(x: Tensor) -> Tensor:
    """2 ** x."""
    return Exp2()(x)


def expm1(x: Tensor) -> Tensor:
    """e ** x - 1, exact for small x."""
    return Expm1()(x)


def floor(x: Tensor) -> Tensor:
    """The largest whole number that is not above x; its gradient is 0."""
    return Floor()(x)


def log10(x: Tensor) -> Tensor:
    """Logarithm to the base 10."""
    return Log10()(x)


def log2(x: Tensor) -> Tensor:
    """Logarithm to the base 2."""
    return Log2()(x)


def reciprocal(x: Tensor) -> Tensor:
    """1 / x."""
    return Reciprocal()(x)


def round(x: Tensor) -> Tensor:
    """The nearest whole number, of two the even one; its gradient is 0."""
    return Round()(x)


def rsqrt(x: Tensor) -> Tensor:
    """1 / sqrt(x); NaN below 0."""
    return Rsqrt()(x)


def trunc(x: Tensor) -> Tensor:
    """x without its fraction; its gradient is 0."""
    return Trunc()(x)
