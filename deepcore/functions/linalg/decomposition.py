"""Matrix decompositions: cholesky, qr, eigh, svd. What `deepcore.linalg` offers under these names.

The gradients are those of M. Giles, "An extended collection of matrix derivative results" (2008), J. Townsend,
"Differentiating the singular value decomposition" (2016), and, for qr, M. Seeger et al., "Auto-differentiating linear
algebra" (2017).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.errors import ConfigError, GraphError, message
from deepcore.functions.arithmetic import where
from deepcore.functions.arranging import Diagonal, DiagonalScatter, Tril
from deepcore.functions.index.indexing import getitem
from deepcore.functions.linalg.products import matmul
from deepcore.functions.linalg.solving import Solve, check_matrices, computed, iterated, t
from deepcore.functions.shape import cat, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


def _diagonal_matrix(v: Any) -> Any:
    """(..., n) as the diagonal of (..., n, n)."""
    n = len(v.shape)
    return DiagonalScatter(0, (n - 1, n), (*v.shape, v.shape[-1]))(v)


def _diagonal(x: Any) -> Any:
    """The diagonal of the last two axes."""
    return Diagonal(0, (len(x.shape) - 2, len(x.shape) - 1))(x)


def _half_lower(x: Any) -> Any:
    """The lower triangle with half of the diagonal: what, with its transpose, gives a symmetric x again."""
    return Tril(0)(x) - _diagonal_matrix(_diagonal(x) * 0.5)


def _differences(v: Any, backend: Any) -> Any:
    """v_j - v_i, and 1 on the diagonal: (..., n) -> (..., n, n)."""
    e = unsqueeze(v, -2) - unsqueeze(v, -1)
    return where(backend.xp.eye(v.shape[-1], dtype=bool), e * 0 + 1, e)


def _columns(x: Any, start: int | None, stop: int | None) -> Any:
    return getitem(x, (Ellipsis, slice(start, stop)))


def _rows(x: Any, stop: int) -> Any:
    return getitem(x, (Ellipsis, slice(stop), slice(None)))


def _plus(a: Any, b: Any) -> Any:
    """The sum of two gradients, either of which may be None."""
    return b if a is None else a if b is None else a + b


class Cholesky(Function):
    """A = L L^T; dA = sym(L^-T half_lower(L^T dL) L^-1)."""

    name = "linalg.cholesky"
    widens = False  # refused, see check_matrices

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a, square=True)
        expected = "a symmetric matrix that is positive definite"
        y = computed(self.name, self.backend, expected, self.backend.xp.linalg.cholesky, a)
        self.saved = (y,)
        return y

    def backward(self, gy: Any) -> Any:
        (y,) = self.saved
        inner = _half_lower(matmul(t(y), gy))
        whole = Solve()(t(y), t(Solve()(t(y), t(inner + t(inner)))))  # L^-T (inner + inner^T) L^-1
        return whole * 0.5


class QR(Function):
    """A = Q R with orthonormal columns in Q and an upper triangular R.

    With M = R dR^T - dQ^T Q, dA = (dQ + Q sym(M)) R^-T, where sym repeats the lower triangle; for a wide A = [X, Y]
    this is the gradient of X, with dQ + Y dV^T, and that of Y is Q dV, where R = [U, V].
    """

    name = "linalg.qr"
    widens = False  # refused, see check_matrices

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a)
        xp = self.backend.xp
        if self.mode == "r":
            return xp.empty((0,), dtype=a.dtype), xp.linalg.qr(a, mode="r")
        q, r = xp.linalg.qr(a, mode=self.mode)
        self.saved = (a, q, r)
        return q, r

    def backward(self, gq: Any, gr: Any = None) -> Any:
        if not self.saved:
            raise GraphError(message(self.name, "mode='reduced' for gradients", f"mode={self.mode!r}"))
        a, q, r = self.saved
        n, m = a.shape[-2:]
        if self.mode == "complete" and n > m:
            raise GraphError(message(self.name, "mode='reduced' for gradients of tall matrices", "mode='complete'"))
        if n >= m:
            return self._tall(q, r, gq, gr)
        u = _columns(r, None, n)
        if gr is None:
            gx = self._tall(q, u, gq, None)
            return cat([gx, _columns(a, n, None) * 0], -1)
        gv = _columns(gr, n, None)
        gq = _plus(gq, matmul(_columns(a, n, None), t(gv)))
        return cat([self._tall(q, u, gq, _columns(gr, None, n)), matmul(q, gv)], -1)

    def _tall(self, q: Any, r: Any, gq: Any, gr: Any) -> Any:
        m = _plus(None if gr is None else matmul(r, t(gr)), None if gq is None else -matmul(t(gq), q))
        low = _half_lower(m)
        g = _plus(gq, matmul(q, low + t(low)))
        return t(Solve()(r, t(g)))


class Eigh(Function):
    """A = V diag(w) V^T; dA = V (diag(dw) + sym(V^T dV) / (w_j - w_i)) V^T, symmetric as A is."""

    name = "linalg.eigh"
    widens = False  # refused, see check_matrices

    def __init__(self, uplo: str) -> None:
        self.uplo = uplo

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a, square=True)
        routine = self.backend.xp.linalg.eigh
        w, v = iterated(self.name, self.backend, "a matrix whose eigenvalues converge", routine, a, UPLO=self.uplo)
        self.saved = (w, v)
        return w, v

    def backward(self, gw: Any, gv: Any = None) -> Any:
        w, v = self.saved
        inner: Any = None if gw is None else _diagonal_matrix(gw)
        if gv is not None:
            turn = matmul(t(v), gv)
            turn = (turn - t(turn)) * 0.5  # only a rotation of V is possible
            inner = _plus(inner, turn / _differences(w, self.backend))
        return matmul(v, matmul(inner, t(v)))


class SVD(Function):
    """A = U diag(s) Vh. With skew(X) = X - X^T, E_ij = s_j^2 - s_i^2 and V = Vh^T,

    dA = U [skew(U^T dU) / E S + S skew(V^T dV) / E + diag(ds)] V^T, and, where A is not square, the parts of dU and dV
    outside of the spaces that U and V span: (1 - U U^T) dU S^-1 V^T + U S^-1 dV^T (1 - V V^T).
    """

    name = "linalg.svd"
    widens = False  # refused, see check_matrices

    def __init__(self, full_matrices: bool) -> None:
        self.full_matrices = full_matrices

    def forward(self, a: Any) -> Any:
        check_matrices(self.name, self.backend, a)
        routine = self.backend.xp.linalg.svd
        expected = "a matrix whose singular values converge"
        u, s, vh = iterated(self.name, self.backend, expected, routine, a, full_matrices=self.full_matrices)
        self.saved = (u, s, vh)
        return u, s, vh

    def backward(self, gu: Any, gs: Any = None, gvh: Any = None) -> Any:
        u, s, vh = self.saved
        k = s.shape[-1]
        if self.full_matrices:  # the vectors beyond k are any basis of the rest, and have no gradient
            u, vh = _columns(u, None, k), _rows(vh, k)
            gu = None if gu is None else _columns(gu, None, k)
            gvh = None if gvh is None else _rows(gvh, k)
        row, column = unsqueeze(s, -2), unsqueeze(s, -1)
        inner: Any = None if gs is None else _diagonal_matrix(gs)
        if gu is not None or gvh is not None:
            e = _differences(s * s, self.backend)
        if gu is not None:
            utgu = matmul(t(u), gu)
            inner = _plus(inner, (utgu - t(utgu)) / e * row)
        if gvh is not None:
            vtgv = matmul(vh, t(gvh))
            inner = _plus(inner, column * ((vtgv - t(vtgv)) / e))
        result = matmul(matmul(u, inner), vh)
        if gu is not None and u.shape[-2] > k:
            result = result + matmul((gu - matmul(u, utgu)) / row, vh)
        if gvh is not None and vh.shape[-1] > k:
            result = result + matmul(u, (gvh - matmul(t(vtgv), vh)) / column)
        return result


@cast_as_one
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with A = L L^T (upper: its transpose): A (..., n, n) symmetric, positive definite.

    Only the lower triangle of A is looked at; the gradient is symmetric. Raises ShapeError, DTypeError, and LinAlgError
    for a matrix that is not positive definite (NaN where the device is not the host).

    >>> import deepcore as dc
    >>> dc.linalg.cholesky(dc.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    y = Cholesky()(A)
    return t(y) if upper else y


@cast_as_one
def qr(A: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """(Q, R) with A = Q R: A (..., n, m), k = min(n, m), Q (..., n, k) orthonormal, R (..., k, m) upper triangular.

    mode "complete": Q (..., n, n), R (..., n, m), without gradients where n > m. "r": an empty Q, without gradients.
    The gradient needs the first k columns of A to be independent.
    """
    if mode not in ("reduced", "complete", "r"):
        raise ConfigError(message("linalg.qr", "mode 'reduced', 'complete' or 'r'", repr(mode)))
    return QR(mode)(A)


@cast_as_one
def eigh(A: Tensor, UPLO: str = "L") -> tuple[Tensor, Tensor]:
    """(eigenvalues (..., n) in rising order, eigenvectors (..., n, n) as columns) of symmetric A (..., n, n).

    Only the lower triangle of A is looked at (UPLO "U": the upper one); the gradient is symmetric. Gradients of
    eigenvectors need eigenvalues that differ, and a result that does not depend on the signs of the vectors.
    """
    if UPLO not in ("L", "U"):
        raise ConfigError(message("linalg.eigh", "UPLO 'L' or 'U'", repr(UPLO)))
    return Eigh(UPLO)(A)


@cast_as_one
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues alone; see eigh. Their gradient is right for equal eigenvalues too."""
    return eigh(A, UPLO)[0]


@cast_as_one
def svd(A: Tensor, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, Vh) with A = U diag(S) Vh: A (..., n, m), S (..., k) falling, k = min(n, m).

    full_matrices: U (..., n, n) and Vh (..., m, m), else U (..., n, k) and Vh (..., k, m). Gradients of the vectors
    beyond k are ignored, since these are any basis of what is left. Those of U and Vh need singular values that differ
    and, where n != m, none that is 0; and a result that does not depend on the signs of the vectors.
    """
    return SVD(full_matrices)(A)


@cast_as_one
def svdvals(A: Tensor) -> Tensor:
    """The singular values alone; see svd. Their gradient is right for equal singular values too."""
    return svd(A, full_matrices=False)[1]
