"""The explicit vectors of the CPU kernels beside NumPy, with the lanes of this machine and with half of them."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from llvmlite import ir

from deepcore.kernels.cpu import vector
from deepcore.kernels.cpu.vector import vectorised

both = pytest.mark.parametrize("dtype", ["float32", "float64"])


def draw(dtype: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


@vectorised
def _axpy(v, y, x, a, count):
    factor, whole = v.broadcast(a), count // v.lanes
    with v.loop(whole) as i:
        at = i * v.lanes
        v.store(y + at, v.fma(factor, v.load(x + at), v.load(y + at)))
    at = whole * v.lanes
    rest = count - at
    v.store(y + at, v.fma(factor, v.load(x + at, rest), v.load(y + at, rest)), rest)


@vectorised
def _transpose(v, y, x):
    for i, row in enumerate(v.transpose([v.load(x + i * v.lanes) for i in range(v.lanes)])):
        v.store(y + i * v.lanes, row)


@vectorised
def _dot(v, total, x, y, count):
    running = v.variable(v.zero())
    with v.loop(count) as i:
        at = v.lanes * i
        running.set(v.fma(v.load(x + at), v.load(y + at), running.vector))
    v.put(total, v.sum(running.vector))


@vectorised
def _arithmetic(v, y, a, b):
    x, z = v.load(a), v.load(b)
    v.store(y, v.max((x + z) * (x - z) * 0.5, v.zero()))


@numba.njit
def axpy(y, x, a):
    _axpy(y, x, a, y.size)


@numba.njit
def transpose(y, x):
    _transpose(y, x)


@numba.njit
def dot(total, x, y, count):
    _dot(total, x, y, count)


@numba.njit
def arithmetic(y, a, b):
    _arithmetic(y, a, b)


@both
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 53])
def test_loops_and_masks(dtype: str, size: int) -> None:
    y, x, a = draw(dtype, size + 1), draw(dtype, size + 1)[::-1].copy(), np.array([2.5], dtype)
    y[size] = x[size] = np.nan  # behind the last element: not read, not written
    expected = y[:size] + 2.5 * x[:size]
    axpy(y[:size], x[:size], a)
    np.testing.assert_allclose(y[:size], expected, rtol=8 * np.finfo(dtype).eps)
    assert np.isnan(y[size])


@both
def test_transpose(dtype: str) -> None:
    lanes = vector.lanes(np.dtype(dtype).itemsize)
    x = draw(dtype, lanes, lanes)
    y = np.empty_like(x)
    transpose(y, x)
    np.testing.assert_array_equal(y, x.T)


@both
def test_a_sum_over_a_loop(dtype: str) -> None:
    lanes = vector.lanes(np.dtype(dtype).itemsize)
    x, y, total = draw(dtype, 5 * lanes), draw(dtype, 5 * lanes) + 1, np.empty(1, dtype)
    dot(total, x, y, 5)
    np.testing.assert_allclose(total[0], x.astype(np.float64) @ y, rtol=100 * np.finfo(dtype).eps)


@both
def test_arithmetic(dtype: str) -> None:
    lanes = vector.lanes(np.dtype(dtype).itemsize)
    a, b, y = draw(dtype, lanes), draw(dtype, lanes) * 2 + 1, np.empty(lanes, dtype)
    arithmetic(y, a, b)
    np.testing.assert_allclose(y, np.maximum((a + b) * (a - b) * 0.5, 0), rtol=8 * np.finfo(dtype).eps)


def test_arrays_that_it_cannot_take() -> None:
    x = draw("float32", 64)
    with pytest.raises(numba.TypingError):
        axpy(x[:32], x[::2], x[:1])
    with pytest.raises(TypeError, match="mismatch"):
        axpy(x[:32], draw("float64", 32), x[:1])


@vectorised
def _wide_sum(v, x, sums, count):
    total, whole = v.variable(v.load(sums)), count // v.lanes
    with v.loop(whole) as i:
        total.set(total.vector + v.widen(v.load(x + i * v.lanes)))
    rest = count - whole * v.lanes
    with v.when(rest):
        one = v.splat(v.builder.fpext(ir.Constant(v.real, 1), v.wide.element) if v.itemsize == 4 else v.real(1))
        total.set(total.vector + v.only(v.widen(v.load(x + whole * v.lanes, rest)) + one, rest) - v.only(one, rest))
    v.store(sums, total.vector)


@numba.njit
def wide_sum(x, sums):
    _wide_sum(x, sums, x.size)


@both
def test_sums_in_float64(dtype: str) -> None:
    for count in (1, 16, 37):
        x, sums = draw(dtype, count), np.zeros(vector.lanes(np.dtype(dtype).itemsize))
        wide_sum(x, sums)
        np.testing.assert_allclose(sums.sum(), x.sum(dtype="float64"), atol=1e-14 * count)


def test_half_a_register_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector, "BYTES", vector.BYTES // 2)

    @numba.njit
    def narrow(y, x, a):
        _axpy(y, x, a, y.size)

    y, x, a = draw("float32", 37), draw("float32", 37) + 1, np.array([2.5], np.float32)
    expected = y + np.float32(2.5) * x
    narrow(y, x, a)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
