"""What every layer of the book does: run one Function forward, keep it, run it backward."""

from __future__ import annotations

from typing import Any

from deepcore import dtypes
from deepcore.arrays import backend_of
from deepcore.autograd import Function, array_scope
from deepcore.autograd.narrow import rounded
from deepcore.errors import DeviceError, GraphError, message


class Layer:
    """Runs one Function forward and keeps it for backward."""

    _fn: Function | None = None
    _backend: Any = None

    def _forward(self, fn: Function, x: Any, *others: Any) -> Any:
        backend = backend_of(x)
        for other in others:
            if other is not None and not backend.is_array(other):
                given = f"x of type {type(x).__name__}, and a parameter of type {type(other).__name__}"
                raise DeviceError(message(type(self).__name__, "arrays of one backend", given))
        self._fn, self._backend = fn, backend
        with array_scope(backend):
            return fn(x, *others)

    def _backward(self, *grads: Any) -> Any:
        if self._fn is None:
            name = type(self).__name__
            raise GraphError(message(name, "forward before backward", "backward first", "call forward(x)"))
        with array_scope(self._backend):
            found = self._fn.run_backward(list(grads))
        return rounded(found, dtypes.bfloat16) if self._fn.narrow else found
