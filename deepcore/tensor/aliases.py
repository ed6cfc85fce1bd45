"""Further methods that torch.Tensor has: functions as methods, operators by name, and short ways to write others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore import functions as fn
from deepcore.autograd.variable import Variable, wrap
from deepcore.errors import ShapeError, got, message
from deepcore.functions.axes import Dim, normalise_dim

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


class Aliases(Variable):
    """A mixin of Tensor; `deepcore.functions` says what a function does."""

    # --- functions ----------------------------------------------------------------------------------------------------

    def tan(self) -> Tensor:
        return fn.tan(self)

    def asin(self) -> Tensor:
        return fn.asin(self)

    def acos(self) -> Tensor:
        return fn.acos(self)

    def atan(self) -> Tensor:
        return fn.atan(self)

    def sinh(self) -> Tensor:
        return fn.sinh(self)

    def cosh(self) -> Tensor:
        return fn.cosh(self)

    def asinh(self) -> Tensor:
        return fn.asinh(self)

    def acosh(self) -> Tensor:
        return fn.acosh(self)

    def atanh(self) -> Tensor:
        return fn.atanh(self)

    def expm1(self) -> Tensor:
        return fn.expm1(self)

    def exp2(self) -> Tensor:
        return fn.exp2(self)

    def log2(self) -> Tensor:
        return fn.log2(self)

    def log10(self) -> Tensor:
        return fn.log10(self)

    def reciprocal(self) -> Tensor:
        return fn.reciprocal(self)

    def rsqrt(self) -> Tensor:
        return fn.rsqrt(self)

    def ceil(self) -> Tensor:
        return fn.ceil(self)

    def floor(self) -> Tensor:
        return fn.floor(self)

    def round(self) -> Tensor:
        return fn.round(self)

    def trunc(self) -> Tensor:
        return fn.trunc(self)

    def diag_embed(self, offset: Any = 0, dim1: Any = -2, dim2: Any = -1) -> Tensor:
        return fn.diag_embed(self, offset, dim1, dim2)

    # --- operators by name --------------------------------------------------------------------------------------------

    def eq(self, other: Any) -> Tensor:
        """self == other; not recorded."""
        return self == other

    def ne(self, other: Any) -> Tensor:
        """self != other; not recorded."""
        return self != other

    def lt(self, other: Any) -> Tensor:
        """self < other; not recorded."""
        return self < other

    def le(self, other: Any) -> Tensor:
        """self <= other; not recorded."""
        return self <= other

    def gt(self, other: Any) -> Tensor:
        """self > other; not recorded."""
        return self > other

    def ge(self, other: Any) -> Tensor:
        """self >= other; not recorded."""
        return self >= other

    def logical_not(self) -> Tensor:
        """Where the elements are 0."""
        return self.eq(0)

    def logical_and(self, other: Tensor) -> Tensor:
        """Where neither is 0."""
        return self.ne(0) & other.ne(0)

    def logical_or(self, other: Tensor) -> Tensor:
        """Where one or both are not 0."""
        return self.ne(0) | other.ne(0)

    def logical_xor(self, other: Tensor) -> Tensor:
        """Where just one is not 0."""
        return self.ne(0) ^ other.ne(0)

    def mm(self, mat2: Tensor) -> Tensor:
        """The product of two matrices, (N, K) and (K, M)."""
        if self.ndim != 2 or mat2.ndim != 2:
            raise ShapeError(message("mm", "two matrices", got(x=self, mat2=mat2), "matmul takes other shapes"))
        return fn.matmul(self, mat2)

    def mv(self, vec: Tensor) -> Tensor:
        """The product of a matrix (N, K) and a vector (K,)."""
        if self.ndim != 2 or vec.ndim != 1:
            raise ShapeError(message("mv", "a matrix and a vector", got(x=self, vec=vec), "matmul takes other shapes"))
        return fn.matmul(self, vec)

    # --- short ways ---------------------------------------------------------------------------------------------------

    def clamp_min(self, min: Any) -> Tensor:
        """clamp with a lower limit only."""
        return fn.clamp(self, min, None)

    def clamp_max(self, max: Any) -> Tensor:
        """clamp with an upper limit only."""
        return fn.clamp(self, None, max)

    def expand_as(self, other: Tensor) -> Tensor:
        """expand to the shape of another tensor."""
        return fn.expand(self, other.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        """reshape to the shape of another tensor."""
        return fn.reshape(self, other.shape)

    def ravel(self) -> Tensor:
        """All elements in one axis."""
        return fn.reshape(self, (-1,))

    def select(self, dim: Any, index: Any) -> Tensor:
        """The slice at `index` along `dim`, without that axis."""
        dim = normalise_dim("select", dim, self.ndim)
        return fn.getitem(self, (slice(None),) * dim + (index,))

    def narrow(self, dim: Any, start: Any, length: Any) -> Tensor:
        """`length` slices along `dim` from `start` on. Raises ShapeError where the axis has fewer."""
        dim = normalise_dim("narrow", dim, self.ndim)
        size = self.shape[dim]
        start = start + size if start < 0 else start
        if not 0 <= start <= start + length <= size:
            found = got(x=self, dim=dim, start=start, length=length)
            raise ShapeError(message("narrow", "0 <= start <= start + length <= size of the axis", found))
        return fn.getitem(self, (slice(None),) * dim + (slice(start, start + length),))

    def isinf(self) -> Tensor:
        """Where the elements are infinite."""
        nan_or_finite = self.isnan() | self.isfinite()
        return ~nan_or_finite

    def count_nonzero(self, dim: Dim = None) -> Tensor:
        """How many elements are not 0, int64."""
        return fn.sum(wrap(self.array != 0, self.backend), dim)

    def nelement(self) -> int:
        """The number of elements."""
        return int(self.array.size)
