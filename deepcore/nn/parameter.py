"""Parameter: a tensor that belongs to a module and is trained; and what modules do to their tensors in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore import creation, dtypes
from deepcore.autograd import no_grad, wrap
from deepcore.backends import get_backend
from deepcore.errors import DTypeError, got, message
from deepcore.tensor import Tensor


class Parameter(Tensor):
    """A leaf tensor that requires a gradient; assigned to a module, it is one of the module's parameters.

    It shares the memory of ``data`` if that is a tensor. Raises DTypeError for integers that require a gradient.

    >>> import deepcore as dc
    >>> Parameter(dc.zeros(2)).requires_grad
    True
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        source = data.detach() if isinstance(data, Tensor) else creation.tensor(data)
        if requires_grad and not dtypes.is_floating(source.dtype):
            hint = "pass requires_grad=False, or register it as a buffer"
            raise DTypeError(message("Parameter", "a floating dtype", got(data=source), hint))
        self._init(source.array, source.backend, requires_grad)
        self._version_cell = source._version_cell

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def parse_to(*args: Any, device: str | None = None, dtype: Any = None) -> tuple[str | None, np.dtype | None]:
    """The device and dtype that ``to(...)`` was asked for. Raises DeviceError and DTypeError.

    >>> parse_to("cpu", "float64")
    ('cpu', dtype('float64'))
    """
    for arg in args:
        if isinstance(arg, Tensor):
            device, dtype = arg.backend.device, arg.dtype
        elif arg is not None:
            try:
                dtype = dtypes.as_dtype(arg)
            except DTypeError:
                device = arg
    if device is not None:
        device = get_backend(device).device
    if dtype is not None:
        dtype = dtypes.as_dtype(dtype)
        if not dtypes.is_floating(dtype):
            raise DTypeError(message("Module.to", "a floating dtype", f"{dtype}"))
    return device, dtype


def convert_(tensor: Tensor, device: str | None, dtype: Any) -> None:
    """Move a tensor and its gradient in place: whoever holds the tensor sees it moved. Integers keep their dtype."""
    moved = tensor.detach().to(device=device, dtype=dtype if dtypes.is_floating(tensor.dtype) else None)
    if moved.backend is not tensor.backend or moved.array is not tensor.array:
        tensor.array, tensor.backend = moved.array, moved.backend
        # New memory has a version count of its own; what a graph saved of the old memory stays valid.
        tensor._version_cell = [0]
    if tensor.grad is not None:
        convert_(tensor.grad, device, dtype)


def copy_(tensor: Tensor, value: Tensor | np.ndarray) -> None:
    """Overwrite a tensor with values of the same shape from any device, in the tensor's own dtype."""
    if not isinstance(value, Tensor):
        host = np.asarray(value, dtype=tensor.dtype)
        value = wrap(tensor.backend.from_host(host), tensor.backend)
    with no_grad():
        tensor.copy_(value)
