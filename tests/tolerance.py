"""The one tolerance table of the suite: c * eps(dtype) * sqrt(length of the reduction). No test has its own number.

Why sqrt: rounding errors of n added terms behave like a random walk, so they grow with the square root of n.
Inputs of the samples are of order one; an error is therefore measured against 1 + |expected|.
"""

from __future__ import annotations

import numpy as np

VALUE_C = 16.0
"""Rounding errors of an op in units of eps: a handful of roundings (exp, division), with room for another libm."""

DIFFERENCE_C = 200.0
"""Error of a central difference in units of eps(float64) ** (2/3), what a step of eps ** (1/3) leaves."""

STEP = float(np.finfo(np.float64).eps) ** (1 / 3)
"""The step of every central difference, along a direction of unit length."""


def tolerance(dtype: object, length: int = 1) -> float:
    """The allowed error, relative to 1 + |expected|, of a value of `dtype` made by a reduction over `length` terms."""
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        return 0.0
    return VALUE_C * float(np.finfo(dtype).eps) * max(1, length) ** 0.5


def difference_tolerance(length: int = 1) -> float:
    """The allowed error, relative to 1 + |expected|, of a float64 central difference of a sum over `length` terms."""
    return DIFFERENCE_C * float(np.finfo(np.float64).eps) ** (2 / 3) * max(1, length) ** 0.5


def assert_close(got: np.ndarray, expected: np.ndarray, dtype: object, length: int = 1, what: str = "value") -> None:
    """`got` equals `expected` within the table's tolerance for `dtype`; integers and bools exactly; NaN equals NaN."""
    _compare(np.asarray(got), np.asarray(expected), tolerance(dtype, length), f"{what} in {np.dtype(dtype)}")


def assert_derivative_close(got: object, numerical: object, length: int = 1, what: str = "derivative") -> None:
    """`got` equals the central difference `numerical` within the table's tolerance."""
    _compare(np.asarray(got), np.asarray(numerical), difference_tolerance(length), what)


def _compare(got: np.ndarray, expected: np.ndarray, allowed: float, what: str) -> None:
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    if got.dtype.kind in "biu" and expected.dtype.kind in "biu":
        np.testing.assert_array_equal(got, expected, err_msg=what)
        return
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))  # also the infinities
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(got - expected) / (1.0 + np.abs(expected)))
    error = np.where(np.isnan(error), np.inf, error)
    if error.size and error.max() > allowed:
        at = np.unravel_index(int(error.argmax()), error.shape)
        raise AssertionError(
            f"{what}: error {error.max():.3g} is more than {allowed:.3g} at {tuple(int(i) for i in at)}: "
            f"got {got[at]!r}, expected {expected[at]!r}; {int((error > allowed).sum())} of {error.size} are wrong"
        )
