"""Values at places along an axis, and their reverse: gather, scatter, index_select.

An index outside of its axis is an IndexRangeError on a host device. On another device, where Python would have to wait
for the values, floating results are NaN instead.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.dtypes import is_floating
from deepcore.errors import ArgumentError, DeviceError, DTypeError, IndexRangeError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.axes import normalise_dim
from deepcore.functions.index.indexing import GetItem, IndexAdd, getitem
from deepcore.functions.shape import broadcast_to, clone, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "gather",
    "index_add",
    "index_select",
    "scatter",
    "scatter_add",
    "take_along_dim",
]


# --- what the ops share -----------------------------------------------------------------------------------------------


def places(op: str, backend: Any, index: Any, size: int, what: str = "index") -> tuple[Any, Any]:
    """(index, mask of what is outside of [0, size) or None): checked on the host, made harmless elsewhere."""
    if getattr(getattr(index, "dtype", None), "kind", "") not in ("i", "u"):
        found = got(on=backend.device, **{what: index})
        raise DTypeError(message(op, f"{what} of an integer dtype", found, f"convert with {what}.long()"))
    if not index.size:
        return index, None
    if size == 0 or backend.on_host:
        if size == 0 or index.min() < 0 or index.max() >= size:
            found = got(on=backend.device, **{what: index})
            limits = "" if size == 0 else f", with values from {index.min()} to {index.max()}"
            raise IndexRangeError(message(op, f"0 <= {what} < {size}", found + limits))
        return index, None
    outside = (index < 0) | (index >= size)
    return backend.xp.where(outside, 0, index).astype(index.dtype, copy=False), outside


def poisoned(backend: Any, y: Any, outside: Any) -> Any:
    """y with NaN where `outside` (which broadcasts to y) holds; y itself when it is None or y is not floating."""
    if outside is None or not is_floating(y.dtype):
        return y
    return backend.xp.where(outside, backend.xp.full((), math.nan, dtype=y.dtype), y)


def grid(backend: Any, index: Any, axis: int) -> tuple[Any, ...]:
    """The index arrays (one an axis, broadcastable) of the elements that `index` names along `axis`."""
    rest = [
        backend.xp.arange(n).reshape((1,) * d + (n,) + (1,) * (index.ndim - d - 1)) for d, n in enumerate(index.shape)
    ]
    return (*rest[:axis], index, *rest[axis + 1 :])


def need_tensor(op: str, name: str, value: Any) -> None:
    """Raise TypeError unless the value is a tensor (or an array, inside of a backward pass)."""
    if not hasattr(value, "dtype"):
        raise ArgumentError(message(op, f"{name} as a tensor", f"{name}={value!r}", "make one with dc.tensor"))


def _fits(op: str, backend: Any, axis: int, index: Any, **arrays: Any) -> None:
    """Raise ShapeError unless `index` is no larger than x (but along `axis`) and than src."""
    x, src = arrays["x"], arrays.get("src")
    ok = index.ndim == x.ndim and all(
        n <= m for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=False)) if d != axis
    )
    if ok and src is not None:
        ok = src.ndim == x.ndim and all(n <= m for n, m in zip(index.shape, src.shape, strict=True))
    ranks_differ = src is not None and src.ndim != x.ndim
    if not ok and (0 not in index.shape or ranks_differ):
        parts = "x (but for dim) and src" if src is not None else "x (but for dim)"
        expected = f"index with as many axes as x and no axis longer than in {parts}"
        raise ShapeError(message(op, expected, got(on=backend.device, **arrays, index=index, dim=axis)))


# --- along one axis ---------------------------------------------------------------------------------------------------


class Gather(Function):
    """y[i, j] = x[index[i, j], j] for dim 0, and so on; the gradient is added up at the same places."""

    widens = False

    def __init__(self, dim: int, name: str = "gather") -> None:
        self.dim, self.name = dim, name

    def forward(self, x: Any, index: Any) -> Any:
        axis = normalise_dim(self.name, self.dim, x.ndim)
        self.x_shape = x.shape
        self.saved = (index,)
        _fits(self.name, self.backend, axis, index, x=x)
        index, outside = places(self.name, self.backend, index, x.shape[axis] if x.ndim else 1)
        if x.ndim == 0:
            return poisoned(self.backend, x.reshape(1)[index], outside)
        if index.ndim != x.ndim:  # an empty index of another rank, as PyTorch allows
            return self.backend.xp.zeros(index.shape, dtype=x.dtype)
        return poisoned(self.backend, x[grid(self.backend, index, axis)], outside)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return ScatterAlong(self.dim, self.x_shape)(gy, index), None


class ScatterAlong(Function):
    """Zeros of a shape with values added at places along an axis; its gradient takes them out again.

    repeats: False for places that another op found, each met once: nothing is checked or added up, which is quicker.
    """

    name = "scatter"

    def __init__(self, dim: int, shape: tuple[int, ...], repeats: bool = True) -> None:
        self.dim, self.shape, self.repeats = dim, shape, repeats

    def forward(self, g: Any, index: Any) -> Any:
        axis = normalise_dim(self.name, self.dim, len(self.shape))
        self.saved = (index,)
        if not self.shape:
            return self.backend.xp.array(g)
        if not self.repeats or not index.size:
            out = self.backend.xp.zeros(self.shape, dtype=g.dtype)
            if index.size:
                out[grid(self.backend, index, axis)] = g
            return out
        index, outside = places(self.name, self.backend, index, self.shape[axis])
        out = self.backend.index_add(self.shape, g.dtype, grid(self.backend, index, axis), g)
        return out if outside is None else poisoned(self.backend, out, outside.any())

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return Gather(self.dim, self.name)(gy, index), None


class Scatter(Function):
    """A copy of x with values written at places along an axis; where places repeat, which one stays is not defined."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any, index: Any, src: Any) -> Any:
        axis = normalise_dim(self.name, self.dim, x.ndim)
        named = {"x": x} | ({"src": src} if hasattr(src, "dtype") else {})
        _fits(self.name, self.backend, axis, index, **named)
        _same_dtype("scatter", self.backend, **named)
        self.saved = (index,)
        self.src_shape = getattr(src, "shape", ())
        index, outside = places(self.name, self.backend, index, x.shape[axis] if x.ndim else 1)
        y = self.backend.xp.array(x)  # a copy; a 0-d gradient may be a NumPy scalar
        if not index.size:
            return y
        if self.src_shape:
            src = src[tuple(slice(n) for n in index.shape)]
        if x.ndim == 0:
            y[...] = src
        else:
            y[grid(self.backend, index, axis)] = src
        return y if outside is None else poisoned(self.backend, y, outside.any())

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        gx = Scatter(self.dim)(gy, index, 0) if self.wants(0) else None
        gsrc = _padded(Gather(self.dim)(gy, index), self.src_shape) if self.wants(2) else None
        return gx, None, gsrc


