"""Reductions: sum, mean, var, max, ... over one axis, several, or all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.dtypes import int64, is_floating
from deepcore.errors import DTypeError, ShapeError, got, message
from deepcore.functions.arithmetic import maximum, minimum, where
from deepcore.functions.axes import Dim, keep_dims, normalise_dim, normalise_dims
from deepcore.functions.elementwise import exp, log, sqrt
from deepcore.functions.index.gathering import ScatterAlong
from deepcore.functions.shape import broadcast_to, flip, permute, reshape, stack

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "norm",
    "prod",
    "std",
    "sum",
    "var",
]


class _Reduction(Function):
    """A reduction over `dim`; `self.dims` and `self.kept` (the keepdim shape) are known after forward."""

    def __init__(self, dim: Dim = None, keepdim: bool = False) -> None:
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x: Any) -> Any:
        self.dims = normalise_dims(self.name, self.dim, x.ndim)
        self.x_shape = x.shape
        self.kept = keep_dims(x.shape, self.dims)
        y = self.compute(x)
        return y if self.keepdim else y.reshape(tuple(n for i, n in enumerate(x.shape) if i not in self.dims))

    def compute(self, x: Any) -> Any:
        """The result with keepdim."""
        raise NotImplementedError

    def spread(self, g: Any) -> Any:
        """A gradient of the result, broadcast back to the input's shape."""
        return broadcast_to(reshape(g, self.kept), self.x_shape)


class Sum(_Reduction):
    def compute(self, x: Any) -> Any:
        dtype = x.dtype if is_floating(x.dtype) else int64
        return self.backend.xp.asarray(x.sum(axis=self.dims, keepdims=True, dtype=dtype))

    def backward(self, gy: Any) -> Any:
        return self.spread(gy)


class Mean(_Reduction):
    def compute(self, x: Any) -> Any:
        if not is_floating(x.dtype):
            hint = "convert first: x.float().mean()"
            raise DTypeError(message("mean", "a floating dtype", got(on=self.backend.device, x=x), hint))
        self.count = math.prod(x.shape[i] for i in self.dims)
        total = self.backend.xp.asarray(x.sum(axis=self.dims, keepdims=True))
        return total / self.count if self.count else total * math.nan

    def backward(self, gy: Any) -> Any:
        return self.spread(gy / (self.count or 1))


class Prod(_Reduction):
    def compute(self, x: Any) -> Any:
        dtype = x.dtype if is_floating(x.dtype) else int64
        self.saved = (x,)
        return self.backend.xp.asarray(x.prod(axis=self.dims, keepdims=True, dtype=dtype))

    def backward(self, gy: Any) -> Any:
        # The product of all others, without a division, so that zeros are right: loop over one flattened axis.
        (x,) = self.saved
        rest = [i for i in range(len(self.x_shape)) if i not in self.dims]
        order = (*rest, *self.dims)
        rest_shape = tuple(self.x_shape[i] for i in rest)
        count = math.prod(self.x_shape[i] for i in self.dims)
        if count == 0:
            return x * 0
        if count == 1:
            return self.spread(gy)
        flat = reshape(permute(x, order), (*rest_shape, count))
        columns = [flat[..., i] for i in range(count)]
        before, after = [columns[0]], [columns[-1]]  # of the first one, two, ..., and of the last ones
        for i in range(1, count - 1):
            before.append(before[-1] * columns[i])
            after.append(after[-1] * columns[-1 - i])
        between = [before[i - 1] * after[count - 2 - i] for i in range(1, count - 1)]
        others = stack([after[-1], *between, before[-1]], -1)
        others = reshape(others, tuple(self.x_shape[i] for i in order))
        back = tuple(order.index(i) for i in range(len(order)))
        return self.spread(gy) * permute(others, back)


class Amax(_Reduction):
    """Maximum; equal maxima share the gradient, as in torch.amax."""

    largest = True

    def __init__(self, dim: Dim = None, keepdim: bool = False, name: str = "") -> None:
        super().__init__(dim, keepdim)
        self.name = name or type(self).name

    def compute(self, x: Any) -> Any:
        if math.prod(x.shape[i] for i in self.dims) == 0 and self.dims:
            raise ShapeError(message(self.name, "at least one element to reduce", got(on=self.backend.device, x=x)))
        y = x.max(axis=self.dims, keepdims=True) if self.largest else x.min(axis=self.dims, keepdims=True)
        y = self.backend.xp.asarray(y)
        self.saved = (x, y)
        return y

    def backward(self, gy: Any) -> Any:
        x, y = self.saved
        hit = (x == y) | (x != x)  # a NaN is the maximum
        hits = hit.astype(x.dtype) if not hasattr(hit, "to") else hit.to(x.dtype)
        return self.spread(gy) * hits / sum(hits, self.dims, keepdim=True)


class Amin(Amax):
    """Minimum; equal minima share the gradient, as in torch.amin."""

    largest = False


