"""Arithmetic on device "cpu": NumPy's loops, each thread on its part of large arrays.

Not under @override: small arrays are frequent, and its guards take as long as their sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.backends.base import Backend
from deepcore.kernels.cpu.team import team

LARGE = 1 << 16  # elements from which on a second thread is worth waking


def _parts(a: Any, b: Any) -> tuple[Any, Any] | None:
    """(a, b) as arrays to be cut along their first axis, b along it or whole; None for small ones and other dtypes."""
    if type(a) is not np.ndarray or type(b) is not np.ndarray or a.size < LARGE:
        return None
    if a.dtype != b.dtype or a.dtype.kind != "f":
        return None
    if a.shape == b.shape:
        if a.flags.c_contiguous and b.flags.c_contiguous:
            return a.reshape(-1), b.reshape(-1)
        return a, b
    if 0 < b.ndim < a.ndim and b.shape == a.shape[-b.ndim :]:
        return a, b
    return None


def _in_parts(operation: Callable[..., Any], out: Any, a: Any, b: Any) -> None:
    """Call operation(a, b, out) by threads, each on a part of the first axis."""
    state, whole = np.geterr(), b.ndim < a.ndim  # each thread has a state of its own

    def part(first: int, last: int) -> None:
        with np.errstate(**state):
            operation(a[first:last], b if whole else b[first:last], out[first:last])

    team.run(part, len(a), out.size // len(a))


class CpuElementwise(Backend):
    """The arithmetic of CpuBackend."""

    def add(self, a, b):
        """Return a + b; see Elementwise.add."""
        return _binary(np.add, a, b)

    def sub(self, a, b):
        """Return a - b; see Elementwise.sub."""
        return _binary(np.subtract, a, b)

    def mul(self, a, b):
        """Return a * b; see Elementwise.mul."""
        return _binary(np.multiply, a, b)

    def div(self, a, b):
        """Return a / b; see Elementwise.div."""
        return _binary(np.divide, a, b)

    def add_to(self, total, value) -> None:
        """Add value to the array `total`; see Elementwise.add_to."""
        parts = _parts(total, value)
        if parts is None:
            total += value
        else:
            _in_parts(np.add, parts[0], *parts)

    def concatenate(self, arrays, axis):
        """Return arrays joined along an axis; see Elementwise.concatenate."""
        first = arrays[0]
        length = sum(a.shape[axis] for a in arrays)
        shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
        before, total = math.prod(shape[:axis]), math.prod(shape)
        if total < LARGE or before < 2 or not all(a.flags.c_contiguous for a in arrays):
            return super().concatenate(arrays, axis)
        y = np.empty(shape, first.dtype)
        target, places, start = y.reshape(before, -1), [], 0
        for a in arrays:
            if a.size:
                places.append((start, a.reshape(before, -1)))
                start += places[-1][1].shape[1]

        def part(first: int, last: int) -> None:
            for place, a in places:
                target[first:last, place : place + a.shape[1]] = a[first:last]

        team.run(part, before, total // before)
        return y


def _binary(operation: Callable[..., Any], a: Any, b: Any) -> Any:
    parts = _parts(a, b)
    if parts is None:
        return operation(a, b)
    y = np.empty(a.shape, a.dtype)
    _in_parts(operation, y.reshape(parts[0].shape), *parts)
    return y