def _padded(g: Any, shape: tuple[int, ...]) -> Any:
    """g with zeros behind it along every axis, up to `shape`; a g without elements may have any other shape."""
    if 0 in g.shape and not shape:
        return g.sum()
    if 0 in g.shape:
        g = reshape(g, (0, *shape[1:]))
    return g if g.shape == shape else IndexAdd(tuple(slice(n) for n in g.shape), shape)(g)


def _same_dtype(op: str, backend: Any, **arrays: Any) -> None:
    if len({a.dtype for a in arrays.values()}) > 1:
        raise DTypeError(message(op, "one dtype for all", got(on=backend.device, **arrays), "convert with .to(dtype)"))


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """y[i, j, k] = x[index[i, j, k], j, k] for dim=0, x[i, index[i, j, k], k] for dim=1, and so on.

    index: integers, as many axes as x, no axis but `dim` longer than in x; y has its shape. Raises ShapeError,
    DTypeError, IndexRangeError (NaN where the device is not the host).

    >>> import deepcore as dc
    >>> dc.gather(dc.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, dc.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    need_tensor("gather", "index", index)
    return Gather(dim)(x, index)


@cast_as_one
def scatter(x: Tensor, dim: int, index: Tensor, src: Tensor | float) -> Tensor:
    """A copy of x with y[index[i, j], j] = src[i, j] for dim=0, and so on; src is a tensor or a number.

    The reverse of gather; where a place repeats, one of the values stays. The shapes are as for gather, and src is
    nowhere shorter than index. Raises as gather, and DTypeError where src has another dtype.
    """
    need_tensor("scatter", "index", index)
    if not hasattr(src, "dtype") and not isinstance(src, int | float):
        raise ArgumentError(message("scatter", "src as a tensor or a number", f"src={src!r}"))
    return Scatter(dim)(x, index, src)


@cast_as_one
def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy of x with y[index[i, j], j] += src[i, j] for dim=0, and so on; shapes and errors as for scatter."""
    axis = normalise_dim("scatter_add", dim, x.ndim)
    need_tensor("scatter_add", "index", index)
    need_tensor("scatter_add", "src", src)
    _fits("scatter_add", x.backend, axis, index, x=x, src=src)
    _same_dtype("scatter_add", x.backend, x=x, src=src)
    if len(index.shape) != x.ndim:  # an empty index of another rank
        return clone(x)
    cut = src if src.shape == index.shape else getitem(src, tuple(slice(n) for n in index.shape))
    return x + ScatterAlong(axis, x.shape)(cut, index)


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """As gather, but x and indices broadcast against each other along the other axes; dim=None flattens both.

    What argmax and argsort give along `dim` is taken from x with it.
    """
    need_tensor("take_along_dim", "indices", indices)
    if dim is None:
        return Gather(0, "take_along_dim")(reshape(x, (-1,)), reshape(indices, (-1,)))
    axis = normalise_dim("take_along_dim", dim, x.ndim)
    if len(indices.shape) != x.ndim:
        expected = "indices with as many axes as x"
        raise ShapeError(message("take_along_dim", expected, got(x=x, indices=indices, dim=dim)))
    pairs = list(zip(x.shape, indices.shape, strict=True))
    if any(d != axis and n != m and 1 not in (n, m) for d, (n, m) in enumerate(pairs)):
        expected = "indices that broadcast to x but for dim"
        raise ShapeError(message("take_along_dim", expected, got(x=x, indices=indices, dim=dim)))
    common = [m if n == 1 else n for n, m in pairs]
    x = broadcast_to(x, tuple(x.shape[d] if d == axis else n for d, n in enumerate(common)))
    indices = broadcast_to(indices, tuple(indices.shape[d] if d == axis else n for d, n in enumerate(common)))
    return Gather(axis, "take_along_dim")(x, indices)


