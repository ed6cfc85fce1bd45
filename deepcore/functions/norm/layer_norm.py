"""Layer normalisation (Ba et al. 2016) and RMS normalisation (Zhang & Sennrich 2019): every sample by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.backends.base.array import accumulator
from deepcore.errors import ShapeError, got, message
from deepcore.functions.elementwise import sqrt
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.reduce import mean

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "layer_norm",
    "rms_norm",
]


class LayerNorm(Function):
    """Normalised over the last `count` axes, which are one row to the backend."""

    intermediates = ("row_mean", "rstd")

    def __init__(self, count: int, eps: float) -> None:
        self.count, self.eps = count, eps

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        self.saved = (x, w, b)
        y, self.row_mean, self.rstd = self.backend.layer_norm(_rows(x, self.count), _flat(w), _flat(b), self.eps)
        return y.reshape(x.shape)

    def backward(self, gy: Any) -> Any:
        x, w, _ = self.saved
        rows, grads = _rows(x, self.count), _rows(gy, self.count)
        gx, gw, gb = self.backend.layer_norm_grad(grads, rows, self.row_mean, self.rstd, _flat(w))
        shape = x.shape[x.ndim - self.count :]
        return gx.reshape(x.shape), gw.reshape(shape), gb.reshape(shape)

    def formula(self, x: Any, w: Any, b: Any) -> Any:
        axes = tuple(range(x.ndim - self.count, x.ndim))
        centred = x - mean(x, axes, keepdim=True)
        y = centred / sqrt(mean(centred * centred, axes, keepdim=True) + self.eps)
        y = y if w is None else y * w
        return y if b is None else y + b


class RMSNorm(Function):
    """Divided by the root of the mean square over the last `count` axes."""

    name = "rms_norm"
    intermediates = ("rrms",)

    def __init__(self, count: int, eps: float) -> None:
        self.count, self.eps = count, eps

    def forward(self, x: Any, w: Any) -> Any:
        self.saved = (x, w)
        y, self.rrms = self.backend.rms_norm(_rows(x, self.count), _flat(w), self.eps)
        return y.reshape(x.shape)

    def backward(self, gy: Any) -> Any:
        x, w = self.saved
        rows, grads = _rows(x, self.count), _rows(gy, self.count)
        gx, gw = self.backend.rms_norm_grad(grads, rows, self.rrms, _flat(w))
        return gx.reshape(x.shape), gw.reshape(x.shape[x.ndim - self.count :])

    def formula(self, x: Any, w: Any) -> Any:
        axes = tuple(range(x.ndim - self.count, x.ndim))
        y = x / sqrt(mean(x * x, axes, keepdim=True) + self.eps)
        return y if w is None else y * w


def _rows(x: Any, count: int) -> Any:
    lead = x.ndim - count
    return x.reshape(math.prod(x.shape[:lead]), math.prod(x.shape[lead:]))


def _flat(vector: Any) -> Any:
    return None if vector is None else vector.reshape(-1)


def _check(op: str, x: Any, normalized_shape: Any, **vectors: Any) -> int:
    """The number of normalised axes; raises ShapeError and DTypeError."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    fits = 0 < len(shape) <= len(x.shape) and tuple(x.shape[len(x.shape) - len(shape) :]) == shape
    if not fits or any(v is not None and v.shape != shape for v in vectors.values()):
        found = got(x=x, normalized_shape=shape, **vectors)
        raise ShapeError(message(op, "x (..., *normalized_shape), the others of normalized_shape or None", found))
    same_dtype(op, x=x, **vectors)
    return len(shape)


@cast_as_one
def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and biased var over the last axes: x (..., *normalized_shape).

    weight and bias have normalized_shape. Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> layer_norm(dc.tensor([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    return LayerNorm(_check("layer_norm", x, normalized_shape, weight=weight, bias=bias), eps)(x, weight, bias)


@cast_as_one
def rms_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """x / sqrt(mean(x ** 2) + eps) * weight, the mean over the last axes: x (..., *normalized_shape).

    weight has normalized_shape. eps=None: the spacing of the dtype at 1 (float16 counts as float32, in which it is
    computed). Raises ShapeError and DTypeError.
    """
    count = _check("rms_norm", x, normalized_shape, weight=weight)
    return RMSNorm(count, float(np.finfo(accumulator(x.dtype)).eps) if eps is None else eps)(x, weight)
