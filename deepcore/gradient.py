"""The book's numerical gradient: slow, obvious, and the check of every backward."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.arrays import backend_of
from deepcore.errors import DTypeError, got, message


def numerical_gradient(f: Callable[[Any], Any], x: Any, h: float = 1e-4) -> Any:
    """Central differences (f(x + h e_i) - f(x - h e_i)) / 2h for every element i of x.

    x: a floating-point array of any backend, best float64 (in float32, rounding spoils about half of the digits).
    f: a function of x with one number as its value. x itself is shifted and put back, so ``f`` may also read it from
    where it lives, as in ``numerical_gradient(lambda _: net.loss(x, t), net.params["W1"])``.
    Returns an array like x. Raises DTypeError for integers, which cannot be shifted by h.

    >>> numerical_gradient(lambda x: x[0] ** 2 + x[1] ** 2, np.array([3.0, 4.0])).round(6)
    array([6., 8.])
    """
    backend = backend_of(x)
    if x.dtype.kind != "f":
        raise DTypeError(message("numerical_gradient", "a floating-point array", got(x=x), "pass x.astype(float)"))
    differences = np.empty(math.prod(x.shape), dtype=np.float64)
    for i, place in enumerate(np.ndindex(*x.shape)):
        before = _number(backend, x[place])
        try:
            x[place] = before + h
            above = _number(backend, f(x))
            x[place] = before - h
            below = _number(backend, f(x))
        finally:
            x[place] = before
        differences[i] = (above - below) / (2 * h)
    return backend.from_host(differences.reshape(x.shape).astype(x.dtype))


def _number(backend: Any, value: Any) -> float:
    """A Python number from what a loss returns: a number, an array with one element, or a tensor."""
    if isinstance(value, float | int | np.generic):
        return float(value)
    return float(backend.item(value) if backend.is_array(value) else value.item())