# --- whole slices -----------------------------------------------------------------------------------------------------


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of x along `dim` that `index` (1-d or 0-d integers) names, in its order, as often as it names them."""
    axis = normalise_dim("index_select", dim, x.ndim)
    key, outside = _slices("index_select", x, axis, index)
    if x.ndim == 0:
        y = reshape(GetItem((key[-1],))(reshape(x, (1,))), ()) if index.numel() == 1 else _refuse_0d(x, index)
    else:
        y = GetItem(key)(x)
    return y if outside is None else _poison(y, outside, axis)


def _refuse_0d(x: Any, index: Any) -> Any:
    raise ShapeError(message("index_select", "one index for a 0-d tensor", got(x=x, index=index)))


def _slices(op: str, x: Any, axis: int, index: Any) -> tuple[tuple[Any, ...], Any]:
    """(key for x[key], mask of what is outside or None) for a 1-d index along an axis."""
    need_tensor(op, "index", index)
    if len(index.shape) > 1:
        raise ShapeError(message(op, "an index with one axis", got(x=x, index=index)))
    _check_device(op, x, index)
    flat = index.array if len(index.shape) == 1 else index.array.reshape(-1)
    found, outside = places(op, x.backend, flat, x.shape[axis] if x.ndim else 1)
    return (slice(None),) * axis + (found,), outside


def _check_device(op: str, x: Any, index: Any) -> None:
    if index.backend is not x.backend:
        hint = f'move the index with .to("{x.device}")'
        raise DeviceError(message(op, "all tensors on one device", got(x=x, index=index), hint))


def _poison(y: Any, outside: Any, axis: int) -> Any:
    if not is_floating(y.dtype):
        return y
    shape = tuple(outside.size if d == axis else 1 for d in range(y.ndim))
    return where(wrap(outside.reshape(shape), y.backend), math.nan, y)


@cast_as_one
def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy of x with alpha * source[i] added to its slice index[i] along `dim`; repeats accumulate.

    index (n,) integers; source has n slices along `dim` and otherwise the shape and the dtype of x.
    """
    axis = normalise_dim("index_add", dim, x.ndim)
    key, outside = _slices("index_add", x, axis, index)
    n = index.numel()
    need_tensor("index_add", "source", source)
    if source.shape != tuple(n if d == axis else m for d, m in enumerate(x.shape)):
        expected = "source with one slice an index along dim, otherwise in the shape of x"
        raise ShapeError(message("index_add", expected, got(x=x, index=index, source=source, dim=dim)))
    _same_dtype("index_add", x.backend, x=x, source=source)
    if x.ndim == 0:
        return x + source * alpha
    added = IndexAdd(key, x.shape)(source if alpha == 1 else source * alpha)
    if outside is not None:
        added = _poison(added, outside.any().reshape(1), -1)
    return x + added
