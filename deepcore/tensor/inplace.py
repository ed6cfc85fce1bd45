"""Writing into a tensor: `x += y`, `x[i] = y`, `x.add_(y)`; outside of the graph only, never unnoticed by the tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore import functions as fn
from deepcore.autograd.mode import state
from deepcore.autograd.variable import Variable, wrap
from deepcore.errors import DeviceError, DTypeError, GraphError, ShapeError, got, message
from deepcore.functions.index.indexing import plain_index
from deepcore.functions.shape import to_backend

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


class InPlace(Variable):
    """In-place operators and methods; a mixin of Tensor."""

    def _in_place(self, op: str, other: Any, write: Callable[[Any, Any], Any]) -> Tensor:
        """Write into the array, and tell the tape; refused where the tape would have to record it."""
        if state.observer is not None and hasattr(state.observer, "in_place"):
            state.observer.in_place(op, self)
        if state.grad_enabled and (self.requires_grad or getattr(other, "requires_grad", False)):
            what = "a leaf that requires grad" if self.is_leaf else "a tensor of the graph"
            hint = f"write out of place (y = x.{op.rstrip('_')}(...)), or inside `with dc.no_grad():`"
            raise GraphError(message(op, "a tensor outside of the graph", what, hint))
        if isinstance(other, Variable):
            if other.backend is not self.backend:
                raise DeviceError(message(op, "both tensors on one device", got(x=self, other=other), "use .to()"))
            other = other.array
        try:
            write(self.array, other)
        except (ValueError, TypeError) as error:
            found = got(x=self, other=other)
            kind = ShapeError if isinstance(error, ValueError) else DTypeError
            raise kind(message(op, "an operand that fits into x in shape and dtype", found)) from None
        self._bump_version()
        return self

    def _i_operator(self, op: str, other: Any, write: Callable[[Any, Any], Any], new: Callable[..., Any]) -> Any:
        """`x += y`: in place outside of the graph; inside it, a new tensor takes the name x."""
        graph = state.grad_enabled and (self.requires_grad or getattr(other, "requires_grad", False))
        if graph and not (self.is_leaf and self.requires_grad):
            return new(self, other)
        return self._in_place(op, other, write)

    def __iadd__(self, other: Any) -> Tensor:
        return self._i_operator("add_", other, _iadd, fn.add)

    def __isub__(self, other: Any) -> Tensor:
        return self._i_operator("sub_", other, _isub, fn.sub)

    def __imul__(self, other: Any) -> Tensor:
        return self._i_operator("mul_", other, _imul, fn.mul)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._i_operator("div_", other, _idiv, fn.div)

    def add_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """x += alpha * other, in place."""
        return self._in_place("add_", other if alpha == 1 else other * alpha, _iadd)

    def sub_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """x -= alpha * other, in place."""
        return self._in_place("sub_", other if alpha == 1 else other * alpha, _isub)

    def mul_(self, other: Any) -> Tensor:
        """x *= other, in place."""
        return self._in_place("mul_", other, _imul)

    def div_(self, other: Any) -> Tensor:
        """x /= other, in place."""
        return self._in_place("div_", other, _idiv)

    def copy_(self, other: Any) -> Tensor:
        """Take over the values of another tensor (broadcast, cast, from any device)."""
        if isinstance(other, Variable) and other.backend is not self.backend:
            other = to_backend(other, self.backend)
        return self._in_place("copy_", other, _set)

    def fill_(self, value: Any) -> Tensor:
        """Set every element to a number."""
        return self._in_place("fill_", value, _set)

    def zero_(self) -> Tensor:
        """Set every element to 0."""
        return self._in_place("zero_", 0, _set)

    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit every element to [min, max], in place."""
        xp = self.backend.xp
        return self._in_place("clamp_", None, lambda a, _: _set(a, xp.clip(a, min, max)))

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, Variable | int | float | np.generic):
            value = wrap(self.backend.from_host(np.asarray(value)), self.backend)
        where = plain_index(self, index)

        def write(a: Any, b: Any) -> None:
            a[where] = b

        self._in_place("setitem", value, write)


def _iadd(a: Any, b: Any) -> None:
    a += b


def _isub(a: Any, b: Any) -> None:
    a -= b


def _imul(a: Any, b: Any) -> None:
    a *= b


def _idiv(a: Any, b: Any) -> None:
    a /= b


def _set(a: Any, b: Any) -> None:
    a[...] = b
