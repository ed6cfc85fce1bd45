"""Which ops first make a NaN or an infinity: an observer for `observe`."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclass(frozen=True)
class Made:
    """An op that made the first NaN or infinity."""

    op: str
    module: str
    """What the finder's `module` said when the op ran forward."""
    backward: bool
    fresh: bool
    """Whether nothing that went in had one already."""
    line: str
    """The line of the user's code that called the op, `model.py:12: y = x.log()`, or ""."""


class Finder:
    """Watches every Function; `nan` and `inf` are the first that made one, forward or backward, None while none has.

    module: a function that says what is running, for `Made.module`. Slow: each op waits for its device.

    >>> import deepcore as dc
    >>> from deepcore.autograd.observer import observe
    >>> finder = Finder()
    >>> with observe(finder):
    ...     y = (dc.tensor([-1.0, 2.0]) * 2).log()
    >>> finder.nan.op, finder.nan.fresh, finder.inf
    ('log', True, None)
    """

    def __init__(self, module: Callable[[], str] = lambda: "") -> None:
        self.module = module
        self.nan: Made | None = None
        self.inf: Made | None = None
        self.first: Made | None = None
        # By the Function's id; it is kept, so that no other one gets the same.
        self._made_at: dict[int, tuple[Any, str, str]] = {}
        self._depth = 0
        self._outside = len(traceback.extract_stack())  # frames of those who called for the finder

    def forward(self, fn: Any, arrays: list[Any]) -> Any:
        """Run it and look at its results; a Function that runs inside of another one is part of that."""
        if self._depth == 0:
            self._made_at[id(fn)] = fn, self.module(), _users_line(self._outside)
        with fn.backend.quiet():
            result = self._inside(fn.forward, arrays)
        if self._depth == 0:
            self._look(fn, arrays, result, False)
        return result

    def backward(self, fn: Any, grads: list[Any]) -> Any:
        """Run it and look at the gradients that it returns."""
        with fn.backend.quiet():
            result = self._inside(fn.backward, grads)
        if self._depth == 0:
            self._look(fn, grads, result, True)
        return result

    def _inside(self, run: Callable[..., Any], arrays: list[Any]) -> Any:
        self._depth += 1
        try:
            return run(*arrays)
        finally:
            self._depth -= 1

    def _look(self, fn: Any, arrays: list[Any], result: Any, backward: bool) -> None:
        results = result if type(result) is tuple else (result,)
        for kind, holds in (("nan", np.isnan), ("inf", np.isinf)):
            if getattr(self, kind) is None and any(_any(holds, y, fn) for y in results):
                _, module, line = self._made_at.get(id(fn), (fn, "", ""))
                fresh = all(is_finite(x, fn.backend) for x in arrays)
                made = Made(fn.name, module, backward, fresh, line)
                setattr(self, kind, made)
                self.first = self.first or made


def is_finite(array: Any, backend: Any) -> bool:
    """Whether an array (of a backend, or a NumPy scalar) holds neither NaN nor infinity; what is no float is finite."""
    host = _host(array, backend)
    return host is None or bool(np.isfinite(host).all())


def _any(holds: Callable[[Any], Any], array: Any, fn: Any) -> bool:
    host = _host(array, fn.output_backend or fn.backend)
    return host is not None and bool(holds(host).any())


def _host(array: Any, backend: Any) -> Any:
    """A floating array on the host; None for anything else."""
    array = getattr(array, "array", array)
    if isinstance(array, np.generic):  # NumPy's 0-d results are no arrays
        return array if array.dtype.kind in "fc" else None
    if not isinstance(array, backend.array_type) or array.dtype.kind not in "fcV":
        return None
    return backend.to_host(array)


def _users_line(outside: int) -> str:
    """The innermost line outside of deepcore that deepcore called: in a module or a loss of the user.

    The outermost `outside` frames are left out: the program that trains, which may be deepcore's own command.
    """
    for frame in reversed(traceback.extract_stack()[outside:]):
        if not os.path.abspath(frame.filename).startswith(_HERE + os.sep):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return ""
