"""Angles and hyperbolic functions, element by element; `sin` and `cos` are in `elementwise`, `tanh` an activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.functions.elementwise import _Unary, sqrt

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cosh",
    "sinh",
    "tan",
]


class Tan(_Unary):
    def compute(self, x: Any) -> Any:
        return self.backend.xp.tan(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * (1 + y * y)


class Asin(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.arcsin(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / sqrt(1 - x * x)


class Acos(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.arccos(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return -gy / sqrt(1 - x * x)


class Atan(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.arctan(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / (1 + x * x)


class Sinh(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.sinh(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * cosh(x)


class Cosh(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.cosh(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * sinh(x)


class Asinh(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.arcsinh(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / sqrt(x * x + 1)


class Acosh(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.arccosh(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / sqrt(x * x - 1)


class Atanh(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.arctanh(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / (1 - x * x)


def acos(x: Tensor) -> Tensor:
    """The angle in radians whose cosine is x; NaN outside [-1, 1]."""
    return Acos()(x)


def acosh(x: Tensor) -> Tensor:
    """The number above 0 whose cosh is x; NaN below 1."""
    return Acosh()(x)


def asin(x: Tensor) -> Tensor:
    """The angle in radians whose sine is x; NaN outside [-1, 1]."""
    return Asin()(x)


def asinh(x: Tensor) -> Tensor:
    """The number whose sinh is x."""
    return Asinh()(x)


def atan(x: Tensor) -> Tensor:
    """The angle in radians whose tangent is x."""
    return Atan()(x)


def atanh(x: Tensor) -> Tensor:
    """The number whose tanh is x; NaN outside [-1, 1]."""
    return Atanh()(x)


def cosh(x: Tensor) -> Tensor:
    """Hyperbolic cosine, (e ** x + e ** -x) / 2."""
    return Cosh()(x)


def sinh(x: Tensor) -> Tensor:
    """Hyperbolic sine, (e ** x - e ** -x) / 2."""
    return Sinh()(x)


def tan(x: Tensor) -> Tensor:
    """Tangent of x in radians."""
    return Tan()(x)
