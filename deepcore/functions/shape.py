"""Shape and layout: reshape, permute, broadcast, join, cut, pad. Views share memory with their input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.dtypes import result_type
from deepcore.errors import ShapeError, got, message
from deepcore.functions.axes import flat_ints, normalise_dim, normalise_dims
from deepcore.functions.index.indexing import getitem

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "broadcast_to",
    "cat",
    "chunk",
    "clone",
    "contiguous",
    "expand",
    "flatten",
    "flip",
    "movedim",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "sum_to",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
    "view",
]


class Reshape(Function):
    view = True

    def __init__(self, shape: tuple[int, ...], name: str = "reshape") -> None:
        self.shape, self.name = shape, name

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        shape = self.shape
        if x.size == 0 and -1 in shape and 0 not in shape:  # NumPy cannot infer an axis from no elements
            known = math.prod(n for n in shape if n != -1)
            if known:
                shape = tuple(0 if n == -1 else n for n in shape)
        try:
            if min(shape, default=0) < -1:
                raise ValueError  # NumPy reads -2 as -1
            return x.reshape(shape)
        except (ValueError, TypeError):
            expected = f"a shape with {math.prod(x.shape)} elements and at most one -1"
            raise ShapeError(message(self.name, expected, got(on=self.backend.device, x=x, shape=self.shape))) from None

    def backward(self, gy: Any) -> Any:
        return reshape(gy, self.x_shape)


class Permute(Function):
    view = True

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return x.transpose(self.dims)

    def backward(self, gy: Any) -> Any:
        back = [0] * len(self.dims)
        for i, d in enumerate(self.dims):
            back[d] = i
        return Permute(tuple(back))(gy)


class BroadcastTo(Function):
    view = True

    def __init__(self, shape: tuple[int, ...], name: str = "broadcast_to") -> None:
        self.shape, self.name = shape, name

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        try:
            return self.backend.xp.broadcast_to(x, self.shape)
        except ValueError:
            hint = "trailing axes must be equal or 1 in x"
            raise ShapeError(
                message(
                    self.name, "a shape that x broadcasts to", got(on=self.backend.device, x=x, shape=self.shape), hint
                )
            ) from None

    def backward(self, gy: Any) -> Any:
        return sum_to(gy, self.x_shape)


class SumTo(Function):
    """The book's sum_to: sums over the axes along which `shape` was broadcast."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        lead = x.ndim - len(self.shape)
        same = all(n in (1, m) for n, m in zip(self.shape, x.shape[max(lead, 0) :], strict=False))
        if lead < 0 or not same:
            raise ShapeError(
                message(
                    "sum_to_size", "a shape that broadcasts to x", got(on=self.backend.device, x=x, shape=self.shape)
                )
            )
        stretched = tuple(i + lead for i, n in enumerate(self.shape) if n == 1 and x.shape[i + lead] != 1)
        return x.sum(axis=tuple(range(lead)) + stretched, keepdims=True).reshape(self.shape)

    def backward(self, gy: Any) -> Any:
        return broadcast_to(gy, self.x_shape)


class Cat(Function):
    widens = False

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, *xs: Any) -> Any:
        self.axis = axis = normalise_dim("cat", self.dim, xs[0].ndim)
        shapes = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}
        if len(shapes) != 1 or len({x.ndim for x in xs}) != 1 or xs[0].ndim == 0:
            found = got(on=self.backend.device, **{f"tensor {i}": x for i, x in enumerate(xs)}, dim=self.dim)
            raise ShapeError(message("cat", "equal shapes but for dim, at least 1-d", found))
        self.sizes = [x.shape[axis] for x in xs]
        dtype = xs[0].dtype
        for x in xs[1:]:
            dtype = result_type(x, xs[0]) if dtype == xs[0].dtype else result_type(x.astype(dtype), x)
        return self.backend.concatenate([x if x.dtype == dtype else x.astype(dtype) for x in xs], axis)

    def backward(self, gy: Any) -> Any:
        return tuple(_pieces(gy, self.sizes, self.axis))


def _pieces(x: Any, sizes: Sequence[int], axis: int) -> list[Any]:
    """x cut along an axis into pieces of the given sizes."""
    pieces, start = [], 0
    for size in sizes:
        index = (slice(None),) * axis + (slice(start, start + size),)
        pieces.append(getitem(x, index))
        start += size
    return pieces


