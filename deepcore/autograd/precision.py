"""Where automatic casts meet the ops: `state.autocast`, None unless somebody casts (deepcore.amp.autocast does).

A caster has two methods:

    inputs(name, inputs)                the inputs of the Function of that name, cast as it wants them
    call(function, args, kwargs)        a function marked `cast_as_one`, with its tensors cast once, and no cast inside

Without one, a Function and a marked function ask once whether there is one; nothing else is different.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from deepcore.autograd.mode import state

MARKED: set[str] = set()
"""The names of all functions marked `cast_as_one`."""

F = TypeVar("F", bound=Callable[..., Any])


class as_recorded:
    """Inside, nothing is cast. Every backward pass enters it, so it is no generator, which would cost more."""

    def __enter__(self) -> None:
        self.previous, state.autocast = state.autocast, None

    def __exit__(self, *exc: object) -> None:
        state.autocast = self.previous


def cast_as_one(function: F) -> F:
    """Mark a function whose tensors are cast before it begins: it is made of several ops, or compares their dtypes."""

    MARKED.add(function.__name__)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.autocast is None:
            return function(*args, **kwargs)
        return state.autocast.call(function, args, kwargs)

    return cast(F, call)
