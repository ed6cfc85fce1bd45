"""Matrix products and attention on device "cpu": every edge of a tile, every layout, the same bits on any team."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepcore.backends import get_backend
from deepcore.backends.cpu import products
from deepcore.check.tolerance import check_close, tolerance
from deepcore.kernels.cpu import attention as attention_kernels
from deepcore.kernels.cpu import gemm
from deepcore.kernels.cpu.team import team
from deepcore.kernels.cpu.vector import BYTES

both = pytest.mark.parametrize("dtype", ["float32", "float64"])
backend, reference = get_backend("cpu"), get_backend("numpy")


def draw(seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same matrix by rows, by columns, as a part of either (among NaN), and without any unit stride."""
    m, n = x.shape
    big = np.full((m + 3, n + 5), np.nan, x.dtype)
    part = big[2:-1, 3:-2]
    part[:] = x
    tall = np.full((n + 5, m + 3), np.nan, x.dtype).T
    column_part = tall[2:-1, 3:-2]
    column_part[:] = x
    sparse = np.full((2 * m, 2 * n), np.nan, x.dtype)[::2, ::2]
    sparse[:] = x
    backwards = np.ascontiguousarray(x[::-1])[::-1]
    return [x, np.asfortranarray(x), part, column_part, sparse, backwards]


@pytest.fixture
def own(monkeypatch):
    """Let the kernels compute products of any size."""
    monkeypatch.setattr(products, "LEAST_PRODUCT", 0)
    monkeypatch.setattr(products, "LEAST_SIDE", 1)


def edges(dtype: str) -> list[int]:
    """Sizes around one and two tiles."""
    lanes = BYTES // np.dtype(dtype).itemsize
    around = {1, gemm.ROWS, 2 * gemm.ROWS, lanes, gemm.VECTORS * lanes, 2 * gemm.VECTORS * lanes}
    return sorted({n + d for n in around for d in (-1, 0, 1) if n + d > 0})


@both
def test_products_of_every_edge_size(own, dtype):
    for seed, (m, n) in enumerate(itertools.product(edges(dtype), repeat=2)):
        k = 1 + seed * 7 % 50
        a, b, bias = draw(seed, (m, k), dtype), draw(seed + 1, (k, n), dtype), draw(seed + 2, (n,), dtype)
        y = np.empty((m, n), dtype)
        products.product(y, a, b, bias, relu=bool(seed % 2))
        wide = a.astype("float64") @ b.astype("float64") + bias
        wide = np.maximum(wide, 0) if seed % 2 else wide
        check_close(y, wide, tolerance(dtype, k + 1), f"{m}x{k}x{n}")


@both
@pytest.mark.parametrize("k", [1, 15, 287, 288, 289, 600])
def test_products_of_every_layout_and_depth(own, dtype, k):
    a, b = draw(1, (29, k), dtype), draw(2, (k, 70), dtype)
    wide = a.astype("float64") @ b.astype("float64")
    first = backend.matmul(a, b)
    check_close(first, wide, tolerance(dtype, k), "product")
    for left, right in itertools.product(layouts(a), layouts(b)):
        np.testing.assert_array_equal(backend.matmul(left, right), first)


@both
def test_products_wider_than_the_cache(dtype):
    a, b = draw(1, (31, 300), dtype), draw(2, (300, 1500), dtype)
    check_close(backend.matmul(a, b), a.astype("float64") @ b.astype("float64"), tolerance(dtype, 300), "product")


@both
def test_products_have_the_same_bits_on_any_team(own, monkeypatch, dtype):
    x, w, b = draw(1, (100, 300), dtype), draw(2, (120, 300), dtype), draw(3, (120,), dtype)
    gy = draw(4, (100, 120), dtype)
    seen = []
    for size in (1, 2, 3, 4, 7):
        monkeypatch.setattr(team, "size", size)
        monkeypatch.setattr(team, "_inboxes", [])
        monkeypatch.setattr(products, "LEAST_SHARE", 1)
        seen.append(
            [backend.linear(x, w, b), backend.linear_relu(x, w, b), backend.matmul(gy, w), backend.matmul(gy.T, x)]
        )
    for other in seen[1:]:
        for one, two in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@both
def test_what_is_not_finite_stays_in_its_row_and_column(own, dtype):
    a, b = draw(1, (14, 20), dtype), draw(2, (20, 35), dtype)
    a[3, 2], b[7, 33] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        y, expected = backend.linear_relu(a, np.ascontiguousarray(b.T), np.zeros(35, dtype)), np.maximum(a @ b, 0)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_array_equal(np.isposinf(y), np.isposinf(expected))
    assert np.isnan(y[3]).all()


def heads(seed: int, n: int, h: int, t: int, e: int, dtype: str) -> np.ndarray:
    """(3, N, H, T, E) as a transposition of (N, T, 3, H, E) leaves it."""
    return draw(seed, (n, t, 3, h, e), dtype).transpose(2, 0, 3, 1, 4)


@both
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("t", "e"), [(1, 1), (5, 3), (17, 16), (40, 33), (130, 20)])
def test_attention_of_transposed_heads(monkeypatch, dtype, causal, t, e):
    q, k, v = heads(1, 2, 3, t, e, dtype)
    gy = draw(2, (2, t, 3, e), dtype).transpose(0, 2, 1, 3)
    wide = [a.astype("float64") for a in (gy, q, k, v)]
    y64, lse64 = reference.attention(*wide[1:], None, causal, 0.3)
    grads64 = reference.attention_grad(*wide, y64, lse64, None, causal, 0.3)
    y, lse = backend.attention(q, k, v, None, causal, 0.3)
    grads = backend.attention_grad(gy, q, k, v, y, lse, None, causal, 0.3)
    for name, got, expected in zip(
        ("y", "lse", "gq", "gk", "gv"), (y, lse, *grads), (y64, lse64, *grads64), strict=True
    ):
        check_close(got, expected, tolerance(dtype, t * e * 8), name)
    monkeypatch.setattr(team, "size", 1)
    again, _ = backend.attention(q, k, v, None, causal, 0.3)
    np.testing.assert_array_equal(again, y)
    for one, two in zip(backend.attention_grad(gy, q, k, v, y, lse, None, causal, 0.3), grads, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_in_blocks_of_queries(causal):
    keys = 700
    assert 2 * attention_kernels.SCORES // keys < 450  # more than two blocks
    q, k, v = (draw(i, (1, n, 8), "float32") for i, n in enumerate((450, keys, keys)))
    gy, mask = draw(3, (1, 450, 8), "float32"), np.random.default_rng(4).random((1, 450, keys)) < 0.5
    mask[0, 3] = False
    wide = [a.astype("float64") for a in (gy, q, k, v)]
    y64, lse64 = reference.attention(*wide[1:], mask, causal, 0.3)
    y, lse = backend.attention(q, k, v, mask, causal, 0.3)
    grads = backend.attention_grad(gy, q, k, v, y, lse, mask, causal, 0.3)
    expected = (y64, *reference.attention_grad(*wide, y64, lse64, mask, causal, 0.3))
    for name, got, right in zip(("y", "gq", "gk", "gv"), (y, *grads), expected, strict=True):
        check_close(got, right, tolerance("float32", keys * 8), name)
    assert not y[0, 3].any()
    assert np.isposinf(lse[0, 3])
