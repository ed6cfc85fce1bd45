"""Operators that work element by element: arithmetic, comparison, logic, activations, dtypes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore import creation
from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, dtype_of, need, number, sizes


def over_all(op: Callable[..., Any]) -> Adapter:
    """An operator of any number of inputs, by an op of two."""
    return Adapter(lambda *tensors: functools.reduce(op, tensors))


def divide(x: Any, y: Any) -> Any:
    return x // y if x.dtype.kind in "iu" else F.div(x, y)


def power(x: Any, y: Any) -> Any:
    """ONNX keeps the dtype of the base; PyTorch promotes."""
    return F.pow(x, y).to(x.dtype)


def clip(x: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """The bounds were attributes once."""
    return F.clamp(x, number(low, min), number(high, max))


def mean_of_all(*tensors: Any) -> Any:
    return F.mean(F.stack(tensors), 0)


def selu(x: Any, alpha: float, gamma: float) -> Any:
    """PyTorch's selu has the constants of the paper, which are ONNX's defaults."""
    paper = abs(alpha - 1.6732632423543772) < 1e-6 and abs(gamma - 1.0507009873554805) < 1e-6
    return F.selu(x) if paper else gamma * F.elu(x, alpha)


def hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    """clip(alpha x + beta, 0, 1); PyTorch's is clip(x / 6 + 1 / 2, 0, 1)."""
    return F.hardsigmoid((x * alpha + (beta - 0.5)) * 6)


def hardmax(x: Any, axis: int) -> Any:
    return F.movedim(F.one_hot(F.argmax(x, axis), x.shape[axis]), -1, axis).to(x.dtype)


def dropout(x: Any, *inputs: Any, ratio: float = 0.5, seed: int | None = None) -> Any:
    """The inputs are the ratio, once an attribute, and whether it is training."""
    given, training = (*inputs, None, None)[:2]
    return F.dropout(x, number(given, ratio), bool(number(training, False)))


def prelu(x: Any, slope: Any) -> Any:
    """ONNX's slope broadcasts to x, PyTorch's is one for each channel: here each element is a channel."""
    slopes = F.broadcast_to(slope, x.shape).flatten()
    return F.prelu(x.reshape(1, -1), slopes).reshape(x.shape)


def eye_like(x: Any, dtype: int | None, k: int) -> Any:
    need(k == 0)
    rows, columns = x.shape
    return creation.eye(rows, columns, dtype=x.dtype if dtype is None else dtype_of(dtype), device=x.device)


def count_up(start: Any, limit: Any, delta: Any, **_: Any) -> Any:
    return creation.arange(number(start), number(limit), number(delta), dtype=start.dtype, device=start.device)


def is_infinite(x: Any, detect_negative: int, detect_positive: int) -> Any:
    infinity = float("inf")
    found = x != x  # nowhere, but for NaN
    found = found & ~found
    if detect_positive:
        found = found | (x == infinity)
    return found | (x == -infinity) if detect_negative else found


def filled(shape: Any, value: Any) -> Any:
    value = np.zeros(1, np.float32) if value is None else value
    return creation.full(sizes(shape), value.item(), dtype=value.dtype, device=shape.device)


def constant(**attributes: Any) -> np.ndarray:
    """The one attribute that is given: a tensor, a number or some."""
    kind, value = next((kind, value) for kind, value in attributes.items() if value is not None)
    if kind == "value":
        return value
    return np.asarray(value, np.float32 if "float" in kind else np.int64)


ADAPTERS = {
    "Abs": Adapter(F.abs),
    "Acos": Adapter(F.acos),
    "Acosh": Adapter(F.acosh),
    "Asin": Adapter(F.asin),
    "Asinh": Adapter(F.asinh),
    "Atan": Adapter(F.atan),
    "Atanh": Adapter(F.atanh),
    "Ceil": Adapter(F.ceil),
    "Cosh": Adapter(F.cosh),
    "Floor": Adapter(F.floor),
    "Round": Adapter(F.round),
    "Sinh": Adapter(F.sinh),
    "Tan": Adapter(F.tan),
    "IsInf": Adapter(is_infinite),
    "Add": Adapter(F.add),
    "And": Adapter(operator.and_),
    "BitwiseAnd": Adapter(operator.and_),
    "BitwiseNot": Adapter(operator.invert),
    "BitwiseOr": Adapter(operator.or_),
    "BitwiseXor": Adapter(operator.xor),
    "Cast": Adapter(lambda x, to, **_: x.to(dtype_of(to))),
    "CastLike": Adapter(lambda x, like, **_: x.to(like.dtype)),
    "Celu": Adapter(lambda x, alpha: alpha * F.elu(x / alpha)),
    "Clip": Adapter(clip),
    "Constant": Adapter(constant),
    "ConstantOfShape": Adapter(filled),
    "Cos": Adapter(F.cos),
    "Div": Adapter(divide),
    "Dropout": Adapter(dropout, without="dropout does not return its mask"),
    "Elu": Adapter(F.elu),
    "Equal": Adapter(operator.eq),
    "Erf": Adapter(F.erf),
    "Exp": Adapter(F.exp),
    "EyeLike": Adapter(eye_like),
    "Gelu": Adapter(F.gelu),
    "Greater": Adapter(operator.gt),
    "GreaterOrEqual": Adapter(operator.ge),
    "HardSigmoid": Adapter(hard_sigmoid),
    "HardSwish": Adapter(F.hardswish),
    "Hardmax": Adapter(hardmax),
    "Identity": Adapter(F.identity),
    "IsNaN": Adapter(lambda x: x.isnan()),
    "LeakyRelu": Adapter(lambda x, alpha: F.leaky_relu(x, alpha)),
    "Less": Adapter(operator.lt),
    "LessOrEqual": Adapter(operator.le),
    "Log": Adapter(F.log),
    "Max": over_all(F.maximum),
    "Mean": Adapter(mean_of_all),
    "Min": over_all(F.minimum),
    "Mish": Adapter(F.mish),
    "Mod": Adapter(lambda x, y, fmod: x % y),
    "Mul": Adapter(F.mul),
    "Neg": Adapter(F.neg),
    "Not": Adapter(operator.invert),
    "Or": Adapter(operator.or_),
    "PRelu": Adapter(prelu),
    "Pow": Adapter(power),
    "Range": Adapter(count_up),
    "Reciprocal": Adapter(lambda x: 1 / x),
    "Relu": Adapter(F.relu),
    "Selu": Adapter(selu),
    "Sigmoid": Adapter(F.sigmoid),
    "Sign": Adapter(F.sign),
    "Sin": Adapter(F.sin),
    "Softplus": Adapter(F.softplus),
    "Softsign": Adapter(F.softsign),
    "Sqrt": Adapter(F.sqrt),
    "Sub": Adapter(F.sub),
    "Sum": over_all(F.add),
    "SwiGLU": Adapter(lambda a, b, alpha: F.silu(a * alpha) / alpha * b),
    "Swish": Adapter(lambda x, alpha: F.silu(x * alpha) / alpha),
    "Tanh": Adapter(F.tanh),
    "Where": Adapter(F.where),
    "Xor": Adapter(operator.xor),
}
