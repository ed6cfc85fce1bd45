"""Watching what every Function computes, or changing it: `with observe(observer): ...`, for the current thread.

An observer has two methods, each of which runs the Function and returns what it returned, or something in its place:

    forward(fn, arrays)     arrays: a list of the inputs' arrays; an entry that is replaced in it is what the tape saves
    backward(fn, grads)     grads: a list of arrays, one per output, None for an output that took no part

They see calls with plain arrays too, which a backward pass makes. A backward under create_graph is seen only as the
Functions that it records. More is optional:

    composite(function, args, kwargs)   a function that is marked by `composite`, made of several Functions or of none
    in_place(op, tensor)                a tensor is about to be written in place
    module_call(*modules)               a context around the call of a module, or of two that run as one
    region(name)                        a context around the block of a `record_function(name)`
    passive                             True: it changes nothing, so all runs as it would without it: ops that are fused
                                        stay so, and what takes a short way past its Function is not seen

An observer's forward enters fn.backend.quiet() where fn.may_overflow. Without an observer a
Function asks once whether there is one; nothing else is different.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar, cast

from deepcore.autograd.function import Function
from deepcore.autograd.mode import state


class Observer(Protocol):
    """What `observe` takes."""

    def forward(self, fn: Function, arrays: list[Any]) -> Any: ...

    def backward(self, fn: Function, grads: list[Any]) -> Any: ...


@contextlib.contextmanager
def observe(observer: Observer | None) -> Iterator[None]:
    """Inside, `observer` runs every Function of this thread; None suspends one that is there.

    >>> import deepcore as dc
    >>> class Names:
    ...     def forward(self, fn, arrays):
    ...         print(fn.name)
    ...         return fn.forward(*arrays)
    ...     def backward(self, fn, grads):
    ...         return fn.backward(*grads)
    >>> with observe(Names()):
    ...     y = dc.ones(2).exp() * 2
    exp
    mul
    """
    previous = state.observer
    state.observer = observer
    try:
        yield
    finally:
        state.observer = previous


_NOTHING = contextlib.nullcontext()


def module_call(*modules: Any) -> Any:
    """The observer's context around a call of `modules`."""
    enter = getattr(state.observer, "module_call", None)
    return _NOTHING if enter is None else enter(*modules)


class record_function(contextlib.ContextDecorator):
    """Name a block of the program for the profiler: `with record_function("augment"): ...`, or a decorator.

    Costs half a microsecond where nobody looks on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._inside: list[Any] = []

    def _recreate_cm(self) -> record_function:
        return type(self)(self.name)

    def __enter__(self) -> record_function:
        enter = None if state.observer is None else getattr(state.observer, "region", None)
        self._inside.append(_NOTHING if enter is None else enter(self.name))
        self._inside[-1].__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._inside.pop().__exit__(*exc)


F = TypeVar("F", bound=Callable[..., Any])


def composite(function: F) -> F:
    """Mark a function that means more than the Functions it is made of: an observer may take the call as a whole."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        take = None if state.observer is None else getattr(state.observer, "composite", None)
        return function(*args, **kwargs) if take is None else take(function, args, kwargs)

    return cast(F, call)
