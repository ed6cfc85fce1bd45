"""A fake device that is stricter than any real one: host copies must be asked for, and are counted.

It finds, without a GPU, code that would work on host arrays only: np.asarray(array), float(array), `if array:`,
mixing with numpy.ndarray. Arrays are wrapped ndarrays, `xp` is a wrapped numpy, the formulas are the reference's.

>>> from deepcore.backends import get_backend
>>> backend = get_backend("strict")
>>> x = backend.from_host([1.0, 2.0])
>>> float(x.sum())
Traceback (most recent call last):
    ...
deepcore.backends.strict.TransferError: float(array): expected data to stay where it is; got an array () float64 on \
device strict. Hint: backend.item(array) copies one number to the host, backend.to_host(array) all of it.
>>> backend.item(x.sum())
3.0
"""

from __future__ import annotations

import operator
from types import ModuleType
from typing import Any

import numpy

from deepcore.backends import strict_memory
from deepcore.backends.base import Backend, MemoryUse
from deepcore.backends.errors import DeviceError, message

TO_HOST = "backend.item(array) copies one number to the host, backend.to_host(array) all of it"
TO_DEVICE = "backend.from_host(array) copies it to the device"

# what cupy.ndarray has as well, and what does not copy to the host
_METHODS = """
    all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod cumsum diagonal
    dot fill flatten max mean min nonzero partition prod put ravel repeat reshape round searchsorted sort squeeze std
    sum swapaxes take trace transpose var view
"""
_PROPERTIES = "T dtype flags imag itemsize mT nbytes ndim real shape size strides"
_VIEWS = "T imag mT real"
_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
_COMPARISONS = "eq ne lt le gt ge"
_UNARY = "neg pos abs invert"
_METHOD_SET, _PROPERTY_SET = frozenset(_METHODS.split()), frozenset(_PROPERTIES.split())


class TransferError(DeviceError, TypeError):
    """Data would have crossed between host and device without being asked to."""


def refuse(what: str, array: Any, hint: str) -> TransferError:
    """Return the error of something that would copy `array` over in silence."""
    return TransferError(message(what, "data to stay where it is", _describe(array), hint))


def _describe(array: Any) -> str:
    if isinstance(array, StrictArray):
        return f"an array {array.shape} {array.dtype} on device strict"
    if isinstance(array, numpy.ndarray):
        return f"a numpy.ndarray {array.shape} {array.dtype} on the host"
    return f"a {type(array).__name__} on the host"


def unwrap(value: Any, what: str) -> Any:
    """Return value with the ndarray of every StrictArray in it; raises TransferError where a host array is mixed in."""
    if isinstance(value, StrictArray):
        return value._host
    if isinstance(value, numpy.ndarray):
        raise refuse(what, value, TO_DEVICE)
    if type(value) in (tuple, list):
        return type(value)(unwrap(member, what) for member in value)
    return value


def wrap(value: Any) -> Any:
    """Return value with every ndarray (and NumPy scalar: a device array has no scalars) in it as a StrictArray."""
    if isinstance(value, numpy.ndarray | numpy.generic):
        return StrictArray(numpy.asarray(value))
    if type(value) in (tuple, list):
        return type(value)(wrap(member) for member in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # numpy.linalg's named tuples
        return type(value)(*(wrap(member) for member in value))
    return value


class StrictArray:
    """An array that only the device may read: an ndarray behind glass."""

    __slots__ = ("_host",)
    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # ndarray + StrictArray comes to our __radd__, which refuses it

    def __init__(self, host: numpy.ndarray) -> None:
        if strict_memory.current is not None:
            strict_memory.current.add(host)
        self._host = host

    def __getattr__(self, name: str) -> Any:
        if name in _PROPERTY_SET:
            value = getattr(self._host, name)
            return wrap(value) if name in _VIEWS.split() else value
        if name in _METHOD_SET:
            return _function(getattr(self._host, name), f"array.{name}")
        if name in ("item", "tolist", "tobytes", "get"):
            raise refuse(f"array.{name}()", self, TO_HOST)
        raise AttributeError(f"an array on device strict has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"StrictArray(shape={self.shape}, dtype={self.dtype})"

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self._host)))

    def __getitem__(self, index: Any) -> StrictArray:
        return wrap(self._host[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_index(index)] = _operand(value, "array[index] = value")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise refuse("numpy.asarray(array)", self, TO_HOST)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise refuse(f"numpy.{function.__name__}", self, "call the function of backend.xp, or " + TO_HOST)

    def __bool__(self) -> bool:
        raise refuse("bool(array)", self, TO_HOST)

    def __float__(self) -> float:
        raise refuse("float(array)", self, TO_HOST)

    def __int__(self) -> int:
        raise refuse("int(array)", self, TO_HOST)

    def __index__(self) -> int:
        raise refuse("operator.index(array)", self, TO_HOST)

    def __complex__(self) -> complex:
        raise refuse("complex(array)", self, TO_HOST)

    def __contains__(self, value: Any) -> bool:
        raise refuse("value in array", self, TO_HOST)


def _index(index: Any) -> Any:
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, list):
            raise refuse("array[list]", part, TO_DEVICE)
    return unwrap(index, "array[index]")


