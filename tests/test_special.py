"""The gamma function's relatives where the op database does not look: poles, infinities, far away, tiny numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import deepcore as dc
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close

INF, NAN = math.inf, math.nan
EDGES = np.array([0.0, -0.0, -1.0, -2.0, INF, -INF, NAN])
FAR = np.array([1e-300, 1e-8, 12.999, 13.0, 171.5, 1e5, 1e15, 1e300])
BELOW = np.array([-0.5, -1e-8, -7.25, -33.7, -170.3])


def on(device: str, values: np.ndarray, dtype: str = "float64") -> dc.Tensor:
    if device == "simulator":
        pytest.skip("no kernels")
    return dc.tensor(values.astype(dtype), device=device)


def test_poles_and_infinities_are_pytorchs(device: str) -> None:
    x = on(device, EDGES)
    np.testing.assert_array_equal(host(x.lgamma()), [INF, INF, INF, INF, INF, INF, NAN])
    np.testing.assert_array_equal(host(x.digamma()), [-INF, INF, NAN, NAN, INF, NAN, NAN])
    np.testing.assert_array_equal(host(x.polygamma(1)), [INF, INF, INF, INF, 0.0, NAN, NAN])
    np.testing.assert_array_equal(host(x.polygamma(2)), [-INF, -INF, -INF, -INF, 0.0, NAN, NAN])
    y = on(device, np.array([1.0, -1.0, 1.5, -2.0, NAN]))
    np.testing.assert_array_equal(host(y.erfinv()), [INF, -INF, NAN, NAN, NAN])


def test_far_away_and_below_0(device: str) -> None:
    for values in (FAR, BELOW):
        x = on(device, values)
        assert_close(host(dc.lgamma(x)), special.gammaln(values), "float64")
        assert_close(host(dc.digamma(x)), special.psi(values), "float64")
    assert_close(host(dc.polygamma(1, on(device, FAR))), special.polygamma(1, FAR), "float64")
    assert_close(host(dc.polygamma(9, on(device, FAR[1:]))), special.polygamma(9, FAR[1:]), "float64")


def test_the_ends_of_erfinv(device: str) -> None:
    """Where erfc is tiny, and where erf is nearly linear."""
    y = np.concatenate([1 - 10.0 ** -np.arange(1, 16), 10.0 ** -np.arange(1, 300, 30)])
    assert_close(host(dc.erfinv(on(device, y))), special.erfinv(y), "float64")
    assert_close(host(dc.erfinv(on(device, -y))), -special.erfinv(y), "float64")


def test_integers_become_floating(device: str) -> None:
    n = on(device, np.arange(1, 6), "int64")
    assert_close(host(dc.lgamma(n)), np.log([1, 1, 2, 6, 24]).astype("float32"), "float32")
    assert dc.digamma(n).dtype == dc.float32


def test_every_derivative_exists() -> None:
    """The third derivative of lgamma, three times by the tape."""
    x = dc.tensor(2.5, dtype="float64", requires_grad=True)
    y = dc.lgamma(x)
    for _ in range(3):
        (y,) = dc.autograd.grad(y, x, create_graph=True)
    assert_close(y.detach().numpy(), np.asarray(special.polygamma(2, 2.5)), "float64")
