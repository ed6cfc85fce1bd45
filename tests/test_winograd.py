"""3 x 3 convolution and its input gradient by Winograd's algorithm against a sum in float64."""

from __future__ import annotations

import numpy as np
import pytest

from deepcore.backends.cpu.conv_choice import FORWARD, INPUT, WEIGHT, Problem
from deepcore.backends.cpu.winograd import Winograd
from deepcore.kernels.cpu.team import Team
from deepcore.kernels.cpu.winograd_transform import F2, F4, winograd

SHAPES = [  # n, c, h, w, o, padding
    (2, 16, 9, 8, 16, (1, 1)),
    (1, 3, 5, 7, 10, (0, 0)),
    (3, 17, 7, 7, 33, (1, 1)),
    (1, 1, 1, 1, 1, (1, 1)),
    (1, 5, 1, 1, 3, (2, 2)),
    (2, 40, 33, 17, 50, (2, 1)),
    (5, 20, 3, 4, 20, (0, 2)),
    (13, 100, 4, 4, 48, (1, 1)),
    (1, 2, 100, 3, 2, (1, 1)),
    (3, 300, 5, 9, 70, (1, 1)),
    (1, 70, 40, 41, 35, (1, 0)),
]
PLANS = {"blocks": (1 << 60, 0), "panels": (0, 1 << 60)}


@pytest.fixture(params=PLANS)
def plan(request, monkeypatch):
    large, few = PLANS[request.param]
    monkeypatch.setattr("deepcore.backends.cpu.winograd.LARGE_WEIGHTS", large)
    monkeypatch.setattr("deepcore.backends.cpu.winograd.FEW_TILES", few)


def problem(run, n, c, h, w, o, padding):
    out = h + 2 * padding[0] - 2, w + 2 * padding[1] - 2
    return Problem(run, "float32", n, c, h, w, o, 3, 3, *out, (1, 1), padding, (1, 1), 1)


def arrays(p, seed=0):
    rng = np.random.default_rng(seed)
    x, gy = rng.standard_normal((p.n, p.c, p.h, p.w)), rng.standard_normal((p.n, p.o, p.out_h, p.out_w))
    w = rng.standard_normal((p.o, p.c, 3, 3)) / (9 * p.c) ** 0.5
    return [a.astype(np.float32) for a in (x, w, rng.standard_normal(p.o), gy)]


def convolution(x, w, padding):
    """y[n, o, i, j] = sum of w[o, c, k, l] x[n, c, i + k - ph, j + l - pw], in float64."""
    ph, pw = padding
    image = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w.astype(np.float64), optimize=True)


@pytest.mark.parametrize("shape", [*SHAPES, (2, 20, 6, 7, 20, (7, 9))])
def test_forward_is_a_sum_in_float64(shape, plan):
    p = problem(FORWARD, *shape)
    x, w, b, _ = arrays(p)
    expected = convolution(x, w, p.padding)
    assert np.abs(Winograd().forward(p, x, w, None, False) - expected).max() < 3e-5
    expected += b[:, None, None]
    assert np.abs(Winograd().forward(p, x, w, b, False) - expected).max() < 3e-5
    assert np.abs(Winograd().forward(p, x, w, b, True) - expected.clip(0)).max() < 3e-5


@pytest.mark.parametrize("shape", SHAPES)
def test_input_gradient_is_a_sum_in_float64(shape, plan):
    p = problem(INPUT, *shape)
    _, w, _, gy = arrays(p)
    turned = w.swapaxes(0, 1)[:, :, ::-1, ::-1]
    expected = convolution(gy, turned, (2 - p.padding[0], 2 - p.padding[1]))
    error = np.abs(Winograd().input_gradient(p, gy, w) - expected).max()
    assert error < 3e-5 * max(1, p.o / p.c) ** 0.5


def test_rounding_errors_are_a_few_times_those_of_a_direct_sum():
    p = problem(FORWARD, 2, 64, 32, 32, 64, (1, 1))
    x, w, _, _ = arrays(p)
    error = Winograd().forward(p, x, w, None, False) - convolution(x, w, p.padding)
    assert np.sqrt((error**2).mean()) < 8 * np.finfo(np.float32).eps


@pytest.mark.parametrize("shape", SHAPES[-6:])
@pytest.mark.parametrize("run", [FORWARD, INPUT])
def test_bits_do_not_depend_on_threads_or_plan(shape, run, monkeypatch):
    p = problem(run, *shape)
    x, w, b, gy = arrays(p)
    found = set()
    for threads in (1, 2, 5):
        monkeypatch.setattr("deepcore.backends.cpu.winograd.team", Team(threads))
        for large, few in PLANS.values():
            monkeypatch.setattr("deepcore.backends.cpu.winograd.LARGE_WEIGHTS", large)
            monkeypatch.setattr("deepcore.backends.cpu.winograd.FEW_TILES", few)
            y = Winograd().forward(p, x, w, b, True) if run == FORWARD else Winograd().input_gradient(p, gy, w)
            found.add(y.tobytes())
    assert len(found) == 1


def test_a_nan_spreads_over_its_tiles_only_and_passes_the_relu(plan):
    p = problem(FORWARD, 2, 16, 16, 16, 16, (1, 1))
    x, w, b, _ = arrays(p)
    clean = Winograd().forward(p, x, w, b, True)
    x[1, 3, 5, 6] = np.nan
    y = Winograd().forward(p, x, w, b, True)
    assert np.isnan(y[1, :, 4:8, 4:8]).all()
    y[1, :, 4:8, 4:8] = clean[1, :, 4:8, 4:8]
    np.testing.assert_array_equal(y, clean)


def test_it_fits_only_what_it_computes():
    p = problem(FORWARD, 2, 16, 8, 8, 16, (1, 1))
    other = {"stride": (2, 1), "dilation": (1, 2), "groups": 2, "kh": 1, "kw": 5, "dtype": "float64", "out_h": 7}
    assert Winograd().computes(p)
    assert Winograd().pays(p)
    assert not any(Winograd().computes(p._replace(**{name: value})) for name, value in other.items())
    assert not Winograd().computes(p._replace(run=WEIGHT))
    assert Winograd().computes(problem(FORWARD, 2, 16, 8, 8, 16, (3, 0)))
    assert not Winograd().computes(problem(INPUT, 2, 16, 8, 8, 16, (3, 0)))


@pytest.mark.parametrize("made", [F2, F4, winograd(0, 1, -1, 2, -2)])
def test_matrices_compute_a_correlation(made):
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal((made.n, made.n)), rng.standard_normal((3, 3))
    data, filters, output = (np.array(m) for m in (made.data, made.filter, made.output))
    y = output @ ((filters @ g @ filters.T) * (data @ d @ data.T)) @ output.T
    expected = np.einsum("yxij,ij->yx", np.lib.stride_tricks.sliding_window_view(d, (3, 3)), g)
    np.testing.assert_allclose(y, expected, atol=1e-12)
