"""DLPack: arrays handed to, and taken from, other libraries without a copy (https://dmlc.github.io/dlpack).

NumPy and CuPy speak the protocol for the dtypes that they know. bfloat16 is ml_dtypes' and none of NumPy's own: it
crosses as uint16, with the dtype in the capsule set to what the bits are.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from deepcore import dtypes
from deepcore.autograd.variable import Variable, wrap
from deepcore.backends import get_backend
from deepcore.devices import get_default_device
from deepcore.errors import ArgumentError, DeepcoreError, got, message

CPU, CUDA, CUDA_HOST = 1, 2, 3  # DLDeviceType in dlpack.h
_UINT, _BFLOAT = 1, 4  # DLDataTypeCode in dlpack.h
# Where the byte DLTensor.dtype.code stands: after data (8 bytes), device (8) and ndim (4); in a versioned capsule the
# DLTensor comes after version (8), manager_ctx (8), deleter (8) and flags (8).
_CODE_AT = {b"dltensor": 20, b"dltensor_versioned": 52}


class DLPackError(DeepcoreError, BufferError):
    """An array cannot be shared by DLPack."""


def to_capsule(x: Any, options: dict[str, Any]) -> Any:
    """The capsule of a tensor's array; `options` are the consumer's. Raises DLPackError."""
    if x.requires_grad:
        raise DLPackError(
            message("__dlpack__", "a tensor outside of the graph", "one that requires grad", "pass x.detach()")
        )
    array, narrow = x.array, x.dtype.kind == "V"
    if not hasattr(array, "__dlpack__"):
        raise DLPackError(message("__dlpack__", "a device whose arrays have DLPack", got(x=x), 'use x.to("cpu")'))
    try:
        capsule = (array.view(np.uint16) if narrow else array).__dlpack__(**options)
    except (BufferError, ValueError, RuntimeError) as error:
        hint = "a read-only tensor, as expand makes, needs a consumer of DLPack 1.0, or x.clone()"
        raise DLPackError(message("__dlpack__", "what the consumer can take", f"{got(x=x)}: {error}", hint)) from error
    return _recoded(capsule, _UINT, _BFLOAT) if narrow else capsule


def device_of(x: Any) -> tuple[int, int]:
    """(device type, number) in DLPack's counting."""
    if not hasattr(x.array, "__dlpack_device__"):
        raise DLPackError(message("__dlpack_device__", "a device whose arrays have DLPack", got(x=x)))
    kind, number = x.array.__dlpack_device__()
    return int(kind), int(number)


def from_dlpack(x: Any) -> Any:
    """A tensor that shares the memory of `x`: an array or tensor of any library that has `__dlpack__`.

    It lies on "cpu" (or on "numpy", where that is the default device) or on the GPU that `x` lies on. What one writes
    the other sees; the memory lives as long as either does. A read-only array gives a tensor that cannot be written.
    Raises ArgumentError for objects without DLPack and DLPackError for dtypes and devices that deepcore does not have.

    >>> import numpy as np
    >>> a = np.zeros(2)
    >>> t = from_dlpack(a)
    >>> a[0] = 7
    >>> t.tolist()
    [7.0, 0.0]
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise ArgumentError(message("from_dlpack", "an object with __dlpack__", type(x).__name__, "use dc.tensor(x)"))
    if isinstance(x, Variable):
        return x.detach()  # type: ignore[attr-defined]
    kind, number = (int(n) for n in x.__dlpack_device__())
    if kind in (CPU, CUDA_HOST):
        backend = get_backend("numpy" if get_default_device() == "numpy" else "cpu")
    elif kind == CUDA:
        backend = get_backend(f"cuda:{number}")
    else:
        raise DLPackError(message("from_dlpack", "an array on a CPU or a CUDA device", f"DLPack device type {kind}"))
    try:
        array = backend.xp.from_dlpack(_Offer(x) if _is_bfloat16(x) else x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        found = f"{type(x).__name__}: {error}"
        raise DLPackError(message("from_dlpack", "an array that can be shared", found)) from error
    return wrap(array.view(dtypes.bfloat16) if _is_bfloat16(x) else array, backend)


def _is_bfloat16(x: Any) -> bool:
    return str(getattr(x, "dtype", "")).rpartition(".")[2] == "bfloat16"


class _Offer:
    """An array of bfloat16 as one of uint16, for a library that does not know bfloat16."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __dlpack__(self, **options: Any) -> Any:
        return _recoded(self.x.__dlpack__(**options), _BFLOAT, _UINT)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()


def _recoded(capsule: Any, before: int, after: int) -> Any:
    """The capsule with another code of its dtype; it is not consumed yet, so nobody has looked at it."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    name = api.PyCapsule_GetName(capsule)
    if name not in _CODE_AT:
        raise DLPackError(message("dlpack", "a capsule that is not consumed", f"one named {name!r}"))
    code = ctypes.c_uint8.from_address(api.PyCapsule_GetPointer(capsule, name) + _CODE_AT[name])
    if code.value != before:
        raise DLPackError(message("dlpack", f"the dtype code {before}", f"{code.value}"))
    code.value = after
    return capsule
