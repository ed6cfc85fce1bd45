"""Overriding a method of the reference backend: every guard lives here, so that no kernel can forget one.

    class CpuBackend(Backend):
        @override(dtypes=("float32", "float64"))
        def relu(self, x):
            ...

When the class is created, `install` (called by Backend.__init_subclass__) compares the signature with the reference's
and puts a guarded function in the method's place. The body may then assume that its arrays (arguments, and elements of
list arguments) are C-contiguous, not empty, and of one floating dtype out of `dtypes`. In every other case the method
that is overridden runs instead:

- a floating or complex array (bfloat16 is one of kind "V") has a dtype outside `dtypes`, or two of them differ;
- there are arrays but none is floating (integers: the reference is fast enough);
- an argument named `dtype` is outside `dtypes`;
- an array is empty;
- an array of an argument named in `inplace` is not contiguous: a copy would take the writes.

With `strided=True` the body takes arrays as they lie, for example because BLAS reads transposed ones without a copy.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy


class _Marked:
    """What @override leaves in the class body until `install` replaces it."""

    def __init__(self, function: Callable, dtypes: tuple[str, ...], inplace: tuple[str, ...], strided: bool) -> None:
        self.function, self.dtypes, self.inplace, self.strided = function, dtypes, inplace, strided


def override(
    dtypes: tuple[str, ...] = ("float32", "float64"), inplace: tuple[str, ...] = (), strided: bool = False
) -> Callable:
    """Mark a method of a Backend subclass as a faster body of the method with its name.

    dtypes: floating dtypes that the body takes; inplace: names of the arguments that it writes to; strided: it takes
    arrays that are not contiguous as they are.
    Raises TypeError, when the class is created, if the signature is not the reference's.
    """
    return lambda function: _Marked(function, dtypes, inplace, strided)


def install(cls: type) -> None:
    """Check the signatures of a new Backend class and put the guards around its marked methods."""
    for name, value in list(vars(cls).items()):
        function = value.function if isinstance(value, _Marked) else value
        if not inspect.isfunction(function):
            continue
        reference = _reference(cls, name)
        if reference is not None and not name.startswith("_"):
            _same_signature(cls, name, function, reference)
        if isinstance(value, _Marked):
            if reference is None:
                raise TypeError(f"{cls.__name__}.{name}: expected a method of Backend to override; there is none")
            setattr(cls, name, _guarded(value, reference))


def _reference(cls: type, name: str) -> Callable | None:
    """Return the method that cls.<name> overrides."""
    for base in cls.__mro__[1:]:
        if name in vars(base):
            found = vars(base)[name]
            return found if inspect.isfunction(found) else None
    return None


def _same_signature(cls: type, name: str, function: Callable, reference: Callable) -> None:
    def shape(f: Callable) -> list[tuple]:
        return [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]

    if shape(function) != shape(reference):
        raise TypeError(
            f"{cls.__name__}.{name}: expected the signature of the reference, {inspect.signature(reference)}; "
            f"got {inspect.signature(function)}"
        )


def _guarded(marked: _Marked, reference: Callable) -> Callable:
    """Return the method that calls the marked function where its assumptions hold, else `reference`.

    It runs on every call of every op, so what can be looked up beforehand is.
    """
    function, strided = marked.function, marked.strided
    signature = inspect.signature(function)
    names = list(signature.parameters)[1:]
    arity = len(names)
    allowed = frozenset(numpy.dtype(d) for d in marked.dtypes)
    dtype_at = names.index("dtype") if "dtype" in names else None
    written = frozenset(names.index(name) for name in marked.inplace)
    plain = dtype_at is None

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if plain and not kwargs and len(args) == arity and _usual(self.array_type, args, allowed, strided):
            return function(self, *args)
        if kwargs or len(args) != arity:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            args = bound.args[1:]
        if dtype_at is not None and numpy.dtype(args[dtype_at]) not in allowed:
            return reference(self, *args)
        ready = _ready(self, args, allowed, written, strided, None)
        if ready is None or ready[1] is False:
            return reference(self, *args)
        return function(self, *ready[0])

    return method


def _usual(array_type: type, values: Any, allowed: frozenset, strided: bool, floating: Any = None) -> Any:
    """The dtype of the contiguous floating arrays among plain options and integer arrays; None for all else.

    What `_ready` finds out for every case, at one look for the usual one.
    """
    for value in values:
        kind = type(value)
        if kind is array_type:
            dtype = value.dtype
            if dtype is not floating and dtype.kind not in "iub":
                if floating is not None or dtype not in allowed:
                    return None
                floating = dtype
            if not value.size or not (strided or value.flags.c_contiguous):
                return None
        elif kind is list:
            inner = _usual(array_type, value, allowed, strided, floating)
            if inner is None:
                return None
            floating = inner
        elif kind not in _PLAIN:
            return None
    return floating


_PLAIN = frozenset({tuple, int, float, bool, str, type(None)})
_ALL = range(sys.maxsize)


def _ready(
    backend: Any, values: Any, allowed: frozenset, written: Any, strided: bool, floating: Any
) -> tuple[Any, Any] | None:
    """Return (values with every array contiguous, their floating dtype), or None where the body must not run.

    floating: the dtype met so far, None when no array was met yet, False when all were integers.
    """
    array_type = backend.array_type
    fixed = values
    for position, value in enumerate(values):
        kind = type(value)
        if kind in _PLAIN:
            continue
        if kind is list:
            inner = _ready(backend, value, allowed, _ALL if position in written else (), strided, floating)
            if inner is None:
                return None
            new, floating = inner
        elif isinstance(value, array_type):
            dtype = value.dtype
            if dtype is not floating:
                if dtype in allowed:
                    if floating and dtype != floating:
                        return None
                    floating = dtype
                elif dtype.kind in "fcV":
                    return None
                elif floating is None:
                    floating = False
            if not value.size:
                return None
            if strided or value.flags.c_contiguous:
                continue
            if position in written:
                return None
            new = backend.contiguous(value)
        elif isinstance(value, numpy.generic) and value.dtype.kind in "fcV" and value.dtype not in allowed:
            return None  # a 0-d result of NumPy, which is no array
        else:
            continue
        if new is not value:
            fixed = list(fixed) if fixed is values else fixed
            fixed[position] = new
    return fixed, floating
