"""`Variable`: an array with a place in the graph. `deepcore.Tensor` adds the operators and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from deepcore.autograd.function import Function
    from deepcore.backends.base import Backend


class Variable:
    """An array, the backend that it lives on, and how it was made.

    array: the backend's own array (numpy.ndarray, cupy.ndarray, ...), any shape and dtype.
    grad: the gradient after `backward`, a tensor of the same shape, or None.
    grad_fn: the Function that made it (the book's `creator`), or None for a leaf.
    """

    # The class of every result; set by deepcore.tensor to Tensor, so that this layer need not know it.
    result_class: type[Variable]

    array: Any
    backend: Backend
    requires_grad: bool
    _version_cell: list[int]
    # Defaults live on the class: a result of an op sets only what differs.
    grad: Any = None
    grad_fn: Function | None = None
    output_nr: int = 0
    _hooks: dict[int, Callable[[Any], Any]] | None = None
    _retains_grad: bool = False

    def _init(self, array: Any, backend: Backend, requires_grad: bool = False) -> None:
        self.array = array
        self.backend = backend
        self.requires_grad = requires_grad
        # A one-element list: views of one array share it, and every in-place write adds one.
        self._version_cell = [0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def is_leaf(self) -> bool:
        """True when no recorded Function made this tensor."""
        return self.grad_fn is None

    @property
    def _version(self) -> int:
        return self._version_cell[0]

    def _bump_version(self) -> None:
        """Tell the tape that the array was written in place."""
        self._version_cell[0] += 1


Variable.result_class = Variable


def wrap(array: Any, backend: Backend) -> Any:
    """A new tensor around `array` (a NumPy scalar becomes a 0-d array), outside of any graph."""
    if not isinstance(array, backend.array_type):
        array = backend.xp.asarray(array)
    cls = Variable.result_class
    out = cls.__new__(cls)
    out.array = array
    out.backend = backend
    out.requires_grad = False
    out._version_cell = [0]
    return out
