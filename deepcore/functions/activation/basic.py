"""Activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.dtypes import floating
from deepcore.errors import ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.axes import normalise_dim
from deepcore.functions.elementwise import exp
from deepcore.functions.linalg.products import bias_grad, same_dtype
from deepcore.functions.reduce import sum

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "bias_relu",
    "leaky_relu",
    "log_softmax",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
]


class Relu(Function):
    def forward(self, x: Any) -> Any:
        y = self.backend.relu(x)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return ReluGrad()(gy, y)


class ReluGrad(Function):
    """gy where y > 0; linear in gy, and constant in y."""

    name = "relu"

    def forward(self, gy: Any, y: Any) -> Any:
        self.saved = (y,)
        return self.backend.relu_grad(gy, y)

    def backward(self, ggy: Any) -> Any:
        (y,) = self.saved
        return (ReluGrad()(ggy, y) if self.wants(0) else None), None


class BiasRelu(Function):
    """relu(x + b), b along one axis, in one pass."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, b: Any) -> Any:
        self.axis = normalise_dim("bias_relu", self.dim, x.ndim)
        if b.ndim != 1 or x.ndim == 0 or b.shape[0] != x.shape[self.axis]:
            expected = f"bias ({x.shape[self.axis] if x.ndim else 1},)"
            raise ShapeError(message("bias_relu", expected, got(on=self.backend.device, x=x, bias=b, dim=self.dim)))
        same_dtype("bias_relu", self.backend.device, x=x, bias=b)
        y = self.backend.bias_relu(x, b, self.axis)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        if not hasattr(gy, "backend"):
            return self.backend.bias_relu_grad(gy, y, self.axis)
        gx = ReluGrad()(gy, y)
        return gx, bias_grad(self, gx, self.axis)


class LeakyRelu(Function):
    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        x = floating(x)
        return self.backend.xp.where(x > 0, x, x * self.slope)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return where(x > 0, gy, gy * self.slope)


class Sigmoid(Function):
    def forward(self, x: Any) -> Any:
        y = self.backend.sigmoid(floating(x))
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * (1.0 - y) * y


class Tanh(Function):
    def forward(self, x: Any) -> Any:
        y = self.backend.xp.asarray(self.backend.xp.tanh(floating(x)))
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return gy * (1.0 - y * y)


class Softmax(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.axis = normalise_dim("softmax", self.dim, x.ndim)
        if x.ndim == 0:
            return self.backend.softmax(floating(x).reshape(1), 0).reshape(())
        y = self.backend.softmax(floating(x), self.axis)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        if not self.saved:  # the softmax of a single number is the constant 1
            return gy * 0
        (y,) = self.saved
        if not hasattr(gy, "backend"):
            return self.backend.softmax_grad(gy, y, self.axis)
        gx = y * gy
        return gx - y * sum(gx, self.axis, keepdim=True)


class LogSoftmax(Function):
    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.axis = normalise_dim("log_softmax", self.dim, x.ndim)
        if x.ndim == 0:
            return self.backend.log_softmax(floating(x).reshape(1), 0).reshape(())
        y = self.backend.log_softmax(floating(x), self.axis)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        if not self.saved:
            return gy * 0
        (y,) = self.saved
        if not hasattr(gy, "backend"):
            return self.backend.log_softmax_grad(gy, y, self.axis)
        return gy - exp(y) * sum(gy, self.axis, keepdim=True)


def relu(x: Tensor) -> Tensor:
    """max(x, 0); the gradient at 0 is 0.

    >>> import deepcore as dc
    >>> relu(dc.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return Relu()(x)


def bias_relu(x: Tensor, bias: Tensor, dim: int = 1) -> Tensor:
    """relu(x + bias) in one pass: bias (D,) along axis `dim` of x."""
    return BiasRelu(dim)(x, bias)


def leaky_relu(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where positive, else negative_slope * x."""
    return LeakyRelu(negative_slope)(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), without overflow."""
    return Sigmoid()(x)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return Tanh()(x)


def softmax(x: Tensor, dim: int) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`, without overflow; floating dtype."""
    return Softmax(dim)(x)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """log(softmax(x)) along `dim`, in one step that does not overflow."""
    return LogSoftmax(dim)(x)