class MaxDim(Function):
    """Maximum along one axis and its first place; the gradient goes to that place."""

    name = "max"
    largest = True
    intermediates = ("place",)

    def __init__(self, dim: int, keepdim: bool, name: str = "") -> None:
        self.dim, self.keepdim = dim, keepdim
        self.name = name or type(self).name

    def forward(self, x: Any) -> Any:
        self.axis = normalise_dim(self.name, self.dim, x.ndim)
        self.x_shape, xp = x.shape, self.backend.xp
        if x.ndim == 0:
            return x.copy(), xp.zeros((), dtype="int64")
        if x.shape[self.axis] == 0:
            raise ShapeError(
                message(self.name, "at least one element to reduce", got(on=self.backend.device, x=x, dim=self.dim))
            )
        place = xp.argmax(x, axis=self.axis) if self.largest else xp.argmin(x, axis=self.axis)
        place = xp.expand_dims(xp.asarray(place), self.axis)
        y = xp.take_along_axis(x, place, axis=self.axis)
        self.place = place
        if self.keepdim:
            return y, place
        return y.squeeze(self.axis), place.squeeze(self.axis)

    def backward(self, gy: Any, _: Any = None) -> Any:
        if not self.x_shape:
            return gy
        g = reshape(gy, self.place.shape)
        return ScatterAlong(self.axis, self.x_shape, repeats=False)(g, self.place)


class MinDim(MaxDim):
    """Minimum along one axis and its first place."""

    name = "min"
    largest = False


class Cumsum(Function):
    """Running sums along one axis."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        axis = normalise_dim(self.name, self.dim, x.ndim)
        dtype = x.dtype if is_floating(x.dtype) else int64
        if x.ndim == 0:
            return x.astype(dtype)
        return self.backend.xp.cumsum(x, axis=axis, dtype=dtype)

    def backward(self, gy: Any) -> Any:
        return gy if not gy.shape else flip(cumsum(flip(gy, self.dim), self.dim), self.dim)


def sum(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Sum over `dim` (an axis, several, or None for all); integers and bools sum to int64.

    >>> import deepcore as dc
    >>> dc.sum(dc.ones(2, 3), dim=1)
    tensor([3., 3.])
    """
    return Sum(dim, keepdim)(x)


def mean(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Mean over `dim`; raises DTypeError for integers, NaN for no elements."""
    return Mean(dim, keepdim)(x)


def prod(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Product over `dim`; exact gradients also where elements are 0."""
    return Prod(dim, keepdim)(x)


@cast_as_one
def var(x: Tensor, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Variance over `dim`, divided by (count - correction): 1 is Bessel's correction, 0 the biased variance."""
    return _var("var", x, dim, correction, keepdim)


def _var(op: str, x: Any, dim: Dim, correction: float, keepdim: bool) -> Any:
    dims = normalise_dims(op, dim, x.ndim)
    count = math.prod(x.shape[i] for i in dims)
    centred = x - mean(x, dims if dims else None, keepdim=True)
    degrees = count - correction if count > correction else 0
    total = sum(centred * centred, dims if dims else None, keepdim)
    return total / degrees if degrees else total * math.nan


@cast_as_one
def std(x: Tensor, dim: Dim = None, correction: float = 1, keepdim: bool = False) -> Tensor:
    """Standard deviation: the root of `var`."""
    return sqrt(_var("std", x, dim, correction, keepdim))


def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Maximum over `dim`; equal maxima share the gradient."""
    return Amax(dim, keepdim)(x)


def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Minimum over `dim`; equal minima share the gradient."""
    return Amin(dim, keepdim)(x)


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """max(x): the maximum of all; max(x, dim): (values, indices) along an axis; max(x, other): elementwise."""
    return _extreme("max", x, dim, keepdim, Amax, MaxDim)


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """min(x): the minimum of all; min(x, dim): (values, indices) along an axis; min(x, other): elementwise."""
    return _extreme("min", x, dim, keepdim, Amin, MinDim)


def _extreme(op: str, x: Any, dim: Any, keepdim: bool, whole: Any, along: Any) -> Any:
    if dim is None:
        return whole(name=op)(x)
    if hasattr(dim, "shape"):
        return maximum(x, dim) if op == "max" else minimum(x, dim)
    return along(dim, keepdim)(x)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The first place (int64) of the maximum along `dim`, or in the flattened tensor."""
    return _place("argmax", x, dim, keepdim, MaxDim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The first place (int64) of the minimum along `dim`, or in the flattened tensor."""
    return _place("argmin", x, dim, keepdim, MinDim)


def _place(op: str, x: Any, dim: int | None, keepdim: bool, along: Any) -> Any:
    if dim is not None:
        return along(dim, keepdim, op)(x.detach())[1]
    place = along(0, False, op)(reshape(x.detach(), (-1,)))[1]
    return reshape(place, (1,) * x.ndim) if keepdim else place


def cumsum(x: Tensor, dim: int) -> Tensor:
    """Running sums along `dim`."""
    return Cumsum(dim)(x)


@cast_as_one
def logsumexp(x: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) over `dim`, without overflow; -inf where there is nothing to add."""
    if not x.numel():
        return log(sum(exp(x), dim, keepdim))
    top = amax(x.detach(), dim, keepdim=True)
    top = where(abs_is_finite(top), top, 0.0)
    total = log(sum(exp(x - top), dim, keepdim=True)) + top
    return total if keepdim else reshape(total, sum(x.detach(), dim).shape)


def abs_is_finite(x: Any) -> Any:
    """True where x is neither infinite nor NaN."""
    return (x - x) == 0


@cast_as_one
def norm(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Euclidean length over `dim`."""
    return sqrt(sum(x * x, dim, keepdim))
