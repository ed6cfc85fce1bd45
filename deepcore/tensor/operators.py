"""The operators of a tensor: arithmetic (recorded for backward), comparisons and bits (not recorded)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore import dtypes
from deepcore import functions as fn
from deepcore.autograd.observer import composite
from deepcore.autograd.variable import Variable, wrap
from deepcore.errors import ArgumentError, DeviceError, DTypeError, ShapeError, got, message
from deepcore.functions.axes import Dim

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


class Operators(Variable):
    """`+ - * / ** @ // %`, comparisons, `& | ^ ~`, and what reads truth values; a mixin of Tensor."""

    __hash__ = object.__hash__

    def __add__(self, other: Any) -> Tensor:
        return fn.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return fn.add(self, other)

    def __sub__(self, other: Any) -> Tensor:
        return fn.sub(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return fn.sub(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return fn.mul(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return fn.mul(self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return fn.div(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return fn.div(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return fn.pow(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return fn.pow(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return fn.matmul(self, other)

    def __neg__(self) -> Tensor:
        return fn.neg(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return fn.abs(self)

    def __floordiv__(self, other: Any) -> Tensor:
        return self._plain("floor_divide", other, lambda a, b: a // b)

    def __mod__(self, other: Any) -> Tensor:
        return self._plain("remainder", other, lambda a, b: a % b)

    def __and__(self, other: Any) -> Tensor:
        return self._plain("and", other, lambda a, b: a & b)

    def __or__(self, other: Any) -> Tensor:
        return self._plain("or", other, lambda a, b: a | b)

    def __xor__(self, other: Any) -> Tensor:
        return self._plain("xor", other, lambda a, b: a ^ b)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    @composite
    def __invert__(self) -> Tensor:
        return wrap(~self.array, self.backend)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._plain("eq", other, lambda a, b: a == b)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return self._plain("ne", other, lambda a, b: a != b)

    def __lt__(self, other: Any) -> Tensor:
        return self._plain("lt", other, lambda a, b: a < b)

    def __le__(self, other: Any) -> Tensor:
        return self._plain("le", other, lambda a, b: a <= b)

    def __gt__(self, other: Any) -> Tensor:
        return self._plain("gt", other, lambda a, b: a > b)

    def __ge__(self, other: Any) -> Tensor:
        return self._plain("ge", other, lambda a, b: a >= b)

    @composite
    def _plain(self, op: str, other: Any, compute: Callable[[Any, Any], Any]) -> Any:
        """An elementwise op without a gradient: comparisons, bits, integer division."""
        b = other
        if isinstance(other, Variable):
            if other.backend is not self.backend:
                hint = f'move one of them, for example with .to("{self.device}")'
                raise DeviceError(message(op, "both tensors on one device", got(x=self, other=other), hint))
            b = other.array
        elif not isinstance(other, int | float | np.generic):
            if op in ("eq", "ne"):
                return NotImplemented
            raise ArgumentError(message(op, "a tensor or a number", f"{type(other).__name__}"))
        a, b = dtypes.promote(self.array, b)
        if a.dtype.kind == "V" and not hasattr(b, "dtype"):  # a number is compared as the bfloat16 next to it
            b = a.dtype.type(b)
        try:
            with self.backend.quiet():
                return wrap(compute(a, b), self.backend)
        except ValueError:
            raise ShapeError(message(op, "shapes that broadcast", got(x=self, other=other))) from None
        except TypeError:
            raise DTypeError(message(op, "dtypes that the op takes", got(x=self, other=other))) from None

    @composite
    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether any element is not 0."""
        return wrap(self.array.astype(bool).any(axis=_axes(dim), keepdims=keepdim), self.backend)

    @composite
    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether all elements are not 0."""
        return wrap(self.array.astype(bool).all(axis=_axes(dim), keepdims=keepdim), self.backend)

    @composite
    def isnan(self) -> Tensor:
        """Where the elements are NaN."""
        return wrap(self.array != self.array, self.backend)

    @composite
    def isfinite(self) -> Tensor:
        """Where the elements are neither infinite nor NaN."""
        with self.backend.quiet():
            return wrap((self.array - self.array) == 0, self.backend)


def _axes(dim: Dim) -> Any:
    return dim if dim is None or isinstance(dim, int) else tuple(dim)
