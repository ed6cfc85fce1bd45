"""The one table of allowed errors, for checks and tests: c * eps(dtype) * sqrt(length of the reduction).

Nothing has a number of its own.

Why sqrt: rounding errors of n added terms behave like a random walk, so they grow with the square root of n.
Inputs of the samples are of order one; an error is therefore measured against 1 + |expected|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcore.dtypes import as_dtype, finfo, is_floating

VALUE_C = 16.0
"""Rounding errors of an op in units of eps: a handful of roundings (exp, division), with room for another libm."""

DIFFERENCE_C = 200.0
"""Error of a central difference in units of eps(float64) ** (2/3), what a step of eps ** (1/3) leaves."""

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""The step of every central difference, along a direction of unit length."""


@dataclass(frozen=True)
class Tolerance:
    """An allowed error and what it is made of: ``c * eps * sqrt(length)``, relative to 1 + |expected|."""

    c: float
    eps: float
    length: int
    dtype: np.dtype
    """The dtype whose rounding it allows for."""

    @property
    def allowed(self) -> float:
        return self.c * self.eps * self.length**0.5

    def __str__(self) -> str:
        return f"{self.c:g} * {self.eps:.3g} * sqrt({self.length}) = {self.allowed:.3g}"


def tolerance(dtype: Any, length: int = 1) -> Tolerance:
    """The allowed error of a value of `dtype` made by a reduction over `length` terms; integers allow none."""
    dtype = as_dtype(dtype)
    eps = float(finfo(dtype).eps) if is_floating(dtype) else 0.0
    return Tolerance(VALUE_C, eps, max(1, length), dtype)


def difference_tolerance(length: int = 1) -> Tolerance:
    """The allowed error of a float64 central difference of a sum over `length` terms."""
    return Tolerance(DIFFERENCE_C, float(np.finfo(np.float64).eps) ** (2 / 3), max(1, length), np.dtype(np.float64))


def errors(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Errors of the elements relative to 1 + |expected|; NaN equals NaN, and where only one is NaN it is infinite."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))  # also the infinities
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(got - expected) / (1.0 + np.abs(expected)))
    return np.where(np.isnan(error), np.inf, error)


@dataclass(frozen=True)
class Difference:
    """How far an array is from what it should be, at its worst element."""

    error: float
    """The worst error relative to 1 + |expected|; infinite where exact values, NaN or shapes differ."""
    index: tuple[int, ...] | None = None
    """The worst element; None where the arrays are empty or have different shapes."""
    got: Any = None
    expected: Any = None
    wrong: int = 0
    """How many elements are further away than allowed, of `size`."""
    size: int = 0


def difference(got: np.ndarray, expected: np.ndarray, allowed: Tolerance) -> Difference:
    """The worst element of `got` beside `expected`; integers and bools have to be equal."""
    if got.shape != expected.shape:
        return Difference(np.inf, wrong=got.size, size=got.size)
    if got.dtype.kind in "biu" and expected.dtype.kind in "biu":
        error = np.where(got == expected, 0.0, np.inf)
    else:
        error = errors(got, expected)
    if not error.size:
        return Difference(0.0)
    at = np.unravel_index(int(error.argmax()), error.shape)
    wrong = int((error > allowed.allowed).sum())
    return Difference(float(error.max()), tuple(int(i) for i in at), got[at], expected[at], wrong, error.size)


def check_close(got: np.ndarray, expected: np.ndarray, allowed: Tolerance, what: str) -> None:
    """Raise AssertionError where an element of `got` is further from `expected` than allowed; integers are equal."""
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: shape {got.shape}, expected {expected.shape}")
    worst = difference(got, expected, allowed)
    if worst.error > allowed.allowed:
        raise AssertionError(
            f"{what} in {allowed.dtype}: error {worst.error:.3g} is more than {allowed} "
            f"at {worst.index}: got {worst.got!r}, expected {worst.expected!r}; "
            f"{worst.wrong} of {worst.size} are wrong"
        )


def assert_close(got: Any, expected: Any, dtype: Any, length: int = 1, what: str = "value") -> None:
    """`got` equals `expected` within the table's tolerance for `dtype`; integers and bools exactly; NaN equals NaN."""
    check_close(np.asarray(got), np.asarray(expected), tolerance(dtype, length), what)


def assert_derivative_close(got: Any, numerical: Any, length: int = 1, what: str = "derivative") -> None:
    """`got` equals the central difference `numerical` within the table's tolerance."""
    check_close(np.asarray(got), np.asarray(numerical), difference_tolerance(length), what)
