"""Arithmetic of two operands and choices between values, with broadcasting and PyTorch's dtype rules.

Each Function states the derivative of one formula; gradients are summed back over broadcast axes by the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.dtypes import promote, promote_floating, result_type
from deepcore.errors import ArgumentError, ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions.elementwise import log

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "add",
    "clamp",
    "clip",
    "div",
    "maximum",
    "minimum",
    "mul",
    "pow",
    "square",
    "sub",
    "where",
]


class _Binary(Function):
    """An elementwise op on two arrays, or on an array and a Python number."""

    broadcasts = True
    promotion = staticmethod(promote)

    def forward(self, a: Any, b: Any) -> Any:
        try:
            a0, b0 = self.promotion(a, b)
            y = self.compute(a0, b0)
        except DTypeError:
            raise
        except ValueError:
            hint = "trailing axes must be equal or 1"
            raise ShapeError(
                message(self.name, "shapes that broadcast", got(on=self.backend.device, x=a, other=b), hint)
            ) from None
        except (TypeError, AttributeError, OverflowError):
            raise DTypeError(
                message(self.name, "numeric tensors or numbers", got(on=self.backend.device, x=a, other=b))
            ) from None
        self.keep(a, b, y)
        return y

    def compute(self, a: Any, b: Any) -> Any:
        raise NotImplementedError

    def keep(self, a: Any, b: Any, y: Any) -> None:
        """Save what the derivative needs."""
        self.saved = (a, b)


class Add(_Binary):
    def compute(self, a: Any, b: Any) -> Any:
        return self.backend.add(a, b)

    def keep(self, a: Any, b: Any, y: Any) -> None:
        pass

    def backward(self, gy: Any) -> Any:
        return gy, gy


class Sub(_Binary):
    def compute(self, a: Any, b: Any) -> Any:
        return self.backend.sub(a, b)

    def keep(self, a: Any, b: Any, y: Any) -> None:
        pass

    def backward(self, gy: Any) -> Any:
        return gy, -gy if self.wants(1) else None


class Mul(_Binary):
    def compute(self, a: Any, b: Any) -> Any:
        return self.backend.mul(a, b)

    def keep(self, a: Any, b: Any, y: Any) -> None:
        self.saved = (a if self.wants(1) else None, b if self.wants(0) else None)

    def backward(self, gy: Any) -> Any:
        a, b = self.saved
        return (gy * b if self.wants(0) else None), (gy * a if self.wants(1) else None)


class Div(_Binary):
    promotion = staticmethod(promote_floating)
    may_overflow = True

    def compute(self, a: Any, b: Any) -> Any:
        return self.backend.div(a, b)

    def backward(self, gy: Any) -> Any:
        a, b = self.saved
        ga = gy / b
        return ga, (-ga * a / b if self.wants(1) else None)


class Pow(_Binary):
    """x ** p, for a number, an array, or a number to the power of an array."""

    may_overflow = True

    def compute(self, a: Any, b: Any) -> Any:
        kinds = {getattr(v, "dtype", np.dtype(type(v))).kind for v in (a, b)}
        return a**b if kinds & set("fVc") else self._whole(a, b)

    def _whole(self, a: Any, b: Any) -> Any:
        """Integers to integer powers; of a negative power the fraction is dropped, as in PyTorch."""
        if not hasattr(b, "dtype"):
            if b < 0:
                hint = "convert first: x.float() ** p"
                raise DTypeError(message("pow", "floating x for a negative exponent", f"exponent={b}", hint))
            return a**b
        xp = self.backend.xp
        odd = xp.where(b % 2 != 0, -1, 1)
        fraction = xp.where(a == 1, 1, xp.where(a == -1, odd, 0)) if hasattr(a, "dtype") else {1: 1, -1: odd}.get(a, 0)
        return xp.where(b < 0, fraction, a ** xp.where(b < 0, 0, b)).astype(b.dtype)

    def keep(self, a: Any, b: Any, y: Any) -> None:
        self.saved = (a, b, y) if self.wants(1) else (a, b, None)

    def backward(self, gy: Any) -> Any:
        a, p, y = self.saved
        ga = gp = None
        if self.wants(0):
            # p == 0 has the derivative 0 everywhere, also at 0, where 0 * 0**-1 would be NaN.
            if hasattr(p, "dtype"):
                ga = gy * where(p == 0, p * 0, p * a ** where(p == 0, p * 0, p - 1))
            else:
                ga = gy * 0 if p == 0 else gy * p if p == 1 else gy * (p * a ** (p - 1))
        if self.wants(1):
            # y * log(a), and 0 where a == 0 and p >= 0, as in PyTorch
            if hasattr(a, "dtype"):
                zero = (a == 0) & (p >= 0)
                gp = where(zero, gy * 0, gy * y * log(where(zero, a * 0 + 1, a)))
            else:
                gp = gy * y * _log_of_number(a, p)
        return ga, gp


def _log_of_number(a: float, p: Any) -> Any:
    import math

    if a > 0:
        return math.log(a)
    return 0.0 if a == 0 else math.nan


class Maximum(_Binary):
    """max(a, b) elementwise; where both are equal the gradient is shared, as in PyTorch."""

    def compute(self, a: Any, b: Any) -> Any:
        return self.backend.xp.maximum(a, b)

    def backward(self, gy: Any) -> Any:
        return _to_the_chosen(gy, self.saved, greater=True)


class Minimum(_Binary):
    """min(a, b) elementwise; where both are equal the gradient is shared, as in PyTorch."""

    def compute(self, a: Any, b: Any) -> Any:
        return self.backend.xp.minimum(a, b)

    def backward(self, gy: Any) -> Any:
        return _to_the_chosen(gy, self.saved, greater=False)


def _to_the_chosen(gy: Any, operands: tuple[Any, ...], greater: bool) -> tuple[Any, Any]:
    a, b = operands
    first = where(a == b, gy * 0.5, where((a > b) if greater else (a < b), gy, gy * 0))
    return first, gy - first


class Clamp(Function):
    """Values limited to [low, high]; the gradient passes inside and at the limits, as in PyTorch."""

    def __init__(self, low: float | None, high: float | None) -> None:
        self.low, self.high = low, high

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        for limit in (self.low, self.high):  # integers with a floating limit become floating
            if limit is not None and (dtype := result_type(x, limit)) != x.dtype:
                x = x.astype(dtype)
        return self.backend.xp.clip(x, self.low, self.high)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        inside = x == x
        if self.low is not None:
            inside = inside & (x >= self.low)
        if self.high is not None:
            inside = inside & (x <= self.high)
        return where(inside, gy, gy * 0)


class Where(Function):
    """a where the condition holds, else b."""

    broadcasts = True

    def forward(self, condition: Any, a: Any, b: Any) -> Any:
        if not hasattr(condition, "dtype") or condition.dtype.kind != "b":
            hint = "compare first, for example x != 0"
            raise DTypeError(message("where", "a bool condition", got(self.backend.device, condition=condition), hint))
        if any(not hasattr(v, "dtype") and not isinstance(v, int | float) for v in (a, b)):
            found = got(self.backend.device, x=a, other=b)
            raise ArgumentError(message("where", "tensors or numbers to choose from", found))
        a0, b0 = promote(a, b) if hasattr(a, "dtype") or hasattr(b, "dtype") else (a, b)
        try:
            y = self.backend.xp.where(condition, a0, b0)
        except ValueError:
            found = got(on=self.backend.device, condition=condition, x=a, other=b)
            raise ShapeError(message("where", "shapes that broadcast", found)) from None
        self.saved = (condition,)
        return y

    def backward(self, gy: Any) -> Any:
        (condition,) = self.saved
        nothing = gy * 0
        ga = where(condition, gy, nothing) if self.wants(1) else None
        return None, ga, (where(condition, nothing, gy) if self.wants(2) else None)


def add(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """x + alpha * other, shapes broadcast."""
    return Add()(x, other if alpha == 1 else other * alpha)


def sub(x: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """x - alpha * other, shapes broadcast."""
    return Sub()(x, other if alpha == 1 else other * alpha)


def mul(x: Tensor, other: Tensor | float) -> Tensor:
    """x * other, shapes broadcast."""
    return Mul()(x, other)


def div(x: Tensor, other: Tensor | float) -> Tensor:
    """x / other (true division: integers give the default floating dtype), shapes broadcast."""
    return Div()(x, other)


def pow(x: Tensor | float, exponent: Tensor | float) -> Tensor:
    """x ** exponent, shapes broadcast; either may be a number."""
    return Pow()(x, exponent)


def maximum(x: Tensor, other: Tensor | float) -> Tensor:
    """The larger of each pair, shapes broadcast; NaN wins."""
    return Maximum()(x, other)


def minimum(x: Tensor, other: Tensor | float) -> Tensor:
    """The smaller of each pair, shapes broadcast; NaN wins."""
    return Minimum()(x, other)


def square(x: Tensor) -> Tensor:
    """x * x."""
    return Mul()(x, x)


def clamp(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """x limited to [min, max]; either bound may be None."""
    if min is None and max is None:
        raise ConfigError(message("clamp", "min, max or both", "neither"))
    return Clamp(min, max)(x)


clip = clamp


def where(condition: Tensor, x: Tensor | float, other: Tensor | float) -> Tensor:
    """x where `condition` (bool) holds, else other; shapes broadcast, either value may be a number.

    >>> import deepcore as dc
    >>> x = dc.tensor([-1.0, 2.0])
    >>> dc.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    return Where()(condition, x, other)
