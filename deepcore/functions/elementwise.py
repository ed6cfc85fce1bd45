"""Mathematics of one operand, element by element; each Function states the derivative of one formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.dtypes import floating
from deepcore.errors import DTypeError, got, message

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "abs",
    "cos",
    "exp",
    "log",
    "log1p",
    "neg",
    "sign",
    "sin",
    "sqrt",
]


class _Unary(Function):
    """An elementwise op on one array; integers become floating where the op needs it."""

    needs_floating = True

    def forward(self, x: Any) -> Any:
        x0 = floating(x) if self.needs_floating else x
        y = self.compute(x0)
        self.keep(x, y)
        return y

    def compute(self, x: Any) -> Any:
        raise NotImplementedError

    def keep(self, x: Any, y: Any) -> None:
        """Save what the derivative needs."""
        self.saved = (x,)


class Neg(_Unary):
    needs_floating = False

    def compute(self, x: Any) -> Any:
        if x.dtype.kind == "b":
            hint = "use ~x, the logical not"
            raise DTypeError(message(self.name, "numbers", got(on=self.backend.device, x=x), hint))
        return -x

    def keep(self, x: Any, y: Any) -> None:
        pass

    def backward(self, gy: Any) -> Any:
        return -gy


class Abs(_Unary):
    needs_floating = False

    def compute(self, x: Any) -> Any:
        return self.backend.xp.abs(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * sign(x)


class Sign(_Unary):
    needs_floating = False

    def compute(self, x: Any) -> Any:
        return x.copy() if x.dtype.kind == "b" else self.backend.xp.sign(x)

    def keep(self, x: Any, y: Any) -> None:
        pass

    def backward(self, gy: Any) -> Any:
        return gy * 0


class Exp(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.exp(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * y


class Log(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.log(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / x


class Log1p(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.log1p(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / (x + 1)


class Sqrt(_Unary):
    may_overflow = True

    def compute(self, x: Any) -> Any:
        return self.backend.xp.sqrt(x)

    def keep(self, x: Any, y: Any) -> None:
        self.saved = (y,)

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy / (2 * y)


class Sin(_Unary):
    def compute(self, x: Any) -> Any:
        return self.backend.xp.sin(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy * cos(x)


class Cos(_Unary):
    def compute(self, x: Any) -> Any:
        return self.backend.xp.cos(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return -gy * sin(x)


def abs(x: Tensor) -> Tensor:
    """|x|; the gradient at 0 is 0."""
    return Abs()(x)


def cos(x: Tensor) -> Tensor:
    """Cosine of x in radians."""
    return Cos()(x)


def exp(x: Tensor) -> Tensor:
    """e ** x."""
    return Exp()(x)


def log(x: Tensor) -> Tensor:
    """Natural logarithm; -inf at 0 and NaN below."""
    return Log()(x)


def log1p(x: Tensor) -> Tensor:
    """log(1 + x), exact for small x."""
    return Log1p()(x)


def neg(x: Tensor) -> Tensor:
    """-x."""
    return Neg()(x)


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; its gradient is 0."""
    return Sign()(x)


def sin(x: Tensor) -> Tensor:
    """Sine of x in radians."""
    return Sin()(x)


def sqrt(x: Tensor) -> Tensor:
    """Square root; NaN below 0."""
    return Sqrt()(x)
