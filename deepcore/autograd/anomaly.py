"""Anomaly mode: every op checks its results for NaN and names the line of the forward that made it.

Slow (each op waits for its device), so it is for finding a fault, not for training.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

from deepcore.autograd.mode import state
from deepcore.errors import GraphError, describe, message

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class detect_anomaly:
    """Inside, a forward or a backward that makes a NaN raises GraphError with the op and its line.

    >>> import deepcore as dc
    >>> x = dc.tensor([0.0], requires_grad=True)
    >>> with dc.autograd.detect_anomaly():
    ...     (x / x).sum()
    Traceback (most recent call last):
        ...
    deepcore.errors.GraphError: div: expected no NaN in its result; got ...
    """

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self._previous: list[bool] = []

    def __enter__(self) -> detect_anomaly:
        self._previous.append(state.anomaly)
        state.anomaly = self.mode
        return self

    def __exit__(self, *exc: object) -> None:
        state.anomaly = self._previous.pop()


def set_detect_anomaly(mode: bool) -> None:
    """Switch anomaly mode on or off for this thread."""
    state.anomaly = bool(mode)


def calling_line() -> str:
    """`train.py:12: y = x.log()`: the innermost line outside of deepcore that is being executed."""
    frames = traceback.extract_stack()
    for frame in reversed(frames):
        if not os.path.abspath(frame.filename).startswith(_HERE + os.sep):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return f"{frames[0].filename}:{frames[0].lineno}: {frames[0].line}"


def has_nan(array: Any, backend: Any) -> bool:
    """Whether a floating array holds a NaN; waits for the device."""
    if getattr(getattr(array, "dtype", None), "kind", "") not in ("f", "c", "V"):
        return False
    return bool(backend.item((array != array).any()))  # a NaN is the only value that differs from itself


def check_forward(fn: Any, result: Any) -> None:
    """Raise GraphError when a result of `fn.forward` holds a NaN."""
    backend = fn.output_backend or fn.backend
    for y in result if type(result) is tuple else (result,):
        if has_nan(y, backend):
            where = f"NaN in {describe('the result', y)}, from the line {calling_line()}"
            raise GraphError(message(fn.name, "no NaN in its result", where))


def check_backward(fn: Any, grads: tuple[Any, ...]) -> None:
    """Raise GraphError when a gradient that `fn.backward` returned holds a NaN."""
    for i, g in enumerate(grads):
        array = getattr(g, "array", g)
        if array is not None and has_nan(array, fn.backend):
            where = f"NaN in {describe(f'the gradient of input {i}', array)}"
            made = f"; its forward was the line {fn.where}" if fn.where else "; run its forward in anomaly mode as well"
            raise GraphError(message(fn.name, "no NaN from its backward", where + made))