class Flip(Function):
    widens = False

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims = dims

    def forward(self, x: Any) -> Any:
        return self.backend.contiguous(self.backend.xp.flip(x, self.dims)) if self.dims else x.copy()

    def backward(self, gy: Any) -> Any:
        return Flip(self.dims)(gy)


class Clone(Function):
    widens = False

    def forward(self, x: Any) -> Any:
        return x.copy()

    def backward(self, gy: Any) -> Any:
        return gy


class Contiguous(Function):
    widens = False

    def forward(self, x: Any) -> Any:
        return self.backend.contiguous(x)

    def backward(self, gy: Any) -> Any:
        return gy


class Cast(Function):
    """A copy in another dtype; the gradient comes back in the input's dtype."""

    widens = False
    name = "to"

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        return x.astype(self.dtype)

    def backward(self, gy: Any) -> Any:
        return gy  # the engine casts a gradient to the dtype of its input


class ToBackend(Function):
    """A copy on another device; the gradient is copied back."""

    widens = False
    name = "to"

    def __init__(self, backend: Any) -> None:
        self.output_backend = backend

    def forward(self, x: Any) -> Any:
        return self.output_backend.from_host(self.backend.to_host(x))

    def backward(self, gy: Any) -> Any:
        if hasattr(gy, "backend"):
            return ToBackend(self.backend)(gy)
        return self.backend.from_host(self.output_backend.to_host(gy))


def reshape(x: Tensor, shape: Any) -> Tensor:
    """The same elements in another shape, one axis of which may be -1; a view where the memory allows it."""
    return Reshape(flat_ints("reshape", (shape,)))(x)


def view(x: Tensor, shape: Any) -> Tensor:
    """As reshape, and sharing the memory: raises ShapeError where non-contiguous memory does not allow it."""
    out = Reshape(flat_ints("view", (shape,)), "view")(x)
    if out.array.size and not x.backend.shares_memory(out.array, x.array):
        raise ShapeError(message("view", "memory that can be seen in this shape", got(x=x, shape=shape), "use reshape"))
    return out


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim .. end_dim joined into one."""
    start, end = normalise_dim("flatten", start_dim, x.ndim), normalise_dim("flatten", end_dim, x.ndim)
    if start > end:
        raise ShapeError(message("flatten", "start_dim <= end_dim", f"start_dim={start_dim}, end_dim={end_dim}"))
    if x.ndim == 0:
        return reshape(x, (1,))
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One axis split into several; one of the sizes may be -1."""
    axis = normalise_dim("unflatten", dim, x.ndim)
    sizes = tuple(sizes)
    if x.ndim == 0:
        raise ShapeError(message("unflatten", "a tensor with at least one axis", got(x=x, dim=dim, sizes=sizes)))
    if -1 in sizes:
        known = -math.prod(sizes)
        sizes = tuple(x.shape[axis] // known if n == -1 and known > 0 else n for n in sizes)
    if math.prod(sizes) != x.shape[axis]:
        found = got(x=x, dim=dim, sizes=sizes)
        raise ShapeError(message("unflatten", f"sizes with product {x.shape[axis]}", found))
    return reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def permute(x: Tensor, dims: Any) -> Tensor:
    """The axes in another order; a view."""
    order = flat_ints("permute", (dims,))
    found = [normalise_dim("permute", d, x.ndim) for d in order]
    if sorted(found) != list(range(x.ndim)):
        raise ShapeError(message("permute", f"each of {x.ndim} axes once", got(x=x, dims=order)))
    return Permute(tuple(found))(x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes swapped; a view."""
    a, b = normalise_dim("transpose", dim0, x.ndim), normalise_dim("transpose", dim1, x.ndim)
    order = list(range(x.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return Permute(tuple(order))(x)


def movedim(x: Tensor, source: int, destination: int) -> Tensor:
    """One axis moved to another place; a view."""
    a, b = normalise_dim("movedim", source, x.ndim), normalise_dim("movedim", destination, x.ndim)
    order = [i for i in range(x.ndim) if i != a]
    if x.ndim:
        order.insert(b, a)
    return Permute(tuple(order))(x)


def squeeze(x: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of length 1 (all, or those in dim); a view."""
    dims = normalise_dims("squeeze", dim, x.ndim)
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if not (i in dims and n == 1)))


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """With a new axis of length 1 at `dim`; a view."""
    axis = normalise_dim("unsqueeze", dim, x.ndim + 1)
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def broadcast_to(x: Tensor, shape: Any) -> Tensor:
    """x repeated along axes of length 1 and new leading axes, without a copy; read-only."""
    target = flat_ints("broadcast_to", (shape,))
    return x if x.shape == target else BroadcastTo(target)(x)


