"""Initial values: their distribution, and the same bits on every device."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.errors import ConfigError, ShapeError
from deepcore.nn import init


def host(tensor: dc.Tensor) -> np.ndarray:
    return tensor.backend.to_host(tensor.array)


def fill(function: Callable, shape: tuple, *args: object, device: str = "numpy", dtype: str = "float64", **kw: object):
    """What an initialiser writes, with seed 1."""
    tensor = dc.empty(shape, device=device, dtype=dtype)
    assert function(tensor, *args, generator=dc.Generator(1), **kw) is tensor
    return host(tensor)


def assert_moments(values: np.ndarray, mean: float, std: float, kurtosis: float) -> None:
    """Mean and deviation within five standard errors of samples of that kurtosis (3 normal, 1.8 uniform)."""
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.var() - std**2) < 5 * std**2 * math.sqrt((kurtosis - 1) / n)


DRAWS = [
    (init.normal_, {"mean": 0.3, "std": 0.01}),
    (init.uniform_, {"a": -0.5, "b": 2.0}),
    (init.trunc_normal_, {"std": 0.7, "a": -1.0, "b": 0.5}),
    (init.xavier_uniform_, {"gain": 2.0}),
    (init.xavier_normal_, {}),
    (init.kaiming_uniform_, {"a": math.sqrt(5)}),
    (init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "relu"}),
    (init.orthogonal_, {"gain": 0.5}),
]


@pytest.mark.parametrize(("function", "options"), DRAWS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_same_bits_on_every_device(device: str, function: Callable, options: dict, dtype: str) -> None:
    shape = (6, 5, 3, 3)
    got = fill(function, shape, device=device, dtype=dtype, **options)
    expected = fill(function, shape, device="numpy", dtype=dtype, **options)
    assert got.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(got.view(f"u{got.itemsize}"), expected.view(f"u{got.itemsize}"))
    assert len(np.unique(got)) > got.size // 4


def test_plain_distributions() -> None:
    assert_moments(fill(init.normal_, (300, 200), 2.0, 0.01), 2.0, 0.01, 3.0)
    values = fill(init.uniform_, (300, 200), -1.0, 3.0)
    assert_moments(values, 1.0, 4 / math.sqrt(12), 1.8)
    assert -1 <= values.min() < values.max() < 3


@pytest.mark.parametrize("shape", [(80, 120), (16, 12, 5, 5)])
def test_scaled_by_fans(shape: tuple) -> None:
    field = math.prod(shape[2:])
    fan_in, fan_out = shape[1] * field, shape[0] * field
    assert init.fans(dc.zeros(*shape)) == (fan_in, fan_out)
    glorot = math.sqrt(2 / (fan_in + fan_out))
    values = fill(init.xavier_uniform_, shape, 1.5)
    assert_moments(values, 0, 1.5 * glorot, 1.8)
    assert np.abs(values).max() <= 1.5 * glorot * math.sqrt(3)
    assert_moments(fill(init.xavier_normal_, shape), 0, glorot, 3.0)
    he = math.sqrt(2 / fan_in)
    assert_moments(fill(init.kaiming_normal_, shape, nonlinearity="relu"), 0, he, 3.0)
    assert_moments(fill(init.kaiming_normal_, shape, mode="fan_out"), 0, math.sqrt(2 / fan_out), 3.0)
    values = fill(init.kaiming_uniform_, shape, 0.2)
    assert_moments(values, 0, math.sqrt(2 / 1.04 / fan_in), 1.8)


def test_truncated_normal_follows_its_distribution() -> None:
    """Kolmogorov and Smirnov: the largest distance of the empirical from the true distribution function."""
    mean, std, a, b = 0.5, 2.0, -1.0, 3.0
    values = np.sort(fill(init.trunc_normal_, (20000,), mean, std, a, b))
    assert a <= values[0]
    assert values[-1] <= b

    def cdf(x: float) -> float:
        return 0.5 * (1 + math.erf((x - mean) / std / math.sqrt(2)))

    expected = np.array([(cdf(x) - cdf(a)) / (cdf(b) - cdf(a)) for x in values])
    assert np.abs(expected - np.arange(20000) / 20000).max() < 2 / math.sqrt(20000)
    far = fill(init.trunc_normal_, (100,), 0.0, 1.0, 30.0, 31.0)
    assert np.isfinite(far).all()
    assert ((far >= 30) & (far <= 31)).all()


@pytest.mark.parametrize("shape", [(8, 5), (5, 8), (4, 4), (6, 3, 2, 2)])
def test_orthogonal(shape: tuple) -> None:
    q = fill(init.orthogonal_, shape, 3.0).reshape(shape[0], -1)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, 9 * np.eye(len(gram)), atol=1e-12)
    assert init.orthogonal_(dc.empty(0, 3)).shape == (0, 3)


def test_constants(device: str) -> None:
    tensor = dc.empty((3, 4), device=device)
    assert (host(init.constant_(tensor, 2.5)) == 2.5).all()
    assert (host(init.zeros_(tensor)) == 0).all()
    assert (host(init.ones_(tensor)) == 1).all()
    np.testing.assert_array_equal(host(init.eye_(tensor)), np.eye(3, 4, dtype=np.float32))


def test_dirac_hands_channels_on(device: str) -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False, device=device)
    init.dirac_(layer.weight, groups=2)
    x = dc.randn(2, 4, 5, 5, device=device)
    np.testing.assert_array_equal(host(layer(x)), host(x))
    weight = host(init.dirac_(dc.empty((5, 3, 2)), 1))
    assert weight.sum() == 3
    assert weight[1, 1, 1] == 1


def test_gains() -> None:
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == init.calculate_gain("conv2d") == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)
    with pytest.raises(ConfigError, match="swish"):
        init.calculate_gain("swish")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: init.xavier_uniform_(dc.zeros(3)), ShapeError),
        (lambda: init.kaiming_normal_(dc.zeros(3)), ShapeError),
        (lambda: init.kaiming_normal_(dc.zeros(3, 3), mode="fan"), ConfigError),
        (lambda: init.orthogonal_(dc.zeros(3)), ShapeError),
        (lambda: init.eye_(dc.zeros(3)), ShapeError),
        (lambda: init.dirac_(dc.zeros(3, 3)), ShapeError),
        (lambda: init.dirac_(dc.zeros(3, 3, 1, 1), groups=2), ShapeError),
        (lambda: init.normal_(dc.zeros(3), std=-1), ConfigError),
        (lambda: init.trunc_normal_(dc.zeros(3), a=1, b=1), ConfigError),
    ],
)
def test_bad_arguments(call: Callable, error: type) -> None:
    with pytest.raises(error):
        call()


def test_default_stream_and_defaults(device: str) -> None:
    """manual_seed decides the weights of a model, wherever it is made."""

    def make(on: str) -> dict[str, np.ndarray]:
        dc.manual_seed(5)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, device=on), nn.Linear(50, 20, device=on))
        return {name: host(tensor) for name, tensor in model.state_dict().items()}

    state, again = make(device), make("numpy")
    for name, values in state.items():
        np.testing.assert_array_equal(values, again[name])
        bound = 1 / math.sqrt(27 if name.startswith("0") else 50)
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.6 * bound
    dc.manual_seed(6)
    assert (host(nn.Linear(50, 20).weight) != state["1.weight"]).any()


def test_initialising_is_seen_by_the_tape() -> None:
    layer = nn.Linear(2, 2)
    y = layer(dc.ones(1, 2, requires_grad=True)).sum()
    init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match="in place"):
        y.backward()


@pytest.mark.slow
def test_default_statistics_are_pytorchs() -> None:
    """The default weights of each module have PyTorch's range and deviation."""
    torch = pytest.importorskip("torch")
    for make in (
        lambda lib: lib.Linear(400, 300),
        lambda lib: lib.Conv2d(32, 48, 5),
        lambda lib: lib.Conv2d(32, 48, 5, groups=4),
        lambda lib: lib.ConvTranspose2d(32, 48, 5, groups=2),
    ):
        ours, theirs = make(nn), make(torch.nn)
        for (name, mine), their in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            a, b = host(mine), their.detach().numpy()
            assert a.shape == b.shape
            limit = 5 * a.std() / math.sqrt(a.size)
            assert abs(a.std() - b.std()) < limit * 2, name
            assert abs(np.abs(a).max() - np.abs(b).max()) < 0.1 * np.abs(b).max(), name
