"""What the current thread records: gradient mode, anomaly mode, and the backend of plain arrays."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


class _State(threading.local):
    grad_enabled: bool = True
    anomaly: bool = False
    # The backend of *plain arrays* that are handed to a Function: set while a backward pass runs one node, and by
    # `array_scope`. It never decides where a tensor runs: a tensor knows its own backend.
    array_backend: Any = None
    # Who watches (or changes) what every Function computes, see deepcore.autograd.observer; None for nobody.
    observer: Any = None
    # What casts the inputs of ops, see deepcore.autograd.precision; None for nobody.
    autocast: Any = None


state = _State()


def altered() -> bool:
    """Whether an observer is on for which every op must run by itself; a passive one only looks on."""
    return state.observer is not None and not getattr(state.observer, "passive", False)


class set_grad_enabled(contextlib.ContextDecorator):
    """Record operations for `backward` (True) or not (False); a context manager, a decorator and a plain call.

    >>> import deepcore as dc
    >>> x = dc.ones(2, requires_grad=True)
    >>> with dc.set_grad_enabled(False):
    ...     (x * 2).requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.previous: list[bool] = [state.grad_enabled]
        state.grad_enabled = self.mode  # a plain call takes effect at once, as in PyTorch
        self._entered = False

    def _recreate_cm(self) -> set_grad_enabled:
        return type(self)(self.mode)

    def __call__(self, func: Any) -> Any:
        state.grad_enabled = self.previous[0]  # used as a decorator: the mode belongs to the function's calls only
        return super().__call__(func)

    def __enter__(self) -> set_grad_enabled:
        if self._entered:
            self.previous.append(state.grad_enabled)
        self._entered = True
        state.grad_enabled = self.mode
        return self

    def __exit__(self, *exc: object) -> None:
        state.grad_enabled = self.previous.pop() if len(self.previous) > 1 else self.previous[0]


class _GradMode(contextlib.ContextDecorator):
    mode: bool

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def _recreate_cm(self) -> _GradMode:
        return type(self)()

    def __enter__(self) -> _GradMode:
        self._previous.append(state.grad_enabled)
        state.grad_enabled = self.mode
        return self

    def __exit__(self, *exc: object) -> None:
        state.grad_enabled = self._previous.pop()


class no_grad(_GradMode):
    """Record nothing: `with dc.no_grad(): ...` or `@dc.no_grad()`. Holds for the current thread only."""

    mode = False


class enable_grad(_GradMode):
    """Record again inside a `no_grad` block: `with dc.enable_grad(): ...`."""

    mode = True


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return state.grad_enabled


@contextlib.contextmanager
def array_scope(backend: Any) -> Iterator[None]:
    """Inside, Functions may be called on plain arrays of `backend`: no tape, arrays in and arrays out.

    >>> import numpy as np
    >>> from deepcore.backends import get_backend
    >>> from deepcore.functions import relu
    >>> with array_scope(get_backend("numpy")):
    ...     print(relu(np.array([-1.0, 2.0])))
    [0. 2.]
    """
    previous = state.array_backend
    state.array_backend = backend
    try:
        with backend.quiet():
            yield
    finally:
        state.array_backend = previous
