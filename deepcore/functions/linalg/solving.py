"""Linear systems: solve, inv, det, slogdet. What `deepcore.linalg` offers under these names.

The gradients are those of M. Giles, "An extended collection of matrix derivative results" (2008), sections 2.2 and 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import Variable
from deepcore.dtypes import float32, float64
from deepcore.errors import DTypeError, LinAlgError, ShapeError, got, message
from deepcore.functions.linalg.products import matmul, same_dtype
from deepcore.functions.shape import broadcast_to, reshape, transpose, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


def t(x: Any) -> Any:
    """The last two axes swapped."""
    return transpose(x, -1, -2)


def check_matrices(op: str, backend: Any, a: Any, square: bool = False) -> None:
    """Raise ShapeError or DTypeError unless a (..., n, m) is float32 or float64, and n == m where `square`.

    float16 and bfloat16 are refused, as in PyTorch: of what a decomposition loses to rounding they keep too little.
    """
    if a.ndim < 2 or (square and a.shape[-1] != a.shape[-2]):
        expected = "square matrices (..., n, n)" if square else "matrices (..., n, m)"
        raise ShapeError(message(op, expected, got(on=backend.device, A=a)))
    if a.dtype not in (float32, float64):
        hint = "convert first, for example A.float()"
        raise DTypeError(message(op, "float32 or float64", got(on=backend.device, A=a), hint))


def computed(op: str, backend: Any, expected: str, routine: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    """What the library's routine gives; its failure as an error of ours."""
    try:
        return routine(*arrays, **options)
    except np.linalg.LinAlgError as error:
        found = got(on=backend.device, A=arrays[0])
        raise LinAlgError(message(op, expected, f"{found} ({error})")) from None


def iterated(
    op: str, backend: Any, expected: str, routine: Callable[..., Any], a: Any, **options: Any
) -> tuple[Any, ...]:
    """The arrays that an iterative routine gives. Matrices that hold NaN or infinity are kept from it.

    LAPACK's iterations need not end on them. On the host they raise LinAlgError, elsewhere they give NaN.
    """
    xp = backend.xp
    bad = ~xp.isfinite(a).all(axis=(-2, -1))
    if backend.on_host and bad.any():
        raise LinAlgError(message(op, "finite numbers", f"{got(on=backend.device, A=a)} with NaN or infinity in it"))
    parts = computed(op, backend, expected, routine, xp.where(bad[..., None, None], 0, a), **options)
    if backend.on_host:
        return tuple(parts)
    return tuple(xp.where(bad.reshape(bad.shape + (1,) * (part.ndim - bad.ndim)), xp.nan, part) for part in parts)


class Inv(Function):
    """Y = A^-1; dA = -Y^T dY Y^T."""

    name = "linalg.inv"
    widens = False  # refused, see check_matrices

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a, square=True)
        y = computed(self.name, self.backend, "a matrix that is not singular", self.backend.xp.linalg.inv, a)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        return -matmul(t(y), matmul(gy, t(y)))


class Solve(Function):
    """X = A^-1 B for matrices B with the leading axes of A; dB = A^-T dX, dA = -dB X^T."""

    name = "linalg.solve"
    widens = False  # refused, see check_matrices

    def forward(self, a: Any, b: Any) -> Any:
        expected = "a matrix that is not singular"
        y = computed(self.name, self.backend, expected, self.backend.xp.linalg.solve, a, b)
        self.saved = (a, y)
        return y

    def backward(self, gy: Any) -> Any:
        a, y = self.saved
        gb = Solve()(t(a), gy)
        return (-matmul(gb, t(y)) if self.wants(0) else None), gb


