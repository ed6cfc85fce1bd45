"""The exponentials of the CPU kernels against NumPy's in a wider dtype, as far as their arguments go."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

from deepcore.check.tolerance import assert_close
from deepcore.kernels.cpu import elementary

both = pytest.mark.parametrize("dtype", ["float32", "float64"])
LOWEST = {"float32": -87.0, "float64": -708.0}


def ratios(function: Callable, expected: Callable, points: np.ndarray) -> np.ndarray:
    """The results over what they should be; each exponential is good to the last digits however small it is."""
    got = np.array([function(x) for x in points], points.dtype)  # Numba makes a float of a float32
    return got / expected(points.astype(np.longdouble)).astype(got.dtype)


def points(dtype: str, lowest: float, highest: float) -> np.ndarray:
    """Evenly spread, and close to 0."""
    close = np.geomspace(1e-6, 1, 25)
    close = np.concatenate((-close, close))
    found = np.concatenate((np.linspace(lowest, highest, 101), close[(close >= lowest) & (close <= highest)]))
    return found[found != 0].astype(dtype)


@both
def test_decay(dtype: str) -> None:
    x = points(dtype, LOWEST[dtype], 0.0)
    assert_close(ratios(elementary.decay, np.exp, x), np.ones_like(x), dtype)
    kind = np.dtype(dtype).type
    assert elementary.decay(kind(0)) == 1
    assert elementary.decay(kind(LOWEST[dtype])) > 0
    for below in (kind(LOWEST[dtype] - 1), kind(-1e30), kind(-np.inf)):
        assert elementary.decay(below) == 0
    assert np.isnan(elementary.decay(kind("nan")))


@both
def test_expm1(dtype: str) -> None:
    x = points(dtype, LOWEST[dtype], 0.0)
    assert_close(ratios(elementary.expm1, np.expm1, x), np.ones_like(x), dtype)
    assert elementary.expm1(np.dtype(dtype).type(-np.inf)) == -1
    assert np.isnan(elementary.expm1(np.dtype(dtype).type("nan")))


@both
def test_sigmoid(dtype: str) -> None:
    x = points(dtype, LOWEST[dtype] + 1, 40.0)
    assert_close(ratios(elementary.sigmoid, lambda v: 1 / (1 + np.exp(-v)), x), np.ones_like(x), dtype)
    kind = np.dtype(dtype).type
    ends = [elementary.sigmoid(kind(v)) for v in ("-inf", "0", "inf", "nan")]
    np.testing.assert_array_equal(ends, [0, 0.5, 1, np.nan])


@both
def test_tanh(dtype: str) -> None:
    x = points(dtype, -30.0, 30.0)
    assert_close(ratios(elementary.tanh, np.tanh, x), np.ones_like(x), dtype)
    kind = np.dtype(dtype).type
    ends = [elementary.tanh(kind(v)) for v in ("-inf", "0", "inf", "nan")]
    np.testing.assert_array_equal(ends, [-1, 0, 1, np.nan])
    assert not np.signbit(elementary.tanh(kind(0)))


@both
def test_log1p(dtype: str) -> None:
    @numba.njit
    def log1p(u):
        return elementary.log1p(u)

    x = points(dtype, 0.0, 1.0)
    assert_close(ratios(log1p, np.log1p, x), np.ones_like(x), dtype)
    assert log1p(np.dtype(dtype).type(0)) == 0


@both
def test_power_of_two(dtype: str) -> None:
    """Compiled anew, not read from the cache, as coverage.py sees what writes machine code only when it runs."""
    bits = np.dtype(dtype).itemsize
    shift = np.dtype(dtype).type(elementary.ROUND[bits])

    @numba.njit
    def power(x):
        return elementary.power_of_two(x)

    for k in (-126, -1, 0, 1, 7, 127):
        assert power(shift + np.dtype(dtype).type(k)) == 2.0**k


def test_polynomial() -> None:
    polynomial = elementary.horner((2.0, -3.0, 5.0))

    @numba.njit
    def value(x):
        return polynomial(x)

    assert value(np.float64(3.0)) == 2.0 * 9 - 3.0 * 3 + 5.0
    assert value(np.float32(3.0)) == 14.0


def test_what_the_kernels_run_on() -> None:
    from deepcore.kernels.cpu.diagnose import diagnose
    from deepcore.kernels.cpu.team import team

    facts = diagnose()
    assert (facts.team, facts.numba) == (team.size, numba.__version__)
    assert facts.threads >= 1
    assert facts.layer in ("tbb", "omp", "workqueue") or facts.layer.startswith("none (")
