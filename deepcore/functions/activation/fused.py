"""A layer and the ReLU behind it in one op: what lies between the two is neither written nor kept for backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.functions.activation.basic import ReluGrad
from deepcore.functions.conv.conv2d import Conv2d, Pair, conv2d_window
from deepcore.functions.linalg.products import Linear, bias_grad

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "conv2d_relu",
    "linear_relu",
]


def _through_relu(fn: Function, gy: Any, y: Any, axis: int) -> tuple[Any, Any]:
    """(gradient before the ReLU, gradient of the bias) for the output y of a layer with bias and ReLU."""
    if fn.wants(2) and not hasattr(gy, "backend"):
        return fn.backend.bias_relu_grad(gy, y, axis)
    g = ReluGrad()(gy, y)
    return g, (bias_grad(fn, g, axis) if fn.wants(2) else None)


class Conv2dRelu(Conv2d):
    """relu(conv2d(x, w, b)); backward needs the output, not what the ReLU got."""

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        self.check(x, w, b)
        y = self.backend.conv2d_relu(x, w, b, *self.window)
        self.saved = (x, w, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, y = self.saved
        g, gb = _through_relu(self, gy, y, 1)
        return *self.input_grads(g, x, w), gb


class LinearRelu(Linear):
    """relu(linear(x, w, b)); backward needs the output, not what the ReLU got."""

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        self.check(x, w, b)
        y = self.backend.linear_relu(x, w, b)
        self.saved = (x, w, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, w, y = self.saved
        g, gb = _through_relu(self, gy, y, -1)
        return *self.input_grads(g, x, w), gb


def conv2d_relu(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """relu(conv2d(...)) in one op, with the same numbers; the arguments are those of conv2d."""
    x, window = conv2d_window(x, weight, stride, padding, dilation, groups)
    return Conv2dRelu(window)(x, weight, bias)


def linear_relu(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """relu(linear(...)) in one op, with the same numbers; the arguments are those of linear."""
    return LinearRelu()(x, weight, bias)
