"""`dc.linalg`: decompositions, linear systems and norms, with the names and defaults of PyTorch's torch.linalg.

Matrices are the last two axes, float32 or float64; axes before them are batches. Every function has gradients, and
gradients of gradients. On a host device a matrix that cannot be used (singular, not positive definite) is a
LinAlgError; elsewhere Python would have to wait for the device, and the result has inf or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.backends.base.array import accumulator
from deepcore.dtypes import is_floating
from deepcore.errors import ConfigError, DTypeError, LinAlgError, ShapeError, got, message
from deepcore.functions.arguments import explained
from deepcore.functions.arithmetic import pow, where
from deepcore.functions.axes import Dim, normalise_dim, normalise_dims
from deepcore.functions.elementwise import abs, sign, sqrt
from deepcore.functions.linalg.decomposition import cholesky, eigh, eigvalsh, qr, svd, svdvals
from deepcore.functions.linalg.products import matmul
from deepcore.functions.linalg.solving import check_matrices, det, inv, slogdet, solve
from deepcore.functions.reduce import amax, amin, sum
from deepcore.functions.shape import cast, movedim, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "LinAlgError",
    "cholesky",
    "det",
    "eigh",
    "eigvalsh",
    "inv",
    "matrix_norm",
    "matrix_power",
    "norm",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vector_norm",
]


def _floating(op: str, x: Any) -> Any:
    if not is_floating(x.dtype):
        raise DTypeError(message(op, "a floating dtype", got(x=x), "convert first: x.float()"))
    return x


@cast_as_one
def vector_norm(x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """(sum of |x|^ord)^(1/ord) over `dim` (None: all elements); inf and -inf give the extremes, 0 counts what is not 0.

    The gradient is 0 where the norm is 0. Raises DTypeError for integers, ShapeError for an extreme of nothing.

    >>> import deepcore as dc
    >>> dc.linalg.vector_norm(dc.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return _vector_norm("linalg.vector_norm", x, ord, dim, keepdim)


def _vector_norm(op: str, x: Any, ord: float, dim: Dim, keepdim: bool) -> Any:
    if not isinstance(ord, int | float):
        raise ConfigError(message(op, "ord as a number", f"ord={ord!r}"))
    _floating(op, x)
    dims = normalise_dims(op, dim, x.ndim)
    if ord < 0 or ord == math.inf:
        if any(x.shape[d] == 0 for d in dims):
            raise ShapeError(message(op, "at least one element for this ord", got(x=x, ord=ord, dim=dim)))
        if math.isinf(ord):
            return (amax if ord > 0 else amin)(abs(x), dims or None, keepdim)
    wide = cast(x, accumulator(x.dtype))  # squares of float16 overflow
    if ord == 0:
        return sum(sign(abs(x)), dims or None, keepdim)
    if ord == 1:
        return cast(sum(abs(wide), dims or None, keepdim), x.dtype)
    if ord == 2:
        total = sum(wide * wide, dims or None, keepdim)
        root = sqrt(where(total == 0, total * 0 + 1, total))
        return cast(where(total == 0, total * 0, root), x.dtype)
    size = abs(wide)
    if ord < 0:
        return cast(pow(sum(pow(size, ord), dims or None, keepdim), 1 / ord), x.dtype)
    total = sum(pow(size, ord), dims or None, keepdim)
    root = pow(where(total == 0, total * 0 + 1, total), 1 / ord)
    return cast(where(total == 0, total * 0, root), x.dtype)


@cast_as_one
def matrix_norm(A: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False) -> Tensor:
    """A norm of the matrices in the axes `dim`.

    ord: "fro", "nuc", 2, -2 (of singular values), inf, -inf (sums of rows), 1, -1 (sums of columns).
    """
    return _matrix_norm("linalg.matrix_norm", A, ord, dim, keepdim)


def _matrix_norm(op: str, A: Any, ord: Any, dim: Sequence[int], keepdim: bool) -> Any:
    _floating(op, A)
    if len(dim) != 2 or A.ndim < 2:
        raise ShapeError(message(op, "a tensor with two axes or more, and two of them in dim", got(A=A, dim=dim)))
    row, column = (normalise_dim(op, d, A.ndim) for d in dim)
    if row == column:
        raise ShapeError(message(op, "two different axes", got(A=A, dim=dim)))
    if ord == "fro":
        return _vector_norm(op, A, 2, (row, column), keepdim)
    if ord in (1, -1, math.inf, -math.inf):
        along, rest = (row, column) if ord in (1, -1) else (column, row)
        sums = _vector_norm(op, A, 1, along, True)
        y = _extreme(op, sums, ord, rest, True)
    elif ord in ("nuc", 2, -2):
        check_matrices(op, A.backend, A)
        back = movedim(A, row, -1)
        values = svdvals(movedim(back, column - (column > row), -1))
        y = sum(values, -1) if ord == "nuc" else _extreme(op, values, ord, -1, False)
        y = reshape(y, tuple(1 if d in (row, column) else n for d, n in enumerate(A.shape)))
    else:
        known = '"fro", "nuc", inf, -inf, 1, -1, 2 or -2'
        raise ConfigError(message(op, f"ord as {known}", f"ord={ord!r}"))
    return y if keepdim else reshape(y, tuple(n for d, n in enumerate(A.shape) if d not in (row, column)))


def _extreme(op: str, x: Any, ord: float, dim: int, keepdim: bool) -> Any:
    if x.shape[dim] == 0:
        raise ShapeError(message(op, "matrices with elements for this ord", got(x=x, ord=ord)))
    return (amax if ord > 0 else amin)(x, dim, keepdim)


@cast_as_one
def norm(x: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Tensor:
    """A vector or matrix norm. ord None: the 2-norm of all elements in `dim` (None: all).

    With an ord, two axes in dim (or a matrix without dim) mean matrix_norm, one axis (or a vector) vector_norm.
    """
    op = "linalg.norm"
    if ord is None:
        return _vector_norm(op, x, 2, dim, keepdim)
    dims = list(dim) if isinstance(dim, tuple | list) else None if dim is None else [dim]
    if dims is None and x.ndim not in (1, 2):
        raise ShapeError(message(op, "dim, or a tensor with one or two axes", got(x=x, ord=ord)))
    if isinstance(ord, str) or (len(dims) == 2 if dims is not None else x.ndim == 2):
        return _matrix_norm(op, x, ord, (-2, -1) if dims is None else dims, keepdim)
    return _vector_norm(op, x, ord, dim, keepdim)


@cast_as_one
def matrix_power(A: Tensor, n: int) -> Tensor:
    """A @ A @ ... (n times), by repeated squaring: A (..., k, k).

    n = 0 gives the identity, n < 0 powers of the inverse. Raises ShapeError, and LinAlgError for negative powers of a
    singular matrix.
    """
    op = "linalg.matrix_power"
    check_matrices(op, A.backend, A, square=True)
    if not isinstance(n, int):
        raise ConfigError(message(op, "n as an int", f"n={n!r}"))
    if n < 0:
        A, n = inv(A), -n
    if n == 0:
        eye = wrap(A.backend.xp.eye(A.shape[-1], dtype=bool), A.backend)
        return where(eye, 1.0, A * 0)
    result: Any = None
    while n:
        if n & 1:
            result = A if result is None else matmul(result, A)
        n >>= 1
        A = matmul(A, A) if n else A
    return result


if not TYPE_CHECKING:
    globals().update({name: explained(globals()[name], "linalg.") for name in __all__ if name != "LinAlgError"})