def _operand(value: Any, what: str) -> Any:
    """Return what NumPy may combine with a device array: another one's ndarray, or a number."""
    if isinstance(value, list | tuple):
        raise refuse(what, value, TO_DEVICE)
    return unwrap(value, what)


def _add_operators() -> None:
    def binary(symbol):
        def method(self, other):
            return wrap(symbol(self._host, _operand(other, f"array {symbol.__name__} other")))

        return method

    def reflected(symbol):
        def method(self, other):
            return wrap(symbol(_operand(other, f"other {symbol.__name__} array"), self._host))

        return method

    def inplace(symbol):
        def method(self, other):
            symbol(self._host, _operand(other, f"array {symbol.__name__} other"))
            return self

        return method

    def unary(symbol):
        return lambda self: wrap(symbol(self._host))

    for name in _BINARY.split():
        symbol = getattr(operator, f"__{name}__")
        setattr(StrictArray, f"__{name}__", binary(symbol))
        setattr(StrictArray, f"__r{name}__", reflected(symbol))
        setattr(StrictArray, f"__i{name}__", inplace(getattr(operator, f"__i{name}__")))
    for name in _COMPARISONS.split():
        setattr(StrictArray, f"__{name}__", binary(getattr(operator, f"__{name}__")))
    for name in _UNARY.split():
        setattr(StrictArray, f"__{name}__", unary(getattr(operator, f"__{name}__")))


_add_operators()


def _function(function: Any, what: str) -> Any:
    """Return function for StrictArrays: unwraps what goes in, wraps what comes out."""
    take = _operand if isinstance(function, numpy.ufunc) else unwrap

    def call(*args: Any, **kwargs: Any) -> Any:
        out = kwargs.get("out")
        plain = [take(arg, what) for arg in args]
        result = function(*plain, **{key: unwrap(value, what) for key, value in kwargs.items()})
        return wrap(result) if out is None else out

    return call


class _Ufunc:
    """A NumPy ufunc with the methods that CuPy's have too."""

    def __init__(self, ufunc: numpy.ufunc) -> None:
        self._call = _function(ufunc, ufunc.__name__)
        for name in ("at", "reduce", "accumulate", "reduceat", "outer"):
            setattr(self, name, _function(getattr(ufunc, name), f"{ufunc.__name__}.{name}"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)


class _Namespace:
    """numpy (or numpy.linalg, numpy.fft) for StrictArrays."""

    ndarray = StrictArray

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = self._wrapped(name)
        setattr(self, name, found)  # the next look-up does not come here
        return found

    def _wrapped(self, name: str) -> Any:
        if name == "random":
            raise AttributeError("xp.random: random numbers are drawn with backend.uniform, normal and dropout")
        value = getattr(self._module, name)
        if isinstance(value, ModuleType):
            return _Namespace(value)
        if isinstance(value, numpy.ufunc):
            return _Ufunc(value)
        if isinstance(value, type) or not callable(value):
            return value
        call = _function(value, name)
        if name in ("allclose", "array_equal", "array_equiv"):  # NumPy answers with a bool, a device cannot
            return lambda *args, **kwargs: wrap(numpy.asarray(call(*args, **kwargs)))
        return call


class StrictBackend(Backend):
    """Device "strict": `transfers` counts the copies that were asked for, {"to_host": n, "to_device": n}."""

    name = "strict"
    device = "strict"
    on_host = False
    xp = _Namespace(numpy)
    array_type = StrictArray

    def __init__(self) -> None:
        self.transfers = {"to_host": 0, "to_device": 0}

    def from_host(self, array):
        """Copy a host array to the device."""
        if isinstance(array, StrictArray):
            return array
        self.transfers["to_device"] += 1
        return StrictArray(numpy.array(super().from_host(array)))

    def to_host(self, array):
        """Copy an array to the host."""
        if not isinstance(array, StrictArray):
            raise refuse("to_host", array, "the array is on the host already")
        self.transfers["to_host"] += 1
        return array._host.copy()

    def memory(self) -> MemoryUse:
        """What is counted inside `strict_memory.memory_limit`; outside of it nothing is."""
        counted = strict_memory.current
        if counted is None:
            return MemoryUse(None, None, None, None)
        free = counted.limit - counted.live - counted.cached
        return MemoryUse(counted.live, counted.cached, free, counted.limit)

    def free_cache(self) -> None:
        """Give back the bytes of arrays that are gone."""
        if strict_memory.current is not None:
            strict_memory.current.kept.clear()

    def block(self, array) -> tuple[Any, int]:
        """Return (key, bytes) of the memory that an array keeps alive."""
        return super().block(array._host)