def expand(x: Tensor, shape: Any) -> Tensor:
    """As broadcast_to; -1 keeps an axis."""
    target = flat_ints("expand", (shape,))
    lead = len(target) - x.ndim
    if lead < 0 or any(n == -1 and i < lead for i, n in enumerate(target)):
        raise ShapeError(message("expand", "a shape that x broadcasts to", got(x=x, shape=target)))
    target = tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(target))
    return x if x.shape == target else BroadcastTo(target, "expand")(x)


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Summed down to `shape`, the reverse of broadcasting (PyTorch's sum_to_size)."""
    return x if x.shape == shape else SumTo(tuple(shape))(x)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along an existing axis; all other axes are equal."""
    tensors = tuple(tensors)
    if not tensors:
        raise ShapeError(message("cat", "at least one tensor", "none"))
    return Cat(dim)(*tensors)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joined along a new axis; all shapes are equal."""
    tensors = tuple(tensors)
    if len({x.shape for x in tensors}) != 1:
        found = got(**{f"tensor {i}": x for i, x in enumerate(tensors)}) or "none"
        raise ShapeError(message("stack", "one or more tensors of equal shape", found))
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(x: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis: pieces of split_size (the last may be smaller), or of the sizes in a list."""
    axis = normalise_dim("split", dim, x.ndim)
    total = x.shape[axis] if x.ndim else 0
    if isinstance(split_size, int):
        if split_size <= 0:
            raise ShapeError(message("split", "split_size > 0", f"split_size={split_size}"))
        sizes = [min(split_size, total - i) for i in range(0, total, split_size)] or [0]
    else:
        sizes = list(split_size)
        if sum(sizes) != total or min(sizes, default=0) < 0:
            raise ShapeError(message("split", f"sizes that add up to {total}", got(x=x, sizes=sizes, dim=dim)))
    return tuple(_pieces(x, sizes, axis))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut along an axis into at most `chunks` equal pieces, the last perhaps smaller; no elements into `chunks`."""
    if chunks <= 0:
        raise ShapeError(message("chunk", "chunks > 0", f"chunks={chunks}"))
    axis = normalise_dim("chunk", dim, x.ndim)
    if x.ndim == 0:
        raise ShapeError(message("chunk", "at least one axis", got(x=x)))
    return split(x, -(-x.shape[axis] // chunks) or [0] * chunks, axis)


def unbind(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, without that axis."""
    axis = normalise_dim("unbind", dim, x.ndim)
    if x.ndim == 0:
        raise ShapeError(message("unbind", "at least one axis", got(x=x)))
    return tuple(getitem(x, (slice(None),) * axis + (i,)) for i in range(x.shape[axis]))


def flip(x: Tensor, dims: Any) -> Tensor:
    """In reverse order along the given axes; a copy."""
    axes = flat_ints("flip", (dims,))
    return Flip(normalise_dims("flip", axes, x.ndim) if axes else ())(x)


def clone(x: Tensor) -> Tensor:
    """A copy; gradients pass through."""
    return Clone()(x)


def contiguous(x: Tensor) -> Tensor:
    """x itself when its memory is C-contiguous, else a copy."""
    return x if x.array.flags.c_contiguous else Contiguous()(x)


def cast(x: Tensor, dtype: Any) -> Tensor:
    """x in another dtype; x itself when it has it already."""
    return x if x.dtype == dtype else Cast(dtype)(x)


def to_backend(x: Tensor, backend: Any) -> Tensor:
    """x on another device; x itself when it is there already. An explicit copy through the host."""
    return x if x.backend is backend else ToBackend(backend)(x)
