"""Elements in another arrangement: roll, triangles, diagonals, repetition; running products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.dtypes import int64, is_floating
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.axes import flat_ints, normalise_dim
from deepcore.functions.index.indexing import getitem
from deepcore.functions.reduce import sum
from deepcore.functions.shape import broadcast_to, clone, reshape, stack

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "cumprod",
    "diag",
    "diag_embed",
    "diagonal",
    "repeat",
    "repeat_interleave",
    "roll",
    "tile",
    "trace",
    "tril",
    "triu",
]


class Roll(Function):
    """Elements moved along axes; what leaves at one end comes in at the other."""

    widens = False

    def __init__(self, shifts: tuple[int, ...], dims: tuple[int, ...]) -> None:
        self.shifts, self.dims = shifts, dims

    def forward(self, x: Any) -> Any:
        return self.backend.xp.roll(x, self.shifts, axis=self.dims)

    def backward(self, gy: Any) -> Any:
        return Roll(tuple(-s for s in self.shifts), self.dims)(gy)


class Tril(Function):
    """Matrices with zeros above a diagonal."""

    lower = True

    def __init__(self, diagonal: int) -> None:
        self.diagonal = diagonal

    def forward(self, x: Any) -> Any:
        if x.ndim < 2:
            raise ShapeError(message(self.name, "at least two axes", got(on=self.backend.device, x=x)))
        xp = self.backend.xp
        return (xp.tril if self.lower else xp.triu)(x, self.diagonal)

    def backward(self, gy: Any) -> Any:
        return type(self)(self.diagonal)(gy)


class Triu(Tril):
    """Matrices with zeros below a diagonal."""

    lower = False


class Diagonal(Function):
    """One diagonal of matrices, as the last axis; a view."""

    view = True

    def __init__(self, offset: int, dims: tuple[int, int]) -> None:
        self.offset, self.dims = offset, dims

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return self.backend.xp.diagonal(x, self.offset, *self.dims)

    def backward(self, gy: Any) -> Any:
        return DiagonalScatter(self.offset, self.dims, self.x_shape)(gy)


class DiagonalScatter(Function):
    """Zeros of a shape with values on one diagonal; the reverse of Diagonal."""

    name = "diag_embed"

    def __init__(self, offset: int, dims: tuple[int, int], shape: tuple[int, ...]) -> None:
        self.offset, self.dims, self.shape = offset, dims, shape

    def forward(self, g: Any) -> Any:
        xp = self.backend.xp
        out = xp.zeros(self.shape, dtype=g.dtype)
        along = xp.arange(g.shape[-1])
        xp.moveaxis(out, self.dims, (-2, -1))[..., along + max(-self.offset, 0), along + max(self.offset, 0)] = g
        return out

    def backward(self, gy: Any) -> Any:
        return Diagonal(self.offset, self.dims)(gy)


class Cumprod(Function):
    """Running products along one axis."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def forward(self, x: Any) -> Any:
        self.axis = normalise_dim(self.name, self.dim, x.ndim)
        dtype = x.dtype if is_floating(x.dtype) else int64
        if x.ndim == 0:
            return x.astype(dtype)
        self.saved = (x,)
        return self.backend.xp.cumprod(x, axis=self.axis, dtype=dtype)

    def backward(self, gy: Any) -> Any:
        # dy_j/dx_i is the product of x_0 .. x_j without x_i. So the gradient is before_i * s_i, with
        # s_i = gy_i + x_{i+1} s_{i+1}: no division, exact where elements are 0.
        if not gy.shape or not gy.shape[self.axis]:
            return gy
        (x,) = self.saved
        key = (slice(None),) * self.axis
        n = gy.shape[self.axis]
        xs, gs = ([getitem(a, (*key, i)) for i in range(n)] for a in (x, gy))
        rest = [gs[-1]]
        for i in range(n - 1, 0, -1):
            rest.append(gs[i - 1] + xs[i] * rest[-1])
        before, result = None, []
        for i in range(n):
            result.append(rest[n - 1 - i] if before is None else before * rest[n - 1 - i])
            before = xs[i] if before is None else before * xs[i]
        return stack(result, self.axis)


def _two_axes(op: str, x: Any, dim1: int, dim2: int) -> tuple[int, int]:
    a, b = normalise_dim(op, dim1, x.ndim), normalise_dim(op, dim2, x.ndim)
    if x.ndim < 2 or a == b:
        raise ShapeError(message(op, "two different axes", got(x=x, dim1=dim1, dim2=dim2)))
    return a, b


def cumprod(x: Tensor, dim: int) -> Tensor:
    """Running products along `dim`; exact gradients also where elements are 0, by one step an element of the axis."""
    return Cumprod(dim)(x)


