"""The gradient of 3 x 3 filters by Winograd's algorithm against a sum in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepcore.backends.cpu.conv_choice import WEIGHT, Problem
from deepcore.backends.cpu.winograd_weight import Tiles, WinogradWeight, plan
from deepcore.kernels.cpu.team import Team

SHAPES = [  # n, c, h, w, o, padding
    (2, 16, 8, 8, 16, (1, 1)),
    (3, 5, 7, 9, 7, (1, 1)),
    (1, 16, 1, 1, 16, (1, 1)),
    (1, 1, 1, 1, 1, (2, 2)),
    (40, 3, 1, 1, 2, (4, 5)),
    (2, 33, 5, 30, 20, (2, 2)),
    (3, 40, 3, 3, 70, (0, 0)),
    (2, 64, 19, 37, 64, (1, 1)),
    (5, 17, 4, 4, 33, (1, 1)),
    (2, 16, 70, 3, 16, (1, 1)),
    (1, 3, 40, 290, 16, (0, 2)),
    (4, 70, 6, 2, 130, (1, 2)),
    (70, 24, 9, 15, 18, (1, 1)),
    (20, 80, 13, 13, 65, (0, 1)),
]


def problem(n, c, h, w, o, padding, lost=0):
    out = h + 2 * padding[0] - 2 - lost, w + 2 * padding[1] - 2 - lost
    return Problem(WEIGHT, "float32", n, c, h, w, o, 3, 3, *out, (1, 1), padding, (1, 1), 1)


def arrays(p, seed=0):
    rng = np.random.default_rng(seed)
    gy = rng.standard_normal((p.n, p.o, p.out_h, p.out_w)).astype(np.float32)
    return gy, rng.standard_normal((p.n, p.c, p.h, p.w)).astype(np.float32)


def oracle(p, gy, x):
    """gw[o, c, i, j] = sum of gy[n, o, y, q] x[n, c, y + i - ph, q + j - pw], in float64."""
    (ph, pw), gy = p.padding, gy.astype(np.float64)
    image = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    gw = np.empty((p.o, p.c, 3, 3))
    for i in range(3):
        for j in range(3):
            gw[:, :, i, j] = np.tensordot(gy, image[:, :, i : i + p.out_h, j : j + p.out_w], ((0, 2, 3), (0, 2, 3)))
    return gw


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lost", [0, 1])
def test_gradient_is_that_of_a_sum_in_float64(shape, lost):
    p = problem(*shape, lost=lost)
    if min(p.out_h, p.out_w) < 1:
        pytest.skip("nothing is left of the output")
    gy, x = arrays(p)
    expected = oracle(p, gy, x)
    error = np.abs(WinogradWeight().weight_gradient(p, gy, x) - expected)
    # a sum of products of standard normal numbers is about the root of their number
    assert error.max() < 2e-6 * max(1, p.n * p.out_h * p.out_w) ** 0.5 * 8


def test_a_long_sum_is_as_exact_as_a_direct_one_in_float32():
    p = problem(24, 16, 64, 64, 16, (1, 1))
    gy, x = arrays(p)
    gy += 1  # the terms of a sum of one sign: partial sums grow
    x += 1
    expected = oracle(p, gy, x)
    error = np.abs(WinogradWeight().weight_gradient(p, gy, x) - expected).max() / np.abs(expected).max()
    assert error < 2e-6


@pytest.mark.parametrize("shape", SHAPES[-3:])
def test_bits_do_not_depend_on_the_number_of_threads(shape, monkeypatch):
    p = problem(*shape)
    gy, x = arrays(p)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("deepcore.backends.cpu.winograd_weight.team", Team(threads))
        found.append(WinogradWeight().weight_gradient(p, gy, x).tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("shape", SHAPES)
def test_plan_keeps_to_its_limits(shape):
    p = problem(*shape)
    made = plan(p)
    assert 1 <= made.shares <= 16
    assert all(size >= 1 for size in made.step)
    assert np.prod(made.step) <= 64


def test_tiles_of_all_steps_are_counted_once():
    tiles = Tiles(problem(5, 8, 27, 33, 8, (1, 1)))
    for step in [(2, 7, 9), (1, 3, 9), (1, 1, 4), (1, 2, 5)]:
        counts = [tiles.before(i, step) for i in range(tiles.steps(step) + 1)]
        assert counts[0] == 0
        assert counts[-1] == tiles.count == 5 * 7 * 9
        assert all(0 < after - before <= np.prod(step) for before, after in itertools.pairwise(counts))


def test_it_fits_only_what_it_computes():
    p = problem(2, 16, 8, 8, 16, (1, 1))
    other = {"stride": (2, 1), "dilation": (1, 2), "groups": 2, "kh": 1, "kw": 5, "dtype": "float64"}
    assert WinogradWeight().computes(p)
    assert not any(WinogradWeight().computes(p._replace(**{name: value})) for name, value in other.items())