class Det(Function):
    """det A; its derivative is the matrix of cofactors, det(A) A^-T."""

    name = "linalg.det"
    widens = False  # refused, see check_matrices

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a, square=True)
        y = self.backend.xp.asarray(self.backend.xp.linalg.det(a))
        self.saved = (a, y)
        return y

    def backward(self, gy: Any) -> Any:
        a, y = self.saved
        g = reshape(gy, (*gy.shape, 1, 1))
        if isinstance(gy, Variable):
            return g * reshape(y, (*y.shape, 1, 1)) * t(Inv()(a))
        if self.backend.on_host and (y != 0).all():
            return g * y[..., None, None] * t(self.backend.xp.linalg.inv(a))
        return g * self._cofactors(a)

    def _cofactors(self, a: Any) -> Any:
        """det(U V^T) U diag(product of the other singular values) V^T, right for singular matrices too."""
        xp = self.backend.xp
        u, s, vh = iterated(self.name, self.backend, "a matrix whose singular values converge", xp.linalg.svd, a)
        n = a.shape[-1]
        others = xp.where(xp.eye(n, dtype=bool), xp.ones((), dtype=a.dtype), s[..., None, :]).prod(axis=-1)
        sign = xp.asarray(xp.linalg.det(u) * xp.linalg.det(vh))
        return sign[..., None, None] * xp.matmul(u * others[..., None, :], vh)


class Slogdet(Function):
    """(sign, log |det A|); the derivative of the logarithm is A^-T."""

    name = "linalg.slogdet"
    widens = False  # refused, see check_matrices

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a, square=True)
        self.saved = (a,)
        sign, logabsdet = self.backend.xp.linalg.slogdet(a)
        return self.backend.xp.asarray(sign), self.backend.xp.asarray(logabsdet)

    def backward(self, _: Any, g: Any = None) -> Any:
        (a,) = self.saved
        if g is None:
            return None
        return reshape(g, (*g.shape, 1, 1)) * t(Inv()(a))


@cast_as_one
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices (..., n, n), float32 or float64.

    Raises ShapeError, DTypeError, and LinAlgError for a singular matrix (inf or NaN where the device is not the host).
    """
    return Inv()(A)


@cast_as_one
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A @ X = B (X @ A = B where left is False): A (..., n, n); B (..., n, k), or a vector (n,) or (..., n).

    B is a batch of vectors where its shape is that of A without the last axis; leading axes of matrices broadcast.
    Raises ShapeError, DTypeError, and LinAlgError for a singular matrix (inf or NaN where the device is not the host).

    >>> import deepcore as dc
    >>> dc.linalg.solve(dc.tensor([[2.0, 0.0], [0.0, 4.0]]), dc.tensor([2.0, 2.0]))
    tensor([1. , 0.5])
    """
    op = "linalg.solve"
    check_matrices(op, A.backend, A, square=True)
    same_dtype(op, None, A=A, B=B)
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if not left and vector:
        raise ShapeError(message(op, "matrices B where left=False", got(A=A, B=B)))
    b = unsqueeze(B, -1) if vector else B
    if not left:
        return t(solve(t(A), t(B)))
    fits = b.ndim >= 2 and b.shape[-2] == A.shape[-1]
    batches = list(zip(reversed(A.shape[:-2]), reversed(b.shape[:-2]), strict=False))
    if not fits or any(n != m and 1 not in (n, m) for n, m in batches):
        expected = "A (..., n, n), B (..., n, k) or (..., n), leading axes that broadcast"
        raise ShapeError(message(op, expected, got(A=A, B=B)))
    batch = np.broadcast_shapes(A.shape[:-2], b.shape[:-2])
    x = Solve()(broadcast_to(A, (*batch, *A.shape[-2:])), broadcast_to(b, (*batch, *b.shape[-2:])))
    return reshape(x, x.shape[:-1]) if vector else x


@cast_as_one
def det(A: Tensor) -> Tensor:
    """The determinants of square matrices: (..., n, n) -> (...); the gradient is right for singular matrices too.

    The gradient of the gradient needs matrices that are not singular.
    """
    return Det()(A)


@cast_as_one
def slogdet(A: Tensor) -> tuple[Tensor, Tensor]:
    """(sign, log |det A|) of square matrices (..., n, n), where the determinant itself would overflow.

    A singular matrix has the sign 0 and the logarithm -inf; backward through it is a LinAlgError.
    """
    return Slogdet()(A)