def roll(x: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved by `shifts` along `dims`, round the ends; without dims the flattened elements are moved.

    >>> import deepcore as dc
    >>> dc.roll(dc.tensor([1, 2, 3, 4]), 1)
    tensor([4, 1, 2, 3])
    """
    moves = flat_ints("roll", (shifts,))
    if dims is None:
        if len(moves) != 1:
            raise ConfigError(message("roll", "one shift when dims is None", f"shifts={shifts!r}"))
        return reshape(Roll(moves, (0,))(reshape(x, (-1,))), x.shape)
    axes = tuple(normalise_dim("roll", d, x.ndim) for d in flat_ints("roll", (dims,)))
    if len(moves) != len(axes):
        raise ConfigError(message("roll", "one shift an axis", f"shifts={shifts!r}, dims={dims!r}"))
    return Roll(moves, axes)(x) if x.ndim else x


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """x (..., n, m) with zeros above the diagonal, or `diagonal` places above (below) it."""
    return Tril(diagonal)(x)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """x (..., n, m) with zeros below the diagonal, or `diagonal` places above (below) it."""
    return Triu(diagonal)(x)


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of the matrices in the axes dim1 and dim2, `offset` places above it, as the last axis; a view."""
    dims = _two_axes("diagonal", x, dim1, dim2)
    return Diagonal(offset, dims)(x)


def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last axis of x on a diagonal and zeros elsewhere, in the new axes dim1 and dim2."""
    if x.ndim == 0:
        raise ShapeError(message("diag_embed", "at least one axis", got(x=x)))
    size = x.shape[-1] + abs(offset)
    a, b = (normalise_dim("diag_embed", d, x.ndim + 1) for d in (dim1, dim2))
    if a == b:
        raise ShapeError(message("diag_embed", "two different axes", got(x=x, dim1=dim1, dim2=dim2)))
    shape = list(x.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, size)
    return DiagonalScatter(offset, (a, b), tuple(shape))(x)


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """A vector (n,) on a diagonal of zeros (n, n), or the diagonal of a matrix."""
    if x.ndim not in (1, 2):
        raise ShapeError(message("diag", "one or two axes", got(x=x), "use diagonal or diag_embed"))
    return diag_embed(x, diagonal) if x.ndim == 1 else Diagonal(diagonal, (0, 1))(x)


def trace(x: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix (n, m)."""
    if x.ndim != 2:
        raise ShapeError(message("trace", "two axes", got(x=x), "use diagonal(...).sum(-1)"))
    return sum(Diagonal(0, (0, 1))(x))


def repeat(x: Tensor, sizes: Any) -> Tensor:
    """x laid side by side `sizes` times along each axis, one size an axis or more (new axes come first); a copy.

    >>> import deepcore as dc
    >>> dc.repeat(dc.tensor([1, 2]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return _repeat("repeat", x, flat_ints("repeat", (sizes,)))


def _repeat(op: str, x: Any, sizes: tuple[int, ...]) -> Any:
    if len(sizes) < x.ndim or any(n < 0 for n in sizes):
        raise ShapeError(message(op, "one size an axis, or more, none negative", got(x=x, sizes=sizes)))
    shape = (1,) * (len(sizes) - x.ndim) + x.shape
    apart = reshape(x, tuple(n for m in shape for n in (1, m)))
    spread = broadcast_to(apart, tuple(n for pair in zip(sizes, shape, strict=True) for n in pair))
    whole = reshape(spread, tuple(n * m for n, m in zip(sizes, shape, strict=True)))
    return _copied(whole, x)


def _copied(y: Any, x: Any) -> Any:
    """y, or a copy of it where it still looks at the memory of x."""
    return clone(y) if x.backend.shares_memory(y.array, x.array) else y


def tile(x: Tensor, dims: Any) -> Tensor:
    """As repeat, but missing sizes in front count as 1 (NumPy's tile)."""
    sizes = flat_ints("tile", (dims,))
    return _repeat("tile", x, (1,) * (x.ndim - len(sizes)) + sizes)


def repeat_interleave(x: Tensor, repeats: Any, dim: int | None = None) -> Tensor:
    """Each slice along `dim` (each element, without dim) repeated `repeats` times, next to itself.

    repeats: one int, or a tensor or list of integers, one a slice; then the shape depends on the values and the host
    waits for the device.
    """
    op = "repeat_interleave"
    if dim is None or x.ndim == 0:
        x, dim = reshape(x, (-1,)), 0
    axis = normalise_dim(op, dim, x.ndim)
    n = x.shape[axis]
    if isinstance(repeats, int):
        if repeats < 0:
            raise ConfigError(message(op, "repeats >= 0", f"repeats={repeats}"))
        apart = reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
        spread = broadcast_to(apart, (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]))
        return _copied(reshape(spread, (*x.shape[:axis], n * repeats, *x.shape[axis + 1 :])), x)
    counts = np.asarray(repeats.backend.to_host(repeats.array) if hasattr(repeats, "backend") else repeats)
    fits = counts.dtype.kind in "iu" and counts.shape in ((), (1,), (n,)) and not (counts < 0).any()
    if not fits:
        expected = f"repeats as integers >= 0, one for each of {n} slices"
        raise ConfigError(message(op, expected, got(x=x, repeats=repeats, dim=axis)))
    places = np.repeat(np.arange(n), counts if counts.shape == (n,) else int(counts.reshape(())))
    return getitem(x, (slice(None),) * axis + (x.backend.from_host(places),))
