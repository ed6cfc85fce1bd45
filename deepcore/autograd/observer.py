"""Watching what every Function computes, or changing it: `with observe(observer): ...`, for the current thread.

An observer has two methods, each of which runs the Function and returns what it returned, or something in its place:

    forward(fn, arrays)     arrays: a list of the inputs' arrays; an entry that is replaced in it is what the tape saves
    backward(fn, grads)     grads: a list of arrays, one per output, None for an output that took no part

They see calls with plain arrays too, which a backward pass makes. A backward under create_graph is seen only as the
Functions that it records. Two more methods are optional:

    composite(function, args, kwargs)   a function that is marked by `composite`, made of several Functions or of none
    in_place(op, tensor)                a tensor is about to be written in place

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


F = TypeVar("F", bound=Callable[..., Any])


def composite(function: F) -> F:
    """Mark a function that means more than the Functions it is made of: an observer may take the call as a whole."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        take = None if state.observer is None else getattr(state.observer, "composite", None)
        return function(*args, **kwargs) if take is None else take(function, args, kwargs)

    return cast(F, call)
