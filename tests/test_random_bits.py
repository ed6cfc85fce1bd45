"""Random numbers are the same bits on every device, and good ones."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from deepcore.backends import get_backend
from deepcore.backends.base.random import inverse_normal, log, philox_block

# Random123's kat_vectors for philox4x32-10: counter, key, result
KNOWN_ANSWERS = [
    (
        (0x00000000, 0x00000000, 0x00000000, 0x00000000),
        (0x00000000, 0x00000000),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
DRAWS = [(0, 0), (7, 2**32 - 3), (2**63 + 11, 2**64 - 5), (-1, 3)]
REFERENCE = get_backend("numpy")


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_published_answers(counter, key, expected):
    words = philox_block(np, *(np.array([c], dtype=np.uint64) for c in counter), key)
    assert tuple(int(w[0]) for w in words) == expected


def test_zero_counter_through_the_backend(device):
    backend = get_backend(device)
    assert backend.to_host(backend.philox(0, 0, 4)).tolist() == list(KNOWN_ANSWERS[0][2])


@pytest.mark.parametrize(("seed", "offset"), DRAWS)
@pytest.mark.parametrize("n", [0, 1, 4, 1030, 70_001])
def test_words(device, seed, offset, n):
    words = get_backend(device).to_host(get_backend(device).philox(seed, offset, n))
    assert words.dtype == np.uint32
    np.testing.assert_array_equal(words, REFERENCE.philox(seed, offset, n))


def test_offset_counts_blocks():
    np.testing.assert_array_equal(REFERENCE.philox(5, 0, 40)[12:], REFERENCE.philox(5, 3, 28))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (1023, 3), (2, 3, 4099)])
@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_draws_have_the_same_bits(device, draw, shape, dtype):
    backend = get_backend(device)
    got = backend.to_host(getattr(backend, draw)(9, 2**32 - 7, shape, dtype))
    expected = getattr(REFERENCE, draw)(9, 2**32 - 7, shape, dtype)
    assert (got.shape, got.dtype) == (shape, np.dtype(dtype))
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("dtype", "step"), [("float16", 2**-11), ("float32", 2**-24), ("float64", 2**-53)])
def test_uniform_is_a_multiple_of_its_step(dtype, step):
    values = REFERENCE.uniform(1, 2, (50_000,), dtype).astype(np.float64)
    assert values.min() >= 0
    assert values.max() < 1
    assert np.all(values / step == np.floor(values / step))
    assert abs(values.mean() - 0.5) < 4 / np.sqrt(12 * values.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_has_its_moments(dtype):
    values = REFERENCE.normal(3, 4, (200_000,), dtype).astype(np.float64)
    bound = 4 / np.sqrt(values.size)
    assert abs(values.mean()) < bound
    assert abs(values.std() - 1) < bound
    assert abs((values**3).mean()) < 4 * bound
    assert abs((values**4).mean() - 3) < 10 * bound


def test_quantile_against_the_standard_library():
    u = np.concatenate([10.0 ** -np.arange(1, 17), np.linspace(1e-3, 0.999, 401)])
    expected = [statistics.NormalDist().inv_cdf(p) for p in u]
    np.testing.assert_allclose(inverse_normal(np, u), expected, rtol=2e-15, atol=1e-15)


def test_extreme_cells_are_finite():
    ends = np.array([0.5 * 2.0**-52, 1 - 0.5 * 2.0**-52, 0.5 * 2.0**-32, 1 - 0.5 * 2.0**-32])
    values = inverse_normal(np, ends)
    assert np.isfinite(values).all()
    assert values[0] == -values[1]


def test_log_within_one_unit_in_the_last_place():
    x = np.concatenate([np.linspace(1e-9, 2, 20_001), 10.0 ** np.arange(-300, 300, 7)])
    assert np.all(np.abs(log(np, x) - np.log(x)) <= np.spacing(np.abs(np.log(x))))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_dropout_is_the_same_everywhere(device, p, dtype):
    backend = get_backend(device)
    x = REFERENCE.normal(1, 1, (37, 71), dtype)
    got = backend.to_host(backend.dropout(backend.from_host(x), 5, 6, p))
    expected = REFERENCE.dropout(x, 5, 6, p)
    assert got.dtype == x.dtype
    assert got.tobytes() == expected.tobytes()


def test_dropout_keeps_by_word():
    x = np.full(10_000, 3.0, dtype=np.float32)
    y = REFERENCE.dropout(x, 8, 9, 0.25)
    kept = REFERENCE.philox(8, 9, x.size) >= 2**30
    np.testing.assert_array_equal(y, np.where(kept, np.float32(4.0), np.float32(0.0)))
    np.testing.assert_array_equal(REFERENCE.dropout(x, 8, 9, 0.0), x)
    assert not REFERENCE.dropout(x, 8, 9, 1.0).any()
